//! What counts of many measurements.

/// The one in the middle, the upper of two; none of none.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 50)
}

/// What so many percent of the values do not pass.
pub fn quantile(values: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_and_many() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 100), Some(4.0));
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(quantile(&values, 90), Some(900.0));
    }
}

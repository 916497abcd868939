//! Numbers as people read them on an axis, and where an axis has its ticks.

/// `1,234,567`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 record`, `1,234 records`
pub(super) fn records(number: u64) -> String {
    format!("{} record{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// About so much, two digits of it at least: `0.25`, `17`, `1.2k`, `340k`, `5.6M`.
pub(super) fn short(number: f64) -> String {
    let units = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    // What would be rounded up to the next unit has that one.
    let unit = units.into_iter().find(|(size, _)| number >= size * 0.9995);
    let (scaled, unit) = unit.map_or((number, ""), |(size, unit)| (number / size, unit));
    if scaled <= 0.0 {
        return "0".to_owned();
    }
    let digits = (1.0 - (scaled * 1.0005).log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{scaled:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// `45 %`, and `<1 %` of what is little but there.
pub(super) fn percent(part: u64, of: u64) -> String {
    match part as f64 * 100.0 / of.max(1) as f64 {
        share if part > 0 && share < 1.0 => "<1 %".to_owned(),
        share => format!("{share:.0} %"),
    }
}

/// The distance of ticks, 1, 2 or 5 times a power of ten, so that at most `most` of them go up to `top`.
pub(super) fn tick_step(top: f64, most: usize) -> f64 {
    let least = top / most.max(1) as f64;
    if least <= 0.0 || !least.is_finite() {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= least * 0.999_999)
        .unwrap_or(power * 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_say_how_much() {
        let shown: Vec<String> =
            [0.0, 0.000_56, 0.25, 0.8, 1.0, 1.25, 17.0, 999.0, 1000.0, 1234.0, 12_345.0, 999_999.0, 5.6e6, 2e12]
                .map(short)
                .into();
        assert_eq!(
            shown,
            ["0", "0.00056", "0.25", "0.8", "1", "1.2", "17", "999", "1k", "1.2k", "12k", "1M", "5.6M", "2T"]
        );
        assert_eq!([0, 12, 1234, 1_234_567].map(grouped), ["0", "12", "1,234", "1,234,567"]);
        assert_eq!(
            [1.0, 7.0, 30.0, 99.0, 3_000_000.0].map(|top| tick_step(top, 5)),
            [0.2, 2.0, 10.0, 20.0, 1_000_000.0]
        );
    }
}

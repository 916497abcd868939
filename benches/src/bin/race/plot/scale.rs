//! From a value to its place on an axis.

/// Where the greatest is more than so many times the least, steps are factors.
const WIDE: f64 = 20.0;

/// An axis from `base` to `top`.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    base: f64,
    top: f64,
    pub is_log: bool,
}

impl Scale {
    /// That all these have a place on, and a length if they are above 0.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values = values.filter(|&value| value > 0.0).peekable();
        let first = values.peek().copied().unwrap_or(1.0);
        let (least, top) = values.fold((first, first), |(least, top), value| (least.min(value), top.max(value)));
        if top <= WIDE * least {
            return Self { base: 0.0, top, is_log: false };
        }
        // The least has a length, too.
        let base = rounds().map(|round| round * power(least)).rfind(|base| base * 1.6 <= least);
        Self { base: base.unwrap_or(power(least) / 2.0), top, is_log: true }
    }

    /// From 0 to 1.
    pub fn place(&self, value: f64) -> f64 {
        let value = value.max(self.base);
        if self.is_log { (value / self.base).ln() / (self.top / self.base).ln() } else { value / self.top }
    }

    /// Round values on it.
    pub fn ticks(&self) -> Vec<f64> {
        if !self.is_log {
            let about = self.top / 6.0;
            let step = rounds().map(|round| round * power(about)).find(|&step| step >= about);
            let step = step.unwrap_or(10.0 * power(about));
            return (0..=6).map(|nth| f64::from(nth) * step).filter(|&tick| tick <= self.top).collect();
        }
        let decades = (self.top / self.base).log10();
        let from = power(self.base).log10().round() as i32;
        let all = (from..=from + decades.ceil() as i32 + 1).flat_map(|exponent| {
            let few = if decades > 3.0 { 1 } else { 3 };
            rounds().take(few).map(move |round| round * 10f64.powi(exponent))
        });
        all.filter(|&tick| tick >= self.base * 0.999 && tick <= self.top).collect()
    }
}

fn rounds() -> std::array::IntoIter<f64, 3> {
    [1.0, 2.0, 5.0].into_iter()
}

/// The power of ten that is not above.
fn power(value: f64) -> f64 {
    10f64.powi(value.log10().floor() as i32)
}

/// As short as it is exact: round values only.
pub fn text(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

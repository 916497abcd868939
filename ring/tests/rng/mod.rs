//! A small generator of our own for tests: the same seed gives the same run.

pub struct Rng(u64);

impl Rng {
    /// The seed that `variable` names, or the time; printed, so that a run can be repeated.
    pub fn seeded_by(variable: &str) -> Self {
        let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let seed = std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or_else(now);
        println!("{variable}={seed}");
        Self::new(seed)
    }

    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `n` - 1.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 8) % n
    }
}

//! Random decisions: the same seed makes the same ones.

#[derive(Clone, Copy)]
pub(crate) struct Dice(u64);

/// Spreads a number over all 64 bits.
pub(crate) const fn mix(mut n: u64) -> u64 {
    n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ n >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ n >> 31
}

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 0 to `n` - 1.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 8) % n
    }

    /// True once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of them.
    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// `low` to `high`, every order of magnitude as often as any other.
    pub(crate) fn magnitude(&mut self, low: u64, high: u64) -> u64 {
        let top = low << self.below((high / low).ilog2() as u64 + 1);
        (top + self.below(top)).min(high)
    }
}

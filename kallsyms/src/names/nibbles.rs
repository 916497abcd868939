//! Codes on their way into a block.

#![forbid(unsafe_code)]

/// A row of nibbles that grows at its end. Kept and cleared, so that coding allocates nothing.
#[derive(Default)]
pub(crate) struct Nibbles {
    bytes: Vec<u8>,
    /// Nibbles that are no whole word yet, the last one lowest.
    open: u64,
    /// How many.
    count: u32,
}

impl Nibbles {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() * 2 + self.count as usize
    }

    /// Takes all of them away.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        (self.open, self.count) = (0, 0);
    }

    /// Adds the lowest `nibbles` (at most 8) nibbles of `code`, the uppermost first; those above them must be zero.
    #[inline]
    pub(crate) fn push(&mut self, code: u32, nibbles: u32) {
        self.open = self.open << (4 * nibbles) | u64::from(code);
        self.count += nibbles;
        if self.count >= 8 {
            self.count -= 8;
            let word = (self.open >> (4 * self.count)) as u32;
            self.bytes.extend_from_slice(&word.to_be_bytes());
        }
    }

    /// Adds what is to be the last nibbles for now, and takes all as bytes: the upper half of a byte comes first, what is left of
    /// the last is zero. More can be added only after `clear`.
    pub(crate) fn finish(&mut self) -> &[u8] {
        while self.count > 0 {
            let next = if self.count == 1 { self.open << 4 } else { self.open >> (4 * (self.count - 2)) };
            self.bytes.push(next as u8);
            self.count = self.count.saturating_sub(2);
        }
        &self.bytes
    }
}

//! How names are stored.

#![forbid(unsafe_code)]
/// Stand-in.
pub(crate) const CODING: u64 = 0;

/// Codes, one behind the other, each a number of half bytes.
#[derive(Default, Clone)]
pub(crate) struct Nibbles {
    pub(crate) bytes: Vec<u8>,
    pub(crate) len: usize,
}
impl Nibbles {
    pub(crate) fn push(&mut self, nibble: u8) {
        if self.len.is_multiple_of(2) {
            self.bytes.push(nibble)
        } else {
            *self.bytes.last_mut().unwrap() |= nibble << 4
        }
        self.len += 1;
    }
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.len = 0;
    }
}
/// A name.
pub struct NameBuffer {
    bytes: [u8; 528],
    len: usize,
}
impl Default for NameBuffer {
    fn default() -> Self {
        Self { bytes: [0; 528], len: 0 }
    }
}
impl NameBuffer {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
pub(crate) fn encode(name: &[u8], out: &mut Nibbles) {
    for b in name {
        out.push(b & 15);
        out.push(b >> 4);
    }
}
pub(crate) fn decode(codes: &[u8], at: usize, nibbles: usize, out: &mut NameBuffer) -> Option<()> {
    out.len = 0;
    if !nibbles.is_multiple_of(2) {
        return None;
    }
    let n = |i: usize| Some(codes.get(i / 2)? >> (4 * (i % 2)) & 15);
    for i in 0..nibbles / 2 {
        *out.bytes.get_mut(out.len)? = n(at + 2 * i)? | n(at + 2 * i + 1)? << 4;
        out.len += 1;
    }
    (out.len <= 511).then_some(())
}
impl NameBuffer {
    pub(crate) fn prepend(&mut self, prefix: &[u8]) -> Option<()> {
        let len = self.len + prefix.len();
        if len > 528 {
            return None;
        }
        self.bytes.copy_within(0..self.len, prefix.len());
        self.bytes[..prefix.len()].copy_from_slice(prefix);
        self.len = len;
        Some(())
    }
}
impl NameBuffer {
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
    /// str
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("")
    }
}
pub(crate) fn nibble(codes: &[u8], at: usize) -> Option<u8> {
    Some(codes.get(at / 2)? >> (4 * (at % 2)) & 15)
}

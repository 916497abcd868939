//! From codes to a name.

#![forbid(unsafe_code)]

use super::LONGEST_NAME;
use super::dictionary::{CLASS, ESCAPE, GROUP, LENGTHS, LONGEST, OFFSETS, TEXT};

/// Where the name of a symbol is written: memory that one name after the other can use.
#[derive(Clone)]
#[repr(align(16))]
pub struct NameBuffer {
    /// One token longer than names: each is copied with what lies behind it.
    bytes: [u8; LONGEST_NAME + LONGEST],
    length: usize,
}

impl Default for NameBuffer {
    fn default() -> Self {
        Self { bytes: [0; LONGEST_NAME + LONGEST], length: 0 }
    }
}

impl NameBuffer {
    /// The name that was written last; empty where there was none, or one that is no UTF-8.
    #[inline]
    pub fn as_str(&self) -> &str {
        // What lies behind the name is mostly text of tokens, and whole blocks are looked at faster.
        let with_rest = &self.bytes[..self.length.next_multiple_of(LONGEST)];
        match str::from_utf8(with_rest).ok().and_then(|text| text.get(..self.length)) {
            Some(name) => name,
            None => str::from_utf8(self.as_bytes()).unwrap_or_default(),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Begins a name with these bytes, shorter than a token.
    pub(crate) fn begin(&mut self, prefix: &[u8]) {
        self.bytes[..prefix.len()].copy_from_slice(prefix);
        self.length = prefix.len();
    }
}

impl std::fmt::Debug for NameBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Reads the rest of a name behind what is in `out` already: it is `nibbles` nibbles of `codes` from the one numbered `at`.
///
/// None, and no name in `out`, where that is no row of whole codes, or one of more than [`LONGEST_NAME`] bytes. What follows the
/// name in `codes` does not matter; it is a little faster where eight bytes do.
#[inline]
pub(crate) fn decode(codes: &[u8], at: usize, nibbles: usize, out: &mut NameBuffer) -> Option<()> {
    let mut length = std::mem::take(&mut out.length);
    let end = at.checked_add(nibbles).filter(|&end| end.div_ceil(2) <= codes.len())?;
    let mut at = at;
    while at < end {
        // Most names are no longer than the window.
        let mut window = window(codes, at);
        let sure = end.min(at + WINDOW - LONGEST_CODE + 1);
        while at < sure {
            let class = CLASS[(window >> 60) as usize];
            let token = usize::from(((window >> 48) as u16 >> class.behind).wrapping_add(class.base));
            let text: &[u8; LONGEST] = TEXT.get(usize::from(*OFFSETS.get(token)?)..)?.first_chunk()?;
            out.bytes.get_mut(length..)?.first_chunk_mut::<LONGEST>()?.copy_from_slice(text);
            let bytes = usize::from(LENGTHS[token / GROUP]);
            at += usize::from(class.nibbles);
            window <<= 4 * class.nibbles;
            length += bytes;
            if bytes == 0 {
                if token != ESCAPE {
                    return None;
                }
                out.bytes[length] = nibble(codes, at)? << 4 | nibble(codes, at + 1)?;
                length += 1;
                at += 2;
                window <<= 8;
            }
        }
    }
    if at != end || length > LONGEST_NAME {
        return None;
    }
    out.length = length;
    Some(())
}

/// Nibbles that are looked at together, wherever in a byte they begin.
const WINDOW: usize = 15;
/// In nibbles.
const LONGEST_CODE: usize = 4;

/// The nibbles from `at` on, the first one uppermost; zeros behind the end.
#[inline]
fn window(codes: &[u8], at: usize) -> u64 {
    let byte = at / 2;
    let word = match codes.get(byte..).and_then(|codes| codes.first_chunk()) {
        Some(word) => u64::from_be_bytes(*word),
        None => last(codes, byte),
    };
    word << (4 * (at % 2))
}

/// One nibble of a row.
pub(crate) fn nibble(codes: &[u8], at: usize) -> Option<u8> {
    Some(codes.get(at / 2)? >> (4 * (1 - at % 2)) & 15)
}

/// The last bytes as if zeros followed.
#[cold]
fn last(codes: &[u8], byte: usize) -> u64 {
    let rest = codes.get(byte..).unwrap_or_default();
    let mut word = [0; 8];
    for (byte, &code) in word.iter_mut().zip(rest) {
        *byte = code;
    }
    u64::from_be_bytes(word)
}

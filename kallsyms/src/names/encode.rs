//! From a name to codes: the longest token at each place.

#![forbid(unsafe_code)]

use super::Nibbles;
use super::dictionary::{ESCAPE, TOKENS, code, token};
use super::trie::{End, Trie};
use std::cell::OnceCell;

/// Nibbles of a byte as it is.
const RAW: u32 = 2;

/// Codes names. To be dropped after loading: with the first name it makes a trie of the tokens.
#[derive(Default)]
pub(crate) struct Encoder {
    trie: OnceCell<Trie>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends the codes of a name; any bytes are one.
    #[inline]
    pub(crate) fn encode(&self, name: &[u8], out: &mut Nibbles) {
        let trie = self.trie.get_or_init(tokens);
        let mut rest = name;
        while let Some(&first) = rest.first() {
            let end = trie.longest(rest);
            out.push(u32::from(end.code), u32::from(end.nibbles));
            if end.length == 0 {
                out.push(u32::from(first), RAW);
            }
            rest = &rest[usize::from(end.length.max(1))..];
        }
    }
}

#[cold]
fn tokens() -> Trie {
    let end = |number, length| {
        let (code, nibbles) = code(number);
        End { code, nibbles, length }
    };
    let tokens = (0..TOKENS).filter_map(|number| token(number).map(|text| (text, end(number, text.len() as u8))));
    Trie::new(tokens, end(ESCAPE, 0))
}

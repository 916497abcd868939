//! Names of symbols as codes of a static dictionary: how they are written and read.
//!
//! A name is a row of tokens, a token a code of two, three or four nibbles, the upper nibble of a byte before the lower. The first
//! nibble of a code tells how many it has. Every byte string can be coded: a byte that is no token is an escape and two nibbles of its
//! own. A row says nothing of its length: it is kept elsewhere, in nibbles.
//!
//! The dictionary is made by `kallsyms/dictionary` from the names of two kernels; a table that others read must name the one it was
//! coded with ([`CODING`]).

#![forbid(unsafe_code)]

mod decode;
mod dictionary;
mod encode;
mod nibbles;
#[cfg(test)]
mod tests;
mod trie;

pub use decode::NameBuffer;
pub(crate) use decode::{decode, nibble};
pub(crate) use dictionary::CODING;
pub(crate) use encode::Encoder;
pub(crate) use nibbles::Nibbles;

/// The longest name, in bytes: `KSYM_NAME_LEN` of the kernel.
pub(crate) const LONGEST_NAME: usize = 512;

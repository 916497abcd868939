//! The words at the start of a table that publishing and attaching need: the same in every version of the format, little-endian.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};

/// What a table begins with.
pub(crate) const MAGIC: [u8; 8] = *b"lapwksym";
/// The version that is written and read.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Offsets from the start of the table, in bytes.
pub(crate) const VERSION: usize = 8;
pub(crate) const GENERATION: usize = 16;
pub(crate) const SUCCESSOR: usize = 24;
pub(crate) const LEN: usize = 32;
pub(crate) const BOOT_ID: usize = 40;
pub(crate) const CHECKSUM: usize = 56;
/// No table is shorter.
pub(crate) const MIN_LEN: usize = 64;

const _: () = assert!(SUCCESSOR.is_multiple_of(8), "an atomic word");

/// The words of a header; copied out, and not checked but for the magic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) version: u32,
    pub(crate) generation: u64,
    /// Length of the whole table, in bytes.
    pub(crate) len: u64,
    pub(crate) boot_id: [u8; 16],
}

impl Header {
    /// `None` where `bytes` do not begin as a table does, or are too few.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<MIN_LEN>()?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let mut boot_id = [0; 16];
        boot_id.copy_from_slice(&bytes[BOOT_ID..BOOT_ID + 16]);
        let version = word(VERSION) as u32;
        bytes.starts_with(&MAGIC).then_some(Self { version, generation: word(GENERATION), len: word(LEN), boot_id })
    }
}

/// The kernel's id of this boot.
pub(crate) fn boot_id() -> io::Result<[u8; 16]> {
    let mut text = String::new();
    File::open("/proc/sys/kernel/random/boot_id")?.take(64).read_to_string(&mut text)?;
    text.retain(|digit| digit.is_ascii_hexdigit());
    Ok(u128::from_str_radix(&text, 16).map_err(io::Error::other)?.to_be_bytes())
}

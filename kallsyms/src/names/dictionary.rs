//! The tokens, as constants: `dictionary.bin`, whose layout stands in `kallsyms/dictionary/src/layout.rs`, taken apart at compile time.

#![forbid(unsafe_code)]

const FILE: &[u8] = include_bytes!("dictionary.bin");

/// Which dictionary this is: its FNV-1a, which it begins with.
pub(crate) const CODING: u64 = u64::from_le_bytes(*FILE.first_chunk().expect("a header"));

/// Tokens that have numbers one after the other and the same length.
pub(super) const GROUP: usize = 16;
/// Bytes that decoding copies for a token, whatever its length: that many lie behind the beginning of each in `TEXT`.
pub(super) const LONGEST: usize = 16;

/// How many first nibbles begin codes of two, three and four nibbles.
const CLASSES: [usize; 3] = [FILE[8] as usize, FILE[9] as usize, FILE[10] as usize];
const GROUPS: usize = u16_at(12) as usize;
/// Codes that there are.
pub(super) const TOKENS: usize = GROUPS * GROUP;
/// The token that two nibbles of a byte follow.
pub(super) const ESCAPE: usize = u16_at(14) as usize * GROUP;

const _: () = assert!(CLASSES[0] + CLASSES[1] + CLASSES[2] == 16, "every nibble begins codes of one length");
const _: () = assert!(CLASSES[0] * 16 + CLASSES[1] * 256 + CLASSES[2] * 4096 == TOKENS, "every code has its number");

/// Of a group: the length of its tokens, 0 where it has none.
pub(super) static LENGTHS: [u8; GROUPS] = *FILE.split_at(16).1.first_chunk().expect("the lengths");

/// Of a token: where it begins in `TEXT`.
pub(super) static OFFSETS: [u16; TOKENS] = {
    let mut offsets = [0; TOKENS];
    let mut token = 0;
    while token < TOKENS {
        offsets[token] = u16_at(16 + GROUPS + 2 * token);
        token += 1;
    }
    offsets
};

/// What the tokens are parts of.
pub(super) static TEXT: [u8; FILE.len() - TEXT_AT] = *FILE.split_at(TEXT_AT).1.first_chunk().expect("the text");
const TEXT_AT: usize = 16 + GROUPS + 2 * TOKENS;

/// Of a first nibble: what is to be known of codes that begin with it.
#[derive(Clone, Copy)]
pub(super) struct Class {
    /// Added to a code (without the nibbles behind it), wrapping, makes the token's number.
    pub base: u16,
    /// The bits of the next four nibbles that are not the code's.
    pub behind: u8,
    /// Nibbles of the code.
    pub nibbles: u8,
}

pub(super) static CLASS: [Class; 16] = {
    let mut all = [Class { base: 0, behind: 0, nibbles: 0 }; 16];
    let mut first = 0;
    while first < 16 {
        let of_two = CLASSES[0] * 16;
        all[first] = if first < CLASSES[0] {
            Class { base: 0, behind: 8, nibbles: 2 }
        } else if first < CLASSES[0] + CLASSES[1] {
            Class { base: of_two.wrapping_sub(CLASSES[0] * 256) as u16, behind: 4, nibbles: 3 }
        } else {
            let before = of_two + CLASSES[1] * 256;
            Class { base: before.wrapping_sub((CLASSES[0] + CLASSES[1]) * 4096) as u16, behind: 0, nibbles: 4 }
        };
        first += 1;
    }
    all
};

/// The code of a token: its nibbles, and how many.
pub(super) fn code(token: usize) -> (u16, u8) {
    let (of_two, of_three) = (CLASSES[0] * 16, CLASSES[1] * 256);
    let first = if token < of_two {
        0
    } else if token < of_two + of_three {
        CLASSES[0]
    } else {
        CLASSES[0] + CLASSES[1]
    };
    let class = &CLASS[first];
    ((token as u16).wrapping_sub(class.base), class.nibbles)
}

/// The bytes of a token; none where its number is not in use.
pub(super) fn token(token: usize) -> Option<&'static [u8]> {
    let length = usize::from(LENGTHS[token / GROUP]);
    let at = usize::from(OFFSETS[token]);
    (length > 0).then(|| &TEXT[at..at + length])
}

const fn u16_at(at: usize) -> u16 {
    u16::from_le_bytes([FILE[at], FILE[at + 1]])
}

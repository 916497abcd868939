//! What a record of torture holds, and the hash by which it is known again.

use crate::dice::{Dice, mix};
use lapwing_ring::{Field, Flags, Level, Source, Value};

/// A record that a writer is about to append, without its payload.
pub(crate) struct Plan {
    pub(crate) level: Level,
    pub(crate) source: Source,
    pub(crate) flags: Flags,
    /// Bytes of the payload.
    pub(crate) len: usize,
    /// The value of the fields; none when `None`.
    pub(crate) number: Option<u64>,
}

/// More than the fields of [`Plan::fields`] ever take, bytes.
const FIELDS: usize = 64;

impl Plan {
    /// A record that fits in `max` bytes. `big` ones leave most of a page's index unused.
    pub(crate) fn new(dice: &mut Dice, max: usize, big: bool) -> Self {
        let number = dice.one_in(4).then(|| dice.next());
        let max = max - if number.is_some() { FIELDS } else { 0 };
        let len = match dice.below(40) {
            _ if big => max - dice.below(max as u64 / 3) as usize,
            0 => max - dice.below(3) as usize,
            1 => dice.below(max as u64 + 1) as usize,
            2 => 0,
            _ => dice.below(max as u64 + 1) as usize % 160,
        };
        let level = Level::new(dice.below(24) as u8 + 1).unwrap_or(Level::INFO);
        let source = dice.of(&[Source::Api, Source::Stdout, Source::Log]);
        let flags = dice.of(&[Flags::NONE, Flags::CONT, Flags::PARTIAL]);
        Self { level, source, flags, len, number }
    }

    /// A record of `len` bytes and nothing else.
    pub(crate) fn plain(level: Level, len: usize) -> Self {
        Self { level, source: Source::Api, flags: Flags::NONE, len, number: None }
    }

    pub(crate) fn fields(&self) -> impl AsRef<[Field<'static>]> {
        let fields = |n| vec![Field::Tag(b"torture"), Field::KeyValue(b"number", Value::Uint(n))];
        self.number.map_or(Vec::new(), fields)
    }

    pub(crate) fn hash(&self, payload: &[u8]) -> u64 {
        hash(self.level, self.source, self.flags.bits(), self.number, payload)
    }
}

/// Fills a payload so that no two words of any two records are alike.
pub(crate) fn fill(payload: &mut [u8], writer: u64, counter: u64) {
    let mut word = mix(writer << 32 | counter);
    for chunk in payload.chunks_mut(8) {
        chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
    }
}

fn fold(hash: u64, word: u64) -> u64 {
    (hash ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29)
}

fn hash(level: Level, source: Source, flags: u8, number: Option<u64>, payload: &[u8]) -> u64 {
    let meta = level.number() as u64 | (source as u64) << 8 | (flags as u64) << 16;
    let mut sum = fold(meta, payload.len() as u64);
    sum = fold(sum, number.map_or(0, mix));
    let (chunks, rest) = payload.as_chunks();
    sum = chunks.iter().fold(sum, |sum, &chunk| fold(sum, u64::from_le_bytes(chunk)));
    mix(rest.iter().fold(sum, |sum, &byte| fold(sum, byte as u64 + 1)))
}

/// The hash of a record as it was read. What writers say of themselves in front of it is not theirs to hash.
pub(crate) fn hash_read(record: &lapwing_ring::Record<'_>) -> u64 {
    let (mut number, mut foreign) = (None, 0);
    for field in record.fields {
        match field {
            Field::Comm(_) | Field::Uid(_) | Field::Start(_) | Field::Tag(b"torture") => {}
            Field::KeyValue(b"number", Value::Uint(n)) => number = Some(n),
            _ => foreign += 1,
        }
    }
    let flags = record.flags.bits() & !Flags::FIELDS.bits();
    hash(record.level, record.source, flags, number, record.payload) ^ foreign
}

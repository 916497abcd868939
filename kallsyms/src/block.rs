//! The symbols of one module in one string of bytes that means the same wherever it lies.
//!
//! All numbers are little-endian.
//!
//! ```text
//!  at  0  u64  address of the first key
//!      8  u32  symbols that are stored
//!     12  u32  groups: 16 stored symbols each, the last one fewer
//!     16  u32  hints
//!     20  u8   how far a hint's index is an offset shifted right
//!     21  u8   how many bytes a derived `__pfx_` symbol lies before its function
//!     22  u16  0
//!     24  u32  symbols, the derived ones included
//!     28  u32  bytes of the groups
//!     32  u16 x hints         how many groups begin before this many times 2^shift bytes
//!         u32, u32 x groups   where each group begins, in bytes from the first key; where it lies, from the first group
//!         groups
//! ```
//!
//! A group:
//!
//! ```text
//!         u8                  bits 0 and 1: how the keys are stored; bit 2: lengths have two bytes
//!         u16                 bit n: symbol n stands for `__pfx_NAME` as well, whose address is the key
//!         u8 or u16 x n       lengths of the coded names, in nibbles
//!         keys x (n - 1)      0: u8, in 16 bytes from the key before; 1: u16, 2: u32, in bytes from the group's first
//!         coded names         nibble behind nibble
//! ```
//!
//! Keys ascend; where several symbols have one address, the one to name it by comes last.

#![forbid(unsafe_code)]

use crate::names::{self, Encoder, NameBuffer, Nibbles};

/// Stored symbols in a group.
pub(crate) const GROUP: usize = 16;
const HEADER: usize = 32;

const NARROW: u8 = 0;
const WIDE: u8 = 1;
const FULL: u8 = 2;
const KEYS: u8 = 3;
const LONG_NAMES: u8 = 4;
/// As many groups begin between two hints, as a rule, or fewer.
const FEW: usize = 4;
/// Narrow keys are multiples of this many bytes: x86-64 aligns functions to it.
const UNIT: u64 = 16;

/// A symbol of a block: its number among the stored ones times two, one more where it is the derived `__pfx_` symbol.
pub(crate) type SymbolId = u32;

/// What the compiler puts before a function to be patched carries its name with this in front.
pub(crate) const PREFIX: &[u8] = b"__pfx_";

/// Why a symbol cannot be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unfit {
    /// Its key is below the last one's.
    Order,
    /// It lies 4 GiB or more behind the first.
    TooFar,
    /// There are 2^28 already, or 4 GiB of bytes.
    TooMany,
}

/// Makes a block of symbols that come by ascending keys.
pub(crate) struct Builder<'e> {
    encoder: &'e Encoder,
    base: u64,
    last: u64,
    stored: u32,
    symbols: u32,
    distance: u8,
    directory: Vec<u8>,
    data: Vec<u8>,
    keys: [u32; GROUP],
    lengths: [u16; GROUP],
    derived: u16,
    /// Symbols of the group in the making.
    held: usize,
    codes: Nibbles,
}

impl<'e> Builder<'e> {
    pub(crate) fn new(encoder: &'e Encoder) -> Self {
        Self {
            encoder,
            base: 0,
            last: 0,
            stored: 0,
            symbols: 0,
            distance: 0,
            directory: Vec::new(),
            data: Vec::new(),
            keys: [0; GROUP],
            lengths: [0; GROUP],
            derived: 0,
            held: 0,
            codes: Nibbles::default(),
        }
    }

    /// Adds `name` at `address`.
    #[inline]
    pub(crate) fn push(&mut self, address: u64, name: &[u8]) -> Result<(), Unfit> {
        self.add(address, name, false)
    }

    /// Adds `name` at `address`, and `__pfx_` of it at `prefix`; false, and nothing is added, where their distance is not
    /// that of the symbols before.
    #[inline]
    pub(crate) fn push_pair(&mut self, prefix: u64, address: u64, name: &[u8]) -> Result<bool, Unfit> {
        let Ok(distance @ 1..) = u8::try_from(address.wrapping_sub(prefix)) else { return Ok(false) };
        if self.distance != 0 && self.distance != distance {
            return Ok(false);
        }
        self.add(prefix, name, true)?;
        self.distance = distance;
        Ok(true)
    }

    fn add(&mut self, key: u64, name: &[u8], derived: bool) -> Result<(), Unfit> {
        if self.stored == 0 {
            self.base = key;
        } else if key < self.last {
            return Err(Unfit::Order);
        }
        let offset = u32::try_from(key - self.base).map_err(|_| Unfit::TooFar)?;
        if self.stored >= 1 << 28 {
            return Err(Unfit::TooMany);
        }
        if self.held == GROUP {
            self.close_group()?;
        }
        let before = self.codes.len();
        self.encoder.encode(name, &mut self.codes);
        self.keys[self.held] = offset;
        self.lengths[self.held] = (self.codes.len() - before) as u16;
        self.derived |= u16::from(derived) << self.held;
        self.held += 1;
        self.stored += 1;
        self.symbols += 1 + u32::from(derived);
        self.last = key;
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), Unfit> {
        let (keys, lengths) = (&self.keys[..self.held], &self.lengths[..self.held]);
        let first = keys[0];
        let place = u32::try_from(self.data.len()).map_err(|_| Unfit::TooMany)?;
        self.directory.extend(first.to_le_bytes());
        self.directory.extend(place.to_le_bytes());
        let narrow = |pair: &[u32]| {
            let step = u64::from(pair[1] - pair[0]);
            step.is_multiple_of(UNIT) && step / UNIT <= u64::from(u8::MAX)
        };
        let how = if keys.windows(2).all(narrow) {
            NARROW
        } else if keys[self.held - 1] - first <= u32::from(u16::MAX) {
            WIDE
        } else {
            FULL
        };
        let long = lengths.iter().any(|&length| length > u16::from(u8::MAX));
        self.data.push(how | if long { LONG_NAMES } else { 0 });
        self.data.extend(self.derived.to_le_bytes());
        for &length in lengths {
            let bytes = length.to_le_bytes();
            self.data.extend_from_slice(if long { &bytes } else { &bytes[..1] });
        }
        for (at, &key) in keys.iter().enumerate().skip(1) {
            let offset = key - first;
            match how {
                NARROW => self.data.push((u64::from(key - keys[at - 1]) / UNIT) as u8),
                WIDE => self.data.extend((offset as u16).to_le_bytes()),
                _ => self.data.extend(offset.to_le_bytes()),
            }
        }
        self.data.extend_from_slice(self.codes.finish());
        self.codes.clear();
        self.derived = 0;
        self.held = 0;
        Ok(())
    }

    /// The block.
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Unfit> {
        if self.held > 0 {
            self.close_group()?;
        }
        let (shift, hints) = hints(self.directory.as_chunks().0);
        let len = HEADER + hints.len() * 2 + self.directory.len() + self.data.len();
        u32::try_from(len).map_err(|_| Unfit::TooMany)?;
        let mut block = Vec::with_capacity(len);
        block.extend(self.base.to_le_bytes());
        block.extend(self.stored.to_le_bytes());
        block.extend(((self.directory.len() / 8) as u32).to_le_bytes());
        block.extend((hints.len() as u32).to_le_bytes());
        block.extend([shift, self.distance, 0, 0]);
        block.extend(self.symbols.to_le_bytes());
        block.extend((self.data.len() as u32).to_le_bytes());
        block.extend(hints.iter().flat_map(|hint| hint.to_le_bytes()));
        block.extend_from_slice(&self.directory);
        block.extend_from_slice(&self.data);
        Ok(block)
    }
}

/// Where a group begins, and where it lies.
type Place = [u8; 8];

#[inline]
fn start_of(place: &Place) -> u32 {
    u32::from_le_bytes([place[0], place[1], place[2], place[3]])
}

/// About one hint for a group or two; none where there are so few groups that a search is as fast, or more than hints can
/// count.
fn hints(directory: &[Place]) -> (u8, Vec<u16>) {
    if directory.len() < 8 || directory.len() > usize::from(u16::MAX) {
        return (0, Vec::new());
    }
    let span = directory.last().map_or(0, start_of);
    let mut shift = 0;
    while (span >> shift) as usize > directory.len() {
        shift += 1;
    }
    let mut hints = Vec::with_capacity((span >> shift) as usize + 2);
    let mut before = 0;
    for hint in 0..=u64::from(span >> shift) + 1 {
        while directory.get(before).is_some_and(|place| u64::from(start_of(place)) < hint << shift) {
            before += 1;
        }
        hints.push(before as u16);
    }
    (shift, hints)
}

/// A block that is read. Nothing of it is trusted: what cannot be right is answered by `None`.
#[derive(Clone, Copy)]
pub(crate) struct Block<'b> {
    base: u64,
    stored: u32,
    symbols: u32,
    shift: u8,
    distance: u8,
    hints: &'b [[u8; 2]],
    directory: &'b [Place],
    data: &'b [u8],
}

/// Where the parts of a block lie in bytes that it is in, so that they need not be found again for every lookup.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    base: u64,
    stored: u32,
    symbols: u32,
    shift: u8,
    distance: u8,
    hints: usize,
    directory: usize,
    data: usize,
    end: usize,
}

/// The symbol that an address belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Hit {
    pub(crate) id: SymbolId,
    /// The symbol's own address.
    pub(crate) address: u64,
}

struct Group<'b> {
    count: usize,
    how: u8,
    derived: u16,
    lengths: &'b [u8],
    keys: &'b [u8],
    codes: &'b [u8],
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

impl<'b> Block<'b> {
    /// The block in `bytes`; `None` where its parts do not add up to their length.
    #[inline]
    pub(crate) fn new(bytes: &'b [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
        let word = |at: usize| u32_at(header, at);
        let groups = word(12)? as usize;
        let (hints, rest) = rest.split_at_checked((word(16)? as usize).checked_mul(2)?)?;
        let (directory, data) = rest.split_at_checked(groups.checked_mul(8)?)?;
        let [shift, distance, ..] = *header[20..].first_chunk::<4>()?;
        (data.len() == word(28)? as usize).then_some(())?;
        Some(Self {
            base: u64::from_le_bytes(*header.first_chunk()?),
            stored: word(8)?,
            symbols: word(24)?,
            shift: shift.min(31),
            distance,
            hints: hints.as_chunks().0,
            directory: directory.as_chunks().0,
            data,
        })
    }

    /// Where the parts of this block lie, which begins at `at`.
    pub(crate) fn parts(&self, at: usize) -> Parts {
        let hints = at + HEADER;
        let directory = hints + self.hints.len() * 2;
        let data = directory + self.directory.len() * 8;
        let end = data + self.data.len();
        let Self { base, stored, symbols, shift, distance, .. } = *self;
        Parts { base, stored, symbols, shift, distance, hints, directory, data, end }
    }

    /// The block in `bytes` whose parts are known.
    #[inline]
    pub(crate) fn with_parts(parts: &Parts, bytes: &'b [u8]) -> Option<Self> {
        let &Parts { base, stored, symbols, shift, distance, .. } = parts;
        let hints = bytes.get(parts.hints..parts.directory)?.as_chunks().0;
        let directory = bytes.get(parts.directory..parts.data)?.as_chunks().0;
        let data = bytes.get(parts.data..parts.end)?;
        Some(Self { base, stored, symbols, shift, distance, hints, directory, data })
    }

    /// Symbols, the derived ones included.
    pub(crate) fn symbols(&self) -> u32 {
        self.symbols
    }

    /// Symbols that are stored.
    pub(crate) fn stored(&self) -> u32 {
        self.stored
    }

    #[inline]
    fn start(&self, group: usize) -> Option<u32> {
        self.directory.get(group).map(start_of)
    }

    #[inline]
    fn group(&self, group: usize) -> Option<Group<'b>> {
        let [.., a, b, c, d] = *self.directory.get(group)?;
        let place = u32::from_le_bytes([a, b, c, d]) as usize;
        let count = (self.stored as usize).checked_sub(group * GROUP)?.min(GROUP);
        let (&[how, low, high], rest) = self.data.get(place..)?.split_first_chunk()?;
        let wide = usize::from(how & LONG_NAMES != 0);
        let (lengths, rest) = rest.split_at_checked(count << wide)?;
        let (keys, codes) = rest.split_at_checked(count.checked_sub(1)? << (how & KEYS))?;
        Some(Group { count, how, derived: u16::from_le_bytes([low, high]), lengths, keys, codes })
    }

    /// The last group that begins at or before `offset`.
    #[inline]
    fn group_of(&self, offset: u32) -> Option<usize> {
        let index = (offset >> self.shift) as usize;
        let hint = |index: usize| self.hints.get(index).map(|hint| usize::from(u16::from_le_bytes(*hint)));
        let low = hint(index).unwrap_or(if self.hints.is_empty() { 0 } else { self.directory.len() });
        let high = hint(index + 1).unwrap_or(self.directory.len());
        let begun = match self.directory.get(low..).and_then(|rest| rest.first_chunk::<FEW>()) {
            // All of them are looked at, and some that begin behind the next hint: that takes less time than a branch that is
            // not foreseen.
            Some(few) if high <= low + FEW => few.iter().filter(|place| start_of(place) <= offset).count(),
            _ => self.directory.get(low..high)?.partition_point(|place| start_of(place) <= offset),
        };
        (low + begun).checked_sub(1)
    }

    /// The last symbol at or before `address`; `None` where there is none.
    #[inline]
    pub(crate) fn lookup(&self, address: u64) -> Option<Hit> {
        let distance = address.checked_sub(self.base)?;
        let offset = u32::try_from(distance).unwrap_or(u32::MAX);
        let group = self.group_of(offset)?;
        let start = self.start(group)?;
        let within = offset.checked_sub(start)?;
        let members = self.group(group)?;
        let (place, key) = members.find(within);
        let beyond = distance - u64::from(start + key);
        let derived = members.derived >> place & 1 == 1;
        let id = (group * GROUP + place) as u32 * 2;
        let (id, beyond) = match beyond.checked_sub(u64::from(self.distance)) {
            _ if !derived => (id, beyond),
            None => (id + 1, beyond),
            Some(beyond) => (id, beyond),
        };
        Some(Hit { id, address: address - beyond })
    }

    /// Where the symbol is, and its name into `name`; `None` where there is no such symbol.
    #[inline]
    pub(crate) fn name(&self, id: SymbolId, name: &mut NameBuffer) -> Option<()> {
        let (group, place) = self.place_of(id)?;
        let (at, nibbles) = group.name(place)?;
        if id & 1 == 1 {
            (group.derived >> place & 1 == 1).then_some(())?;
            name.begin(PREFIX);
        } else {
            name.clear();
        }
        names::decode(group.codes, at, nibbles, name)
    }

    fn place_of(&self, id: SymbolId) -> Option<(Group<'b>, usize)> {
        let stored = id / 2;
        (stored < self.stored).then_some(())?;
        Some((self.group(stored as usize / GROUP)?, stored as usize % GROUP))
    }

    /// The symbol's address; `None` where there is no such symbol.
    pub(crate) fn address(&self, id: SymbolId) -> Option<u64> {
        let (group, place) = self.place_of(id)?;
        let derived = group.derived >> place & 1 == 1;
        let offset = u64::from(self.start((id / 2) as usize / GROUP)?) + group.key(place)?;
        let key = self.base.checked_add(offset)?;
        match (derived, id & 1) {
            (true, 0) => key.checked_add(u64::from(self.distance)),
            (false, 1) => None,
            _ => Some(key),
        }
    }

    /// Whether the stored symbol stands for its `__pfx_` symbol too.
    pub(crate) fn is_pair(&self, stored: u32) -> bool {
        self.place_of(stored * 2).is_some_and(|(group, place)| group.derived >> place & 1 == 1)
    }

    /// The coded name of a stored symbol: bytes that it lies in, its first nibble there, how many nibbles.
    pub(crate) fn code(&self, stored: u32) -> Option<(&'b [u8], usize, usize)> {
        let (group, place) = self.place_of(stored.checked_mul(2)?)?;
        let (at, nibbles) = group.name(place)?;
        Some((group.codes, at, nibbles))
    }

    /// Whether all of it is as a [`Builder`] makes it, names included: every lookup in it answers, and as it should.
    pub(crate) fn is_sound(&self) -> bool {
        self.is_sound_inside().is_some()
    }

    fn is_sound_inside(&self) -> Option<()> {
        (self.directory.len() == (self.stored as usize).div_ceil(GROUP)).then_some(())?;
        let (shift, expected) = hints(self.directory);
        let same = expected.iter().zip(self.hints).all(|(hint, stored)| hint.to_le_bytes() == *stored);
        (shift == self.shift && expected.len() == self.hints.len() && same).then_some(())?;
        let mut name = NameBuffer::default();
        let (mut symbols, mut last, mut end) = (0, None, 0);
        for (at, place) in self.directory.iter().enumerate() {
            (u32::from_le_bytes(*place.last_chunk()?) as usize == end).then_some(())?;
            let group = self.group(at)?;
            (group.how & KEYS <= FULL && group.how <= FULL | LONG_NAMES).then_some(())?;
            let start = self.base.checked_add(u64::from(self.start(at)?))?;
            for place in 0..group.count {
                let key = start.checked_add(group.key(place)?)?;
                let derived = group.derived >> place & 1 == 1;
                let address = if derived { key.checked_add(u64::from(self.distance))? } else { key };
                (last.is_none_or(|last| last <= key) && address >= key).then_some(())?;
                (!derived || self.distance > 0).then_some(())?;
                u32::try_from(key - self.base).ok()?;
                last = Some(key);
                let (from, nibbles) = group.name(place)?;
                name.begin(if derived { PREFIX } else { b"" });
                names::decode(group.codes, from, nibbles, &mut name)?;
                symbols += 1 + u32::from(derived);
            }
            (u32::from(group.derived).checked_shr(group.count as u32).unwrap_or(0) == 0).then_some(())?;
            let (from, nibbles) = group.name(group.count - 1)?;
            end += 3 + group.lengths.len() + group.keys.len() + (from + nibbles).div_ceil(2);
        }
        let first_is_base = self.stored == 0 || self.start(0)? == 0;
        (end == self.data.len() && symbols == self.symbols && first_is_base).then_some(())
    }
}

impl Group<'_> {
    /// The last symbol whose key is at most `within` bytes behind the group's first; its place and its key.
    #[inline]
    fn find(&self, within: u32) -> (usize, u32) {
        let (mut place, mut key) = (0, 0);
        match self.how & KEYS {
            NARROW => {
                // All of them are looked at: that takes less time than a branch that is not foreseen.
                let mut look = |steps: &[u8]| {
                    let mut next = 0;
                    for &step in steps {
                        next += u32::from(step) * UNIT as u32;
                        let reached = next <= within;
                        place += usize::from(reached);
                        key = if reached { next } else { key };
                    }
                };
                match self.keys.as_array::<{ GROUP - 1 }>() {
                    Some(full) => look(full),
                    None => look(self.keys),
                }
            }
            WIDE => {
                let keys = self.keys.as_chunks::<2>().0;
                place = keys.iter().take_while(|next| u32::from(u16::from_le_bytes(**next)) <= within).count();
                key = place.checked_sub(1).map_or(0, |at| u32::from(u16::from_le_bytes(keys[at])));
            }
            _ => {
                let keys = self.keys.as_chunks::<4>().0;
                place = keys.iter().take_while(|next| u32::from_le_bytes(**next) <= within).count();
                key = place.checked_sub(1).map_or(0, |at| u32::from_le_bytes(keys[at]));
            }
        }
        (place, key)
    }

    /// Bytes from the group's first key to this symbol's.
    fn key(&self, place: usize) -> Option<u64> {
        let Some(before) = place.checked_sub(1) else { return Some(0) };
        Some(match self.how & KEYS {
            NARROW => self.keys.get(..=before)?.iter().map(|&step| u64::from(step) * UNIT).sum(),
            WIDE => u64::from(u16::from_le_bytes(*self.keys.as_chunks::<2>().0.get(before)?)),
            _ => u64::from(u32::from_le_bytes(*self.keys.as_chunks::<4>().0.get(before)?)),
        })
    }

    /// The first nibble of a symbol's name, and how many there are.
    #[inline]
    fn name(&self, place: usize) -> Option<(usize, usize)> {
        if self.how & LONG_NAMES == 0 {
            let sum = |lengths: &[u8]| {
                lengths
                    .iter()
                    .enumerate()
                    .map(|(at, &length)| if at < place { u16::from(length) } else { 0 })
                    .sum::<u16>()
            };
            let before = match self.lengths.as_array::<GROUP>() {
                Some(full) => sum(full),
                None => sum(self.lengths),
            };
            Some((usize::from(before), usize::from(*self.lengths.get(place)?)))
        } else {
            let lengths = self.lengths.as_chunks::<2>().0;
            let length = |length: &[u8; 2]| usize::from(u16::from_le_bytes(*length));
            Some((lengths.get(..place)?.iter().map(length).sum(), length(lengths.get(place)?)))
        }
    }
}

//! The whole table in one string of bytes: in the memory of a process or in a file that many processes map, it is read by
//! the same lines.
//!
//! All numbers are little-endian; places are bytes from the start of the table.
//!
//! ```text
//!  at  0  8 bytes  "LAPWSYMS"
//!      8  u32      format version, 1
//!     12  u32      bytes of this header, 128
//!     16  u64      generation: one more for every table that takes the place of this one
//!     24  u64      generation of the table that took its place, 0 while it is the current one
//!     32  u64      bytes of the table
//!     40  16 bytes boot id of the kernel it describes
//!     56  u64      checksum of everything but itself and the generations
//!     64  u64      how names are coded: `names::CODING`
//!     72  u32      modules
//!     76  u32      ranges
//!     80  u32      where the modules are, 96 bytes each; the first is the kernel itself
//!     84  u32      where the ranges are: u64 starts, then u64 ends, then u32 modules
//!     88  40 bytes 0
//! ```
//!
//! A module:
//!
//! ```text
//!      0  u32      where its name is
//!      4  u32      where its block is
//!      8  u32      bytes of its block, 0 where its symbols are not loaded yet
//!     12  u32      symbols
//!     16  16 bytes file id
//!     32  u64      inode of its folder in sysfs, 0 where that is not known
//!     40  u64      address of its .text, 0 where that is not known
//!     48  32 bytes build id
//!     80  u8       bytes of the build id
//!     81  u8       bytes of its name
//!     82  14 bytes 0
//! ```

#![forbid(unsafe_code)]

use crate::block::Block;
use crate::ids::{BuildId, FileId, Fnv};
use crate::names;
use std::ops::Range;

pub(crate) const MAGIC: &[u8; 8] = b"LAPWSYMS";
pub(crate) const VERSION: u32 = 1;
pub(crate) const HEADER: usize = 128;
const MODULE: usize = 96;
/// Larger than that of any kernel by far.
pub(crate) const MAX: usize = 256 << 20;

pub(crate) const GENERATION: usize = 16;
pub(crate) const SUCCESSOR: usize = 24;
const CHECKSUM: usize = 56;

/// What a table does not have to be read to know: the boot it belongs to.
pub(crate) type BootId = [u8; 16];

/// A module on its way into a table.
#[derive(Clone)]
pub(crate) struct Part<'p> {
    pub(crate) name: &'p [u8],
    pub(crate) ino: u64,
    pub(crate) text: u64,
    pub(crate) build_id: Option<BuildId>,
    pub(crate) file_id: FileId,
    pub(crate) ranges: Vec<Range<u64>>,
    /// Empty where its symbols are not loaded yet.
    pub(crate) block: &'p [u8],
}

/// The table of `parts`, the first of which is the kernel itself. A range ends where the next one begins: of one that lies
/// within another the outer one keeps what is in front.
pub(crate) fn assemble(parts: &[Part<'_>], generation: u64, boot: &BootId) -> Vec<u8> {
    let ranges = distinct(parts);
    let names: usize = parts.iter().map(|part| part.name.len()).sum();
    let blocks: usize = parts.iter().map(|part| part.block.len()).sum();
    let modules_at = HEADER;
    let ranges_at = modules_at + parts.len() * MODULE;
    let names_at = ranges_at + ranges.len() * 20;
    let blocks_at = names_at + names;
    let len = blocks_at + blocks;

    let mut table = Vec::with_capacity(len);
    let word = |table: &mut Vec<u8>, number: usize| table.extend((number as u32).to_le_bytes());
    table.extend(MAGIC);
    word(&mut table, VERSION as usize);
    word(&mut table, HEADER);
    table.extend(generation.to_le_bytes());
    table.extend(0u64.to_le_bytes());
    table.extend((len as u64).to_le_bytes());
    table.extend(boot);
    table.extend(0u64.to_le_bytes());
    table.extend(names::CODING.to_le_bytes());
    word(&mut table, parts.len());
    word(&mut table, ranges.len());
    word(&mut table, modules_at);
    word(&mut table, ranges_at);
    table.resize(HEADER, 0);

    let (mut name_at, mut block_at) = (names_at, blocks_at);
    for part in parts {
        let from = table.len();
        word(&mut table, name_at);
        word(&mut table, block_at);
        word(&mut table, part.block.len());
        word(&mut table, Block::new(part.block).map_or(0, |block| block.symbols() as usize));
        table.extend(part.file_id.0.to_le_bytes());
        table.extend(part.ino.to_le_bytes());
        table.extend(part.text.to_le_bytes());
        let build_id = part.build_id.as_ref().map_or(&[][..], BuildId::as_bytes);
        table.extend(build_id);
        table.resize(from + 80, 0);
        table.extend([build_id.len() as u8, part.name.len() as u8]);
        table.resize(from + MODULE, 0);
        name_at += part.name.len();
        block_at += part.block.len();
    }
    ranges.iter().for_each(|(range, _)| table.extend(range.start.to_le_bytes()));
    ranges.iter().for_each(|(range, _)| table.extend(range.end.to_le_bytes()));
    ranges.iter().for_each(|&(_, module)| word(&mut table, module));
    parts.iter().for_each(|part| table.extend_from_slice(part.name));
    parts.iter().for_each(|part| table.extend_from_slice(part.block));
    let checksum = checksum(&table);
    table[CHECKSUM..CHECKSUM + 8].copy_from_slice(&checksum.to_le_bytes());
    table
}

/// The ranges by ascending starts, none reaching into the next; with the number of the part.
fn distinct(parts: &[Part<'_>]) -> Vec<(Range<u64>, usize)> {
    let numbered = parts.iter().enumerate();
    let mut ranges: Vec<_> =
        numbered.flat_map(|(number, part)| part.ranges.iter().map(move |range| (range.clone(), number))).collect();
    ranges.sort_by_key(|(range, number)| (range.start, *number));
    for at in 1..ranges.len() {
        let next = ranges[at].0.start;
        let before = &mut ranges[at - 1].0.end;
        *before = (*before).min(next);
    }
    ranges.retain(|(range, _)| !range.is_empty());
    ranges
}

/// Of all of a table but its generations and the checksum itself.
pub(crate) fn checksum(table: &[u8]) -> u64 {
    let mut sum = Sum(0);
    sum.add(&table[..GENERATION]);
    sum.add(&table[SUCCESSOR + 8..CHECKSUM]);
    sum.add(&table[CHECKSUM + 8..]);
    sum.0
}

/// Eight bytes at a time: every step can be undone, so one changed word is never missed.
struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.step(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.step(u64::from_le_bytes(last));
    }

    fn step(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
}

/// What is wrong with bytes that should be a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    /// It does not begin as a table does.
    #[error("it is no table of kernel symbols")]
    Foreign,
    /// A version of the format, or of the coding of names, that this build does not read.
    #[error("it was made by another version: format {0}")]
    Version(u32),
    /// It is shorter or longer than it says.
    #[error("its length is wrong")]
    Length,
    /// It is not what was written.
    #[error("its checksum is wrong")]
    Checksum,
    /// The checksum is right, but what it says cannot be.
    #[error("it contradicts itself")]
    Contradiction,
}

/// A table that is read. Nothing of it is trusted: what cannot be right is answered by `None`.
#[derive(Clone, Copy)]
pub(crate) struct Table<'t> {
    bytes: &'t [u8],
    modules: &'t [[u8; MODULE]],
    starts: &'t [[u8; 8]],
    ends: &'t [[u8; 8]],
    owners: &'t [[u8; 4]],
}

/// A module of a table.
#[derive(Clone, Copy)]
pub(crate) struct Entry<'t> {
    table: &'t [u8],
    entry: &'t [u8; MODULE],
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The generation in a table's header.
pub(crate) fn generation(table: &[u8]) -> Option<u64> {
    u64_at(table, GENERATION)
}

/// The checksum in a table's header, of all but the generations.
pub(crate) fn stored_checksum(table: &[u8]) -> Option<u64> {
    u64_at(table, CHECKSUM)
}

/// The boot in a table's header.
pub(crate) fn boot(table: &[u8]) -> Option<BootId> {
    table.get(40..56)?.first_chunk().copied()
}

impl<'t> Table<'t> {
    /// The table in `bytes`; `None` where its parts do not lie in them.
    #[inline]
    pub(crate) fn new(bytes: &'t [u8]) -> Option<Self> {
        let word = |at| u32_at(bytes, at).map(|word| word as usize);
        let (modules, ranges) = (word(72)?, word(76)?);
        let part = |at: usize, len: usize, size: usize| bytes.get(at..at.checked_add(len.checked_mul(size)?)?);
        let ranges_at = word(84)?;
        Some(Self {
            bytes,
            modules: part(word(80)?, modules, MODULE)?.as_chunks().0,
            starts: part(ranges_at, ranges, 8)?.as_chunks().0,
            ends: part(ranges_at.checked_add(ranges.checked_mul(8)?)?, ranges, 8)?.as_chunks().0,
            owners: part(ranges_at.checked_add(ranges.checked_mul(16)?)?, ranges, 4)?.as_chunks().0,
        })
    }

    /// Looks at every byte: what this passes answers every question, and as the table's maker meant it.
    pub(crate) fn check(bytes: &'t [u8]) -> Result<(), Damage> {
        if bytes.get(..8) != Some(MAGIC) {
            return Err(Damage::Foreign);
        }
        let version = u32_at(bytes, 8).ok_or(Damage::Length)?;
        if version != VERSION {
            return Err(Damage::Version(version));
        }
        if bytes.len() < HEADER || bytes.len() > MAX || u64_at(bytes, 32) != Some(bytes.len() as u64) {
            return Err(Damage::Length);
        }
        if u64_at(bytes, CHECKSUM) != Some(checksum(bytes)) {
            return Err(Damage::Checksum);
        }
        if u64_at(bytes, 64) != Some(names::CODING) {
            return Err(Damage::Version(version));
        }
        Self::new(bytes).and_then(|table| table.is_sound()).ok_or(Damage::Contradiction)
    }

    fn is_sound(&self) -> Option<()> {
        let word = |at| u32_at(self.bytes, at).map(|word| word as usize);
        let zeros = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
        (word(12)? == HEADER && word(80)? == HEADER && zeros(self.bytes.get(88..HEADER)?)).then_some(())?;
        let mut end = HEADER + self.modules.len() * MODULE;
        (word(84)? == end).then_some(())?;
        end += self.starts.len() * 20;
        for module in self.modules() {
            (module.word(0)? == end && module.word(8)? <= MAX && zeros(&module.entry[82..])).then_some(())?;
            end += std::str::from_utf8(module.name()?).ok()?.len();
            let build_id = usize::from(module.entry[80]);
            (build_id <= BuildId::MAX && zeros(&module.entry[48 + build_id..80])).then_some(())?;
        }
        for module in self.modules() {
            (module.word(4)? == end).then_some(())?;
            end += module.word(8)?;
            let symbols = if module.is_loaded() {
                let block = module.block()?;
                block.is_sound().then_some(block.symbols())?
            } else {
                0
            };
            (module.symbols() == symbols).then_some(())?;
        }
        let mut last = 0;
        for at in 0..self.starts.len() {
            let (range, module) = self.range(at)?;
            (last <= range.start && range.start < range.end && module < self.modules.len()).then_some(())?;
            last = range.end;
        }
        (end == self.bytes.len()).then_some(())
    }

    pub(crate) fn modules(&self) -> impl ExactSizeIterator<Item = Entry<'t>> + use<'t> {
        let table = self.bytes;
        self.modules.iter().map(move |entry| Entry { table, entry })
    }

    #[inline]
    pub(crate) fn module(&self, number: usize) -> Option<Entry<'t>> {
        Some(Entry { table: self.bytes, entry: self.modules.get(number)? })
    }

    /// A range, and the number of the module it belongs to.
    fn range(&self, at: usize) -> Option<(Range<u64>, usize)> {
        let word = |words: &[[u8; 8]]| words.get(at).map(|word| u64::from_le_bytes(*word));
        Some((word(self.starts)?..word(self.ends)?, u32::from_le_bytes(*self.owners.get(at)?) as usize))
    }

    /// Every range with the number of its module, by ascending addresses.
    pub(crate) fn ranges(self) -> impl Iterator<Item = (Range<u64>, usize)> {
        (0..self.starts.len()).filter_map(move |at| self.range(at))
    }

    /// The range that `address` lies in, and the number of the module it belongs to.
    #[inline]
    pub(crate) fn range_of(&self, address: u64) -> Option<(Range<u64>, usize)> {
        let at = self.starts.partition_point(|start| u64::from_le_bytes(*start) <= address).checked_sub(1)?;
        self.range(at).filter(|(range, _)| address < range.end)
    }
}

impl<'t> Entry<'t> {
    /// The kernel itself, in a table with a header as [`assemble`] makes it.
    #[inline]
    pub(crate) fn first(table: &'t [u8]) -> Option<Self> {
        Some(Self { table, entry: table.get(HEADER..)?.first_chunk()? })
    }

    #[inline]
    fn word(&self, at: usize) -> Option<usize> {
        u32_at(self.entry, at).map(|word| word as usize)
    }

    /// The table it is an entry of.
    pub(crate) fn whole(&self) -> Option<Table<'t>> {
        Table::new(self.table)
    }

    pub(crate) fn name(&self) -> Option<&'t [u8]> {
        self.table.get(self.word(0)?..)?.get(..usize::from(self.entry[81]))
    }

    #[inline]
    fn block_bytes(&self) -> Option<&'t [u8]> {
        self.table.get(self.word(4)?..)?.get(..self.word(8)?)
    }

    /// Where its block begins in the table.
    pub(crate) fn block_at(&self) -> Option<usize> {
        self.word(4)
    }

    #[inline]
    pub(crate) fn block(&self) -> Option<Block<'t>> {
        Block::new(self.block_bytes()?)
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.word(8) != Some(0)
    }

    pub(crate) fn symbols(&self) -> u32 {
        u32_at(self.entry, 12).unwrap_or(0)
    }

    pub(crate) fn file_id(&self) -> FileId {
        FileId(self.entry[16..].first_chunk().map_or(0, |id| u128::from_le_bytes(*id)))
    }

    pub(crate) fn ino(&self) -> u64 {
        u64_at(self.entry, 32).unwrap_or(0)
    }

    pub(crate) fn text(&self) -> u64 {
        u64_at(self.entry, 40).unwrap_or(0)
    }

    pub(crate) fn build_id(&self) -> Option<BuildId> {
        BuildId::new(self.entry[48..80].get(..usize::from(self.entry[80]))?)
    }

    /// As it was before [`assemble`], with the ranges that `table` gives it.
    pub(crate) fn part(&self, ranges: Vec<Range<u64>>) -> Option<Part<'t>> {
        Some(Part {
            name: self.name()?,
            ino: self.ino(),
            text: self.text(),
            build_id: self.build_id(),
            file_id: self.file_id(),
            ranges,
            block: self.block_bytes()?,
        })
    }
}

/// The file id of what has no build id: of its name, its size, and every symbol's name and offset, as the OpenTelemetry
/// profiler meant to compute it.
pub(crate) fn file_id_of(name: &[u8], size: u64, symbols: impl Iterator<Item = (Vec<u8>, u64)>) -> FileId {
    let mut hash = Fnv::new();
    hash.add(name);
    hash.add(&size.to_le_bytes());
    for (name, offset) in symbols {
        hash.add(&name);
        hash.add(&offset.to_le_bytes());
    }
    hash.id()
}

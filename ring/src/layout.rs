//! The bytes of the file: header, writer slots, pages; and the arithmetic that follows from the geometry.
//! docs/FORMAT.md is this file in prose; tests/format.rs compares the two.

#![forbid(unsafe_code)]

use crate::error::GeometryError;
use crate::sync::Atomic;
use crate::word::{AnnounceWord, HeadWord, OwnerWord};

/// The first eight bytes of every ring, `LAPWING` and a zero.
pub const MAGIC: u64 = u64::from_le_bytes(*b"LAPWING\0");
/// The version of the format; it has nothing to do with the version of this crate.
pub const FORMAT_VERSION: u64 = 1;
/// Bytes of the header.
pub const HEADER_LEN: usize = 4096;
/// Bytes of one writer slot.
pub const SLOT_LEN: usize = 128;
/// Words in front of each page's index: epoch, base_seq, two clock words, four reserved.
pub const PAGE_HEADER_WORDS: usize = if cfg!(all(test, loom)) { 4 } else { 8 };
/// Bytes of the fixed part of a record.
pub const RECORD_HEADER_LEN: usize = 20;
/// The most writer slots a ring can have.
pub const MAX_SLOTS: u32 = 1024;
/// The most pages a ring can have, bounded by the step in HEAD.
pub const MAX_PAGES: u32 = 1 << 16;
/// The smallest page, bytes.
pub const MIN_PAGE_SIZE: u64 = 4 << 10;
/// The largest page, bytes.
pub const MAX_PAGE_SIZE: u64 = 64 << 10;
/// The smallest `size` of a ring: bytes of all its pages.
pub const MIN_SIZE: u64 = 64 << 10;
/// The `size` of a ring that nobody gave one, bytes of all its pages.
pub const DEFAULT_SIZE: u64 = 16 << 20;
/// Pids live in a namespace; the header remembers this many pairs of pid and time namespace.
pub const NAMESPACES: usize = if cfg!(all(test, loom)) { 1 } else { 62 };
/// The most unfinished lines that a ring has room for.
pub const MAX_LINES: u32 = 1024;
/// The longest text of an unfinished line, bytes, where pages are large.
const MAX_LINE_LEN: usize = 8 << 10;
/// Bytes of what is known of an unfinished line, beside its text.
pub const LINE_HEADER_LEN: usize = 64;
/// Why records were refused: the words of [`Header::refused`].
pub const REFUSALS: usize = 4;

/// The first 4096 bytes. Everything before `refused` is written once, before the file has a name.
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: Atomic<u64>,
    pub(crate) format_version: Atomic<u64>,
    pub(crate) header_len: Atomic<u64>,
    pub(crate) page_size: Atomic<u64>,
    pub(crate) page_count: Atomic<u64>,
    pub(crate) slot_count: Atomic<u64>,
    pub(crate) slot_len: Atomic<u64>,
    pub(crate) index_len: Atomic<u64>,
    pub(crate) ring_id: [Atomic<u64>; 2],
    pub(crate) boot_id: [Atomic<u64>; 2],
    pub(crate) clock_kind: Atomic<u64>,
    pub(crate) ns_per_tick: Atomic<u64>,
    pub(crate) created: Atomic<u64>,
    /// Inode number and time of birth of the file: a copy has others.
    pub(crate) file: [Atomic<u64>; 2],
    /// Unfinished lines that there is room for behind the pages.
    pub(crate) line_count: Atomic<u64>,
    /// When this was saved out of a ring; 0 in every ring that was made as one.
    pub(crate) saved: Atomic<u64>,
    pub(crate) reserved_a: [u64; 13],
    pub(crate) refused: [Atomic<u64>; REFUSALS],
    pub(crate) reserved_b: [u64; 12],
    pub(crate) slots_high: Atomic<u64>,
    pub(crate) reserved_c: [u64; 15],
    pub(crate) namespaces: [Atomic<u64>; NAMESPACES],
    pub(crate) reserved_d: [u64; 64 - NAMESPACES],
    pub(crate) head: Atomic<HeadWord>,
    pub(crate) reserved_e: [u64; 15],
    /// Not 0 while readers may sleep; the low half is a futex.
    pub(crate) bell: Atomic<u64>,
    pub(crate) reserved_f: [u64; 367],
}

/// One writer's place in the table.
#[repr(C)]
pub(crate) struct Slot {
    pub(crate) owner: Atomic<OwnerWord>,
    pub(crate) announce: Atomic<AnnounceWord>,
    /// Records and payload bytes appended by the present owner.
    pub(crate) records: Atomic<u64>,
    pub(crate) bytes: Atomic<u64>,
    /// What the owner calls itself, NUL-padded.
    pub(crate) comm: [Atomic<u64>; 2],
    /// When the owner took the slot, nanoseconds of the Unix epoch.
    pub(crate) attached: Atomic<u64>,
    /// The effective user id of the owner when it took the slot.
    pub(crate) uid: Atomic<u64>,
    /// When the owner's process started, clock ticks since boot.
    pub(crate) start: Atomic<u64>,
    /// In a saved ring, what was known of the owner's life when it was saved.
    pub(crate) evidence: Atomic<u64>,
    pub(crate) reserved: [u64; 6],
}

/// An unfinished line: whose it is, and what its record will need beside the text.
#[repr(C)]
pub(crate) struct LineHeader {
    pub(crate) holder: Atomic<u64>,
    pub(crate) who: Atomic<u64>,
    pub(crate) meta: Atomic<u64>,
    /// When the text was last added to.
    pub(crate) ticks: Atomic<u64>,
    pub(crate) comm: [Atomic<u64>; 2],
    pub(crate) uid: Atomic<u64>,
    pub(crate) reserved: u64,
}

#[cfg(not(all(test, loom)))]
const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(cfg!(target_endian = "little"), "lapwing rings are little-endian");
    assert!(cfg!(target_pointer_width = "64"), "lapwing needs 64-bit atomics");
    assert!(size_of::<Header>() == HEADER_LEN && align_of::<Header>() == 8);
    assert!(size_of::<Slot>() == SLOT_LEN && align_of::<Slot>() == 8);
    assert!(offset_of!(Header, magic) == 0);
    assert!(offset_of!(Header, format_version) == 8);
    assert!(offset_of!(Header, header_len) == 16);
    assert!(offset_of!(Header, page_size) == 24);
    assert!(offset_of!(Header, page_count) == 32);
    assert!(offset_of!(Header, slot_count) == 40);
    assert!(offset_of!(Header, slot_len) == 48);
    assert!(offset_of!(Header, index_len) == 56);
    assert!(offset_of!(Header, ring_id) == 64);
    assert!(offset_of!(Header, boot_id) == 80);
    assert!(offset_of!(Header, clock_kind) == 96);
    assert!(offset_of!(Header, ns_per_tick) == 104);
    assert!(offset_of!(Header, created) == 112);
    assert!(offset_of!(Header, file) == 120);
    assert!(offset_of!(Header, line_count) == 136);
    assert!(offset_of!(Header, saved) == 144);
    assert!(offset_of!(Header, refused) == 256);
    assert!(offset_of!(Header, slots_high) == 384);
    assert!(offset_of!(Header, namespaces) == 512);
    assert!(offset_of!(Header, head) == 1024);
    assert!(offset_of!(Header, bell) == 1152);
    assert!(offset_of!(Slot, owner) == 0);
    assert!(offset_of!(Slot, announce) == 8);
    assert!(offset_of!(Slot, records) == 16);
    assert!(offset_of!(Slot, bytes) == 24);
    assert!(offset_of!(Slot, comm) == 32);
    assert!(offset_of!(Slot, attached) == 48);
    assert!(offset_of!(Slot, uid) == 56);
    assert!(offset_of!(Slot, start) == 64);
    assert!(offset_of!(Slot, evidence) == 72);
    assert!(size_of::<LineHeader>() == LINE_HEADER_LEN && align_of::<LineHeader>() == 8);
    assert!(offset_of!(LineHeader, holder) == 0);
    assert!(offset_of!(LineHeader, who) == 8);
    assert!(offset_of!(LineHeader, meta) == 16);
    assert!(offset_of!(LineHeader, ticks) == 24);
    assert!(offset_of!(LineHeader, comm) == 32);
    assert!(offset_of!(LineHeader, uid) == 48);
};

/// The sizes of a ring, read once into private memory and checked before anything is computed from them.
///
/// Source: docs/FORMAT.md, "Geometry".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Geometry {
    page_words: u32,
    page_count: u32,
    slot_count: u32,
    index_len: u32,
}

impl Geometry {
    /// The geometry of a ring with `size` bytes of pages. Without a `page_size` a page is a sixteenth of the ring,
    /// within 4 KiB to 64 KiB.
    ///
    /// # Errors
    /// Which size is not a power of two, or out of bounds, and what the bounds are.
    pub fn new(size: u64, page_size: Option<u64>) -> Result<Self, GeometryError> {
        if !size.is_power_of_two() || size < MIN_SIZE {
            return Err(GeometryError::Size { size, min: MIN_SIZE });
        }
        let page_size = page_size.unwrap_or_else(|| (size / 16).clamp(MIN_PAGE_SIZE, MAX_PAGE_SIZE));
        let slots = (size / 16 / SLOT_LEN as u64).clamp(64, MAX_SLOTS as u64);
        let pages = size.checked_div(page_size).unwrap_or(0);
        Self::from_stored(page_size, pages, slots, page_size / 128)
    }

    /// The geometry that a header holds, checked against every bound.
    ///
    /// # Errors
    /// The first number that is out of bounds.
    pub fn from_stored(page_size: u64, pages: u64, slots: u64, index_len: u64) -> Result<Self, GeometryError> {
        if !page_size.is_power_of_two() || !(MIN_PAGE_SIZE..=MAX_PAGE_SIZE).contains(&page_size) {
            return Err(GeometryError::PageSize { page_size, min: MIN_PAGE_SIZE, max: MAX_PAGE_SIZE });
        }
        if !pages.is_power_of_two() || !(4..=MAX_PAGES as u64).contains(&pages) {
            return Err(GeometryError::PageCount { pages, min: 4, max: MAX_PAGES as u64 });
        }
        if !(1..=MAX_SLOTS as u64).contains(&slots) {
            return Err(GeometryError::SlotCount { slots, max: MAX_SLOTS as u64 });
        }
        if index_len != page_size / 128 {
            return Err(GeometryError::IndexLen { index_len, expected: page_size / 128 });
        }
        Ok(Self {
            page_words: (page_size / 8) as u32,
            page_count: pages as u32,
            slot_count: slots as u32,
            index_len: index_len as u32,
        })
    }

    /// A geometry below the public minimum, for tests: `pages` (a power of two) of `index_len` records, with room for
    /// `data_words` words of them.
    #[cfg(test)]
    pub(crate) const fn tiny(pages: u32, index_len: u32, data_words: u32, slot_count: u32) -> Self {
        assert!(pages.is_power_of_two());
        Self { page_words: PAGE_HEADER_WORDS as u32 + index_len + data_words, page_count: pages, slot_count, index_len }
    }

    /// Bytes of a page.
    pub const fn page_size(&self) -> u64 {
        self.page_words as u64 * 8
    }

    /// Pages of the ring.
    pub const fn page_count(&self) -> u32 {
        self.page_count
    }

    /// Bytes of all pages: what `--size` gave.
    pub const fn size(&self) -> u64 {
        self.page_size() * self.page_count as u64
    }

    /// Writer slots.
    pub const fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// The most records a page can hold.
    pub const fn index_len(&self) -> u32 {
        self.index_len
    }

    /// Where the pages begin, bytes from the start of the file.
    pub const fn pages_offset(&self) -> u64 {
        let end = HEADER_LEN as u64 + self.slot_count as u64 * SLOT_LEN as u64;
        end.next_multiple_of(HEADER_LEN as u64)
    }

    /// Where the pages end, bytes from the start of the file.
    pub const fn pages_end(&self) -> u64 {
        self.pages_offset() + self.size()
    }

    /// Bytes of the whole file with room for `lines` unfinished lines behind the pages.
    pub const fn file_len(&self, lines: u32) -> u64 {
        match lines {
            0 => self.pages_end(),
            _ => self.line_texts_offset(lines) + lines as u64 * self.line_len() as u64,
        }
    }

    /// Where the texts of `lines` unfinished lines begin, bytes from the start of the file.
    pub const fn line_texts_offset(&self, lines: u32) -> u64 {
        (self.pages_end() + lines as u64 * LINE_HEADER_LEN as u64).next_multiple_of(HEADER_LEN as u64)
    }

    /// The longest text of an unfinished line, bytes.
    pub const fn line_len(&self) -> usize {
        let half = self.page_size() as usize / 2;
        if half < MAX_LINE_LEN { half } else { MAX_LINE_LEN }
    }

    /// How many unfinished lines a new ring has room for: as many as fit into a sixteenth of it, but 8 to 1024.
    pub const fn new_lines(&self) -> u32 {
        let fit = self.size() / 16 / self.line_len() as u64;
        if fit < 8 {
            8
        } else if fit > MAX_LINES as u64 {
            MAX_LINES
        } else {
            fit as u32
        }
    }

    /// The longest payload with its fields, bytes: just under half a page, so that no page closes early for less.
    pub const fn max_body(&self) -> usize {
        (self.data_words() / 2) as usize * 8 - RECORD_HEADER_LEN
    }

    pub(crate) const fn page_words(&self) -> usize {
        self.page_words as usize
    }

    pub(crate) const fn data_words(&self) -> u32 {
        self.page_words - PAGE_HEADER_WORDS as u32 - self.index_len
    }

    /// Where page `epoch` lies among the pages.
    pub(crate) const fn physical(&self, epoch: u64) -> usize {
        (epoch & (self.page_count as u64 - 1)) as usize
    }
}

/// Words that a record with `body` bytes of fields and payload takes.
pub(crate) const fn record_words(body: usize) -> u32 {
    (RECORD_HEADER_LEN + body).div_ceil(8) as u32
}

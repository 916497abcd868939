//! The ring's words as they lie in the file, read from outside: HEAD, the slots' high mark, pages that are held.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

// docs/FORMAT.md has the offsets; the ring is the smallest.
const SLOTS_HIGH: u64 = 384;
const HEAD: u64 = 1024;
const PAGES: u64 = 12288;
const PAGE: u64 = 4096;
/// Pages of the ring.
pub const PAGE_COUNT: u64 = 16;
/// Most records of a page.
pub const INDEX_LEN: u64 = 32;
/// The header and the first eight writer slots.
const WATCHED: usize = 4096 + 8 * 128;

/// A ring's file, open to be looked at.
pub struct View(File);

impl View {
    pub fn open(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    fn word(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, offset).expect("a ring is never cut short");
        u64::from_le_bytes(bytes)
    }

    /// HEAD as it stands.
    pub fn head(&self) -> u64 {
        self.word(HEAD)
    }

    /// The number of HEAD's page.
    pub fn epoch(&self) -> u64 {
        self.head() >> 27
    }

    /// Is HEAD's page open, and full?
    pub fn page_is_full(&self) -> bool {
        let head = self.head();
        head >> 26 & 1 == 0 && head >> 16 & 0x3ff == INDEX_LEN
    }

    /// Slots that were ever owned.
    pub fn slots_high(&self) -> u64 {
        self.word(SLOTS_HIGH)
    }

    /// Pages that the ring cannot use: they kept their number while HEAD went past them, for the sake of a writer.
    pub fn pages_held(&self) -> usize {
        let (head, epoch) = (self.head(), self.epoch());
        let step = if head >> 26 & 1 == 1 { head & 0xffff } else { 0 };
        let oldest = (epoch + step + 1).saturating_sub(PAGE_COUNT);
        (0..PAGE_COUNT).filter(|page| self.word(PAGES + page * PAGE) < oldest).count()
    }

    /// Copies what is watched for stores to `out`: header, slots, the first page's header. Shorter while the file is.
    pub fn watched(&self, out: &mut Vec<u8>) {
        out.resize(WATCHED + 64, 0);
        let fixed = self.0.read_at(&mut out[..WATCHED], 0).unwrap_or(0);
        let page = self.0.read_at(&mut out[fixed..fixed + 64], PAGES + PAGE).unwrap_or(0);
        out.truncate(fixed + page);
    }
}

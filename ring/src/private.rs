//! Reading a file that is not trusted: what a reader looks at is copied out of it first, so that nobody can take memory away
//! under its feet. A page is copied whole, its index before its records, and looked at in private.
#![allow(unsafe_code)]

use crate::layout::{Geometry, HEADER_LEN, LINE_HEADER_LEN, PAGE_HEADER_WORDS, SLOT_LEN};
use crate::ring::Look;
use crate::sync::{Atomic, fence_at};
use crate::word::EntryWord;
use atomic::Ordering::{Acquire, Relaxed};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

/// What went wrong with the file behind a ring, if anything: 0, or one of these in the low half.
#[derive(Debug)]
pub(crate) struct Alarm(Atomic<u64>);

/// Why a file can no longer be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Trouble {
    /// It is shorter than its header says.
    Truncated,
    /// The kernel's error number.
    Errno(i32),
}

impl Alarm {
    const TRUNCATED: u64 = 1;
    const ERRNO: u64 = 2;

    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    pub(crate) fn raise(&self, trouble: Trouble) {
        let word = match trouble {
            Trouble::Truncated => Self::TRUNCATED,
            Trouble::Errno(code) => (code as u64) << 32 | Self::ERRNO,
        };
        self.0.store(word, Relaxed);
    }

    #[inline(always)]
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        match self.0.load(Relaxed) {
            0 => None,
            word => Some(Self::decode(word)),
        }
    }

    #[cold]
    fn decode(word: u64) -> Trouble {
        match word & u64::from(u32::MAX) {
            Self::ERRNO => Trouble::Errno((word >> 32) as i32),
            _ => Trouble::Truncated,
        }
    }
}

/// Bytes of a page's header.
const HEADER: usize = PAGE_HEADER_WORDS * 8;

/// A file, and memory of ours with room for all of it.
pub(crate) struct PrivateCopy {
    file: File,
    geometry: Geometry,
    /// Unfinished lines that there is room for.
    lines: u32,
    /// Bytes of the file that belong to the ring.
    len: usize,
    memory: *mut u8,
    alarm: *const Alarm,
}

// SAFETY: `memory` and `alarm` are only ever reached through atomics and through the kernel, as any mapping is.
unsafe impl Send for PrivateCopy {}
// SAFETY: as above; pread(2) has no position to share.
unsafe impl Sync for PrivateCopy {}

impl PrivateCopy {
    /// # Safety
    /// `memory` has `geometry.file_len(lines)` bytes of private memory that is looked at through atomics alone; it and `alarm`
    /// outlive the copy.
    pub(crate) unsafe fn new(file: File, geometry: Geometry, lines: u32, memory: *mut u8, alarm: *const Alarm) -> Self {
        Self { file, geometry, lines, len: geometry.file_len(lines) as usize, memory, alarm }
    }

    /// The word at `at` in the file, which is not copied.
    pub(crate) fn word(&self, at: usize) -> io::Result<u64> {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, at as u64)?;
        Ok(u64::from_le_bytes(word))
    }

    /// The index entry at `index` of the page of `epoch` in the file, which is not copied.
    pub(crate) fn entry(&self, epoch: u64, index: u32) -> io::Result<EntryWord> {
        self.word(self.page_at(epoch) + HEADER + index as usize * 8).map(EntryWord::from_bits)
    }

    fn page_at(&self, epoch: u64) -> usize {
        let offset = self.geometry.physical(epoch) as u64 * self.geometry.page_size();
        (self.geometry.pages_offset() + offset) as usize
    }

    pub(crate) fn fetch(&self, part: Look) {
        match part {
            Look::Head => self.copy(std::mem::offset_of!(crate::layout::Header, head), 8),
            Look::PageHeader(epoch) => self.copy(self.page_at(epoch), HEADER),
            Look::Page(epoch) => {
                let (page, index) = (self.page_at(epoch), self.geometry.index_len() as usize * 8);
                self.copy(page + HEADER, index);
                // Records after the entries that commit them, the epoch after both: as if each had been read alone.
                fence_at("fetch:index", Acquire);
                self.copy(page + HEADER + index, self.geometry.page_size() as usize - HEADER - index);
                fence_at("fetch:records", Acquire);
                self.copy(page, HEADER);
            }
            Look::Writers => self.copy(0, HEADER_LEN + self.geometry.slot_count() as usize * SLOT_LEN),
            Look::LineHeaders => {
                let at = self.geometry.pages_end() as usize;
                self.copy(at, self.lines as usize * LINE_HEADER_LEN);
            }
            Look::Lines => {
                let at = self.geometry.pages_end() as usize;
                self.copy(at, self.len - at);
            }
        }
    }

    fn copy(&self, at: usize, len: usize) {
        debug_assert!(at + len <= self.len);
        let mut done = 0;
        while done < len {
            // SAFETY: within the memory, by the geometry that both were made for.
            let to = unsafe { self.memory.add(at + done) };
            // SAFETY: the kernel stores into memory that we look at through atomics alone.
            let n = unsafe { libc::pread(self.file.as_raw_fd(), to.cast(), len - done, (at + done) as libc::off_t) };
            match n {
                1.. => done += n as usize,
                0 => return self.raise(Trouble::Truncated),
                _ => match io::Error::last_os_error().raw_os_error() {
                    Some(libc::EINTR) => {}
                    code => return self.raise(Trouble::Errno(code.unwrap_or(0))),
                },
            }
        }
    }

    fn raise(&self, trouble: Trouble) {
        // SAFETY: outlives us, by the contract of `new`.
        unsafe { &*self.alarm }.raise(trouble);
    }
}

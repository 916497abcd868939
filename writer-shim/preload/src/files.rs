//! What the descriptors below 256 are open on: found out by fstat, and remembered until a hook sees the descriptor change.
//! Part of the state that a forked child has anew, where zeros are nothing known.
//!
//! A program can change a descriptor behind our back, by system calls of its own or inside its C library. So what is one of
//! the streams is asked about again when it was last asked about ten milliseconds ago; what is not, which nobody should pay
//! for, only at every 64th write that comes by, and then as rarely.

#![forbid(unsafe_code)]

use crate::coarse;
use crate::confine;
use lapwing_writer_shim::calm::{errno, set_errno};
use lapwing_writer_shim::environment::{Stream, Streams};
use lapwing_writer_shim::identity::{FileId, Sort};
use libc::c_int;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};

/// Descriptors from this one on are never taken for a stream: asking each time would cost what a write costs.
pub(crate) const REMEMBERED: usize = 256;

#[repr(C)]
pub(crate) struct Files {
    /// No descriptor from here on was ever asked about: what is forgotten at every exit should not touch all this memory.
    end: AtomicUsize,
    files: [File; REMEMBERED],
}

impl Files {
    fn get(&self, fd: c_int) -> Option<&File> {
        self.files.get(usize::try_from(fd).ok()?)
    }

    /// False if `fd` is known to be neither stream. Nobody is asked.
    #[inline(always)]
    pub(crate) fn may_be_stream(&self, fd: c_int) -> bool {
        self.get(fd).is_some_and(File::may_be_stream)
    }

    /// Which stream `fd` is, if it is one, and what sort of file. Leaves errno alone.
    #[inline]
    pub(crate) fn find(&self, fd: c_int, streams: &Streams) -> Option<(Stream, Sort)> {
        let file = self.get(fd)?;
        let word = file.known.load(Acquire);
        let now = coarse::milliseconds() & AT;
        if word & WHAT == 0 || now.wrapping_sub(word & AT) & AT >= FRESH_MS && !confine::is_on() {
            self.end.fetch_max(fd as usize + 1, Relaxed);
            return meaning(file.ask(fd, streams, word, now)?);
        }
        meaning(word)
    }

    /// Finds out what each is open on.
    pub(crate) fn find_all(&self, streams: &Streams) {
        for fd in 0..REMEMBERED as c_int {
            self.find(fd, streams);
        }
    }

    /// Forgets what `fd` is open on.
    #[inline]
    pub(crate) fn forget(&self, fd: c_int) {
        if let Some(file) = self.get(fd) {
            file.forget();
        }
    }

    /// Forgets what the descriptors from `first` to `last` are open on.
    pub(crate) fn forget_range(&self, first: usize, last: usize) {
        let end = self.end.load(Relaxed).min(last.saturating_add(1));
        for file in self.files.iter().take(end).skip(first).filter(|file| file.is_known()) {
            file.forget();
        }
    }

    /// Forgets everything.
    pub(crate) fn forget_all(&self) {
        self.forget_range(0, usize::MAX);
    }
}

/// On a cache line of its own, so that threads which write to different descriptors do not meet here.
#[repr(C, align(64))]
struct File {
    /// As one word: generation (20 bits), sort (2), what it is (2), when that was found out (40, ms). The generation
    /// changes whenever the descriptor may have, so that an answer which took too long is not kept.
    known: AtomicU64,
    /// Writes that went by since the descriptor was known to be no stream. Threads that come at once may count as one.
    passed: AtomicU32,
}

const AT: u64 = (1 << 40) - 1;
const WHAT_AT: u32 = 40;
const WHAT: u64 = 3 << WHAT_AT;
const OTHER: u64 = 1 << WHAT_AT;
const OUT: u64 = 2 << WHAT_AT;
const ERR: u64 = 3 << WHAT_AT;
const SORT_AT: u32 = 42;
const GENERATION: u64 = 1 << 44;

const FRESH_MS: u64 = 10;
const LOOK_EVERY: u32 = 64;

/// Which stream a word says the descriptor is, and what sort of file.
#[inline(always)]
fn meaning(word: u64) -> Option<(Stream, Sort)> {
    let sort = Sort::ALL[(word >> SORT_AT & 3) as usize];
    match word & WHAT {
        OUT => Some((Stream::Out, sort)),
        ERR => Some((Stream::Err, sort)),
        _ => None,
    }
}

impl File {
    #[inline(always)]
    fn may_be_stream(&self) -> bool {
        if self.known.load(Acquire) & WHAT != OTHER {
            return true;
        }
        let passed = self.passed.load(Relaxed).wrapping_add(1);
        self.passed.store(passed, Relaxed);
        passed.is_multiple_of(LOOK_EVERY)
    }

    #[cold]
    fn ask(&self, fd: c_int, streams: &Streams, word: u64, now: u64) -> Option<u64> {
        if confine::is_on() {
            return None;
        }
        let errno = errno();
        let found = FileId::and_sort_of_fd(fd);
        set_errno(errno);
        let (id, sort) = found?;
        let what = match streams.find(fd, id) {
            Some(Stream::Out) => OUT,
            Some(Stream::Err) => ERR,
            None => OTHER,
        };
        let found = word & !(GENERATION - 1) | (sort as u64) << SORT_AT | what | now;
        // Losing means that the descriptor changed meanwhile, or that another thread found the same.
        let _ = self.known.compare_exchange(word, found, Release, Relaxed);
        Some(found)
    }

    fn is_known(&self) -> bool {
        self.known.load(Relaxed) & WHAT != 0
    }

    #[inline]
    fn forget(&self) {
        let next = |word: u64| Some((word & !(GENERATION - 1)).wrapping_add(GENERATION));
        let _ = self.known.fetch_update(Release, Relaxed, next);
    }
}

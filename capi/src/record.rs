//! What readers get: the typed record, the gap, the counts. Their layout is what programs are compiled against.
#![allow(non_camel_case_types, reason = "names of the header")]

use lapwing_ring::{Flags, Source};
use libc::c_char;

/// What lapwing_reader_next found, where it is no error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_read {
    /// Nothing to read now.
    LAPWING_NOT_YET = 0,
    /// A record.
    LAPWING_RECORD = 1,
    /// Records that this reader does not get.
    LAPWING_GAP = 2,
}

/// How a reader gets at the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_access {
    /// It copies what it looks at out of the file. Whatever is done to the file meanwhile, the worst is an error.
    LAPWING_COPIED = 0,
    /// It maps the file, which is faster. Who cuts the file short ends this process by SIGBUS.
    LAPWING_MAPPED = 1,
}

/// Where lapwing_reader_seek goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_seek {
    /// To the oldest record there is. What was overwritten before does not count as lost.
    LAPWING_OLDEST = 0,
    /// Behind the newest record: only what comes.
    LAPWING_END = 1,
    /// To a sequence. What is overwritten already comes out as lost; beyond the newest is the same as LAPWING_END.
    LAPWING_SEQUENCE = 2,
}

/// Where a record came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_source {
    /// Written through a library of Lapwing.
    LAPWING_API = 0,
    /// Captured from a program's standard output.
    LAPWING_STDOUT = 1,
    /// Captured from a program's standard error.
    LAPWING_STDERR = 2,
    /// Written by `lapwing log`.
    LAPWING_LOG = 3,
    /// From syslog(3).
    LAPWING_SYSLOG = 4,
    /// In the journal's native protocol.
    LAPWING_JOURNAL = 5,
    /// From the kernel log.
    LAPWING_KMSG = 6,
}

/// Bits of a record's flags. There may be others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_flag {
    /// The text goes on in the next record of this process and source.
    LAPWING_CONT = 2,
    /// The text did not end in a newline.
    LAPWING_PARTIAL = 4,
    /// The last text of a process that died.
    LAPWING_LAST_WORDS = 8,
    /// Pid and uid were vouched for by the kernel.
    LAPWING_ATTESTED = 16,
}

/// Why a reader does not get a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_gap_kind {
    /// Overwritten before this reader came.
    LAPWING_LOST = 1,
    /// Its writer died inside the append.
    LAPWING_ABANDONED = 2,
    /// Its writer is alive but stopped inside the append, and the reader went on.
    LAPWING_STALLED = 3,
    /// It was written, and its header is impossible: the ring is damaged. Reading goes on; it counts as lost.
    LAPWING_DAMAGED = 4,
}

/// The uid of a record whose writer's user nobody knows.
pub const LAPWING_NO_UID: u32 = u32::MAX;

/// A record. It has no padding, and grows at its end: see lapwing_reader_next.
///
/// `data`, `comm` and `tag` point into memory of the reader and stay as they are until the next call of
/// lapwing_reader_next, lapwing_reader_seek or lapwing_reader_close for this reader: copy what is to be kept longer.
/// Each has a zero behind it, which its length does not count; there may be zeros inside, and any other byte, so escape
/// what goes to a terminal. None is ever NULL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct lapwing_record_t {
    /// The first record of a ring has 0, each other one more than the one before it. No two have the same.
    pub sequence: u64,
    /// When it was written, nanoseconds of CLOCK_MONOTONIC.
    pub mono_ns: u64,
    /// The same, nanoseconds since 1970 in UTC.
    pub real_ns: i64,
    /// The process that wrote it, as it says: in its own pid namespace.
    pub pid: u32,
    /// The thread that wrote it.
    pub tid: u32,
    /// How severe it is, 1 to 24: see lapwing_level.
    pub level: u8,
    /// Where it came from: see lapwing_source. There may be other numbers.
    pub source: u8,
    /// What else is true of it: see lapwing_flag.
    pub flags: u16,
    /// Bytes of `data`.
    pub length: u32,
    /// What was written. Not always text.
    pub data: *const c_char,
    /// Bytes of this struct that the library has filled; behind them are zeros.
    pub size: u32,
    /// The user that the writer runs as; LAPWING_NO_UID where nobody knows.
    pub uid: u32,
    /// Sequences directly in front of this one that this reader did not get, since the record before, or since it was
    /// opened or moved: 0 where nothing is missing.
    pub rolled_out: u64,
    /// The name of the writing process; `?` where nobody knows.
    pub comm: *const c_char,
    /// What the writer calls the subject; empty where it says nothing.
    pub tag: *const c_char,
    /// Bytes of `comm`.
    pub comm_length: u32,
    /// Bytes of `tag`.
    pub tag_length: u32,
}

/// Records that a reader does not get: `count` from the sequence `first` on. No padding; grows at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct lapwing_gap_t {
    /// The first sequence that is missing.
    pub first: u64,
    /// How many, at least 1.
    pub count: u64,
    /// Why: see lapwing_gap_kind. There may be other numbers.
    pub kind: u32,
    /// Bytes of this struct that the library has filled; behind them are zeros.
    pub size: u32,
}

/// What a reader has passed since it was opened or last moved, in records. Their sum is how far it has come. No
/// padding; grows at its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
#[repr(C)]
pub struct lapwing_counts_t {
    pub read: u64,
    pub lost: u64,
    pub abandoned: u64,
    pub stalled: u64,
}

/// The shortest that each may be: a record ends behind `uid` at least.
pub(crate) const LEAST_RECORD: usize = 56;
pub(crate) const LEAST_GAP: usize = 24;
pub(crate) const LEAST_COUNTS: usize = 32;

// As in the header, where cbindgen.toml says the same in C. What is here once never moves.
const _: () = {
    use core::mem::{align_of, offset_of, size_of};
    assert!(size_of::<lapwing_record_t>() == 88 && align_of::<lapwing_record_t>() == 8);
    assert!(offset_of!(lapwing_record_t, sequence) == 0);
    assert!(offset_of!(lapwing_record_t, mono_ns) == 8);
    assert!(offset_of!(lapwing_record_t, real_ns) == 16);
    assert!(offset_of!(lapwing_record_t, pid) == 24);
    assert!(offset_of!(lapwing_record_t, tid) == 28);
    assert!(offset_of!(lapwing_record_t, level) == 32);
    assert!(offset_of!(lapwing_record_t, source) == 33);
    assert!(offset_of!(lapwing_record_t, flags) == 34);
    assert!(offset_of!(lapwing_record_t, length) == 36);
    assert!(offset_of!(lapwing_record_t, data) == 40);
    assert!(offset_of!(lapwing_record_t, size) == 48);
    assert!(offset_of!(lapwing_record_t, uid) == 52);
    assert!(offset_of!(lapwing_record_t, rolled_out) == 56);
    assert!(offset_of!(lapwing_record_t, comm) == 64);
    assert!(offset_of!(lapwing_record_t, tag) == 72);
    assert!(offset_of!(lapwing_record_t, comm_length) == 80);
    assert!(offset_of!(lapwing_record_t, tag_length) == 84);
    assert!(size_of::<lapwing_gap_t>() == 24 && align_of::<lapwing_gap_t>() == 8);
    assert!(offset_of!(lapwing_gap_t, first) == 0);
    assert!(offset_of!(lapwing_gap_t, count) == 8);
    assert!(offset_of!(lapwing_gap_t, kind) == 16);
    assert!(offset_of!(lapwing_gap_t, size) == 20);
    assert!(size_of::<lapwing_counts_t>() == 32 && align_of::<lapwing_counts_t>() == 8);
    assert!(offset_of!(lapwing_counts_t, read) == 0);
    assert!(offset_of!(lapwing_counts_t, lost) == 8);
    assert!(offset_of!(lapwing_counts_t, abandoned) == 16);
    assert!(offset_of!(lapwing_counts_t, stalled) == 24);
    assert!(LEAST_RECORD == offset_of!(lapwing_record_t, rolled_out));
};

// The same numbers as in the ring.
const _: () = {
    assert!(lapwing_source::LAPWING_API as u8 == Source::Api as u8);
    assert!(lapwing_source::LAPWING_STDOUT as u8 == Source::Stdout as u8);
    assert!(lapwing_source::LAPWING_STDERR as u8 == Source::Stderr as u8);
    assert!(lapwing_source::LAPWING_LOG as u8 == Source::Log as u8);
    assert!(lapwing_source::LAPWING_SYSLOG as u8 == Source::Syslog as u8);
    assert!(lapwing_source::LAPWING_JOURNAL as u8 == Source::Journal as u8);
    assert!(lapwing_source::LAPWING_KMSG as u8 == Source::Kmsg as u8);
    assert!(lapwing_flag::LAPWING_CONT as u8 == Flags::CONT.bits());
    assert!(lapwing_flag::LAPWING_PARTIAL as u8 == Flags::PARTIAL.bits());
    assert!(lapwing_flag::LAPWING_LAST_WORDS as u8 == Flags::LAST_WORDS.bits());
    assert!(lapwing_flag::LAPWING_ATTESTED as u8 == Flags::ATTESTED.bits());
};

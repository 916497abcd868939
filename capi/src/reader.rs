//! The functions of readers.
#![allow(non_camel_case_types, reason = "names of the header")]
#![allow(unsafe_code)]

use crate::argument::{check_struct, code, number, put, put_struct, put_text, text};
use crate::error::lapwing_error::{self, *};
use crate::reading::{Found, lapwing_reader_t};
use crate::record::{
    LEAST_COUNTS, LEAST_GAP, LEAST_RECORD, lapwing_access, lapwing_counts_t, lapwing_gap_t, lapwing_read,
    lapwing_record_t, lapwing_seek,
};
use lapwing_ring::{Access, Location, Purpose, Seek};
use lapwing_writer_shim::calm::apart;
use libc::{c_char, c_int};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Opens a ring for reading and stores the reader in `*reader`, or NULL if it fails. It needs permission to read the
/// file and no more, and never makes or changes a ring.
///
/// `ring` is a path, or a bare name beside the default ring; NULL is the default ring, as lapwing_writer_open finds it.
/// It may be a copy of a ring's file, of any host and boot.
///
/// `access` is LAPWING_COPIED (0), which is good for every file, or LAPWING_MAPPED, for rings that nobody cuts short.
///
/// `why` gets, if it fails, a sentence that says why, with path and numbers: at most `why_size` bytes, the zero at its
/// end included; the empty text if it succeeds. May be NULL.
///
/// The reader stands before sequence 0: what is overwritten already comes out as lost. The caller owns it, to be given to
/// lapwing_reader_close. Each thread that reads has one of its own.
///
/// Any thread; not signal-safe, it opens files and allocates; in a forked child as safe as malloc(3) is there.
///
/// # Safety
///
/// `ring` is NULL or a text that ends in a zero, `reader` points to room for a pointer, `why` is NULL or has room for
/// `why_size` bytes. Nobody changes the environment (setenv(3)) meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_open(
    ring: *const c_char,
    access: c_int,
    reader: *mut *mut lapwing_reader_t,
    why: *mut c_char,
    why_size: usize,
) -> c_int {
    code(apart(|| {
        // SAFETY: room for `why_size` bytes if it is not NULL, says the caller.
        unsafe { put_text(why, why_size, "") };
        // SAFETY: NULL or room for a pointer, says the caller.
        unsafe { put(reader, std::ptr::null_mut()) };
        let access = match access {
            _ if reader.is_null() => return Err(LAPWING_E_INVALID),
            _ if access == lapwing_access::LAPWING_COPIED as c_int => Access::Copied,
            _ if access == lapwing_access::LAPWING_MAPPED as c_int => Access::Mapped,
            _ => return Err(LAPWING_E_INVALID),
        };
        // SAFETY: NULL or a text that ends in a zero, says the caller.
        let name = unsafe { text(ring) };
        let location = Location::find(name.map(OsStr::from_bytes), Purpose::Read);
        let opened =
            location.open_reader_with(access).map_err(|error| (lapwing_error::from(&error), error.to_string()));
        let opened = opened.and_then(|opened| {
            lapwing_reader_t::new(opened)
                .map_err(|error| (error.into(), format!("{}: {error}", location.path().display())))
        });
        match opened {
            Ok(opened) => {
                // SAFETY: as above.
                unsafe { put(reader, Box::into_raw(Box::new(opened))) };
                Ok(())
            }
            Err((code, reason)) => {
                // SAFETY: as above.
                unsafe { put_text(why, why_size, &reason) };
                Err(code)
            }
        }
    }))
}

/// Gives the next record, or the gap in front of it; never sleeps, but lets a stream of records get 8 microseconds ahead
/// rather than slow their writers. Returns
///
/// - LAPWING_RECORD: `*record` is a record,
/// - LAPWING_GAP: `*gap` says which records this reader does not get,
/// - LAPWING_NOT_YET (0): nothing to read now; neither struct is touched,
/// - a negative lapwing_error: LAPWING_E_DAMAGED, LAPWING_E_TRUNCATED or LAPWING_E_OS say that the ring cannot be read
///   any more.
///
/// How to detect loss. Sequences have no holes, so `sequence` minus that of the record before, minus 1, is how many
/// records are missing between the two; `rolled_out` is the same number. Of a reader that was just opened or moved, the
/// first record counts from where it stood (lapwing_reader_seq). Where the reason matters, `gap` tells it before the
/// record comes: the counts of all gaps between two records add up to `rolled_out`. If `gap` is NULL, gaps are passed
/// in silence.
///
/// `record_size` is `sizeof *record` and `gap_size` is `sizeof *gap`. Both structs grow at their ends as the library
/// does. A program that was compiled against an older header gets the fields it knows; one compiled against a newer
/// header finds zeros behind `record->size` bytes. A size below 56 (of a record) or 24 is LAPWING_E_INVALID.
///
/// A record that is being written is LAPWING_NOT_YET until it is there, or until its writer is found dead
/// (LAPWING_ABANDONED) or has not moved for a second (LAPWING_STALLED).
///
/// One thread at a time; not signal-safe, it may allocate; a forked child goes on with its own place.
///
/// # Safety
///
/// `reader` is NULL or open and in use by no other thread, `record` has room for `record_size` bytes, `gap` is NULL or
/// has room for `gap_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_next(
    reader: *mut lapwing_reader_t,
    record: *mut lapwing_record_t,
    record_size: usize,
    gap: *mut lapwing_gap_t,
    gap_size: usize,
) -> c_int {
    number(apart(|| {
        // SAFETY: NULL or open and ours for now, says the caller.
        let reader = unsafe { reader.as_mut() }.ok_or(LAPWING_E_INVALID)?;
        check_struct(record, record_size, LEAST_RECORD)?;
        if !gap.is_null() {
            check_struct(gap, gap_size, LEAST_GAP)?;
        }
        loop {
            match reader.next()? {
                Found::NotYet => return Ok(lapwing_read::LAPWING_NOT_YET as c_int),
                Found::Record(mut found) => {
                    found.size = record_size.min(size_of_val(&found)) as u32;
                    // SAFETY: room for `record_size` bytes, says the caller; its layout is asserted, and has no padding.
                    unsafe { put_struct(record, record_size, &found) };
                    return Ok(lapwing_read::LAPWING_RECORD as c_int);
                }
                Found::Gap(_) if gap.is_null() => {}
                Found::Gap(mut found) => {
                    found.size = gap_size.min(size_of_val(&found)) as u32;
                    // SAFETY: as above.
                    unsafe { put_struct(gap, gap_size, &found) };
                    return Ok(lapwing_read::LAPWING_GAP as c_int);
                }
            }
        }
    }))
}

/// Waits until lapwing_reader_next has something to give: `timeout_ms` milliseconds at most, for ever if that is
/// negative, not at all if it is 0. Returns 1 if there is something, 0 if time is up, or a negative lapwing_error.
///
/// The thread sleeps and looks: after microseconds at first, every 6 ms at last. Where it may write the ring's file, and
/// that lies in memory, it sleeps for 25 ms, and the next writer wakes it. Signal handlers run meanwhile and do not end
/// it, nor can the thread be cancelled; who has other things to wait for uses lapwing_reader_fd.
///
/// One thread at a time; not signal-safe; a forked child goes on with its own place.
///
/// # Safety
///
/// `reader` is NULL or open and in use by no other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_wait(reader: *mut lapwing_reader_t, timeout_ms: c_int) -> c_int {
    number(apart(|| {
        // SAFETY: NULL or open and ours for now, says the caller.
        let reader = unsafe { reader.as_mut() }.ok_or(LAPWING_E_INVALID)?;
        let timeout = u64::try_from(timeout_ms).map_or(Duration::MAX, Duration::from_millis);
        let found = reader.reader.wait(timeout)?;
        if !found {
            reader.rearm()?;
        }
        Ok(found as c_int)
    }))
}

/// A descriptor for poll(2), select(2), epoll(7) and event loops: readable when lapwing_reader_next has something to
/// give, and then until it has returned LAPWING_NOT_YET (or lapwing_reader_wait has returned 0). So read until that
/// comes, also with EPOLLET. Once in a while it is readable and LAPWING_NOT_YET comes at once. Returns the descriptor,
/// or a negative lapwing_error.
///
/// The first call starts a thread, which sleeps while there is something to read, looks at the ring every 6 ms at last
/// while there is nothing, takes no signals, and ends with lapwing_reader_close. The descriptor is the reader's: never
/// read, write or close it.
///
/// One thread at a time; not signal-safe; a forked child calls it again and gets a descriptor of its own, for the one
/// it was born with speaks of its parent's reader.
///
/// # Safety
///
/// `reader` is NULL or open and in use by no other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_fd(reader: *mut lapwing_reader_t) -> c_int {
    number(apart(|| {
        // SAFETY: NULL or open and ours for now, says the caller.
        let reader = unsafe { reader.as_mut() }.ok_or(LAPWING_E_INVALID)?;
        reader.watch.take_if(|watch| watch.is_inherited());
        let watch = match &mut reader.watch {
            Some(watch) => watch,
            none => none.insert(reader.reader.watch().map_err(|_| LAPWING_E_OS)?),
        };
        Ok(watch.as_fd().as_raw_fd())
    }))
}

/// Moves a reader: to LAPWING_OLDEST, to LAPWING_END, or to LAPWING_SEQUENCE, which is `sequence`. The sequence that it
/// stands before now goes to `*now`, unless that is NULL or the call fails. Counts start anew.
///
/// One thread at a time; not signal-safe; a forked child goes on with its own place.
///
/// # Safety
///
/// `reader` is NULL or open and in use by no other thread, `now` is NULL or has room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_seek(
    reader: *mut lapwing_reader_t,
    to: c_int,
    sequence: u64,
    now: *mut u64,
) -> c_int {
    code(apart(|| {
        // SAFETY: NULL or open and ours for now, says the caller.
        let reader = unsafe { reader.as_mut() }.ok_or(LAPWING_E_INVALID)?;
        reader.seek(match to {
            _ if to == lapwing_seek::LAPWING_OLDEST as c_int => Seek::Oldest,
            _ if to == lapwing_seek::LAPWING_END as c_int => Seek::Newest,
            _ if to == lapwing_seek::LAPWING_SEQUENCE as c_int => Seek::Seq(sequence),
            _ => return Err(LAPWING_E_INVALID),
        })?;
        // SAFETY: NULL or room for a number, says the caller.
        unsafe { put(now, reader.expected) };
        Ok(())
    }))
}

/// The sequence that comes next; 0 if `reader` is NULL.
///
/// One thread at a time; not signal-safe; a forked child goes on with its own place.
///
/// # Safety
///
/// `reader` is NULL or open and in use by no other thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_seq(reader: *const lapwing_reader_t) -> u64 {
    // SAFETY: NULL or open, says the caller.
    unsafe { reader.as_ref() }.map_or(0, |reader| reader.reader.seq())
}

/// The ends of the log now: the oldest record that can still be read goes to `*oldest`, the sequence that the next
/// record will get to `*next`. They are equal if there is none. Either may be NULL.
///
/// One thread at a time; not signal-safe; a forked child goes on with its own place.
///
/// # Safety
///
/// `reader` is NULL or open and in use by no other thread, `oldest` and `next` are NULL or have room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_bounds(
    reader: *mut lapwing_reader_t,
    oldest: *mut u64,
    next: *mut u64,
) -> c_int {
    code(apart(|| {
        // SAFETY: NULL or open and ours for now, says the caller.
        let reader = unsafe { reader.as_mut() }.ok_or(LAPWING_E_INVALID)?;
        let bounds = reader.reader.bounds()?;
        // SAFETY: NULL or room for a number, says the caller.
        unsafe { put(oldest, bounds.oldest_seq) };
        // SAFETY: as above.
        unsafe { put(next, bounds.next_seq) };
        Ok(())
    }))
}

/// What a reader has passed since it was opened or last moved. `size` is `sizeof *counts`, as with lapwing_reader_next;
/// less than 32 is LAPWING_E_INVALID.
///
/// One thread at a time; not signal-safe; a forked child goes on with its own place.
///
/// # Safety
///
/// `reader` is NULL or open and in use by no other thread, `counts` has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_counts(
    reader: *const lapwing_reader_t,
    counts: *mut lapwing_counts_t,
    size: usize,
) -> c_int {
    code(apart(|| {
        // SAFETY: NULL or open, says the caller.
        let reader = unsafe { reader.as_ref() }.ok_or(LAPWING_E_INVALID)?;
        check_struct(counts, size, LEAST_COUNTS)?;
        let passed = reader.reader.counts();
        let passed = lapwing_counts_t {
            read: passed.read,
            lost: passed.lost,
            abandoned: passed.abandoned,
            stalled: passed.stalled,
        };
        // SAFETY: room for `size` bytes, says the caller; its layout is asserted, and has no padding.
        unsafe { put_struct(counts, size, &passed) };
        Ok(())
    }))
}

/// Closes a reader, and its descriptor; records that it gave are gone. Does nothing with NULL. A process that ends
/// without it does no harm.
///
/// Any thread, once nobody uses the reader; not signal-safe, it frees memory; in a forked child as safe as free(3) is
/// there.
///
/// # Safety
///
/// `reader` is NULL or open, and never used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_reader_close(reader: *mut lapwing_reader_t) {
    if !reader.is_null() {
        // SAFETY: a box of lapwing_reader_open that nobody has taken back yet, says the caller.
        let reader = unsafe { Box::from_raw(reader) };
        apart(|| drop(reader));
    }
}

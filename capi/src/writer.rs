//! Writers: one handle over `lapwing_ring::Log`, for any thread and for signal handlers.
#![allow(non_camel_case_types, reason = "names of the header")]
#![allow(unsafe_code)]

use crate::argument::{code, put, put_text, text};
use crate::error::lapwing_error::{self, *};
use crate::level::level;
use crate::thread::lapwing_prepare_thread;
use lapwing_ring::{Draft, Field, Flags, Location, Log, Purpose};
use lapwing_writer_shim::calm::apart;
use lapwing_writer_shim::lines::{limit_beside, pieces};
use libc::{c_char, c_int, c_void, iovec};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A ring that is open for writing.
pub struct lapwing_writer_t {
    log: Log,
}

/// The most pieces that lapwing_writer_writev takes.
pub const LAPWING_MAX_PIECES: usize = 64;

/// Opens a ring for writing and stores its writer in `*writer`, or NULL if it fails.
///
/// `ring` is a path, or a bare name beside the default ring; NULL is the default ring, which is made if it is missing: 16
/// MiB, mode 0600. The default is `$LAPWING_RING`, else `/run/lapwing/ring` if it exists and we may use it, else
/// `$XDG_RUNTIME_DIR/lapwing/ring`, else `/dev/shm/lapwing-$UID/ring`.
///
/// `why` gets, if it fails, a sentence that says why, with path and numbers, and what to do: at most `why_size` bytes, the
/// zero at its end included; the empty text if it succeeds. May be NULL.
///
/// The caller owns the writer, to be given to lapwing_writer_close. One for a process is enough: any number of threads and
/// signal handlers may use it at once.
///
/// Any thread; not signal-safe, it opens files and allocates; in a forked child as safe as malloc(3) is there.
///
/// # Safety
///
/// `ring` is NULL or a text that ends in a zero, `writer` points to room for a pointer, `why` is NULL or has room for
/// `why_size` bytes. Nobody changes the environment (setenv(3)) meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_writer_open(
    ring: *const c_char,
    writer: *mut *mut lapwing_writer_t,
    why: *mut c_char,
    why_size: usize,
) -> c_int {
    code(apart(|| {
        lapwing_prepare_thread();
        // SAFETY: room for `why_size` bytes if it is not NULL, says the caller.
        unsafe { put_text(why, why_size, "") };
        if writer.is_null() {
            return Err(LAPWING_E_INVALID);
        }
        // SAFETY: not NULL, and room for a pointer, says the caller.
        unsafe { writer.write(std::ptr::null_mut()) };
        // SAFETY: NULL or a text that ends in a zero, says the caller.
        let name = unsafe { text(ring) };
        match Location::find(name.map(OsStr::from_bytes), Purpose::Write).open_log() {
            Ok(log) => {
                let handle = Box::into_raw(Box::new(lapwing_writer_t { log }));
                // SAFETY: as above.
                unsafe { writer.write(handle) };
                Ok(())
            }
            Err(error) => {
                // SAFETY: as above.
                unsafe { put_text(why, why_size, &error.to_string()) };
                Err(lapwing_error::from(&error))
            }
        }
    }))
}

/// Appends one record: `size` bytes from `data`, at `level` (1 to 24, see lapwing_level). Its sequence goes to `*seq`, unless
/// that is NULL or the call fails.
///
/// A record that is longer than lapwing_writer_max is refused whole, with LAPWING_E_TOO_LARGE. Whatever is refused is also
/// counted in the ring, by cause. It makes no system call, except for a thread's first record, and when more records are
/// being written at once than ever before in this process.
///
/// Any thread; signal-safe; fork-safe.
///
/// # Safety
///
/// `writer` is open, `data` has `size` bytes that do not change meanwhile (any pointer if `size` is 0), `seq` is NULL or has
/// room for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_writer_write(
    writer: *const lapwing_writer_t,
    level: c_int,
    data: *const c_void,
    size: usize,
    seq: *mut u64,
) -> c_int {
    appended(|| {
        // SAFETY: NULL or open, says the caller.
        let log = unsafe { opened(writer) }?;
        // SAFETY: `size` bytes that stay as they are, says the caller.
        let data = unsafe { bytes(data, size) }?;
        let number = log.append(self::level(level)?, data)?;
        // SAFETY: NULL or room for a number, says the caller.
        unsafe { put(seq, number) };
        Ok(())
    })
}

/// Appends one record made of `count` pieces, one after the other; otherwise as lapwing_writer_write. More than
/// LAPWING_MAX_PIECES pieces are LAPWING_E_INVALID.
///
/// Any thread; signal-safe; fork-safe.
///
/// # Safety
///
/// As lapwing_writer_write; `piece` points to `count` pieces, each with its bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_writer_writev(
    writer: *const lapwing_writer_t,
    level: c_int,
    piece: *const iovec,
    count: usize,
    seq: *mut u64,
) -> c_int {
    appended(|| {
        // SAFETY: NULL or open, says the caller.
        let log = unsafe { opened(writer) }?;
        if count > LAPWING_MAX_PIECES || (piece.is_null() && count > 0) {
            return Err(LAPWING_E_INVALID);
        }
        let mut payload = [&[][..]; LAPWING_MAX_PIECES];
        for (i, place) in payload[..count].iter_mut().enumerate() {
            // SAFETY: `i` is less than `count`, and so many pieces are there, says the caller.
            let piece = unsafe { piece.add(i) };
            // SAFETY: as above.
            let piece = unsafe { piece.read() };
            // SAFETY: its bytes are there and stay as they are, says the caller.
            *place = unsafe { bytes(piece.iov_base, piece.iov_len) }?;
        }
        let number = log.append_slices(&Draft::new(self::level(level)?), &payload[..count])?;
        // SAFETY: NULL or room for a number, says the caller.
        unsafe { put(seq, number) };
        Ok(())
    })
}

/// Appends a text of any length, `size` bytes from `data`, with the tag `tag` unless that is NULL. What is too long for one
/// record goes on in the next, and all but the last have the flag `cont`; a record holds 8 KiB of it, less where this ring's
/// records are smaller. A newline is a byte like any other. The last record's sequence goes to `*seq`, unless that is NULL
/// or the call fails.
///
/// If a record is refused, those behind it are still appended, and the first error is returned.
///
/// Any thread; signal-safe; fork-safe.
///
/// # Safety
///
/// As lapwing_writer_write; `tag` is NULL or a text that ends in a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_writer_text(
    writer: *const lapwing_writer_t,
    level: c_int,
    tag: *const c_char,
    data: *const c_void,
    size: usize,
    seq: *mut u64,
) -> c_int {
    appended(|| {
        // SAFETY: NULL or open, says the caller.
        let log = unsafe { opened(writer) }?;
        // SAFETY: NULL or a text that ends in a zero, says the caller.
        let tag = unsafe { text(tag) };
        // SAFETY: `size` bytes that stay as they are, says the caller.
        let data = unsafe { bytes(data, size) }?;
        let field = tag.map(Field::Tag);
        let mut draft = Draft { fields: field.as_slice(), ..Draft::new(self::level(level)?) };
        let mut result = Ok(0);
        pieces(data, limit_beside(log.max_body(), tag), Flags::NONE, |now, flags| {
            draft.flags = flags;
            let number = log.append_slices(&draft, &[now]);
            if result.is_ok() {
                result = number;
            }
        });
        // SAFETY: NULL or room for a number, says the caller.
        unsafe { put(seq, result?) };
        Ok(())
    })
}

/// Appends a text that ends in a zero: lapwing_writer_text without a tag.
///
/// Any thread; signal-safe; fork-safe.
///
/// # Safety
///
/// As lapwing_writer_write; `line` is a text that ends in a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_writer_puts(
    writer: *const lapwing_writer_t,
    level: c_int,
    line: *const c_char,
    seq: *mut u64,
) -> c_int {
    if line.is_null() {
        return LAPWING_E_INVALID as c_int;
    }
    // SAFETY: not NULL, and a text that ends in a zero, says the caller.
    let size = unsafe { libc::strlen(line) };
    // SAFETY: the caller's; the text has `size` bytes.
    unsafe { lapwing_writer_text(writer, level, std::ptr::null(), line.cast(), size, seq) }
}

/// The longest record that lapwing_writer_write takes, bytes; 0 if `writer` is NULL.
///
/// Any thread; signal-safe; fork-safe.
///
/// # Safety
///
/// `writer` is NULL or open.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_writer_max(writer: *const lapwing_writer_t) -> usize {
    // SAFETY: the caller's.
    unsafe { opened(writer) }.map_or(0, Log::max_body)
}

/// Closes a writer: its slots in the ring are free for others. Records stay. Does nothing with NULL. A process that ends
/// without it does no harm. After a fork, parent and child close theirs independently.
///
/// Any thread, once nobody uses the writer; not signal-safe, it frees memory; in a forked child as safe as free(3) is there.
///
/// # Safety
///
/// `writer` is NULL or open, and never used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lapwing_writer_close(writer: *mut lapwing_writer_t) {
    if !writer.is_null() {
        // SAFETY: a box of lapwing_writer_open that nobody has taken back yet, says the caller.
        let writer = unsafe { Box::from_raw(writer) };
        apart(|| drop(writer));
    }
}

/// Runs the body of a function that appends, and gives its code. An append leaves errno alone, and its system calls
/// are no places to be cancelled at; so nothing but a panic has to be kept in, and this costs next to nothing.
#[inline(always)]
fn appended(body: impl FnOnce() -> Result<(), lapwing_error>) -> c_int {
    code(catch_unwind(AssertUnwindSafe(body)).ok())
}

/// # Safety
/// `writer` is NULL, or open for `'a`.
#[inline(always)]
unsafe fn opened<'a>(writer: *const lapwing_writer_t) -> Result<&'a Log, lapwing_error> {
    // SAFETY: the caller's; a writer is only ever shared.
    unsafe { writer.as_ref() }.map(|writer| &writer.log).ok_or(LAPWING_E_INVALID)
}

/// # Safety
/// From `data` there are `size` bytes that do not change for `'a`; any pointer will do if `size` is 0.
#[inline(always)]
unsafe fn bytes<'a>(data: *const c_void, size: usize) -> Result<&'a [u8], lapwing_error> {
    match size {
        0 => Ok(&[]),
        // No object is that long.
        _ if data.is_null() || size > isize::MAX as usize => Err(LAPWING_E_INVALID),
        // SAFETY: the caller's; not NULL, not too long, and bytes have no alignment.
        _ => Ok(unsafe { std::slice::from_raw_parts(data.cast(), size) }),
    }
}

//! From data that the kernel would move into a stream, unseen, to records. What comes from a file is read and written here
//! instead; what is in a pipe is looked at in a copy of it, which tee(2) makes. Results, offsets and errors are those of the
//! real calls; they may move less than they are asked for, and so do these. What cannot be looked at without being taken
//! (a socket, a terminal) is refused with the error for files that do not support the call, EINVAL, on which programs read
//! and write.
//!
//! `None`: nothing that is captured, the real call is to be made.
#![allow(unsafe_code)]

use crate::capture::{Capture, watching};
use crate::confine;
use crate::real;
use lapwing_writer_shim::calm::{apart, errno, set_errno};
use lapwing_writer_shim::identity::{FileId, Sort};
use libc::{c_int, c_uint, c_void, iovec, off64_t, ssize_t};
use std::ptr;

/// As much as the kernel moves in one call.
const LONGEST: usize = 0x7fff_f000;
/// As much as fits into a pipe that can be written to without waiting.
const PIPE_BUF: usize = 4096;
/// A buffer for what is moved where every other one is taken.
const SMALL: usize = 1024;

type Failed = c_int;
type Moved = Result<usize, Failed>;

/// # Safety
/// As sendfile(2).
pub(crate) unsafe fn sendfile(to: c_int, from: c_int, at: *mut off64_t, len: usize) -> Option<ssize_t> {
    let (capture, _) = capture_of(to)?;
    // The real call refuses it.
    if !is_at_end_of_none(to) {
        return None;
    }
    let carry = || match FileId::and_sort_of_fd(from) {
        // SAFETY: the caller's promise.
        Some((_, Sort::File)) => unsafe { carry(capture, from, at, to, ptr::null_mut(), len) },
        Some(_) => Err(libc::EINVAL),
        None => Err(libc::EBADF),
    };
    Some(result(carry))
}

/// # Safety
/// As copy_file_range(2).
pub(crate) unsafe fn copy_file_range(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: usize,
    flags: c_uint,
) -> Option<ssize_t> {
    let (capture, _) = capture_of(to)?;
    let (source, sort) = FileId::and_sort_of_fd(from)?;
    let (target, sort_of_target) = FileId::and_sort_of_fd(to)?;
    // The real call has its own words for these, and moves nothing.
    if flags != 0 || source == target || (sort, sort_of_target) != (Sort::File, Sort::File) || !is_at_end_of_none(to) {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(result(|| unsafe { carry(capture, from, from_at, to, to_at, len) }))
}

/// # Safety
/// As splice(2).
pub(crate) unsafe fn splice(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: usize,
    flags: c_uint,
) -> Option<ssize_t> {
    let (capture, sort_of_target) = capture_of(to)?;
    let (_, sort) = FileId::and_sort_of_fd(from)?;
    let moved = || match sort {
        Sort::Pipe => {
            let real = real::SPLICE.find().ok_or(libc::ENOSYS)?;
            look(capture, from, to, len, flags, |len| {
                if capture.quiet {
                    return discard(from, len);
                }
                // SAFETY: the caller's promise, of as much as there is.
                check(unsafe { real(from, ptr::null_mut(), to, to_at, len, flags) })
            })
        }
        Sort::File if flags & libc::SPLICE_F_NONBLOCK != 0 && !capture.quiet => {
            if !is_ready(to, libc::POLLOUT) {
                return Err(libc::EAGAIN);
            }
            // SAFETY: the caller's promise.
            unsafe { carry(capture, from, from_at, to, ptr::null_mut(), len.min(PIPE_BUF)) }
        }
        // SAFETY: the caller's promise.
        Sort::File => unsafe { carry(capture, from, from_at, to, ptr::null_mut(), len) },
        Sort::Socket | Sort::Device => Err(libc::EINVAL),
    };
    let is_possible = match sort {
        Sort::Pipe => from_at.is_null() && (to_at.is_null() || sort_of_target == Sort::File),
        _ => sort_of_target == Sort::Pipe && to_at.is_null(),
    };
    // What is impossible moves nothing, and the real call says why.
    is_possible.then(|| result(moved))
}

pub(crate) fn tee(from: c_int, to: c_int, len: usize, flags: c_uint) -> Option<ssize_t> {
    let (capture, sort_of_target) = capture_of(to)?;
    let (_, sort) = FileId::and_sort_of_fd(from)?;
    if (sort, sort_of_target) != (Sort::Pipe, Sort::Pipe) {
        return None;
    }
    Some(result(|| {
        let real = real::TEE.find().ok_or(libc::ENOSYS)?;
        look(capture, from, to, len, flags, |len| {
            if capture.quiet {
                return Ok(len);
            }
            // SAFETY: two descriptors and a number.
            check(unsafe { real(from, to, len, flags) })
        })
    }))
}

/// Can `fd` be written to? A pipe has an end that cannot.
pub(crate) fn is_writable(fd: c_int) -> bool {
    // SAFETY: any number may be asked for.
    Capture::get().is_some()
        && !confine::is_on()
        && unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFL) } as c_int & libc::O_ACCMODE != 0
}

/// Is it not open for appending only? To such a descriptor nothing is copied by range, nor sent.
fn is_at_end_of_none(fd: c_int) -> bool {
    // SAFETY: any number may be asked for.
    unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_GETFL) as c_int & libc::O_APPEND == 0 }
}

fn capture_of(fd: c_int) -> Option<(&'static Capture, Sort)> {
    let capture = watching(fd).filter(|_| !confine::is_on())?;
    Some((capture, capture.found(fd)?.1))
}

/// Does it as a call would: the number of bytes, or -1 and errno.
fn result(moved: impl FnOnce() -> Moved) -> ssize_t {
    match apart(moved).unwrap_or(Err(libc::EINVAL)) {
        Ok(len) => len as ssize_t,
        Err(error) => {
            set_errno(error);
            -1
        }
    }
}

fn check(result: ssize_t) -> Moved {
    usize::try_from(result).map_err(|_| errno())
}

/// Reads from a file and writes to a stream, from and to these offsets, or those of the descriptors where there are none.
///
/// # Safety
/// Each offset is null, or one that can be changed.
unsafe fn carry(
    capture: &Capture,
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: usize,
) -> Moved {
    // SAFETY: the caller's promise.
    let start = match unsafe { from_at.as_ref() } {
        Some(&at) => at,
        // SAFETY: any number may be asked for.
        None => check(unsafe { libc::lseek64(from, 0, libc::SEEK_CUR) } as ssize_t)? as off64_t,
    };
    // SAFETY: the caller's promise.
    let target = unsafe { to_at.as_ref() }.copied();
    let (len, mut done, mut failed) = (len.min(LONGEST), 0, None);
    with_buffer(capture, |buffer| {
        while done < len {
            let room = buffer.len().min(len - done);
            // SAFETY: room for as many bytes.
            let read = unsafe { libc::pread64(from, buffer.as_mut_ptr().cast(), room, start + done as off64_t) };
            let written = match check(read) {
                Ok(0) => break,
                Ok(read) if capture.quiet => Ok(read),
                // SAFETY: so many have just been read.
                Ok(read) => unsafe { write(to, target.map(|at| at + done as off64_t), buffer.as_ptr(), read) },
                Err(error) => Err(error),
            };
            match written {
                Ok(written) => {
                    record(capture, to, &buffer[..written]);
                    done += written;
                    if written < read as usize {
                        break;
                    }
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
    });
    if let (0, Some(error)) = (done, failed) {
        return Err(error);
    }
    // SAFETY: the caller's promise.
    match unsafe { from_at.as_mut() } {
        Some(at) => *at = start + done as off64_t,
        // SAFETY: as above.
        None => drop(unsafe { libc::lseek64(from, start + done as off64_t, libc::SEEK_SET) }),
    }
    // SAFETY: the caller's promise.
    if let Some(at) = unsafe { to_at.as_mut() } {
        *at += done as off64_t;
    }
    Ok(done)
}

/// # Safety
/// `len` bytes that can be read.
unsafe fn write(fd: c_int, at: Option<off64_t>, data: *const u8, len: usize) -> Moved {
    check(match at {
        // SAFETY: the caller's promise.
        None => unsafe { real::write(fd, data.cast(), len) },
        // SAFETY: the caller's promise.
        Some(at) => unsafe { real::PWRITE64.known().ok_or(libc::ENOSYS)?(fd, data.cast(), len, at) },
    })
}

/// Copies what is in the pipe `from`, has `take` move as much of it, and records what that has moved to `to`.
fn look(
    capture: &Capture,
    from: c_int,
    to: c_int,
    len: usize,
    flags: c_uint,
    take: impl FnOnce(usize) -> Moved,
) -> Moved {
    let real = real::TEE.find().ok_or(libc::ENOSYS)?;
    let mut copy = [-1; 2];
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(copy.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(libc::EINVAL);
    }
    let [reader, writer] = copy;
    // SAFETY: two descriptors and a number.
    let moved = match check(unsafe { real(from, writer, len, flags) }) {
        Ok(len) if len > 0 => take(len),
        other => other,
    };
    if let Ok(len) = moved {
        with_buffer(capture, |buffer| {
            let mut left = len;
            while left != 0 {
                let room = left.min(buffer.len());
                // SAFETY: room for as many bytes.
                match check(unsafe { libc::read(reader, buffer.as_mut_ptr().cast(), room) }) {
                    Ok(read) if read > 0 => {
                        record(capture, to, &buffer[..read]);
                        left -= read;
                    }
                    _ => break,
                }
            }
        });
    }
    real::close(reader);
    real::close(writer);
    moved
}

/// Reads so many bytes that are known already out of a pipe.
fn discard(fd: c_int, len: usize) -> Moved {
    let (mut done, mut buffer) = (0, [0; SMALL]);
    while done < len {
        // SAFETY: room for as many bytes.
        let read = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len().min(len - done)) };
        match check(read) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

fn is_ready(fd: c_int, events: i16) -> bool {
    let mut asked = libc::pollfd { fd, events, revents: 0 };
    // SAFETY: one that can be asked about.
    unsafe { libc::poll(&mut asked, 1, 0) == 1 }
}

fn record(capture: &Capture, fd: c_int, text: &[u8]) {
    let piece = iovec { iov_base: text.as_ptr().cast_mut().cast::<c_void>(), iov_len: text.len() };
    // SAFETY: one piece, just borrowed.
    let _ = unsafe { capture.record(fd, &[piece], text.len(), !capture.quiet) };
}

fn with_buffer(capture: &Capture, mut take: impl FnMut(&mut [u8])) {
    match capture.state.buffer() {
        Some(mut buffer) => take(buffer.bytes()),
        None => take(&mut [0; SMALL]),
    }
}

//! What a program calls instead of its C library when it writes. In a unit test the names are not taken.
//!
//! When a thread is cancelled inside a real call, the C library unwinds through us with an unwinder that is not the one
//! linked into this library, and the two do not understand each other. So the hooks are `C-unwind`, and nothing that calls
//! a real function has anything to clean up behind it, not even in an unoptimised build: no closures, no generics.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::{divert, tee};
use crate::datagrams;
use crate::real;
use lapwing_writer_shim::calm::set_errno;
use libc::{c_int, c_void, iovec, size_t, ssize_t};

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    let text = iovec { iov_base: data.cast_mut(), iov_len: len };
    // SAFETY: one piece, which is the caller's.
    if let Some(taken) = unsafe { divert(fd, &text, 1) } {
        return taken;
    }
    // SAFETY: the caller's promise.
    let written = unsafe { real::write(fd, data, len) };
    // SAFETY: the piece has just been read.
    unsafe { tee(fd, &text, 1, written) };
    // SAFETY: what the kernel has just looked at.
    unsafe { datagrams::written(fd, &text, 1, written) };
    written
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn __write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the same function under another name.
    unsafe { write(fd, data, len) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn writev(fd: c_int, text: *const iovec, count: c_int) -> ssize_t {
    let pieces = usize::try_from(count).unwrap_or(0);
    // SAFETY: the caller's promise.
    if let Some(taken) = unsafe { divert(fd, text, pieces) } {
        return taken;
    }
    // SAFETY: the caller's promise.
    let written = unsafe { real::writev(fd, text, count) };
    // SAFETY: the pieces have just been read.
    unsafe { tee(fd, text, pieces, written) };
    // SAFETY: what the kernel has just looked at.
    unsafe { datagrams::written(fd, text, pieces, written) };
    written
}

pub(crate) fn missing() -> c_int {
    set_errno(libc::ENOSYS);
    -1
}

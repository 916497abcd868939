//! What a program calls instead of its C library when it lets the kernel move data. The rules are those of `hooks`.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::watching;
use crate::hooks::missing;
use crate::moves;
use crate::real;
use lapwing_writer_shim::identity::Sort;
use libc::{c_int, c_uint, iovec, off64_t, size_t, ssize_t};

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn sendfile(to: c_int, from: c_int, at: *mut off64_t, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    if let Some(moved) = unsafe { moves::sendfile(to, from, at, len) } {
        return moved;
    }
    let Some(real) = real::SENDFILE.find() else { return missing() as ssize_t };
    // SAFETY: the caller's promise.
    unsafe { real(to, from, at, len) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn sendfile64(to: c_int, from: c_int, at: *mut off64_t, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    if let Some(moved) = unsafe { moves::sendfile(to, from, at, len) } {
        return moved;
    }
    let Some(real) = real::SENDFILE64.find() else { return missing() as ssize_t };
    // SAFETY: the caller's promise.
    unsafe { real(to, from, at, len) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn copy_file_range(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller's promise.
    if let Some(moved) = unsafe { moves::copy_file_range(from, from_at, to, to_at, len, flags) } {
        return moved;
    }
    let Some(real) = real::COPY_FILE_RANGE.find() else { return missing() as ssize_t };
    // SAFETY: the caller's promise.
    unsafe { real(from, from_at, to, to_at, len, flags) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn splice(
    from: c_int,
    from_at: *mut off64_t,
    to: c_int,
    to_at: *mut off64_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: the caller's promise.
    if let Some(moved) = unsafe { moves::splice(from, from_at, to, to_at, len, flags) } {
        return moved;
    }
    let Some(real) = real::SPLICE.find() else { return missing() as ssize_t };
    // SAFETY: the caller's promise.
    unsafe { real(from, from_at, to, to_at, len, flags) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn tee(from: c_int, to: c_int, len: size_t, flags: c_uint) -> ssize_t {
    if let Some(moved) = moves::tee(from, to, len, flags) {
        return moved;
    }
    let Some(real) = real::TEE.find() else { return missing() as ssize_t };
    // SAFETY: the caller's promise.
    unsafe { real(from, to, len, flags) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn vmsplice(fd: c_int, text: *const iovec, count: size_t, flags: c_uint) -> ssize_t {
    let Some(real) = real::VMSPLICE.find() else { return missing() as ssize_t };
    // The other end of a pipe is filled from it.
    let watching = watching(fd).filter(|capture| capture.found(fd).is_some() && moves::is_writable(fd));
    if let Some(capture) = watching {
        // SAFETY: the caller's promise.
        if let Some(taken) = unsafe { capture.divert_if(Sort::Pipe, fd, text, count) } {
            return taken;
        }
    }
    // SAFETY: the caller's promise.
    let moved = unsafe { real(fd, text, count, flags) };
    if let Some(capture) = watching {
        // SAFETY: the pieces have just been read.
        unsafe { capture.tee(fd, text, count, moved) };
    }
    moved
}

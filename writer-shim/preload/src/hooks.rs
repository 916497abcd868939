//! What a program calls instead of its C library when it writes. In a unit test the names are not taken.
//!
//! When a thread is cancelled inside a real call, the C library unwinds through us with an unwinder that is not the one
//! linked into this library, and the two do not understand each other. So the hooks are `C-unwind`, and nothing that calls
//! a real function has anything to clean up behind it, not even in an unoptimised build: no closures, no generics.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::{Capture, watching};
use crate::datagrams;
use crate::real;
use crate::sockets;
use lapwing_writer_shim::calm::set_errno;
use libc::{c_int, c_void, iovec, off64_t, size_t, ssize_t};

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    if let Some(capture) = watching(fd) {
        // SAFETY: the caller's promise.
        return unsafe { write_watched(capture, fd, data, len) };
    }
    if sockets::any() {
        // SAFETY: the caller's promise.
        return unsafe { write_to_socket(fd, data, len) };
    }
    // Nothing behind it: returning here as well would take what is left of five nanoseconds.
    // SAFETY: the caller's promise.
    unsafe { real::write(fd, data, len) }
}

#[inline(never)]
unsafe extern "C-unwind" fn write_to_socket(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller's promise.
    let written = unsafe { real::write(fd, data, len) };
    let text = iovec { iov_base: data.cast_mut(), iov_len: len };
    // SAFETY: what the kernel has just looked at.
    unsafe { datagrams::written(fd, &text, 1, written) };
    written
}

#[inline(never)]
unsafe extern "C-unwind" fn write_watched(capture: &Capture, fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    let text = iovec { iov_base: data.cast_mut(), iov_len: len };
    // SAFETY: one piece, which is the caller's.
    if let Some(taken) = unsafe { capture.divert(fd, &text, 1) } {
        return taken;
    }
    // SAFETY: the caller's promise.
    let written = unsafe { real::write(fd, data, len) };
    // SAFETY: the piece has just been read.
    unsafe { capture.tee(fd, &text, 1, written) };
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
    let watching = watching(fd);
    if let Some(capture) = watching {
        // SAFETY: the caller's promise.
        if let Some(taken) = unsafe { capture.divert(fd, text, pieces) } {
            return taken;
        }
    }
    // SAFETY: the caller's promise.
    let written = unsafe { real::writev(fd, text, count) };
    if let Some(capture) = watching {
        // SAFETY: the pieces have just been read.
        unsafe { capture.tee(fd, text, pieces, written) };
    }
    // SAFETY: what the kernel has just looked at.
    unsafe { datagrams::written(fd, text, pieces, written) };
    written
}

macro_rules! positioned {
    ($($name:ident $name_of_many:ident $real:ident $real_of_many:ident;)*) => { $(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name(fd: c_int, data: *const c_void, len: size_t, at: off64_t) -> ssize_t {
            let Some(real) = real::$real.find() else { return missing() as ssize_t };
            let text = iovec { iov_base: data.cast_mut(), iov_len: len };
            let watching = watching(fd);
            if let Some(capture) = watching
                && capture.quiet
            {
                // Whether one can write there at all, the kernel says when there is nothing to write.
                // SAFETY: the caller's promise, of fewer bytes.
                let none = unsafe { real(fd, data, 0, at) };
                if none != 0 {
                    return none;
                }
                // SAFETY: one piece, which is the caller's.
                if let Some(taken) = unsafe { capture.divert(fd, &text, 1) } {
                    return taken;
                }
            }
            // SAFETY: the caller's promise.
            let written = unsafe { real(fd, data, len, at) };
            if let Some(capture) = watching {
                // SAFETY: the piece has just been read.
                unsafe { capture.tee(fd, &text, 1, written) };
            }
            written
        }

        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name_of_many(
            fd: c_int,
            text: *const iovec,
            count: c_int,
            at: off64_t,
        ) -> ssize_t {
            let Some(real) = real::$real_of_many.find() else { return missing() as ssize_t };
            let pieces = usize::try_from(count).unwrap_or(0);
            let watching = watching(fd);
            if let Some(capture) = watching
                && capture.quiet
            {
                // SAFETY: the caller's promise, of no pieces.
                let none = unsafe { real(fd, text, 0, at) };
                if none != 0 {
                    return none;
                }
                // SAFETY: the caller's promise.
                if let Some(taken) = unsafe { capture.divert(fd, text, pieces) } {
                    return taken;
                }
            }
            // SAFETY: the caller's promise.
            let written = unsafe { real(fd, text, count, at) };
            if let Some(capture) = watching {
                // SAFETY: the pieces have just been read.
                unsafe { capture.tee(fd, text, pieces, written) };
            }
            written
        }
    )* };
}

positioned! {
    pwrite pwritev PWRITE PWRITEV;
    pwrite64 pwritev64 PWRITE64 PWRITEV64;
}

/// Flags that change nothing where only the ring has what is written.
const PLAIN_FLAGS: c_int = libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC | libc::RWF_NOWAIT | libc::RWF_APPEND;

macro_rules! positioned_with_flags {
    ($($name:ident $real:ident;)*) => { $(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name(
            fd: c_int,
            text: *const iovec,
            count: c_int,
            at: off64_t,
            flags: c_int,
        ) -> ssize_t {
            let Some(real) = real::$real.find() else { return missing() as ssize_t };
            let pieces = usize::try_from(count).unwrap_or(0);
            let watching = watching(fd);
            // What others do or forbid, the kernel says only when there is something to write.
            if let Some(capture) = watching
                && capture.quiet
                && flags & !PLAIN_FLAGS == 0
            {
                // SAFETY: the caller's promise, of no pieces.
                let none = unsafe { real(fd, text, 0, at, flags) };
                if none != 0 {
                    return none;
                }
                // SAFETY: the caller's promise.
                if let Some(taken) = unsafe { capture.divert(fd, text, pieces) } {
                    return taken;
                }
            }
            // SAFETY: the caller's promise.
            let written = unsafe { real(fd, text, count, at, flags) };
            if let Some(capture) = watching {
                // SAFETY: the pieces have just been read.
                unsafe { capture.tee_always(fd, text, pieces, written) };
            }
            written
        }
    )* };
}

positioned_with_flags! {
    pwritev2 PWRITEV2;
    pwritev64v2 PWRITEV64V2;
}

pub(crate) fn missing() -> c_int {
    set_errno(libc::ENOSYS);
    -1
}

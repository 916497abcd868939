//! dprintf(3). From glibc 2.37 on it writes by a name that no hook sees, and past stdio's tables. So what goes to a stream
//! is formatted and written here; where to, and whether it can be, is for `write` to say, as in the C library.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::calls::{SMALL, format_into};
use crate::capture::Capture;
use crate::hooks::{missing, write};
use crate::real;
use crate::va_list::VaList;
use lapwing_writer_shim::calm::{errno, set_errno};
use libc::{c_char, c_int, c_void};
use std::mem::MaybeUninit;

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn vdprintf(fd: c_int, format: *const c_char, arguments: *mut VaList) -> c_int {
    if is_stream(fd) {
        // SAFETY: the caller's promise.
        return unsafe { print(fd, None, format, arguments) };
    }
    let Some(real) = real::VDPRINTF.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(fd, format, arguments) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn __vdprintf_chk(
    fd: c_int,
    check: c_int,
    format: *const c_char,
    arguments: *mut VaList,
) -> c_int {
    if is_stream(fd) {
        // SAFETY: the caller's promise.
        return unsafe { print(fd, Some(check), format, arguments) };
    }
    let Some(real) = real::VDPRINTF_CHK.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(fd, check, format, arguments) }
}

fn is_stream(fd: c_int) -> bool {
    let Some(capture) = Capture::get() else { return false };
    // What %m is about.
    let errno = errno();
    let found = capture.state.files.find(fd, &capture.streams);
    set_errno(errno);
    found.is_some()
}

/// As vdprintf(3). A thread that is cancelled while it writes leaves the memory of a long text behind.
///
/// # Safety
/// As vdprintf(3).
unsafe fn print(fd: c_int, check: Option<c_int>, format: *const c_char, arguments: *mut VaList) -> c_int {
    let error = errno();
    let mut small = MaybeUninit::<[u8; SMALL]>::uninit();
    let small: *mut u8 = small.as_mut_ptr().cast();
    // SAFETY: the caller's promise, and room for so many bytes.
    let Some(len) = (unsafe { format_into(small, SMALL, check, format, arguments) }) else { return -1 };
    if len < SMALL {
        // SAFETY: so many have just been written.
        return unsafe { write_all(fd, small, len) };
    }
    // SAFETY: no preconditions.
    let large: *mut u8 = unsafe { libc::malloc(len + 1) }.cast();
    if large.is_null() {
        return -1;
    }
    set_errno(error);
    // SAFETY: as above.
    let now = unsafe { format_into(large, len + 1, check, format, arguments) };
    let result = match now {
        // SAFETY: so many have just been written; another thread may have changed a string meanwhile.
        Some(now) => unsafe { write_all(fd, large, now.min(len)) },
        None => -1,
    };
    // SAFETY: allocated above, and not used any more.
    unsafe { libc::free(large.cast::<c_void>()) };
    result
}

/// # Safety
/// So many bytes that can be read.
unsafe fn write_all(fd: c_int, text: *const u8, len: usize) -> c_int {
    let mut done = 0;
    while done < len {
        // SAFETY: no more than the caller promises are passed over.
        let rest = unsafe { text.add(done) };
        // SAFETY: the caller's promise.
        let written = unsafe { write(fd, rest.cast(), len - done) };
        match usize::try_from(written) {
            Ok(written) => done += written,
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return -1,
        }
    }
    len as c_int
}

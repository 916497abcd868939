//! What a program calls instead of its C library to open, duplicate and close descriptors: what was known of them is
//! forgotten. The rules are those of `hooks`.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::hooks::missing;
use crate::real;
use crate::sockets;
use crate::state::State;
use lapwing_writer_shim::calm::{errno, set_errno};
use libc::{FILE, c_char, c_int, c_uint, c_void};

fn forget(fd: c_int) {
    sockets::forget(fd);
    if let Some(state) = State::get() {
        state.files.forget(fd);
    }
}

pub(crate) fn forget_range(first: c_uint, last: c_uint) {
    sockets::forget_range(first, last);
    if let Some(state) = State::get() {
        state.files.forget_range(first as usize, last as usize);
    }
}

/// # Safety
/// As fileno(3).
unsafe fn number(file: *mut FILE) -> c_int {
    let errno = errno();
    // SAFETY: the caller's promise.
    let fd = unsafe { libc::fileno(file) };
    set_errno(errno);
    fd
}

/// Behind freopen(3), which keeps the number mostly, but need not.
fn reopened(before: c_int, file: *mut FILE) {
    forget(before);
    if !file.is_null() {
        // SAFETY: the stream that the C library has just given.
        forget(unsafe { number(file) });
    }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn dup(old: c_int) -> c_int {
    let Some(real) = real::DUP.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(old) };
    // It was closed until now, but perhaps nobody saw it being closed.
    forget(result);
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn dup2(old: c_int, new: c_int) -> c_int {
    let Some(real) = real::DUP2.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(old, new) };
    forget(new);
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn dup3(old: c_int, new: c_int, flags: c_int) -> c_int {
    let Some(real) = real::DUP3.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(old, new, flags) };
    forget(new);
    result
}

// `...` is passed in the same registers as a parameter that is named, on all machines that we know.

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn fcntl(fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
    let Some(real) = real::FCNTL.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd, command, argument) };
    if is_dup(command) {
        forget(result);
    }
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn fcntl64(fd: c_int, command: c_int, argument: *mut c_void) -> c_int {
    let Some(real) = real::FCNTL64.find() else {
        // SAFETY: the same function under its older name.
        return unsafe { fcntl(fd, command, argument) };
    };
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd, command, argument) };
    if is_dup(command) {
        forget(result);
    }
    result
}

fn is_dup(command: c_int) -> bool {
    command == libc::F_DUPFD || command == libc::F_DUPFD_CLOEXEC
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn close(fd: c_int) -> c_int {
    let result = real::close(fd);
    forget(fd);
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn closefrom(first: c_int) {
    match real::CLOSEFROM.find() {
        // SAFETY: the caller's promise.
        Some(real) => unsafe { real(first) },
        // A C library without it: no program that it runs knows the name.
        None => {
            for fd in first.max(0)..=65_535 {
                real::close(fd);
            }
        }
    }
    forget_range(first.max(0) as c_uint, c_uint::MAX);
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    let Some(real) = real::CLOSE_RANGE.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(first, last, flags) };
    forget_range(first, last);
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn fclose(file: *mut FILE) -> c_int {
    let Some(real) = real::FCLOSE.find() else { return missing() };
    // SAFETY: the caller's promise.
    let fd = unsafe { number(file) };
    // SAFETY: the caller's promise.
    let result = unsafe { real(file) };
    // The C library closes the descriptor without asking us.
    forget(fd);
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn freopen(path: *const c_char, mode: *const c_char, file: *mut FILE) -> *mut FILE {
    let Some(real) = real::FREOPEN.find() else { return std::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let before = unsafe { number(file) };
    // SAFETY: the caller's promise.
    let result = unsafe { real(path, mode, file) };
    reopened(before, result);
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn freopen64(path: *const c_char, mode: *const c_char, file: *mut FILE) -> *mut FILE {
    let Some(real) = real::FREOPEN64.find() else { return std::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let before = unsafe { number(file) };
    // SAFETY: the caller's promise.
    let result = unsafe { real(path, mode, file) };
    reopened(before, result);
    result
}

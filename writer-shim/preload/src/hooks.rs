//! What a program calls instead of its C library. In a unit test the names are not taken.
//!
//! When a thread is cancelled inside a real call, the C library unwinds through us with an unwinder that is not the one
//! linked into this library, and the two do not understand each other. So the hooks are `C-unwind`, and nothing that calls
//! a real function has anything to clean up behind it, not even in an unoptimised build: no closures, no generics.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::{divert, leave, tee};
use crate::datagrams;
use crate::real;
use crate::sockets;
use crate::state::State;
use lapwing_writer_shim::calm::{errno, set_errno};
use libc::{FILE, c_char, c_int, c_uint, c_void, iovec, size_t, ssize_t};

type Strings = *const *const c_char;

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

fn forget(fd: c_int) {
    sockets::forget(fd);
    if let Some(state) = State::get() {
        state.forget(fd);
    }
}

fn forget_range(first: c_uint, last: c_uint) {
    sockets::forget_range(first, last);
    forget_both();
}

fn forget_both() {
    forget(libc::STDOUT_FILENO);
    forget(libc::STDERR_FILENO);
}

pub(crate) fn missing() -> c_int {
    set_errno(libc::ENOSYS);
    -1
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
    let errno = errno();
    // SAFETY: the caller's promise.
    let fd = unsafe { libc::fileno(file) };
    set_errno(errno);
    // SAFETY: the caller's promise.
    let result = unsafe { real(file) };
    // The C library closes the descriptor without asking us.
    sockets::forget(fd);
    forget_both();
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn freopen(path: *const c_char, mode: *const c_char, file: *mut FILE) -> *mut FILE {
    let Some(real) = real::FREOPEN.find() else { return std::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(path, mode, file) };
    forget_both();
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn freopen64(path: *const c_char, mode: *const c_char, file: *mut FILE) -> *mut FILE {
    let Some(real) = real::FREOPEN64.find() else { return std::ptr::null_mut() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(path, mode, file) };
    forget_both();
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn _exit(status: c_int) -> ! {
    leave();
    real::exit(status)
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn _Exit(status: c_int) -> ! {
    leave();
    real::exit(status)
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execve(path: *const c_char, arguments: Strings, environment: Strings) -> c_int {
    leave();
    let Some(real) = real::EXECVE.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(path, arguments, environment) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execv(path: *const c_char, arguments: Strings) -> c_int {
    leave();
    let Some(real) = real::EXECV.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(path, arguments) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execvp(name: *const c_char, arguments: Strings) -> c_int {
    leave();
    let Some(real) = real::EXECVP.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(name, arguments) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execvpe(name: *const c_char, arguments: Strings, environment: Strings) -> c_int {
    leave();
    let Some(real) = real::EXECVPE.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(name, arguments, environment) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn fexecve(fd: c_int, arguments: Strings, environment: Strings) -> c_int {
    leave();
    let Some(real) = real::FEXECVE.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(fd, arguments, environment) }
}

//! What a program calls instead of its C library to end, and to start others. The rules are those of `hooks`.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::leave;
use crate::hooks::missing;
use crate::real;
use libc::{c_char, c_int};

type Strings = *const *const c_char;

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

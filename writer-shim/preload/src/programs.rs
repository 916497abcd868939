//! What a program calls instead of its C library to end, and to start others. The rules are those of `hooks`.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::leave;
use crate::descriptors::forget_range;
use crate::hooks::missing;
use crate::inherit::{Space, Strings, environment, own};
use crate::real;
use crate::static_exec::{Stage, Start, staged};
use libc::{c_char, c_int, pid_t, posix_spawn_file_actions_t, posix_spawnattr_t};

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

/// The C library forks in it, lets the parent end without a hook, and puts other files under the first descriptors.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn daemon(stays: c_int, keeps: c_int) -> c_int {
    leave();
    let Some(real) = real::DAEMON.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(stays, keeps) };
    forget_range(0, 2);
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execve(path: *const c_char, arguments: Strings, given: Strings) -> c_int {
    leave();
    let Some(real) = real::EXECVE.find() else { return missing() };
    let mut space = Space::new();
    // SAFETY: the caller's promise.
    let variables = unsafe { environment(given, &mut space) };
    let mut stage = Stage::new();
    // SAFETY: the caller's promise.
    let (path, arguments) = unsafe { staged(path, arguments, Start::Exec, &mut stage) };
    // SAFETY: the caller's promise.
    unsafe { real(path, arguments, variables) }
}

// Those without an environment take this process's own one.

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execv(path: *const c_char, arguments: Strings) -> c_int {
    leave();
    let Some(real) = real::EXECVE.find() else { return missing() };
    let mut space = Space::new();
    let mut stage = Stage::new();
    // SAFETY: the caller's promise.
    let (path, arguments) = unsafe { staged(path, arguments, Start::Exec, &mut stage) };
    // SAFETY: the caller's promise.
    unsafe { real(path, arguments, own(&mut space)) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execvp(name: *const c_char, arguments: Strings) -> c_int {
    leave();
    let mut space = Space::new();
    let mut stage = Stage::new();
    // SAFETY: the caller's promise.
    let (name, arguments) = unsafe { staged(name, arguments, Start::ExecFound, &mut stage) };
    if let Some(real) = real::EXECVPE.find() {
        // SAFETY: the caller's promise.
        return unsafe { real(name, arguments, own(&mut space)) };
    }
    let Some(real) = real::EXECVP.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(name, arguments) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execvpe(name: *const c_char, arguments: Strings, given: Strings) -> c_int {
    leave();
    let Some(real) = real::EXECVPE.find() else { return missing() };
    let mut space = Space::new();
    // SAFETY: the caller's promise.
    let variables = unsafe { environment(given, &mut space) };
    let mut stage = Stage::new();
    // SAFETY: the caller's promise.
    let (name, arguments) = unsafe { staged(name, arguments, Start::ExecFound, &mut stage) };
    // SAFETY: the caller's promise.
    unsafe { real(name, arguments, variables) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn fexecve(fd: c_int, arguments: Strings, given: Strings) -> c_int {
    leave();
    let Some(real) = real::FEXECVE.find() else { return missing() };
    let mut space = Space::new();
    // SAFETY: the caller's promise.
    let variables = unsafe { environment(given, &mut space) };
    // SAFETY: the caller's promise.
    unsafe { real(fd, arguments, variables) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execveat(
    folder: c_int,
    path: *const c_char,
    arguments: Strings,
    given: Strings,
    flags: c_int,
) -> c_int {
    leave();
    let Some(real) = real::EXECVEAT.find() else { return missing() };
    let mut space = Space::new();
    // SAFETY: the caller's promise.
    let variables = unsafe { environment(given, &mut space) };
    // SAFETY: the caller's promise.
    unsafe { real(folder, path, arguments, variables, flags) }
}

macro_rules! spawns {
    ($($name:ident $real:ident $start:ident;)*) => { $(
        #[cfg_attr(not(test), unsafe(no_mangle))]
        pub unsafe extern "C-unwind" fn $name(
            pid: *mut pid_t,
            path: *const c_char,
            actions: *const posix_spawn_file_actions_t,
            attributes: *const posix_spawnattr_t,
            arguments: Strings,
            given: Strings,
        ) -> c_int {
            // It gives its error, and leaves errno alone.
            let Some(real) = real::$real.find() else { return libc::ENOSYS };
            let mut space = Space::new();
            // SAFETY: the caller's promise.
            let variables = unsafe { environment(given, &mut space) };
            let mut stage = Stage::new();
            // SAFETY: the caller's promise.
            let (path, arguments) = unsafe { staged(path, arguments, Start::$start, &mut stage) };
            // SAFETY: the caller's promise.
            unsafe { real(pid, path, actions, attributes, arguments, variables) }
        }
    )* };
}

spawns! {
    posix_spawn POSIX_SPAWN Spawn;
    posix_spawnp POSIX_SPAWNP SpawnFound;
}

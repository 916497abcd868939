//! What this process was given and Rust's runtime has changed before `main`: remembered, and put back for the program that
//! is executed in our place.
#![allow(unsafe_code)]

use lapwing_writer_shim::environment::Streams;
use libc::c_int;
use std::env;
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Signals that the runtime or we handle, or take to be at their default; an exec leaves ignored what is ignored.
const SIGNALS: [c_int; 3] = [libc::SIGPIPE, libc::SIGBUS, libc::SIGSEGV];
static IGNORED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];
/// Descriptors 0 to 2 that were closed: the runtime opens /dev/null there.
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];

#[used]
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn() = remember;

extern "C" fn remember() {
    for (signal, is_ignored) in SIGNALS.into_iter().zip(&IGNORED) {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: only asks, with room for the answer.
        unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
        // SAFETY: zeros are a valid action, should the call have failed.
        let action = unsafe { action.assume_init() };
        is_ignored.store(action.sa_sigaction == libc::SIG_IGN, Relaxed);
    }
    for (fd, is_closed) in CLOSED.iter().enumerate().map(|(fd, is_closed)| (fd as c_int, is_closed)) {
        // SAFETY: only asks; any number may be asked about.
        is_closed.store(unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0, Relaxed);
    }
}

/// What standard output and standard error are open on; a closed one on nothing.
pub fn streams() -> Streams {
    let streams = Streams::of_process();
    let unless_closed = |fd: c_int, id| if CLOSED[fd as usize].load(Relaxed) { None } else { id };
    Streams {
        out: unless_closed(libc::STDOUT_FILENO, streams.out),
        err: unless_closed(libc::STDERR_FILENO, streams.err),
    }
}

/// Was standard output closed? What is written there now goes to the runtime's /dev/null, as if somebody had taken it.
pub fn is_stdout_closed() -> bool {
    CLOSED[libc::STDOUT_FILENO as usize].load(Relaxed)
}

/// Executes `command` with these variables set, or removed where there is no value; everything else is as we found it. Only
/// for a process with one thread. Comes back only if that failed.
pub fn exec(command: &mut Command, variables: impl IntoIterator<Item = (&'static str, Option<OsString>)>) -> io::Error {
    // Not through `Command::env`, which sorts the environment and drops what is no `name=value`.
    for (name, value) in variables {
        match value {
            // SAFETY: there is no other thread.
            Some(value) => unsafe { env::set_var(name, value) },
            // SAFETY: as above.
            None => unsafe { env::remove_var(name) },
        }
    }
    // SAFETY: `restore` is called in this process, behind what the runtime resets itself, and only makes system calls.
    unsafe { command.pre_exec(restore) };
    command.exec()
}

fn restore() -> io::Result<()> {
    for (signal, is_ignored) in SIGNALS.into_iter().zip(&IGNORED) {
        if is_ignored.load(Relaxed) {
            // SAFETY: a valid signal, and no handler.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
    }
    for (fd, is_closed) in CLOSED.iter().enumerate() {
        if is_closed.load(Relaxed) {
            // SAFETY: the runtime's own /dev/null, which nobody reads or writes any more but for messages that go nowhere.
            unsafe { libc::close(fd as c_int) };
        }
    }
    Ok(())
}

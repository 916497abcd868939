//! The constructor, which decides whether anything is captured in this process, and the destructor.
#![allow(unsafe_code)]

use crate::capture::{Capture, end, introduce};
use crate::inherit::Legacy;
use crate::state::State;
use crate::{by_hand, coarse, confine, early, real, room, sockets, static_exec, stdio, variables};
use lapwing_ring::Log;
use lapwing_writer_shim::calm::apart;
use lapwing_writer_shim::environment::{Buffer, Environment, PUMP};
use lapwing_writer_shim::identity::Sort;
use lapwing_writer_shim::lines::limit_for;
use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;
use std::sync::atomic::AtomicBool;

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = construct;

#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = destruct;

unsafe extern "C" {
    static mut stdout: *mut libc::FILE;
}

#[cfg_attr(test, allow(dead_code))]
extern "C" fn construct() {
    early::allocate_here(|| {
        apart(|| {
            real::find_all();
            confine::find();
            start();
        });
    });
}

#[cfg_attr(test, allow(dead_code))]
extern "C" fn destruct() {
    end();
}

extern "C" fn after_fork() {
    introduce();
}

/// Everything that may allocate or take a lock happens here, before the program has a second thread. Nothing to do, or
/// anything missing: the hooks pass everything on.
fn start() -> Option<()> {
    if is_lapwing() || is_privileged() {
        return None;
    }
    // A panic of ours is nobody's business; without this it would be printed.
    std::panic::set_hook(Box::new(|_| {}));
    let environment = Environment::read(variables::value).or_else(by_hand::decide)?;
    if !room::is_enough_for(&environment.ring) {
        return None;
    }
    let state = State::map()?;
    // The mapping outlives the descriptor, so that a program may close everything it does not know.
    let log = Log::open(&environment.ring).ok()?;
    if log.is_full_of_lines() {
        // Nobody has come to see what the dead have left, and it takes the room of the living.
        let _ = log.append_last_words();
    }
    let limit = limit_for(log.max_body());
    coarse::find();
    if environment.buffer == Buffer::Line {
        flush_at_every_line(state, &environment);
    }
    let legacy = library().and_then(Legacy::new);
    let (streams, quiet, is_ending) = (environment.streams, environment.quiet, AtomicBool::new(false));
    let pump = variables::value(PUMP).filter(|path| path.as_bytes().starts_with(b"/"));
    let pump = pump.and_then(|path| CString::new(path.into_vec()).ok());
    if pump.is_some() {
        static_exec::share();
    }
    Capture { log, state, streams, quiet, legacy, pump, limit, is_ending }.publish();
    introduce();
    sockets::begin();
    // SAFETY: the handler is a function of this library, which is never unloaded. Without it only a vfork child's pid would
    // be at stake, so a failure is no reason to stop.
    unsafe { libc::pthread_atfork(None, None, Some(after_fork)) };
    stdio::hook();
    Some(())
}

/// The path that this library was loaded from.
pub(crate) fn library() -> Option<&'static CStr> {
    // SAFETY: zeros are a valid answer, of nothing.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked about, and there is room for the answer.
    let is_found = unsafe { libc::dladdr(construct as extern "C" fn() as *const libc::c_void, &mut found) } != 0;
    // SAFETY: the loader's own text, which stays as long as the library.
    (is_found && !found.dli_fname.is_null()).then(|| unsafe { CStr::from_ptr(found.dli_fname) })
}

/// Is this our own command? What it prints comes out of the ring, and must not go back in.
fn is_lapwing() -> bool {
    // SAFETY: only looks up a table.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    if name.is_null() {
        return false;
    }
    // SAFETY: the kernel put the name of the program there, NUL-terminated, for as long as it runs.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    name.rsplit(|&byte| byte == b'/').next() == Some(b"lapwing")
}

/// Does the program run with rights that whoever set its environment does not have?
fn is_privileged() -> bool {
    // SAFETY: only looks up a table.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// What a program has printed is then out when it dies. Terminals have it so anyway.
fn flush_at_every_line(state: &State, environment: &Environment) {
    let Some((_, sort)) = state.files.find(libc::STDOUT_FILENO, &environment.streams) else { return };
    // SAFETY: no preconditions.
    if sort == Sort::Device && unsafe { libc::isatty(libc::STDOUT_FILENO) } == 1 {
        return;
    }
    // SAFETY: a variable of the C library, set before any constructor runs.
    let file = unsafe { stdout };
    // SAFETY: an open stream; no buffer is passed, so stdio makes its own.
    unsafe { libc::setvbuf(file, ptr::null_mut(), libc::_IOLBF, 0) };
}

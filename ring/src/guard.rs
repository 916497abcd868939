//! What happens to those who have mapped a file that somebody cuts short: touching what is gone raises SIGBUS. With the guard
//! a mapping of ours becomes empty memory then, and its readers and writers get an error.
#![allow(unsafe_code)]

use crate::private::{Alarm, Trouble};
use crate::sync::{Atomic, at, fence_at};
use atomic::Ordering::{Acquire, Relaxed, Release};
use std::io;
use std::sync::OnceLock;

/// One mapping that the guard knows; `base` is 0 while the place is free.
struct Guarded {
    base: Atomic<u64>,
    len: Atomic<u64>,
    alarm: Atomic<u64>,
}

/// Mappings that can be guarded at once; further ones are not.
const PLACES: usize = 256;

static GUARDED: [Guarded; PLACES] =
    [const { Guarded { base: Atomic::new(0), len: Atomic::new(0), alarm: Atomic::new(0) } }; PLACES];

/// A place that is taken and not filled in yet; no mapping begins there.
const TAKEN: u64 = 1;

/// What SIGBUS did before each time that the guard was installed; the last one counts.
static BEFORE: [OnceLock<libc::sigaction>; 8] = [const { OnceLock::new() }; 8];

/// From now on a ring whose file is cut short under a mapping of this process is an error, not the end of the process.
///
/// Installs a handler for SIGBUS, for the whole process; one that was there before still gets every signal that has nothing
/// to do with a ring. Rings that are already open are guarded too. Reading then fails with
/// [`ReadError::Truncated`](crate::ReadError::Truncated). Appends fail with [`AppendError::Damaged`](crate::AppendError); those
/// in progress at that moment seem to succeed and are lost with the file, which [`Log::is_truncated`](crate::Log::is_truncated)
/// tells. A thread that blocks SIGBUS is not helped. Not for libraries in other people's programs: signal handlers are the
/// program's own.
///
/// # Errors
/// The kernel refuses the handler, or others have replaced it eight times.
pub fn guard_mappings() -> io::Result<()> {
    let mut action: libc::sigaction = empty_action();
    action.sa_sigaction = on_bus_error as extern "C" fn(_, _, _) as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_ONSTACK;
    let mut before = empty_action();
    // SAFETY: asks for the action and changes nothing.
    if unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut before) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if before.sa_sigaction == action.sa_sigaction {
        return Ok(());
    }
    // The handler may run as soon as it is there.
    if BEFORE.iter().all(|place| place.set(before).is_err()) {
        return Err(io::Error::other("too many handlers for SIGBUS"));
    }
    // SAFETY: the handler makes async-signal-safe calls alone.
    match unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn empty_action() -> libc::sigaction {
    // SAFETY: all zeros is an action: the default one, no flags, an empty mask.
    unsafe { std::mem::zeroed() }
}

/// Makes a mapping known; the place it got. `None`: there are too many.
pub(crate) fn enter(base: usize, len: usize, alarm: &Alarm) -> Option<usize> {
    let place = GUARDED.iter().position(|place| place.base.compare_exchange(0, TAKEN, Relaxed, Relaxed).is_ok())?;
    GUARDED[place].len.store(len as u64, Relaxed);
    GUARDED[place].alarm.store(std::ptr::from_ref(alarm) as u64, Relaxed);
    GUARDED[place].base.store(base as u64, at("guard:enter", Release));
    Some(place)
}

/// Forgets a mapping, before it goes.
pub(crate) fn leave(place: usize) {
    GUARDED[place].base.store(0, Relaxed);
}

extern "C" fn on_bus_error(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: SA_SIGINFO: the kernel hands in the signal's own description.
    let about = unsafe { &*info };
    if about.si_code <= 0 {
        // Sent by a process: no memory is in question.
        return pass_on(signal, info, context);
    }
    // SAFETY: a SIGBUS of the kernel has an address.
    let address = unsafe { about.si_addr() } as u64;
    let hit = GUARDED.iter().find_map(|place| {
        let base = place.base.load(at("guard:find", Acquire));
        let (len, alarm) = (place.len.load(Relaxed), place.alarm.load(Relaxed));
        fence_at("guard:find", Acquire);
        // A place that changes hands is not that of the mapping that was touched.
        let whole = base > TAKEN && place.base.load(Relaxed) == base;
        (whole && (base..base + len).contains(&address)).then_some((base, len, alarm))
    });
    if let Some((base, len, alarm)) = hit {
        // Empty memory in place of all of the mapping: what is left of the file is no ring any more.
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
        // SAFETY: replaces a mapping of ours, which nobody reads but through atomics, by one of the same length.
        let at = unsafe { libc::mmap(base as *mut libc::c_void, len as usize, protection, flags, -1, 0) };
        if at != libc::MAP_FAILED {
            // SAFETY: the mapping was touched, so its owner is there, and the alarm with it.
            unsafe { &*(alarm as *const Alarm) }.raise(Trouble::Truncated);
            return;
        }
    }
    pass_on(signal, info, context);
}

/// Lets the handler that was there before have the signal, or dies of it.
fn pass_on(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    let before = BEFORE.iter().rev().find_map(OnceLock::get).copied().unwrap_or_else(empty_action);
    // SAFETY: the kernel's own description of the signal.
    let sent = unsafe { &*info }.si_code <= 0;
    match before.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: restores the default action.
            unsafe { libc::sigaction(signal, &empty_action(), std::ptr::null_mut()) };
            // A fault comes again by itself, and nobody stands in the way then.
            if sent {
                // SAFETY: a signal to ourselves.
                unsafe { libc::raise(signal) };
            }
        }
        handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: SA_SIGINFO says that the address is a function of these three arguments.
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without SA_SIGINFO the address is a function of the signal's number.
            let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

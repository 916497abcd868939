//! Ends the harness when one trial takes too long, and says which: nothing here may wait for ever.
#![allow(unsafe_code)]

use std::sync::Mutex;

/// Seconds that one trial may take; the longest needs a few.
const LIMIT: u32 = 120;

static LINE: Mutex<String> = Mutex::new(String::new());

extern "C" fn bark(_: libc::c_int) {
    // The main thread is the only one, and may hold the lock.
    if let Ok(line) = LINE.try_lock() {
        // SAFETY: a readable buffer of that length.
        unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
    }
    // SAFETY: ends the process; the kernel ends its tracees.
    unsafe { libc::_exit(1) };
}

/// From now on `what` has [`LIMIT`] seconds.
pub fn watch(what: &str) {
    if let Ok(mut line) = LINE.lock() {
        *line = format!("\nVIOLATION: no end after {LIMIT} seconds: {what}\n");
    }
    let handler = bark as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes async-signal-safe calls alone, and reads a string that nobody changes meanwhile.
    unsafe { libc::signal(libc::SIGALRM, handler as libc::sighandler_t) };
    // SAFETY: sets a timer.
    unsafe { libc::alarm(LIMIT) };
}

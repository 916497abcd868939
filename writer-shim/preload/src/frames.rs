//! What a program calls instead of its C library to say where it is, which handlers of crashes do: the C library writes that
//! by a name of its own, so here it writes each line into a pipe, and the program is said to have written what comes out.
//! The rules are those of `hooks`.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::watching;
use crate::confine;
use crate::hooks::write;
use crate::real;
use lapwing_writer_shim::calm::apart;
use libc::{c_int, c_void};

/// Bytes of a line that are written at once. There may be a small stack beneath us.
const LINE: usize = 1024;

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn backtrace_symbols_fd(frames: *const *mut c_void, count: c_int, fd: c_int) {
    let Some(real) = real::BACKTRACE_SYMBOLS_FD.find() else { return };
    let is_stream = watching(fd).is_some_and(|capture| !confine::is_on() && capture.found(fd).is_some());
    // No thread is cancelled in there, so nothing is left open.
    let line = |i, pipe| {
        // SAFETY: one of as many as there are, says the caller.
        let frame = unsafe { frames.add(i as usize) };
        // SAFETY: as above.
        unsafe { real(frame, 1, pipe) }
    };
    if is_stream && apart(|| through_a_pipe(fd, count, line)) == Some(true) {
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { real(frames, count, fd) }
}

/// Has `line` write each line into a pipe, and writes what comes out to `fd`. False where there is no pipe to be had.
fn through_a_pipe(fd: c_int, count: c_int, line: impl Fn(c_int, c_int)) -> bool {
    let mut ends = [-1; 2];
    // Where a line is longer than a pipe, its end is lost: waiting would be for ever.
    // SAFETY: room for two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } != 0 {
        return false;
    }
    let [reader, writer] = ends;
    for i in 0..count {
        line(i, writer);
        loop {
            let mut text = [0u8; LINE];
            // SAFETY: room for as many bytes.
            let read = unsafe { libc::read(reader, text.as_mut_ptr().cast(), text.len()) };
            if read <= 0 {
                break;
            }
            // SAFETY: so many have just been read.
            unsafe { write(fd, text.as_ptr().cast(), read as usize) };
        }
    }
    real::close(reader);
    real::close(writer);
    true
}

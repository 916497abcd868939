//! What the compiler's stack protector calls when it finds a stack damaged. The C library then says so by a system call of its
//! own, which no hook sees, and ends the process.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::Capture;
use crate::real;
use lapwing_ring::{Draft, Flags, Level, Source};
use lapwing_writer_shim::calm::apart;

/// As glibc says it.
const TEXT: &[u8] = b"*** stack smashing detected ***: terminated";

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn __stack_chk_fail() -> ! {
    if let Some(capture) = Capture::get() {
        apart(|| {
            capture.state.claim();
            let draft = Draft { level: Level::ERR, source: Source::Stderr, flags: Flags::LAST_WORDS, fields: &[] };
            let _ = capture.log.append_slices(&draft, &[TEXT]);
        });
    }
    if let Some(real) = real::STACK_CHK_FAIL.find() {
        // SAFETY: no preconditions.
        unsafe { real() }
    }
    // SAFETY: no preconditions.
    unsafe { libc::abort() }
}

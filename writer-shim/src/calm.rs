//! Our own part of a call that a foreign program makes, kept apart from the program's: no panic leaves it, errno is as
//! before, and the thread cannot be cancelled inside it. For hooks and for the C library.
#![allow(unsafe_code)]

use libc::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, old: *mut c_int) -> c_int;
}

/// Runs `ours`; `None` if it panicked. Safe in signal handlers, as far as `ours` is.
///
/// Cancelling unwinds the stack, and the ring's cold paths open files, which are places to be cancelled at. The real calls
/// of a hook stay outside: there a thread may be cancelled as ever.
#[inline]
pub fn apart<R>(ours: impl FnOnce() -> R) -> Option<R> {
    let errno = errno();
    let mut cancel = 0;
    // SAFETY: room for the old state; changes a flag of this thread.
    unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &mut cancel) };
    let result = catch_unwind(AssertUnwindSafe(ours)).ok();
    // SAFETY: as above; the state is the one that was there.
    unsafe { pthread_setcancelstate(cancel, &mut cancel) };
    set_errno(errno);
    result
}

/// As [`apart`], for what leaves errno alone and has no place to be cancelled at: an append. Costs next to nothing.
#[inline(always)]
pub fn kept_in<R>(ours: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(ours)).ok()
}

/// The calling thread's errno.
pub fn errno() -> c_int {
    // SAFETY: no preconditions.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the thread's own errno, there as long as the thread.
    unsafe { *place }
}

/// Sets the calling thread's errno.
pub fn set_errno(errno: c_int) {
    // SAFETY: no preconditions.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the thread's own errno, there as long as the thread.
    unsafe { *place = errno };
}

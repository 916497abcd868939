//! Milliseconds, as cheap as they come: the time of the kernel's last tick, by the function that the kernel puts into every
//! process. Asked there, and not the C library: a preloaded clock that stands still must not make an old answer a fresh one.
#![allow(unsafe_code)]

use libc::{c_int, timespec};
use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

type ClockGettime = unsafe extern "C" fn(c_int, *mut timespec) -> c_int;

static CLOCK_GETTIME: AtomicPtr<libc::c_void> = AtomicPtr::new(ptr::null_mut());

const NAME: &CStr = if cfg!(target_arch = "x86_64") { c"__vdso_clock_gettime" } else { c"__kernel_clock_gettime" };

/// Looks for the kernel's function. Where it is not found, the C library is asked.
pub(crate) fn find() {
    // SAFETY: a NUL-terminated name; nothing is loaded, so no code runs.
    let vdso = unsafe { libc::dlopen(c"linux-vdso.so.1".as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if !vdso.is_null() {
        // SAFETY: a handle just got, which is never given back, and a NUL-terminated name.
        CLOCK_GETTIME.store(unsafe { libc::dlsym(vdso, NAME.as_ptr()) }, Relaxed);
    }
}

/// Milliseconds of the monotonic clock; up to ten of them late.
#[inline]
pub(crate) fn milliseconds() -> u64 {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    let function = CLOCK_GETTIME.load(Relaxed);
    if function.is_null() {
        // SAFETY: room for the answer.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    } else {
        // SAFETY: the kernel's function of this name, which has this type.
        let clock_gettime = unsafe { std::mem::transmute::<*mut libc::c_void, ClockGettime>(function) };
        // SAFETY: room for the answer.
        unsafe { clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    }
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

//! A program that confines itself by seccomp is killed at the first system call that is not on its list, and ours are on
//! nobody's. So what we need is made ready just before, and from then on we make none: what descriptors are open on is no
//! longer asked, children are not captured, and what is unfinished at the end is left as last words.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::Capture;
use crate::hooks::missing;
use crate::real;
use lapwing_writer_shim::calm::apart;
use libc::{c_int, c_long, c_ulong, c_void};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicPtr};

/// Threads of a confined program that can print at the same moment; claiming another slot would take system calls.
const SLOTS: usize = 4;

static CONFINED: AtomicBool = AtomicBool::new(false);

/// May we make no system call of our own any more? A child inherits that.
#[inline]
pub(crate) fn is_on() -> bool {
    CONFINED.load(Relaxed)
}

#[cold]
fn begin() {
    if is_on() {
        return;
    }
    if let Some(capture) = Capture::get() {
        apart(|| {
            capture.state.claim();
            capture.state.files.find_all(&capture.streams);
            capture.log.confine(SLOTS);
        });
    }
    CONFINED.store(true, Relaxed);
}

// As for all hooks, nothing is left to clean up behind the real calls.

/// The arguments that there are not hold whatever the registers do, as for the real one.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn prctl(what: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int {
    if what == libc::PR_SET_SECCOMP {
        will_confine(a == libc::SECCOMP_MODE_STRICT as c_ulong, b);
    }
    let Some(real) = real::PRCTL.find() else { return missing() };
    // SAFETY: the caller's promise.
    unsafe { real(what, a, b, c, d) }
}

fn will_confine(is_strict: bool, filter: c_ulong) {
    if is_strict {
        // That takes the processor's clock away too, so there is no append any more.
        Capture::turn_off();
    // Without a filter it only asks whether it could.
    } else if filter != 0 {
        begin();
    }
}

/// What `syscall` goes on to; looked up by [`before`].
static REAL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

pub(crate) fn find() {
    // SAFETY: a NUL-terminated name.
    REAL.store(unsafe { libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr()) }, Relaxed);
}

/// Before `syscall` goes on, where it has to do with us.
unsafe extern "C" fn before(number: c_long, operation: c_ulong, _flags: c_ulong, filter: c_ulong) {
    if REAL.load(Relaxed).is_null() {
        find();
    }
    let is_filter = operation == libc::SECCOMP_SET_MODE_FILTER as c_ulong;
    let is_strict = operation == libc::SECCOMP_SET_MODE_STRICT as c_ulong;
    if number == libc::SYS_seccomp && (is_filter || is_strict) {
        will_confine(is_strict, filter);
    }
}

/// syscall(2), which goes on to the real one with every register as it was, for a child may come back from it as well.
#[cfg(target_arch = "x86_64")]
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn syscall(number: c_long) -> c_long {
    std::arch::naked_asm!(
        ".cfi_startproc",
        "cmp rdi, {seccomp}",
        "je 2f",
        "mov rax, [rip + {real}]",
        "test rax, rax",
        "je 2f",
        "jmp rax",
        "2:",
        "push rdi",
        "push rsi",
        "push rdx",
        "push rcx",
        "push r8",
        "push r9",
        "sub rsp, 8",
        ".cfi_adjust_cfa_offset 56",
        "call {before}",
        "add rsp, 8",
        "pop r9",
        "pop r8",
        "pop rcx",
        "pop rdx",
        "pop rsi",
        "pop rdi",
        ".cfi_adjust_cfa_offset -56",
        "mov rax, [rip + {real}]",
        "test rax, rax",
        "je 3f",
        "jmp rax",
        "3:",
        "mov rax, -1",
        "ret",
        ".cfi_endproc",
        seccomp = const libc::SYS_seccomp,
        real = sym REAL,
        before = sym before,
    )
}

/// As above.
#[cfg(target_arch = "aarch64")]
#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn syscall(number: c_long) -> c_long {
    std::arch::naked_asm!(
        ".cfi_startproc",
        "cmp x0, #{seccomp}",
        "b.eq 2f",
        "adrp x16, {real}",
        "ldr x16, [x16, :lo12:{real}]",
        "cbz x16, 2f",
        "br x16",
        "2:",
        "stp x29, x30, [sp, #-80]!",
        ".cfi_def_cfa_offset 80",
        ".cfi_offset 29, -80",
        ".cfi_offset 30, -72",
        "stp x0, x1, [sp, #16]",
        "stp x2, x3, [sp, #32]",
        "stp x4, x5, [sp, #48]",
        "str x6, [sp, #64]",
        "bl {before}",
        "ldp x0, x1, [sp, #16]",
        "ldp x2, x3, [sp, #32]",
        "ldp x4, x5, [sp, #48]",
        "ldr x6, [sp, #64]",
        "ldp x29, x30, [sp], #80",
        ".cfi_restore 29",
        ".cfi_restore 30",
        ".cfi_def_cfa_offset 0",
        "adrp x16, {real}",
        "ldr x16, [x16, :lo12:{real}]",
        "cbz x16, 3f",
        "br x16",
        "3:",
        "mov x0, #-1",
        "ret",
        ".cfi_endproc",
        seccomp = const libc::SYS_seccomp,
        real = sym REAL,
        before = sym before,
    )
}

//! syslog(3), dprintf(3) and execl(3) with their arguments as they come: Rust cannot say that, so what a C compiler would
//! make of it stands here. On other machines these functions are not hooked.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::calls;
use crate::copied;
use crate::listed;
use crate::print_hooks::{__vdprintf_chk, vdprintf};
use crate::real;
use crate::va_list::VaList;
use libc::{c_char, c_int};
use std::arch::naked_asm;

// As for all hooks, nothing is left to clean up behind the real calls.

unsafe extern "C-unwind" fn log(priority: c_int, format: *const c_char, arguments: *mut VaList) {
    // SAFETY: the caller's promise.
    unsafe { calls::called(priority, None, format, arguments) };
    if let Some(real) = real::VSYSLOG.find() {
        // SAFETY: the caller's promise.
        unsafe { real(priority, format, arguments) };
    }
    copied::over();
}

unsafe extern "C-unwind" fn log_checked(priority: c_int, check: c_int, format: *const c_char, arguments: *mut VaList) {
    // SAFETY: the caller's promise.
    unsafe { calls::called(priority, Some(check), format, arguments) };
    if let Some(real) = real::VSYSLOG_CHK.find() {
        // SAFETY: the caller's promise.
        unsafe { real(priority, check, format, arguments) };
    }
    copied::over();
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn vsyslog(priority: c_int, format: *const c_char, arguments: *mut VaList) {
    // SAFETY: the caller's promise.
    unsafe { log(priority, format, arguments) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn __vsyslog_chk(
    priority: c_int,
    check: c_int,
    format: *const c_char,
    arguments: *mut VaList,
) {
    // SAFETY: the caller's promise.
    unsafe { log_checked(priority, check, format, arguments) }
}

/// Saves the registers that may hold arguments, makes the va_list of them, and calls on. `$named` bytes of the area for
/// integers are those of the named parameters.
#[cfg(target_arch = "x86_64")]
macro_rules! collect {
    ($named:literal, $arguments:literal, $function:path) => {
        naked_asm!(
            ".cfi_startproc",
            "sub rsp, 216",
            ".cfi_def_cfa_offset 224",
            "mov [rsp + 48], rdx",
            "mov [rsp + 56], rcx",
            "mov [rsp + 64], r8",
            "mov [rsp + 72], r9",
            "test al, al",
            "je 2f",
            "movaps [rsp + 80], xmm0",
            "movaps [rsp + 96], xmm1",
            "movaps [rsp + 112], xmm2",
            "movaps [rsp + 128], xmm3",
            "movaps [rsp + 144], xmm4",
            "movaps [rsp + 160], xmm5",
            "movaps [rsp + 176], xmm6",
            "movaps [rsp + 192], xmm7",
            "2:",
            concat!("mov dword ptr [rsp], ", $named),
            "mov dword ptr [rsp + 4], 48",
            "lea rax, [rsp + 224]",
            "mov [rsp + 8], rax",
            "lea rax, [rsp + 32]",
            "mov [rsp + 16], rax",
            concat!("mov ", $arguments, ", rsp"),
            "call {function}",
            "add rsp, 216",
            ".cfi_def_cfa_offset 8",
            "ret",
            ".cfi_endproc",
            function = sym $function,
        )
    };
}

#[cfg(target_arch = "aarch64")]
macro_rules! collect {
    ($named:literal, $arguments:literal, $function:path) => {
        naked_asm!(
            ".cfi_startproc",
            "stp x29, x30, [sp, #-240]!",
            ".cfi_def_cfa_offset 240",
            ".cfi_offset 29, -240",
            ".cfi_offset 30, -232",
            "mov x29, sp",
            "stp x2, x3, [sp, #64]",
            "stp x4, x5, [sp, #80]",
            "stp x6, x7, [sp, #96]",
            "stp q0, q1, [sp, #112]",
            "stp q2, q3, [sp, #144]",
            "stp q4, q5, [sp, #176]",
            "stp q6, q7, [sp, #208]",
            "add x9, sp, #240",
            "str x9, [sp, #16]",
            "add x10, sp, #112",
            "stp x10, x9, [sp, #24]",
            concat!("mov w10, #", $named, " - 64"),
            "mov w11, #-128",
            "stp w10, w11, [sp, #40]",
            concat!("add ", $arguments, ", sp, #16"),
            "bl {function}",
            "ldp x29, x30, [sp], #240",
            ".cfi_restore 29",
            ".cfi_restore 30",
            ".cfi_def_cfa_offset 0",
            "ret",
            ".cfi_endproc",
            function = sym $function,
        )
    };
}

// `...` is passed in the same registers as parameters that are named, so the types below say nothing about them.

#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn syslog(priority: c_int, format: *const c_char) {
    #[cfg(target_arch = "x86_64")]
    collect!("16", "rdx", log);
    #[cfg(target_arch = "aarch64")]
    collect!("16", "x2", log);
}

#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn __syslog_chk(priority: c_int, check: c_int, format: *const c_char) {
    #[cfg(target_arch = "x86_64")]
    collect!("24", "rcx", log_checked);
    #[cfg(target_arch = "aarch64")]
    collect!("24", "x3", log_checked);
}

#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn dprintf(fd: c_int, format: *const c_char) -> c_int {
    #[cfg(target_arch = "x86_64")]
    collect!("16", "rdx", vdprintf);
    #[cfg(target_arch = "aarch64")]
    collect!("16", "x2", vdprintf);
}

#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn __dprintf_chk(fd: c_int, check: c_int, format: *const c_char) -> c_int {
    #[cfg(target_arch = "x86_64")]
    collect!("24", "rcx", __vdprintf_chk);
    #[cfg(target_arch = "aarch64")]
    collect!("24", "x3", __vdprintf_chk);
}

#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execl(path: *const c_char, first: *const c_char) -> c_int {
    #[cfg(target_arch = "x86_64")]
    collect!("16", "rdx", listed::execl);
    #[cfg(target_arch = "aarch64")]
    collect!("16", "x2", listed::execl);
}

#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execlp(name: *const c_char, first: *const c_char) -> c_int {
    #[cfg(target_arch = "x86_64")]
    collect!("16", "rdx", listed::execlp);
    #[cfg(target_arch = "aarch64")]
    collect!("16", "x2", listed::execlp);
}

#[unsafe(naked)]
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn execle(path: *const c_char, first: *const c_char) -> c_int {
    #[cfg(target_arch = "x86_64")]
    collect!("16", "rdx", listed::execle);
    #[cfg(target_arch = "aarch64")]
    collect!("16", "x2", listed::execle);
}

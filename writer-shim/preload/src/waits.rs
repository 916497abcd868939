//! Waiting for children: where a program was started with the pump behind it, its parent goes on when what it wrote is
//! through, so that the order of what both print stays. The rules are those of `hooks`.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::capture::Capture;
use crate::confine;
use crate::hooks::missing;
use crate::real;
use crate::static_exec;
use lapwing_writer_shim::calm::apart;
use lapwing_writer_shim::pump::through;
use libc::{c_int, id_t, idtype_t, pid_t, rusage, siginfo_t};
use std::ptr;
use std::time::Duration;

/// A pump that takes longer than this is stopped, or nobody reads what it passes on.
const LONGEST: Duration = Duration::from_secs(2);

fn wait_for_pump(pid: pid_t) {
    if static_exec::any_staged()
        && !confine::is_on()
        && let Some(capture) = Capture::get()
        && let Ok(pid @ 1..) = u32::try_from(pid)
    {
        apart(|| through::wait_for(capture.log.path(), pid, LONGEST));
    }
}

/// Hands a status on, and waits for the pump if it is that of an end.
///
/// # Safety
/// `to` is null, or room for a status.
unsafe fn hear(pid: pid_t, status: c_int, to: *mut c_int) -> pid_t {
    if pid > 0 {
        if !to.is_null() {
            // SAFETY: the caller's promise.
            unsafe { *to = status };
        }
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            wait_for_pump(pid);
        }
    }
    pid
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn wait(status: *mut c_int) -> pid_t {
    let Some(real) = real::WAIT.find() else { return missing() };
    let mut said = 0;
    // SAFETY: room for a status.
    let pid = unsafe { real(&mut said) };
    // SAFETY: the caller's promise.
    unsafe { hear(pid, said, status) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t {
    let Some(real) = real::WAITPID.find() else { return missing() };
    let mut said = 0;
    // SAFETY: room for a status.
    let pid = unsafe { real(pid, &mut said, options) };
    // SAFETY: the caller's promise.
    unsafe { hear(pid, said, status) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn wait3(status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    let Some(real) = real::WAIT3.find() else { return missing() };
    let mut said = 0;
    // SAFETY: room for a status; the rest is the caller's promise.
    let pid = unsafe { real(&mut said, options, usage) };
    // SAFETY: the caller's promise.
    unsafe { hear(pid, said, status) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn wait4(pid: pid_t, status: *mut c_int, options: c_int, usage: *mut rusage) -> pid_t {
    let Some(real) = real::WAIT4.find() else { return missing() };
    let mut said = 0;
    // SAFETY: room for a status; the rest is the caller's promise.
    let pid = unsafe { real(pid, &mut said, options, usage) };
    // SAFETY: the caller's promise.
    unsafe { hear(pid, said, status) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn waitid(kind: idtype_t, id: id_t, info: *mut siginfo_t, options: c_int) -> c_int {
    let Some(real) = real::WAITID.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(kind, id, info, options) };
    if result == 0 && !info.is_null() {
        // SAFETY: the call has filled it in.
        let said = unsafe { ptr::read(info) };
        if matches!(said.si_code, libc::CLD_EXITED | libc::CLD_KILLED | libc::CLD_DUMPED) {
            // SAFETY: it is about a child, for that is what was waited for.
            wait_for_pump(unsafe { said.si_pid() });
        }
    }
    result
}

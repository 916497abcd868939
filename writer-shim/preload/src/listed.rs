//! execl(3) and its like, which list the arguments of the program one by one: they are put into an array, and the rest is
//! for the hooks of those that take one.
#![allow(unsafe_code)]

use crate::inherit::Strings;
use crate::programs::{execv, execve, execvp};
use crate::va_list::VaList;
use lapwing_writer_shim::calm::set_errno;
use libc::{c_char, c_int, c_void};
use std::ptr;

/// As many arguments lie on the stack. For more, memory is mapped: there may be a small stack beneath us, and these may be
/// called in a signal handler and in a fork's child.
const FEW: usize = 64;

/// # Safety
/// As execl(3), `rest` being what comes behind the first argument.
pub(crate) unsafe extern "C-unwind" fn execl(path: *const c_char, first: *const c_char, rest: *const VaList) -> c_int {
    // SAFETY: the caller's promise.
    let exec = |arguments, _| unsafe { execv(path, arguments) };
    // SAFETY: the caller's promise.
    unsafe { with_array(first, rest, exec) }
}

/// # Safety
/// As execlp(3), `rest` being what comes behind the first argument.
pub(crate) unsafe extern "C-unwind" fn execlp(name: *const c_char, first: *const c_char, rest: *const VaList) -> c_int {
    // SAFETY: the caller's promise.
    let exec = |arguments, _| unsafe { execvp(name, arguments) };
    // SAFETY: the caller's promise.
    unsafe { with_array(first, rest, exec) }
}

/// # Safety
/// As execle(3), `rest` being what comes behind the first argument.
pub(crate) unsafe extern "C-unwind" fn execle(path: *const c_char, first: *const c_char, rest: *const VaList) -> c_int {
    let exec = |arguments, mut behind: VaList| {
        // SAFETY: the environment comes behind the null.
        let environment: Strings = unsafe { behind.next::<*const c_char>() };
        // SAFETY: the caller's promise.
        unsafe { execve(path, arguments, environment) }
    };
    // SAFETY: the caller's promise.
    unsafe { with_array(first, rest, exec) }
}

/// Has `exec` called with the arguments as an array, and with what is behind their null.
///
/// # Safety
/// A null ends the list.
unsafe fn with_array(first: *const c_char, rest: *const VaList, exec: impl FnOnce(Strings, VaList) -> c_int) -> c_int {
    // SAFETY: the caller's promise.
    let rest = unsafe { *rest };
    let mut behind = rest;
    let mut count = 1;
    if !first.is_null() {
        // SAFETY: the null has not come yet.
        while !unsafe { behind.next::<c_char>() }.is_null() {
            count += 1;
        }
    }
    let mut few = [ptr::null(); FEW + 1];
    if count <= FEW {
        // SAFETY: the caller's promise; there is room for them and a null.
        unsafe { fill(few.as_mut_ptr(), count, first, rest) };
        return exec(few.as_ptr(), behind);
    }
    let bytes = (count + 1) * size_of::<*const c_char>();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh anonymous mapping, no address asked for.
    let many = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if many == libc::MAP_FAILED {
        set_errno(libc::ENOMEM);
        return -1;
    }
    // SAFETY: the caller's promise; there is room for them and a null.
    unsafe { fill(many.cast(), count, first, rest) };
    let result = exec(many.cast_const().cast(), behind);
    // SAFETY: mapped above with this length, and not used any more. Does not fail, and so leaves errno alone.
    unsafe { libc::munmap(many.cast::<c_void>(), bytes) };
    result
}

/// # Safety
/// `count` arguments in all, and room for as many and one more, which is null already.
unsafe fn fill(array: *mut *const c_char, count: usize, first: *const c_char, mut rest: VaList) {
    // SAFETY: the caller's promise.
    unsafe { *array = first };
    for i in 1..count {
        // SAFETY: the caller's promise.
        let place = unsafe { array.add(i) };
        // SAFETY: the caller's promise.
        let argument = unsafe { rest.next() };
        // SAFETY: the caller's promise.
        unsafe { *place = argument };
    }
}

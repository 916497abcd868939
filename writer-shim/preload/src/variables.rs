//! The environment that the program begins with, looked through by hand: the standard library's functions for it copy twice,
//! take a lock, and lie where a start has nothing else to do.
#![allow(unsafe_code)]

use crate::inherit::{Strings, listed};
use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::OsStringExt;

unsafe extern "C" {
    static mut environ: Strings;
}

/// Finds `NAME=value`, and gives it to `take` with the value. For the constructor: nobody changes the environment meanwhile.
fn find<R>(name: &str, take: impl Fn(&CStr, &[u8]) -> R) -> Option<R> {
    // SAFETY: a variable of the C library.
    let variables = unsafe { environ };
    // SAFETY: null or an environment, as the C library found or made it.
    unsafe { listed(variables) }.iter().find_map(|&variable| {
        // SAFETY: a text of the environment.
        let variable = unsafe { CStr::from_ptr(variable) };
        let value = variable.to_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(take(variable, value))
    })
}

/// The whole of it: `NAME=value`.
pub(crate) fn variable(name: &str) -> Option<CString> {
    find(name, |variable, _| variable.to_owned())
}

pub(crate) fn value(name: &str) -> Option<OsString> {
    find(name, |_, value| OsString::from_vec(value.to_vec()))
}

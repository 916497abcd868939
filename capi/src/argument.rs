//! What C hands in and what it gets back: texts, codes, and structs that may be of another version than ours.
#![allow(unsafe_code)]

use crate::error::lapwing_error::{self, *};
use libc::{c_char, c_int};
use std::ffi::CStr;

/// No struct of this library will ever be longer: what is, is no size.
const LONGEST: usize = 4096;

/// The code that a function returns; `None` is a panic.
#[inline(always)]
pub(crate) fn code(result: Option<Result<(), lapwing_error>>) -> c_int {
    number(result.map(|result| result.map(|()| LAPWING_OK as c_int)))
}

/// As [`code`], of a function that returns a number where it succeeds.
#[inline(always)]
pub(crate) fn number(result: Option<Result<c_int, lapwing_error>>) -> c_int {
    result.unwrap_or(Err(LAPWING_E_INTERNAL)).unwrap_or_else(|error| error as c_int)
}

/// # Safety
/// `text` is NULL, or a text that ends in a zero and does not change for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: the caller's, and not NULL here.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Stores `value`, unless nobody wants it.
///
/// # Safety
/// `to` is NULL or has room for a `T`.
#[inline(always)]
pub(crate) unsafe fn put<T>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the caller's, and not NULL here.
        unsafe { to.write(value) };
    }
}

/// Copies as many whole characters of `text` as fit with a zero behind them.
///
/// # Safety
/// `to` is NULL or has room for `size` bytes.
pub(crate) unsafe fn put_text(to: *mut c_char, size: usize, text: &str) {
    if to.is_null() || size == 0 {
        return;
    }
    let len = text.floor_char_boundary(size - 1);
    // SAFETY: `len` is less than `size`, so the caller's room suffices; a text of ours is no memory of the caller's.
    unsafe { to.copy_from_nonoverlapping(text.as_ptr().cast(), len) };
    // SAFETY: as above.
    let end = unsafe { to.add(len) };
    // SAFETY: as above.
    unsafe { end.write(0) };
}

/// Is there a struct of `size` bytes at `to`, and are they enough and not too many?
pub(crate) fn check_struct<T>(to: *const T, size: usize, least: usize) -> Result<(), lapwing_error> {
    if to.is_null() || !(least..=LONGEST).contains(&size) { Err(LAPWING_E_INVALID) } else { Ok(()) }
}

/// Copies `value` to a struct of the caller's version, which has `size` bytes: what it has no room for is left out, and
/// what only it has becomes 0.
///
/// # Safety
/// `to` has room for `size` bytes, and no byte of a `T` is padding.
#[inline(always)]
pub(crate) unsafe fn put_struct<T>(to: *mut T, size: usize, value: &T) {
    let to = to.cast::<u8>();
    let len = size.min(size_of::<T>());
    // SAFETY: both have `len` bytes, all of them written; a struct of ours is no memory of the caller's.
    unsafe { to.copy_from_nonoverlapping(std::ptr::from_ref(value).cast(), len) };
    // SAFETY: `len` is at most `size`.
    let rest = unsafe { to.add(len) };
    // SAFETY: this many bytes are left of the caller's room.
    unsafe { rest.write_bytes(0, size - len) };
}

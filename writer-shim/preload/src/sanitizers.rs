//! What gcc's address sanitizer asks before it starts.
#![allow(unsafe_code)]

use std::ffi::c_char;

/// It ends a program in which a preloaded library comes before its own, for fear of an allocator that it does not see; we
/// bring none. A program that answers this question itself has to say the same.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub extern "C" fn __asan_default_options() -> *const c_char {
    c"verify_asan_link_order=0".as_ptr()
}

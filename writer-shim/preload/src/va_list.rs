//! C's va_list: what the calling conventions say, which also say that it may be copied word by word, and that a function
//! gets its address.

#![forbid(unsafe_code)]

#[cfg(target_arch = "x86_64")]
const WORDS: usize = 3;
#[cfg(target_arch = "aarch64")]
const WORDS: usize = 4;
// Nobody makes one there: see `variadic`.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const WORDS: usize = 0;

#[repr(C)]
pub(crate) struct VaList([u64; WORDS]);

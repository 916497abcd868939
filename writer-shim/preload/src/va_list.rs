//! C's va_list: what the calling conventions say, which also say that it may be copied word by word, and that a function
//! gets its address.
#![allow(unsafe_code)]

use std::ptr;

#[cfg(target_arch = "x86_64")]
const WORDS: usize = 3;
#[cfg(target_arch = "aarch64")]
const WORDS: usize = 4;
// Nobody makes one there: see `variadic`.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const WORDS: usize = 0;

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct VaList([u64; WORDS]);

impl VaList {
    /// The next argument, which is a pointer or as large as one.
    ///
    /// # Safety
    /// There is one.
    #[cfg(target_arch = "x86_64")]
    pub(crate) unsafe fn next<T>(&mut self) -> *const T {
        /// Bytes of the area where the six registers for integers were saved.
        const REGISTERS: u64 = 48;
        let [offsets, overflow, saved] = &mut self.0;
        let integers = *offsets & 0xffff_ffff;
        let place = if integers < REGISTERS {
            *offsets += 8;
            *saved + integers
        } else {
            *overflow += 8;
            *overflow - 8
        };
        // SAFETY: by the calling convention, and the caller's promise.
        unsafe { ptr::with_exposed_provenance::<*const T>(place as usize).read() }
    }

    /// The next argument, which is a pointer or as large as one.
    ///
    /// # Safety
    /// There is one.
    #[cfg(target_arch = "aarch64")]
    pub(crate) unsafe fn next<T>(&mut self) -> *const T {
        let [stack, integers_end, _, offsets] = &mut self.0;
        // How far before its end the area of the registers for integers is still unread; none are left when it is 0.
        let integers = *offsets as u32 as i32;
        let place = if integers < 0 {
            *offsets = *offsets & !0xffff_ffff | u64::from((integers + 8) as u32);
            integers_end.wrapping_add_signed(i64::from(integers))
        } else {
            *stack += 8;
            *stack - 8
        };
        // SAFETY: by the calling convention, and the caller's promise.
        unsafe { ptr::with_exposed_provenance::<*const T>(place as usize).read() }
    }

    /// There are none.
    ///
    /// # Safety
    /// There is one.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(crate) unsafe fn next<T>(&mut self) -> *const T {
        ptr::null()
    }
}

//! From what a program says by syslog(3) to records. The C library then sends it by a function of its own that no hook
//! sees, so this is the one place where it is recorded; and its copy on standard error (LOG_PERROR) is no second record.
#![allow(unsafe_code)]

use crate::capture::Capture;
use crate::copied;
use crate::labels::Labels;
use crate::real;
use crate::va_list::VaList;
use lapwing_ring::{Flags, Source, Value};
use lapwing_writer_shim::calm::{apart, errno, set_errno};
use lapwing_writer_shim::syslog;
use libc::{c_char, c_int, c_void, size_t};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicPtr};

/// Longer texts are formatted in allocated memory. The C library does the same, for shorter ones already: its buffer of this
/// size has the priority, date and tag in it too.
pub(crate) const SMALL: usize = 1024;
/// Severity and facility.
const PRIORITY: c_int = 0x3ff;

/// What openlog and setlogmask have said, as the C library keeps it: the tag by its address.
static TAG: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());
static OPTIONS: AtomicI32 = AtomicI32::new(0);
static FACILITY: AtomicI32 = AtomicI32::new(libc::LOG_USER);
static MASK: AtomicI32 = AtomicI32::new(0xff);

unsafe extern "C" {
    static mut program_invocation_short_name: *const c_char;
    fn vsnprintf(text: *mut c_char, size: size_t, format: *const c_char, arguments: *mut VaList) -> c_int;
}

pub(crate) fn opened(tag: *const c_char, options: c_int, facility: c_int) {
    if !tag.is_null() {
        TAG.store(tag.cast_mut(), Relaxed);
    }
    OPTIONS.store(options, Relaxed);
    if facility != 0 && facility & !(PRIORITY & !7) == 0 {
        FACILITY.store(facility, Relaxed);
    }
}

pub(crate) fn closed() {
    TAG.store(ptr::null_mut(), Relaxed);
}

pub(crate) fn masked(mask: c_int) {
    if mask != 0 {
        MASK.store(mask, Relaxed);
    }
}

/// Records a call. `check`, if any, is what the checking forms of these functions have in front of the format.
///
/// # Safety
/// As vsyslog(3); `arguments` stays as it was.
pub(crate) unsafe fn called(priority: c_int, check: Option<c_int>, format: *const c_char, arguments: *const VaList) {
    let Some(capture) = Capture::get() else { return };
    if MASK.load(Relaxed) & 1 << (priority & 7) == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    apart(|| unsafe { formatted(check, format, arguments, |text| record(capture, priority & PRIORITY, text)) });
}

fn record(capture: &Capture, mut priority: c_int, text: &[u8]) {
    let text = syslog::trimmed(text);
    if priority & !7 == 0 {
        priority |= FACILITY.load(Relaxed);
    }
    let (level, facility) = syslog::priority(priority as u32);
    let mut tag = TAG.load(Relaxed).cast_const();
    if tag.is_null() {
        // SAFETY: a variable of the C library, set before any constructor runs.
        tag = unsafe { program_invocation_short_name };
    }
    // SAFETY: the C library is about to read it too.
    let tag = (!tag.is_null()).then(|| unsafe { CStr::from_ptr(tag) }.to_bytes());
    let mut labels = Labels::new(&capture.log, tag);
    if let Some(facility) = facility {
        labels.add(b"facility", Value::Text(facility.as_bytes()));
    }
    capture.log(Source::Syslog, level, &labels, text, Flags::NONE);
    if OPTIONS.load(Relaxed) & libc::LOG_PERROR != 0 {
        copied::expect(text);
    }
}

/// Hands out what the arguments say. Nothing where the C library has nothing to say either.
///
/// # Safety
/// As vsnprintf(3), except that `arguments` stays as it was.
unsafe fn formatted(check: Option<c_int>, format: *const c_char, arguments: *const VaList, take: impl Fn(&[u8])) {
    let error = errno();
    let mut small = MaybeUninit::<[u8; SMALL]>::uninit();
    let small: *mut u8 = small.as_mut_ptr().cast();
    // SAFETY: the caller's promise, and room for so many bytes.
    let Some(len) = (unsafe { format_into(small, SMALL, check, format, arguments) }) else { return };
    if len < SMALL {
        // SAFETY: so many have just been written.
        take(unsafe { std::slice::from_raw_parts(small, len) });
        return;
    }
    // SAFETY: no preconditions.
    let large: *mut u8 = unsafe { libc::malloc(len + 1) }.cast();
    if large.is_null() {
        // SAFETY: the buffer was filled, but for the NUL at its end.
        take(unsafe { std::slice::from_raw_parts(small, SMALL - 1) });
        return;
    }
    // %m is about the program's.
    set_errno(error);
    // SAFETY: as above.
    if let Some(now) = unsafe { format_into(large, len + 1, check, format, arguments) } {
        // SAFETY: so many have just been written; another thread may have changed a string meanwhile.
        take(unsafe { std::slice::from_raw_parts(large, now.min(len)) });
    }
    // SAFETY: allocated above, and not used any more.
    unsafe { libc::free(large.cast::<c_void>()) };
}

/// What vsnprintf(3) gives; `None` where that fails. `check` as in [`called`].
///
/// # Safety
/// As vsnprintf(3), except that `arguments` stays as it was.
pub(crate) unsafe fn format_into(
    text: *mut u8,
    size: usize,
    check: Option<c_int>,
    format: *const c_char,
    arguments: *const VaList,
) -> Option<usize> {
    // SAFETY: the caller's promise. A copy of this is what va_copy makes.
    let mut arguments = unsafe { ptr::read(arguments) };
    // A format that writes is stopped by the checking function, here as there.
    let len = match (check, real::VSNPRINTF_CHK.find()) {
        (Some(check), Some(checking)) => {
            // SAFETY: the caller's promise.
            unsafe { checking(text.cast(), size, check, size_t::MAX, format, &mut arguments) }
        }
        // SAFETY: the caller's promise.
        _ => unsafe { vsnprintf(text.cast(), size, format, &mut arguments) },
    };
    usize::try_from(len).ok()
}

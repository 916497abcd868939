//! Codes and their texts: what C gets in place of the ring's error types.
#![allow(non_camel_case_types, reason = "names of the header")]
#![allow(unsafe_code)]

use lapwing_ring::{AppendError, Error, ReadError};
use libc::{c_char, c_int};
use std::ffi::CStr;

/// What functions return. A number never changes its meaning; later versions may have more of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub enum lapwing_error {
    /// Done.
    LAPWING_OK = 0,
    /// An argument is NULL that may not be, or out of bounds.
    LAPWING_E_INVALID = -1,
    /// The record is longer than this ring's records can be; nothing of it was appended.
    LAPWING_E_TOO_LARGE = -2,
    /// Every writer slot of the ring is in use.
    LAPWING_E_TOO_MANY_WRITERS = -3,
    /// Every page of the ring is held by a writer that stopped in the middle of a record.
    LAPWING_E_ALL_PAGES_PINNED = -4,
    /// Too many appends of this process are in progress at once.
    LAPWING_E_BUSY = -5,
    /// The ring is damaged: its words contradict each other.
    LAPWING_E_DAMAGED = -6,
    /// There is no such ring, or not the folder that it would lie in.
    LAPWING_E_NOT_FOUND = -7,
    /// It is not a ring.
    LAPWING_E_NOT_A_RING = -8,
    /// The file is shorter than its header says.
    LAPWING_E_TRUNCATED = -9,
    /// The ring has another version of the format.
    LAPWING_E_VERSION = -10,
    /// Not allowed to us.
    LAPWING_E_PERMISSION = -11,
    /// No space for the ring, or this process may not make files of its size.
    LAPWING_E_NO_SPACE = -12,
    /// The ring was made before this host was last started: it can be read and not written to.
    LAPWING_E_OTHER_BOOT = -13,
    /// The file is a copy of a ring: it can be read and not written to.
    LAPWING_E_COPIED = -14,
    /// The folder of the default ring is not ours alone.
    LAPWING_E_UNSAFE_FOLDER = -15,
    /// The ring keeps time by a clock that this machine does not have.
    LAPWING_E_CLOCK = -16,
    /// The kernel refused something else.
    LAPWING_E_OS = -17,
    /// An error in this library.
    LAPWING_E_INTERNAL = -18,
}

use lapwing_error::*;

/// Every code with its text, in order.
const TEXTS: [(lapwing_error, &CStr); 19] = [
    (LAPWING_OK, c"done"),
    (LAPWING_E_INVALID, c"an argument is NULL that may not be, or out of bounds"),
    (LAPWING_E_TOO_LARGE, c"the record is longer than this ring's records can be"),
    (LAPWING_E_TOO_MANY_WRITERS, c"every writer slot of the ring is in use"),
    (LAPWING_E_ALL_PAGES_PINNED, c"every page of the ring is held by a writer that stopped in the middle of a record"),
    (LAPWING_E_BUSY, c"too many appends of this process are in progress at once"),
    (LAPWING_E_DAMAGED, c"the ring is damaged"),
    (LAPWING_E_NOT_FOUND, c"no such ring"),
    (LAPWING_E_NOT_A_RING, c"not a ring"),
    (LAPWING_E_TRUNCATED, c"the ring's file is cut short"),
    (LAPWING_E_VERSION, c"the ring has another version of the format"),
    (LAPWING_E_PERMISSION, c"no permission for the ring"),
    (LAPWING_E_NO_SPACE, c"no space for the ring"),
    (LAPWING_E_OTHER_BOOT, c"the ring was made before this host was last started, and can only be read"),
    (LAPWING_E_COPIED, c"the file is a copy of a ring, and can only be read"),
    (LAPWING_E_UNSAFE_FOLDER, c"the ring's folder is not ours alone"),
    (LAPWING_E_CLOCK, c"the ring keeps time by a clock that this machine does not have"),
    (LAPWING_E_OS, c"the operating system refused"),
    (LAPWING_E_INTERNAL, c"an error in the Lapwing library"),
];

const _: () = {
    let mut i = 0;
    while i < TEXTS.len() {
        assert!(TEXTS[i].0 as c_int == -(i as c_int));
        i += 1;
    }
};

/// What an error code means, in English: a text without a newline, never NULL, that lives as long as the program; also for
/// numbers that are no error code.
///
/// Any thread; signal-safe; fork-safe.
#[unsafe(no_mangle)]
pub extern "C" fn lapwing_strerror(code: c_int) -> *const c_char {
    let place = code.checked_neg().and_then(|place| usize::try_from(place).ok());
    let text = place.and_then(|place| TEXTS.get(place)).map_or(c"no error code of Lapwing", |&(_, text)| text);
    text.as_ptr()
}

impl From<AppendError> for lapwing_error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::TooLarge { .. } => LAPWING_E_TOO_LARGE,
            AppendError::TooManyWriters(_) => LAPWING_E_TOO_MANY_WRITERS,
            AppendError::AllPagesPinned { .. } => LAPWING_E_ALL_PAGES_PINNED,
            AppendError::PoolBusy { .. } => LAPWING_E_BUSY,
            AppendError::Damaged => LAPWING_E_DAMAGED,
            _ => LAPWING_E_INTERNAL,
        }
    }
}

impl From<ReadError> for lapwing_error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged { .. } | ReadError::BadRecord { .. } => LAPWING_E_DAMAGED,
            ReadError::Truncated { .. } => LAPWING_E_TRUNCATED,
            ReadError::Unreadable { .. } => LAPWING_E_OS,
            _ => LAPWING_E_INTERNAL,
        }
    }
}

impl From<&Error> for lapwing_error {
    fn from(error: &Error) -> Self {
        match error {
            Error::NotFound { .. } | Error::NoFolder { .. } => LAPWING_E_NOT_FOUND,
            Error::NotARegularFile { .. } | Error::NotARing { .. } => LAPWING_E_NOT_A_RING,
            Error::Truncated { .. } => LAPWING_E_TRUNCATED,
            Error::UnsupportedVersion { .. } => LAPWING_E_VERSION,
            Error::BadGeometry { .. } | Error::BadHeader { .. } => LAPWING_E_DAMAGED,
            Error::BadClock { .. } => LAPWING_E_CLOCK,
            Error::PermissionDenied { .. } => LAPWING_E_PERMISSION,
            Error::NoSpace { .. } | Error::FileSizeLimit { .. } => LAPWING_E_NO_SPACE,
            Error::OtherBoot { .. } => LAPWING_E_OTHER_BOOT,
            Error::Copied { .. } => LAPWING_E_COPIED,
            Error::UnsafeFolder { .. } => LAPWING_E_UNSAFE_FOLDER,
            Error::TooManyWriters(_) => LAPWING_E_TOO_MANY_WRITERS,
            Error::Os { .. } => LAPWING_E_OS,
            _ => LAPWING_E_INTERNAL,
        }
    }
}

//! The environment of a program that is about to be started: what this process was captured by is added where it is
//! missing, so that `env -i` and the like are captured too. Nothing of others is removed or replaced, nothing is allocated,
//! and on any doubt the environment stays what it was.
#![allow(unsafe_code)]

use crate::capture::Capture;
use crate::confine;
use crate::variables::{self, variable};
use lapwing_writer_shim::calm::{errno, set_errno};
use lapwing_writer_shim::environment::{BUFFER, PROPAGATE, PUMP, QUIET, RING, STREAM};
use libc::c_char;
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr;

pub(crate) type Strings = *const *const c_char;

const PRELOAD: &str = "LD_PRELOAD";

/// Variables of an environment that is added to, and bytes of its LD_PRELOAD. There may be a small stack beneath us.
const MOST: usize = 256;
const LONGEST: usize = 1024;

/// What the constructor wrote down to hand on, as an environment has it.
pub(crate) struct Legacy {
    library: CString,
    preload: CString,
    stream: CString,
    ring: CString,
    buffer: Option<CString>,
    quiet: Option<CString>,
    pump: Option<CString>,
}

/// Room for an environment with what is added.
pub(crate) struct Space {
    variables: [MaybeUninit<*const c_char>; MOST + 7],
    preload: [MaybeUninit<u8>; LONGEST],
}

impl Space {
    pub(crate) const fn new() -> Self {
        Self { variables: [MaybeUninit::uninit(); MOST + 7], preload: [MaybeUninit::uninit(); LONGEST] }
    }
}

impl Legacy {
    /// `None`: nothing is to be handed on. `library` is the path that this library was loaded from.
    pub(crate) fn new(library: &CStr) -> Option<Self> {
        if variables::value(PROPAGATE).is_some_and(|value| value == "0") {
            return None;
        }
        let name = library.to_bytes();
        if !name.starts_with(b"/") || name.iter().any(|byte| is_separator(*byte)) {
            return None;
        }
        Some(Self {
            preload: CString::new([PRELOAD.as_bytes(), b"=", name].concat()).ok()?,
            library: library.to_owned(),
            stream: variable(STREAM)?,
            ring: variable(RING)?,
            buffer: variable(BUFFER),
            quiet: variable(QUIET),
            pump: variable(PUMP),
        })
    }
}

fn is_separator(byte: u8) -> bool {
    byte == b':' || byte.is_ascii_whitespace()
}

/// What a program is to be started with instead of `given`: that, or a copy with more in `space`.
///
/// # Safety
/// `given` is null, or an environment.
pub(crate) unsafe fn environment(given: Strings, space: &mut Space) -> Strings {
    let Some(legacy) = Capture::get().filter(|_| !confine::is_on()).and_then(|capture| capture.legacy.as_ref()) else {
        return given;
    };
    // SAFETY: the caller's promise.
    unsafe { legacy.added_to(given, space) }.unwrap_or(given)
}

/// As [`environment`], of this process's own one.
pub(crate) fn own(space: &mut Space) -> Strings {
    unsafe extern "C" {
        static mut environ: Strings;
    }
    // SAFETY: a variable of the C library.
    let given = unsafe { environ };
    // SAFETY: null or an environment, or the program has broken it itself.
    unsafe { environment(given, space) }
}

impl Legacy {
    /// # Safety
    /// As [`environment`].
    unsafe fn added_to(&self, given: Strings, space: &mut Space) -> Option<Strings> {
        // SAFETY: the caller's promise.
        let given = unsafe { listed(given) };
        let mut has = Has::default();
        for (at, &variable) in given.iter().enumerate() {
            // SAFETY: a text of an environment.
            if has.look_at(unsafe { CStr::from_ptr(variable) }, at)? {
                return None;
            }
        }
        let preload = match has.preload {
            None => Some(self.preload.as_bytes_with_nul()),
            Some((_, value)) if has_library(value, self.library.to_bytes()) => None,
            Some((_, value)) => Some(joined(value, self.library.to_bytes(), &mut space.preload)?),
        };
        if preload.is_none() && has.stream && has.ring {
            return None;
        }
        if given.len() > MOST || !self.can_be_loaded() {
            return None;
        }
        let mut rest = space.variables.iter_mut();
        let mut put = |variable: *const c_char| {
            if let Some(place) = rest.next() {
                place.write(variable);
            }
        };
        for (at, &variable) in given.iter().enumerate() {
            let replaced = preload.filter(|_| has.preload.is_some_and(|(place, _)| place == at));
            put(replaced.map_or(variable, |text| text.as_ptr().cast()));
        }
        if let (None, Some(text)) = (has.preload, preload) {
            put(text.as_ptr().cast());
        }
        if !has.ring {
            put(self.ring.as_ptr());
        }
        if !has.stream {
            put(self.stream.as_ptr());
            // Where there is a stream, it says something that these are missing.
            self.buffer.iter().filter(|_| !has.buffer).for_each(|text| put(text.as_ptr()));
            self.quiet.iter().filter(|_| !has.quiet).for_each(|text| put(text.as_ptr()));
            self.pump.iter().filter(|_| !has.pump).for_each(|text| put(text.as_ptr()));
        }
        put(ptr::null());
        Some(space.variables.as_ptr().cast())
    }

    /// Otherwise the loader would complain on standard error. A system call.
    fn can_be_loaded(&self) -> bool {
        let errno = errno();
        // SAFETY: a NUL-terminated path.
        let can = unsafe { libc::access(self.library.as_ptr(), libc::R_OK) } == 0;
        set_errno(errno);
        can
    }
}

/// What there is in an environment.
#[derive(Default)]
struct Has<'a> {
    /// Its place and its value.
    preload: Option<(usize, &'a [u8])>,
    stream: bool,
    ring: bool,
    buffer: bool,
    quiet: bool,
    pump: bool,
}

impl<'a> Has<'a> {
    /// Is nothing to be handed on? `None`: it cannot be told which LD_PRELOAD counts.
    fn look_at(&mut self, variable: &'a CStr, at: usize) -> Option<bool> {
        let text = variable.to_bytes();
        if !text.starts_with(b"L") {
            return Some(false);
        }
        let value = |name: &str| text.strip_prefix(name.as_bytes())?.strip_prefix(b"=");
        if let Some(value) = value(PRELOAD) {
            if self.preload.is_some() {
                return None;
            }
            self.preload = Some((at, value));
        }
        self.stream |= value(STREAM).is_some();
        self.ring |= value(RING).is_some();
        self.buffer |= value(BUFFER).is_some();
        self.quiet |= value(QUIET).is_some();
        self.pump |= value(PUMP).is_some();
        Some(value(PROPAGATE) == Some(b"0"))
    }
}

/// The variables of an environment.
///
/// # Safety
/// As [`environment`].
pub(crate) unsafe fn listed<'e>(environment: Strings) -> &'e [*const c_char] {
    if environment.is_null() {
        return &[];
    }
    let mut len = 0;
    loop {
        // SAFETY: a null comes behind the last one, which has not come yet.
        let place = unsafe { environment.add(len) };
        // SAFETY: as above.
        if unsafe { *place }.is_null() {
            // SAFETY: so many have just been read.
            return unsafe { std::slice::from_raw_parts(environment, len) };
        }
        len += 1;
    }
}

fn has_library(value: &[u8], library: &[u8]) -> bool {
    value.split(|byte| is_separator(*byte)).any(|known| known == library)
}

/// LD_PRELOAD with ours behind the others, if there is room.
fn joined<'s>(value: &[u8], library: &[u8], space: &'s mut [MaybeUninit<u8>; LONGEST]) -> Option<&'s [u8]> {
    let separator: &[u8] = if value.is_empty() { b"" } else { b":" };
    let pieces = [PRELOAD.as_bytes(), b"=", value, separator, library, b"\0"];
    let len = pieces.iter().map(|piece| piece.len()).sum();
    let text = space.get_mut(..len)?;
    for (place, &byte) in text.iter_mut().zip(pieces.into_iter().flatten()) {
        place.write(byte);
    }
    // SAFETY: all of it has just been written.
    Some(unsafe { text.assume_init_ref() })
}

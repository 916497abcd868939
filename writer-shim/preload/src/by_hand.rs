//! Preloaded by hand, by LD_PRELOAD alone: the first program decides for itself and its children what is captured, as
//! `lapwing run` would have.
#![allow(unsafe_code)]

use crate::start::library;
use lapwing_ring::{Location, Purpose};
use lapwing_writer_shim::environment::{ANY_STREAM, BUFFER, Buffer, Environment, PUMP, QUIET, STREAM, Streams};
use lapwing_writer_shim::identity::is_for_a_reader;
use std::env;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Decides, and says so in the environment. `None`: nothing is to be captured, or it has been decided before.
pub(crate) fn decide() -> Option<Environment> {
    let any = match env::var_os(STREAM) {
        None => false,
        Some(value) if value == ANY_STREAM => true,
        Some(_) => return None,
    };
    let wanted = |fd, id| if any || is_for_a_reader(fd) { id } else { None };
    let own = Streams::of_process();
    let streams = Streams { out: wanted(libc::STDOUT_FILENO, own.out), err: wanted(libc::STDERR_FILENO, own.err) };
    // Also where there is none: a pipe in which a child finds its own output is between programs.
    set(STREAM, streams.to_string());
    if streams == Streams::default() {
        return None;
    }
    let ring = ring()?;
    let is = |name, value| env::var_os(name).is_some_and(|set| set == value);
    let buffer = if is(BUFFER, "keep") { Buffer::Keep } else { Buffer::Line };
    let environment = Environment { ring, streams, quiet: is(QUIET, "1"), buffer };
    for (name, value) in environment.variables() {
        if let Some(value) = value {
            set(name, &value);
        }
    }
    if env::var_os(PUMP).is_none()
        && let Some(command) = command()
    {
        set(PUMP, command);
    }
    Some(environment)
}

/// The command of `lapwing` that belongs to this library: where packages put the two, or cargo.
fn command() -> Option<PathBuf> {
    let library = PathBuf::from(OsStr::from_bytes(library()?.to_bytes()));
    let folder = library.parent()?.canonicalize().ok()?;
    let places = [folder.parent()?.join("lapwing"), folder.parent()?.parent()?.join("bin/lapwing")];
    places.into_iter().find(|place| place.is_file())
}

/// The default ring, made if it is missing.
fn ring() -> Option<PathBuf> {
    let location = Location::find(None, Purpose::Write);
    location.ensure().ok()?;
    std::path::absolute(location.path()).ok()
}

fn set(name: &str, value: impl AsRef<OsStr>) {
    // SAFETY: this is the constructor, before the program has a second thread.
    unsafe { env::set_var(name, value) };
}

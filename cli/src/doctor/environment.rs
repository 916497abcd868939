//! What the environment says to the library, and what it should.

use super::Report;
use crate::run::{LD_PRELOAD, LIBRARY, is_separator};
use lapwing_writer_shim::environment::{ANY_STREAM, PROPAGATE, QUIET, RING, STREAM, Streams};
use std::env::var_os;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const ABOUT: &str = "environment";

pub fn look(report: &mut Report) {
    if let Some(ring) = var_os(RING).filter(|ring| !ring.is_empty() && !Path::new(ring).is_absolute()) {
        let text = format!("${RING} is {}, which is another file in every folder", ring.display());
        report.wrong(ABOUT, text, "make it an absolute path");
    }
    let preloaded = var_os(LD_PRELOAD).unwrap_or_default();
    let names = || preloaded.as_bytes().split(is_separator).filter(|name| !name.is_empty());
    let is_ours = |name: &&[u8]| name.ends_with(LIBRARY.as_bytes());
    let others: Vec<_> =
        names().filter(|name| !is_ours(name)).map(|name| OsStr::from_bytes(name).display().to_string()).collect();
    if !others.is_empty() {
        report.note(ABOUT, format!("${LD_PRELOAD} has others too: {}", others.join(", ")));
    }
    if var_os(PROPAGATE).is_some_and(|value| value == "0") {
        report.note(
            ABOUT,
            format!("${PROPAGATE} is 0: programs that are started with another environment are not captured"),
        );
    }
    let streams = var_os(STREAM);
    match (names().any(|name| is_ours(&name)), streams) {
        (false, None) => {}
        (true, None) => {
            let text = "each program that is started here is captured with its children, unless its output goes to files";
            report.note(ABOUT, format!("{LIBRARY} is in ${LD_PRELOAD}, without `lapwing run`: {text}"));
        }
        (true, Some(streams)) if streams == ANY_STREAM => {
            let text = "each program that is started here is captured with its children";
            report.note(ABOUT, format!("{LIBRARY} is in ${LD_PRELOAD} and ${STREAM} is {ANY_STREAM}: {text}"));
        }
        (_, Some(streams)) if streams.is_empty() => {
            report.note(ABOUT, format!("${STREAM} is set and empty: what is started here is not captured"));
        }
        (_, Some(streams)) if Streams::parse(streams.as_bytes()).is_none() => report.wrong(
            ABOUT,
            format!("${STREAM} is {:?}, which says nothing, so nothing is captured", streams.display().to_string()),
            "unset it, and start the program by `lapwing run`",
        ),
        (false, Some(_)) => report.wrong(
            ABOUT,
            format!("${STREAM} is set as inside of `lapwing run`, and {LIBRARY} is not in ${LD_PRELOAD}, so nothing is captured"),
            "somebody took it out: start the program by `lapwing run` behind that",
        ),
        (true, Some(_)) => {
            let quiet = if var_os(QUIET).is_some_and(|quiet| quiet == "1") { ", and prints nowhere else" } else { "" };
            report.note(ABOUT, format!("this is inside of `lapwing run`: what is started here is captured{quiet}"));
        }
    }
}

//! A write(2) of a line in a program under the preloaded library: the program is this one again.

use crate::{Case, TIMES, lapwing_counted};
use lapwing_benches::Ring;
use lapwing_benches::shim::{LINE, Output, library};
use std::env;
use std::fs::File;
use std::io::{Write, stdout};
use std::os::fd::AsFd;
use std::process::Command;

pub(crate) fn cases() -> [Case; 2] {
    [
        Case::new("shim/line-quiet/64", TIMES, || under_library(true)),
        Case::new("shim/line-pipe/64", TIMES, || under_library(false)),
    ]
}

fn under_library(quiet: bool) {
    let (ring, output) = (Ring::new("instructions"), Output::pipe());
    let mut command = Command::new(env::current_exe().expect("where this program is"));
    command.arg("write").stdout(output.writer()).env("LD_PRELOAD", library());
    command.env("LAPWING_RING", ring.path()).env("LAPWING_STREAM", output.stream());
    command.env("LAPWING_QUIET", if quiet { "1" } else { "0" });
    let before = appended(&ring);
    assert!(command.status().expect("this program again").success());
    assert_eq!(appended(&ring) - before, (WARM + TIMES) as u64, "each line has become a record");
}

fn appended(ring: &Ring) -> u64 {
    lapwing_ring::Reader::open(ring.path()).unwrap().bounds().unwrap().next_seq
}

/// Lines in front of those that are counted.
const WARM: usize = 4;

/// What runs under the library.
pub(crate) fn write() {
    let mut file = File::from(stdout().as_fd().try_clone_to_owned().expect("standard output"));
    let mut line = || assert_eq!(file.write(LINE).expect("a write"), LINE.len());
    for _ in 0..WARM {
        line();
    }
    for _ in 0..TIMES {
        lapwing_counted(&mut line);
    }
}

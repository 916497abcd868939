//! Does the Python reader give what is in a ring: to loops, to selectors and asyncio, to handlers of `logging`?
//! `python_reader.py` is the program.

mod installed;
mod rings;

use installed::{CAPI, Installed, found, succeed};
use lapwing_ring::Create;
use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn what_is_in_a_ring_comes_to_python() {
    if !found("python3") {
        return;
    }
    let installed = Installed::new();
    let [gaps, live, copy, foreign] = ["gaps", "live", "copy", "foreign"].map(|name| installed.path(name));
    rings::with_every_gap(&gaps);
    Create::new().size(64 << 10).create(&live).unwrap();
    fs::copy(&gaps, &copy).unwrap();
    fs::write(&foreign, [b'x'; 100]).unwrap();
    let mut python = Command::new("python3");
    python.arg(Path::new(CAPI).join("tests/python_reader.py")).args([gaps, live, copy, foreign]);
    python.env("PYTHONPATH", installed.prefix().join("share/lapwing")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = succeed(python.env("LAPWING_LIBRARY", installed.library()));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
}

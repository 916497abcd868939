//! The program that is to be captured: is there one, and can a library be preloaded into it, or does it take the pump?

use super::Report;
use lapwing_writer_shim::program::{find, interpreter, obstacle};
use rustix::fs::{Access, access};
use std::env::var_os;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const ABOUT: &str = "program";
/// As many interpreters of interpreters as the kernel follows.
const DEEPEST: usize = 5;

pub fn look(report: &mut Report, name: &OsStr) {
    let path = var_os("PATH").unwrap_or_default();
    let Some(file) = find(name, &path) else {
        let advice = "install it, or name the file with its folder";
        return report.wrong(ABOUT, format!("there is no {} in $PATH", name.display()), advice);
    };
    let mut file = file;
    for _ in 0..DEEPEST {
        if !is_sound(report, &file) {
            return;
        }
        let Some(next) = run_by(&file, &path) else { break };
        report.note(ABOUT, format!("{} is a script for {}", file.display(), next.display()));
        file = next;
    }
    match obstacle(&file) {
        Some(obstacle) => report.note(
            ABOUT,
            format!(
                "{}: {obstacle}, so no library can be preloaded into it: `lapwing run` captures what it prints by the pump, \
                 and not what it logs by syslog(3) or to the journal",
                file.display()
            ),
        ),
        None => report.ok(ABOUT, format!("{} can be captured", file.display())),
    }
}

/// Can the kernel run it at all?
fn is_sound(report: &mut Report, file: &Path) -> bool {
    let mut start = Vec::new();
    let read = File::open(file).and_then(|file| file.take(4).read_to_end(&mut start));
    let error = match (read, access(file, Access::EXEC_OK)) {
        // What may be run and not be read is known by nobody.
        (_, Ok(())) if start.is_empty() => return true,
        (Err(error), _) => format!("{}: {error}", file.display()),
        (_, Err(error)) => format!("{}: cannot be run: {error}", file.display()),
        (Ok(_), Ok(())) if start != b"\x7fELF" && !start.starts_with(b"#!") => {
            let text = format!("{} is no program, and its first line names no interpreter", file.display());
            report.wrong(ABOUT, text, "give it a first line like #!/bin/sh, or name the interpreter in front of it");
            return false;
        }
        _ => return true,
    };
    report.wrong(ABOUT, error, "install it, or make it executable");
    false
}

/// What the script is run by; of `#!/usr/bin/env NAME`, NAME.
fn run_by(script: &Path, path: &OsStr) -> Option<PathBuf> {
    let first = interpreter(script)?;
    if first.file_name() != Some(OsStr::new("env")) {
        return Some(first);
    }
    let text = std::fs::read(script).ok()?;
    let line = text.split(|&byte| byte == b'\n').next()?;
    let words = String::from_utf8_lossy(line.strip_prefix(b"#!")?).into_owned();
    let name = words.split_ascii_whitespace().skip(1).find(|word| !word.starts_with('-') && !word.contains('='))?;
    find(&OsString::from(name), path)
}

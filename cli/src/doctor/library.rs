//! The library that `lapwing run` preloads: is it there, and does it capture?

use super::Report;
use crate::run::{library, with_library};
use lapwing_ring::{Create, Read, Reader};
use lapwing_writer_shim::program::{Obstacle, obstacle};
use rustix::fs::{StatVfsMountFlags, statvfs};
use std::fs::{File, remove_dir_all};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ABOUT: &str = "library";
const SAID: &str = "captured by lapwing doctor";

pub fn look(report: &mut Report) {
    let library = match library() {
        Ok(library) => library,
        Err(error) => return report.error(ABOUT, error),
    };
    let named = library.display();
    if let Err(error) = with_library(None, &library) {
        return report.wrong(ABOUT, error, "put it elsewhere and name it in $LAPWING_PRELOAD");
    }
    if let Err(error) = File::open(&library) {
        return report.wrong(
            ABOUT,
            format!("{named}: cannot be read: {error}"),
            "make it readable for everybody who is to be captured",
        );
    }
    // A library has no loader of its own, so that one says nothing.
    if obstacle(&library) == Some(Obstacle::OtherClass) {
        let text = format!("{named} is not for 64-bit programs");
        return report.wrong(ABOUT, text, "install the one that came with this command");
    }
    if statvfs(&library).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::NOEXEC)) {
        let text = format!("{named} is on a file system that is mounted noexec, so no loader takes it");
        return report.wrong(ABOUT, text, "copy it elsewhere and name it in $LAPWING_PRELOAD");
    }
    match trial() {
        Ok(Trial::Captured) => report.ok(ABOUT, format!("{named}; a trial was captured")),
        Ok(Trial::Not(said)) => {
            let said = said.lines().next().unwrap_or("nothing was said").to_owned();
            let text = format!("{named}: a trial with `sh -c echo` was not captured: {said}");
            report.wrong(
                ABOUT,
                text,
                "the loader refuses it, or another library in $LD_PRELOAD comes first (LD_DEBUG=all tells)",
            );
        }
        Err(error) => report.note(ABOUT, format!("{named}; no trial could be made: {error}")),
    }
}

enum Trial {
    Captured,
    /// And what was printed on standard error.
    Not(String),
}

/// A folder for the trial, removed at the end.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = remove_dir_all(&self.0);
    }
}

/// Captures a line as `lapwing run` does, into a ring of its own.
fn trial() -> io::Result<Trial> {
    let folder = Folder(std::env::temp_dir().join(format!("lapwing-doctor-{}", std::process::id())));
    std::fs::DirBuilder::new().mode(0o700).create(&folder.0)?;
    let ring = folder.0.join("ring");
    Create::new().size(64 << 10).create(&ring).map_err(io::Error::other)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["run", "--capture", "preload", "--quiet", "--ring"]).arg(&ring).args(["--", "sh", "-c"]);
    let output = command.arg(format!("echo {SAID}")).stdin(Stdio::null()).output()?;
    Ok(match was_captured(&ring) {
        true => Trial::Captured,
        false => Trial::Not(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}

fn was_captured(ring: &Path) -> bool {
    let Ok(mut reader) = Reader::open(ring) else { return false };
    while let Ok(Read::Record(record)) = reader.next() {
        if record.payload == SAID.as_bytes() {
            return true;
        }
    }
    false
}

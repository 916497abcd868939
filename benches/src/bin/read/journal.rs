//! The same records as a journal of systemd's, for journalctl to read.

use lapwing_ring::{Read, Reader, Seek};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

const REMOTE: [&str; 2] = ["/lib/systemd/systemd-journal-remote", "/usr/lib/systemd/systemd-journal-remote"];

/// The first `count` records of `ring` as a journal in `folder`, or why there is none.
pub(crate) fn of(ring: &Path, count: usize, folder: &Path) -> Result<PathBuf, String> {
    if Command::new("journalctl").arg("--version").output().is_err() {
        return Err("journalctl is not installed".to_owned());
    }
    let remote = REMOTE.into_iter().find(|path| Path::new(path).is_file());
    let remote = remote.ok_or("systemd-journal-remote, which makes journals of text, is not installed")?;
    let (export, journal) = (folder.join("export"), folder.join("bench.journal"));
    write(ring, count, &export).map_err(|error| format!("{}: {error}", export.display()))?;
    let output = Command::new(remote).arg("-o").arg(&journal).arg(&export).output();
    let output = output.map_err(|error| format!("{remote}: {error}"))?;
    if !output.status.success() || !journal.is_file() {
        return Err(format!("{remote}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(journal)
}

/// The journal's export format, with the fields that journald itself would write of a line like this.
fn write(ring: &Path, count: usize, path: &Path) -> std::io::Result<()> {
    let mut reader = Reader::open(ring).expect("the ring");
    reader.seek(Seek::Oldest).expect("its oldest record");
    let mut out = BufWriter::new(File::create(path)?);
    for n in 0..count {
        let Ok(Read::Record(record)) = reader.next() else { panic!("fewer than {count} records") };
        let text = String::from_utf8_lossy(record.payload);
        let name = text.split(':').next().unwrap_or_default();
        writeln!(out, "__CURSOR=s=0;i={n:x}\n__REALTIME_TIMESTAMP={}", record.real_ns / 1000)?;
        writeln!(out, "__MONOTONIC_TIMESTAMP={}\n_BOOT_ID=00112233445566778899aabbccddeeff", record.mono_ns / 1000)?;
        writeln!(
            out,
            "_MACHINE_ID=00112233445566778899aabbccddeeff\n_HOSTNAME=bench\n_TRANSPORT=stdout\n_UID=0\n_GID=0"
        )?;
        writeln!(out, "PRIORITY=6\nSYSLOG_IDENTIFIER={name}\n_PID={}\n_COMM={name}\nMESSAGE={text}\n", record.pid)?;
    }
    out.flush()
}

//! `lapwing ls`: the rings of this host that we may see.

use crate::args::LsArgs;
use crate::failure::Failure;
use crate::folder::{FoundRing, RingState, files, look};
use crate::quantity::bytes;
use lapwing_reader_shim::{push_escaped, to_json};
use lapwing_ring::{Location, Purpose, SYSTEM_RING};
use serde::Serialize;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

pub fn ls(args: &LsArgs) -> Result<ExitCode, Failure> {
    let mut rows = Vec::new();
    let mut seen = HashSet::new();
    for folder in folders() {
        for (path, meta) in files(&folder).unwrap_or_default() {
            if seen.insert((meta.dev(), meta.ino()))
                && let Some(ring) = look(path, meta)
            {
                rows.push(Row::new(&ring));
            }
        }
    }
    let mut out = Vec::new();
    if args.json {
        for row in &rows {
            out.extend(to_json(row));
            out.push(b'\n');
        }
    } else {
        out = table(&rows).into_bytes();
    }
    let mut stdout = io::stdout();
    stdout.write_all(&out).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// Where rings are by themselves: beside the default ring, and where the default rings of all users are.
fn folders() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        Location::find(None, Purpose::Read).path().parent().map(Path::to_owned).into_iter().collect();
    found.extend(Path::new(SYSTEM_RING).parent().map(Path::to_owned));
    let entries =
        |folder: &str| std::fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    found.extend(entries("/run/user").map(|user| user.join("lapwing")));
    let of_lapwing =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"lapwing-"));
    found.extend(entries("/dev/shm").filter(of_lapwing));
    found
}

/// What is listed of one ring, in the order of the JSON object.
#[derive(Serialize)]
struct Row {
    path: String,
    size: Option<u64>,
    owner: u32,
    mode: String,
    held: Option<u64>,
    next_seq: Option<u64>,
    writers: Option<usize>,
    state: &'static str,
}

impl Row {
    fn new(ring: &FoundRing) -> Self {
        let mut path = Vec::new();
        push_escaped(&mut path, ring.path.as_os_str().as_encoded_bytes());
        let (stat, state) = match &ring.state {
            RingState::Sound { stat, .. } if stat.identity.saved_ns.is_some() => (Some(stat), "saved"),
            RingState::Sound { stat, .. } if stat.identity.is_of_another_boot() => (Some(stat), "another boot"),
            RingState::Sound { stat, .. } if stat.identity.copied => (Some(stat), "copy"),
            RingState::Sound { stat, .. } => (Some(stat), "ok"),
            RingState::Broken => (None, "damaged"),
            RingState::Closed => (None, "closed to us"),
        };
        Self {
            path: String::from_utf8_lossy(&path).into_owned(),
            size: stat.map(|stat| stat.identity.geometry.size()),
            owner: ring.meta.uid(),
            mode: format!("{:04o}", ring.meta.mode() & 0o7777),
            held: stat.map(|stat| stat.bounds.next_seq.saturating_sub(stat.bounds.oldest_seq)),
            next_seq: stat.map(|stat| stat.bounds.next_seq),
            writers: stat.map(|stat| stat.writers.iter().filter(|writer| writer.is_alive()).count()),
            state,
        }
    }
}

fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    if rows.is_empty() {
        return out;
    }
    let number = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    // A String takes everything.
    let _ = writeln!(
        out,
        "{:>10} {:>10} {:4} {:>10} {:>7} {:12} path",
        "size", "owner", "mode", "records", "writers", "state"
    );
    for row in rows {
        let size = row.size.map_or("-".to_owned(), bytes);
        let (held, writers) = (number(row.held), number(row.writers.map(|count| count as u64)));
        let Row { path, owner, mode, state, .. } = row;
        let _ = writeln!(out, "{size:>10} {owner:>10} {mode} {held:>10} {writers:>7} {state:12} {path}");
    }
    out
}

//! `lapwing stat`: what can be told of a ring without reading its records.

use crate::args::StatArgs;
use crate::failure::Failure;
use lapwing_reader_shim::{push_escaped, rfc3339_utc, to_json};
use lapwing_ring::{Access, ClockKind, Life, Purpose, Stat, WriterStat};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

pub fn stat(args: &StatArgs) -> Result<ExitCode, Failure> {
    let reader = args.ring.location(Purpose::Read).open_reader()?;
    let path = reader.path();
    let stat = reader.stat().map_err(|source| Failure::Read { path: path.to_owned(), source })?;
    let report = Report::new(path, &stat, reader.access());
    let mut out = if args.json { to_json(&report) } else { report.text(args.verbose).into_bytes() };
    if args.json {
        out.push(b'\n');
    }
    let mut stdout = io::stdout();
    stdout.write_all(&out).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

/// All that is reported, in the order of the JSON object.
#[derive(Serialize)]
struct Report {
    path: String,
    ring_id: String,
    boot_id: String,
    created: String,
    clock: &'static str,
    ns_per_tick: f64,
    size: u64,
    page_size: u64,
    pages: u32,
    slots: u32,
    file_len: u64,
    max_body: usize,
    /// `mapped`, or `copied` because somebody else owns the file.
    access: &'static str,
    oldest_seq: u64,
    /// None where nothing was written yet.
    newest_seq: Option<u64>,
    next_seq: u64,
    held: u64,
    refused: Refused,
    /// Unfinished lines of dead writers that nobody has appended yet.
    last_words: usize,
    writers: Vec<Writer>,
}

#[derive(Serialize)]
struct Refused {
    total: u64,
    too_large: u64,
    too_many_writers: u64,
    all_pages_pinned: u64,
    damaged: u64,
}

#[derive(Serialize)]
struct Writer {
    slot: usize,
    pid: u32,
    uid: u32,
    comm: String,
    records: u64,
    bytes: u64,
    attached: String,
    state: &'static str,
    alive: bool,
    appending: bool,
    /// `alive`, `dead` or `unknown`, and why.
    verdict: &'static str,
    evidence: String,
}

impl Writer {
    fn new(writer: &WriterStat) -> Self {
        let verdict = match writer.evidence.life() {
            Life::Alive => "alive",
            Life::Dead => "dead",
            Life::Unknown => "unknown",
        };
        let state = if writer.is_alive() && writer.appending { "appending" } else { verdict };
        Self {
            slot: writer.slot,
            pid: writer.pid,
            uid: writer.uid,
            comm: shown(&writer.comm),
            records: writer.records,
            bytes: writer.bytes,
            attached: rfc3339_utc(writer.attached_ns as i64),
            state,
            alive: writer.is_alive(),
            appending: writer.appending,
            verdict,
            evidence: writer.evidence.to_string(),
        }
    }
}

/// Names come from others, so they are escaped.
fn shown(name: &[u8]) -> String {
    let mut out = Vec::new();
    push_escaped(&mut out, name);
    String::from_utf8_lossy(&out).into_owned()
}

impl Report {
    fn new(path: &Path, stat: &Stat, access: Access) -> Self {
        let (identity, geometry, bounds) = (&stat.identity, stat.identity.geometry, stat.bounds);
        let held = bounds.next_seq - bounds.oldest_seq;
        let clock = match identity.clock.kind() {
            ClockKind::Monotonic => "monotonic",
            ClockKind::Tsc => "tsc",
            ClockKind::Cntvct => "cntvct",
        };
        let refused = &stat.refused;
        Self {
            path: shown(path.as_os_str().as_encoded_bytes()),
            ring_id: hex(identity.ring_id),
            boot_id: hex(identity.boot_id),
            created: rfc3339_utc(identity.created_ns as i64),
            clock,
            ns_per_tick: identity.clock.ns_per_tick() as f64 / (1u64 << 32) as f64,
            size: geometry.size(),
            page_size: geometry.page_size(),
            pages: geometry.page_count(),
            slots: geometry.slot_count(),
            file_len: geometry.file_len(stat.identity.lines),
            max_body: geometry.max_body(),
            access: match access {
                Access::Mapped => "mapped",
                Access::Copied => "copied",
            },
            oldest_seq: bounds.oldest_seq,
            newest_seq: bounds.next_seq.checked_sub(1),
            next_seq: bounds.next_seq,
            held,
            refused: Refused {
                total: refused.total(),
                too_large: refused.too_large,
                too_many_writers: refused.too_many_writers,
                all_pages_pinned: refused.all_pages_pinned,
                damaged: refused.damaged,
            },
            last_words: stat.last_words,
            writers: stat.writers.iter().map(Writer::new).collect(),
        }
    }

    fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        // A String takes everything.
        let mut line = |name: &str, value: String| {
            let _ = writeln!(out, "{name:10} {value}");
        };
        line("ring", self.path.clone());
        line("id", self.ring_id.clone());
        line("created", self.created.clone());
        line("size", format!("{} in {} pages of {}", bytes(self.size), self.pages, bytes(self.page_size)));
        line("slots", format!("{}, {} in use", self.slots, self.writers.len()));
        line("clock", self.clock.to_owned());
        let newest = self.newest_seq.map_or("none".to_owned(), |seq| seq.to_string());
        line("sequences", format!("oldest {}, newest {newest}, next {}", self.oldest_seq, self.next_seq));
        line("held", format!("{} records", self.held));
        let refused = &self.refused;
        let causes = [
            ("too large", refused.too_large),
            ("too many writers", refused.too_many_writers),
            ("all pages pinned", refused.all_pages_pinned),
            ("damaged", refused.damaged),
        ];
        let causes = causes.map(|(cause, count)| format!("{cause} {count}")).join(", ");
        line("refused", format!("{} records: {causes}", refused.total));
        if self.last_words != 0 {
            line(
                "last words",
                format!("{} unfinished lines of dead writers, to be appended by `lapwing tail`", self.last_words),
            );
        }
        if verbose {
            line("boot", self.boot_id.clone());
            line("file", bytes(self.file_len));
            line("payload", format!("{} bytes at most, fields included", self.max_body));
            line("read", self.access.to_owned());
            line("tick", format!("{:.9} ns", self.ns_per_tick));
        }
        let _ = match self.writers.len() {
            0 => writeln!(out, "\nno writer is attached"),
            _ => writeln!(out, "\n{:>10} {:15} {:>10} {:>12} {:>14} state", "pid", "comm", "uid", "records", "bytes"),
        };
        for writer in &self.writers {
            let Writer { pid, comm, uid, records, bytes, state, .. } = writer;
            let _ = write!(out, "{pid:>10} {comm:15} {uid:>10} {records:>12} {bytes:>14} {state}");
            if verbose {
                let appending = if writer.appending { ", inside an append" } else { "" };
                let Writer { evidence, slot, attached, .. } = writer;
                let _ = write!(out, ": {evidence}; slot {slot}, attached {attached}{appending}");
            }
            out.push('\n');
        }
        out
    }
}

fn hex(words: [u64; 2]) -> String {
    format!("{:016x}{:016x}", words[0], words[1])
}

/// Bytes in the largest unit that leaves no fraction.
pub fn bytes(count: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| count >= 1 << shift && count.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{} {unit}", count >> shift),
        None => format!("{count} bytes"),
    }
}

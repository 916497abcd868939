//! `lapwing check`: what is wrong with a ring, and what of it can be read.

use crate::args::CheckArgs;
use crate::failure::{DAMAGED, Failure};
use lapwing_reader_shim::{push_escaped, to_json};
use lapwing_ring::{Checked, Error, Expected, Finding, Location, Purpose, Uncommitted, check};
use serde::Serialize;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

pub fn run(args: &CheckArgs) -> Result<ExitCode, Failure> {
    let none = [None];
    let names = args.rings.iter().map(|name| Some(name.as_os_str()));
    let names: Vec<Option<&OsStr>> = if args.rings.is_empty() { none.to_vec() } else { names.collect() };
    let mut code = 0;
    for name in names {
        let location = Location::find(name, Purpose::Read);
        match look(&location) {
            Ok(checked) => {
                let report = Report::new(&location, &checked);
                let out = if args.json { [to_json(&report), vec![b'\n']].concat() } else { report.text().into_bytes() };
                let mut stdout = io::stdout();
                stdout.write_all(&out).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
                if checked.found > 0 {
                    code = DAMAGED;
                }
            }
            Err(error) => code = code.max(Failure::from(error).say()),
        }
    }
    Ok(ExitCode::from(code))
}

fn look(location: &Location) -> Result<Checked, Error> {
    location.check_folder(Purpose::Read)?;
    check(location.path())
}

/// All that is reported of one ring, in the order of the JSON object.
#[derive(Serialize)]
struct Report {
    path: String,
    found: u64,
    findings: Vec<Row>,
    next_seq: Option<u64>,
    overwritten: Option<u64>,
    readable: Option<u64>,
    not_committed: Option<u64>,
    damaged: Option<u64>,
    uncommitted: Vec<Run>,
    writable: bool,
    #[serde(skip)]
    is_saved: bool,
    notes: Vec<&'static str>,
}

#[derive(Serialize)]
struct Row {
    offset: u64,
    seq: Option<u64>,
    what: &'static str,
    value: u64,
    expected: String,
}

/// Records that were reserved and not committed.
#[derive(Serialize)]
struct Run {
    first: u64,
    last: u64,
    in_flight: bool,
}

impl Report {
    fn new(location: &Location, checked: &Checked) -> Self {
        let mut path = Vec::new();
        push_escaped(&mut path, location.path().as_os_str().as_encoded_bytes());
        let row = |finding: &Finding| Row {
            offset: finding.offset,
            seq: finding.seq,
            what: finding.what,
            value: finding.found,
            expected: match finding.expected {
                Expected::Exactly(word) if word >= 1 << 32 => format!("{word:#x}"),
                expected => expected.to_string(),
            },
        };
        let run = |run: &Uncommitted| Run { first: run.gap.first, last: run.gap.last(), in_flight: run.in_flight };
        let identity = checked.identity.as_ref();
        let mut notes = Vec::new();
        let is_saved = identity.is_some_and(|identity| identity.saved_ns.is_some());
        if is_saved {
            notes.push("this is a saved ring: it can be read, and not written to");
        } else if identity.is_some_and(|identity| identity.copied) {
            notes.push("this is a copy of a ring: it can be read, and not written to");
        }
        if identity.is_some_and(|identity| identity.is_of_another_boot()) {
            notes.push("it was written before this host last started: it can be read, and not written to");
        }
        let tally = checked.tally;
        Self {
            path: String::from_utf8_lossy(&path).into_owned(),
            found: checked.found,
            findings: checked.findings.iter().map(row).collect(),
            next_seq: tally.map(|tally| tally.next_seq()),
            overwritten: tally.map(|tally| tally.overwritten),
            readable: tally.map(|tally| tally.readable),
            not_committed: tally.map(|tally| tally.uncommitted),
            damaged: tally.map(|tally| tally.damaged),
            uncommitted: checked.uncommitted.iter().map(run).collect(),
            writable: notes.is_empty() && checked.found == 0,
            is_saved,
            notes,
        }
    }

    fn text(&self) -> String {
        let Self { path, .. } = self;
        let mut out = String::new();
        // A String takes everything.
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(out, "{path}: {text}");
        };
        for Row { offset, seq, what, value, expected } in &self.findings {
            let seq = seq.map_or(String::new(), |seq| format!(", sequence {seq}"));
            let value = if *value >= 1 << 32 { format!("{value:#x}") } else { value.to_string() };
            line(format_args!("offset {offset}{seq}: {what} is {value}, expected {expected}"));
        }
        let listed = self.findings.len() as u64;
        if self.found > listed {
            line(format_args!("and {} more", self.found - listed));
        }
        for Run { first, last, in_flight } in &self.uncommitted {
            let why = if self.is_saved {
                "abandoned, stalled or lost when the ring was saved; `lapwing tail` says which"
            } else if *in_flight {
                "in flight, its writer is not known to be dead"
            } else {
                "abandoned by a writer that died"
            };
            line(format_args!("sequences {first}..{last}: not committed, {why}"));
        }
        for note in &self.notes {
            line(format_args!("{note}"));
        }
        match (self.next_seq, self.overwritten, self.readable, self.not_committed, self.damaged) {
            (Some(0), ..) => line(format_args!("nothing was written yet")),
            (Some(next), Some(overwritten), Some(readable), Some(not_committed), Some(damaged)) => line(format_args!(
                "sequences 0..{}: {overwritten} overwritten, {readable} readable, {not_committed} not committed, \
                 {damaged} damaged",
                next - 1
            )),
            _ => line(format_args!("without a sound header, no record can be found")),
        }
        match self.found {
            0 => line(format_args!("no damage")),
            1 => line(format_args!("damaged in one place")),
            found => line(format_args!("damaged in {found} places")),
        }
        out
    }
}

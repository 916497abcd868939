//! Random system calls from a seed: each returns with us what it returns without us, the same bytes arrive, and what was
//! written to a captured stream is in the ring.

use crate::stage::{Stage, compiled};
use lapwing_ring::{Create, Flags, Read as Step, Reader, Source};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Bytes by pid and stream.
type Written = BTreeMap<(u32, bool), Vec<u8>>;

/// What a program believes to have written, by the length in front and entries of pid, stream, length, bytes.
fn accounted(file: &Path) -> Written {
    let bytes = fs::read(file).unwrap();
    let (len, bytes) = bytes.split_at(8);
    let mut bytes = &bytes[..u64::from_le_bytes(len.try_into().unwrap()) as usize];
    let mut written = Written::new();
    while !bytes.is_empty() {
        let (head, rest) = bytes.split_at(12);
        let [pid, stream, len] = [0, 4, 8].map(|at| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()));
        let (text, rest) = rest.split_at(len as usize);
        written.entry((pid, stream == 2)).or_default().extend(text);
        bytes = rest;
    }
    written
}

/// What the ring has, put together again.
fn recorded(ring: &Path) -> Written {
    let mut reader = Reader::open(ring).unwrap();
    let mut written = Written::new();
    loop {
        match reader.next().unwrap() {
            Step::Record(record) => {
                let stream = written.entry((record.pid, record.source == Source::Stderr)).or_default();
                stream.extend(record.payload);
                if !record.flags.contains(Flags::CONT) && !record.flags.contains(Flags::PARTIAL) {
                    stream.push(b'\n');
                }
            }
            Step::NotYet { .. } => return written,
            other => panic!("{other:?}"),
        }
    }
}

/// Plays `seed` with and without us; what was different, if anything.
fn difference(stage: &Stage, program: &str, seed: u64) -> Option<String> {
    let (log, account, ring) = (stage.path("log"), stage.path("account"), stage.ring());
    let drive = |prefix: &[String], is_quiet: bool| {
        let _ = (fs::remove_file(&log), fs::remove_file(&account), fs::remove_file(&ring));
        Create::new().size(4 << 20).create(&ring).unwrap();
        let drive = [program, "drive", &seed.to_string(), log.to_str().unwrap(), account.to_str().unwrap()];
        let line: Vec<_> = drive.map(String::from).into_iter().chain(prefix.iter().cloned()).collect();
        let end = stage.run_with(&line, if is_quiet { &[("FUZZ_ADDRESSES", "good")] } else { &[] });
        let log = String::from_utf8_lossy(&fs::read(&log).unwrap()[8..]).trim_end_matches('\0').to_owned();
        (end.status(), log)
    };
    let (plain, plain_log) = drive(&[], false);
    assert_eq!(plain.0, Some(0), "the fuzzer itself fails with seed {seed}: {plain:?}\n{plain_log}");
    let (captured, log) = drive(&stage.captured(&["--buffer", "keep"], &[])[..], false);
    if log != plain_log || captured != plain {
        let pairs = || plain_log.lines().zip(log.lines());
        let same = pairs().take_while(|(a, b)| a == b).count();
        let before: Vec<_> = log.lines().take(same).skip(same.saturating_sub(12)).collect();
        let at = pairs().nth(same);
        return Some(format!("seed {seed}, {captured:?}\n{}\n(without us, with us): {at:?}", before.join("\n")));
    }
    let missing = missing(&account, &ring).map(|missing| format!("seed {seed}\n{missing}\n{log}"));
    missing.or_else(|| {
        // Quiet, calls succeed that would not: what is left to compare is what the program was told.
        let (end, log) = drive(&stage.captured(&["--quiet", "--buffer", "keep"], &[])[..], true);
        let failed = (end.0 != Some(0)).then(|| format!("{end:?}"));
        failed.or_else(|| self::missing(&account, &ring)).map(|what| format!("seed {seed}, quiet\n{what}\n{log}"))
    })
}

/// What the program believes to have written and the ring has not, or the other way round.
fn missing(account: &Path, ring: &Path) -> Option<String> {
    let (accounted, recorded) = (accounted(account), recorded(ring));
    let differs = |who: &&(u32, bool)| accounted.get(who) != recorded.get(who);
    let who = accounted.keys().chain(recorded.keys()).find(differs)?;
    let short = |written: &Written| written.get(who).map(|text| text.escape_ascii().to_string());
    Some(format!("{who:?}\nwritten {:?}\nrecorded {:?}", short(&accounted), short(&recorded)))
}

fn play(part: u64) {
    let program = compiled("cc", "fuzz", include_str!("fuzz.c"), &["-O1", "-pthread", "-lutil"]).expect("a C compiler");
    let number = |name, usual| match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => usual,
    };
    let (first, count) = (number("TRANSPARENT_SEED", 0), number("TRANSPARENT_SEEDS", 150));
    let stage = Stage::new();
    let played = (first..first + count).filter(|seed| seed % 2 == part % 2);
    let differences: Vec<_> = played.filter_map(|seed| difference(&stage, &program, seed)).take(3).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn every_call_returns_the_same_even_seeds() {
    play(0);
}

#[test]
fn every_call_returns_the_same_odd_seeds() {
    play(1);
}

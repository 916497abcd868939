//! Is a snapshot a range of sequences of its ring, each whole or accounted for, and does every reader take it for a ring?
#![allow(unsafe_code)]

mod folder;

use folder::{Folder, small};
use lapwing_ring::{
    Access, Create, Draft, Error, Field, Kept, Level, Log, Read, Reader, Seek, Snapshot, Source, Value, Writer, check,
    identify_path,
};
use std::fs;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "SNAPSHOT_ROLE";

fn take(ring: &Path) -> Snapshot {
    Reader::open(ring).unwrap().snapshot(|_, _| {}).unwrap()
}

fn save(ring: &Path, file: &Path) -> Snapshot {
    let snapshot = take(ring);
    snapshot.save(file, false, |_, _| {}).unwrap();
    snapshot
}

/// All that a reader says of a ring, from `from` on.
fn said(ring: &Path, access: Access, from: Seek) -> Vec<String> {
    let mut reader = Reader::open_with(ring, access).unwrap();
    reader.seek(from).unwrap();
    let mut said = Vec::new();
    loop {
        match reader.next().unwrap() {
            Read::NotYet { in_flight } => {
                assert!(!in_flight, "nobody will commit anything");
                return said;
            }
            read => said.push(format!("{read:?}")),
        }
    }
}

/// The saved ring says what the ring says, from the oldest record on and from sequence 0 on, and is clean.
fn is_the_same(ring: &Path, file: &Path) {
    let whole = said(ring, Access::Mapped, Seek::Oldest);
    for access in [Access::Mapped, Access::Copied] {
        assert_eq!(said(file, access, Seek::Oldest), whole);
        assert_eq!(said(file, access, Seek::Seq(0)), said(ring, Access::Mapped, Seek::Seq(0)));
    }
    let checked = check(file).unwrap();
    assert_eq!((checked.findings, checked.found), (vec![], 0));
    let [saved, live] = [file, ring].map(|path| Reader::open(path).unwrap().stat().unwrap());
    assert_eq!((saved.bounds, saved.refused), (live.bounds, live.refused));
    assert_eq!(saved.writers, live.writers, "with the verdicts of the moment");
}

#[test]
fn a_ring_at_rest_and_its_snapshot_say_the_same() {
    let folder = Folder::new("snapshot-rest");
    for (size, page) in [(64 << 10, None), (256 << 10, Some(65536)), (1 << 20, None)] {
        let ring = folder.join(&format!("ring-{size}"));
        Create::new().size(size).page_size(page).create(&ring).unwrap();
        let mut writer = Writer::open(&ring).unwrap();
        let largest = vec![b'x'; identify_path(&ring).unwrap().geometry.max_body() - 64];
        for (round, records) in [0u32, 1, 3, 200, 3000, 9000].into_iter().enumerate() {
            for i in 0..records {
                let fields = [Field::Tag(b"t"), Field::KeyValue(b"n", Value::Uint(i.into()))];
                let draft = Draft { fields: &fields, source: Source::Log, ..Draft::new(Level::WARN) };
                let text = &largest[..(i as usize * 37) % if i % 100 == 0 { largest.len() } else { 150 }];
                writer.append_slices(&draft, &[text]).unwrap();
            }
            let (file, again) =
                (folder.join(&format!("{size}-{round}")), folder.join(&format!("{size}-{round}-again")));
            let snapshot = save(&ring, &file);
            assert_eq!(snapshot.counts().read, snapshot.bounds().next_seq - snapshot.bounds().oldest_seq);
            is_the_same(&ring, &file);
            // A snapshot of a snapshot is the snapshot.
            save(&file, &again);
            assert!(fs::read(&file).unwrap() == fs::read(&again).unwrap());
            let mut streamed = Vec::new();
            snapshot.write(&mut streamed, |_, _| {}).unwrap();
            assert!(streamed == fs::read(&file).unwrap(), "written as a stream it is the same");
        }
    }
}

#[test]
fn a_snapshot_is_no_live_ring() {
    let folder = Folder::new("snapshot-dead");
    let (ring, file) = (folder.join("ring"), folder.join("file"));
    small().create(&ring).unwrap();
    let mut writer = Writer::open(&ring).unwrap();
    writer.append(Level::INFO, b"one").unwrap();
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    save(&ring, &file);
    let (saved, of) = (identify_path(&file).unwrap(), identify_path(&ring).unwrap());
    assert!(saved.copied && of.saved_ns.is_none());
    assert!((before..before + 600_000_000_000).contains(&saved.saved_ns.unwrap()));
    assert_eq!((saved.ring_id, saved.boot_id, saved.created_ns), (of.ring_id, of.boot_id, of.created_ns));
    assert!(matches!(Writer::open(&file), Err(Error::Saved { path }) if path == file));
    assert!(matches!(Log::open(&file), Err(Error::Saved { .. })));
    let copy = folder.join("copy");
    fs::copy(&file, &copy).unwrap();
    assert!(matches!(Writer::open(&copy), Err(Error::Saved { .. })), "nor is its copy");
    // What the ring says later is no part of it.
    writer.append(Level::INFO, b"two").unwrap();
    assert_eq!(said(&file, Access::Mapped, Seek::Oldest).len(), 1);
    let meta = fs::metadata(&file).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o600);
    assert_eq!(meta.len(), fs::metadata(&ring).unwrap().len());
    assert!(meta.blocks() * 512 <= 32 << 10, "sparse: {} blocks", meta.blocks());
}

#[test]
fn a_snapshot_replaces_files_that_it_may_and_nothing_else() {
    let folder = Folder::new("snapshot-names");
    let (ring, other) = (folder.join("ring"), folder.join("other"));
    small().create(&ring).unwrap();
    small().create(&other).unwrap();
    let snapshot = take(&ring);
    let (text, link, sub) = (folder.join("text"), folder.join("link"), folder.join("folder"));
    fs::write(&text, "precious").unwrap();
    symlink(&text, &link).unwrap();
    fs::create_dir(&sub).unwrap();
    for path in [&text, &link, &sub, &other] {
        assert!(matches!(snapshot.save(path, false, |_, _| {}), Err(Error::Exists { path: p }) if p == *path));
    }
    assert_eq!(fs::read(&text).unwrap(), b"precious");
    for path in [&link, &sub, &other] {
        assert!(matches!(snapshot.save(path, true, |_, _| {}), Err(Error::Exists { path: p }) if p == *path));
    }
    assert!(Writer::open(&other).is_ok());
    let (once, absent) = (folder.join("once"), folder.join("no/such/folder"));
    snapshot.save(&text, true, |_, _| {}).unwrap();
    snapshot.save(&text, true, |_, _| {}).unwrap();
    snapshot.save(&once, true, |_, _| {}).unwrap();
    assert!(identify_path(&text).unwrap().saved_ns.is_some());
    assert!(matches!(snapshot.save(&absent, true, |_, _| {}), Err(Error::NoFolder { .. })));
    assert_eq!(folder.names(), ["folder", "link", "once", "other", "ring", "text"], "nothing was left behind");
}

#[test]
fn an_unfinished_line_of_the_living_is_kept_as_one_and_of_the_dead_as_last_words() {
    let folder = Folder::new("snapshot-lines");
    let (ring, file) = (folder.join("ring"), folder.join("file"));
    small().create(&ring).unwrap();
    let log = Log::open(&ring).unwrap();
    let mut kept = Kept::NOWHERE;
    assert!(log.keep(&mut kept, Level::WARN, Source::Stdout, b"mine, of 19 bytes.."));
    let mut dead = start(&format!("line {}", ring.display()));
    let pid = dead.id();
    BufReader::new(dead.stdout.take().unwrap()).lines().find(|line| line.as_ref().unwrap() == "kept").unwrap().unwrap();
    dead.kill().unwrap();
    dead.wait().unwrap();
    assert_eq!(save(&ring, &file).unfinished_lines(), 2);
    let reader = Reader::open(&file).unwrap();
    let mut words: Vec<_> =
        reader.last_words().unwrap().into_iter().map(|w| (w.alive, w.pid, w.text, w.level)).collect();
    words.sort();
    let expected = [
        (false, pid, b"of the dead".to_vec(), Level::INFO),
        (true, std::process::id(), b"mine, of 19 bytes..".to_vec(), Level::WARN),
    ];
    assert_eq!(words, expected);
    assert_eq!(reader.stat().unwrap().last_words, 1);
    assert_eq!(check(&file).unwrap().found, 0);
}

/// A payload that says itself whether it is whole: pid, count, length and a hash of all that.
fn payload(pid: u32, n: u64) -> Vec<u8> {
    let len = (n as usize * 31) % 180;
    let text = format!("{pid} {n} {}", "abcdefghij".repeat(18).get(..len).unwrap());
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(&text);
    format!("{hash:016x} {text}").into_bytes()
}

#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, ring) = role.split_once(' ').unwrap();
    // A test that fails must not leave processes behind.
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if role == "line" {
        let log = Log::open(Path::new(ring)).unwrap();
        log.append(Level::INFO, b"whole").unwrap();
        let mut kept = Kept::NOWHERE;
        assert!(log.keep(&mut kept, Level::INFO, Source::Stderr, b"of the dead"));
        println!("\nkept");
        std::thread::sleep(Duration::from_secs(600));
    }
    let mut writer = Writer::open(Path::new(ring)).unwrap();
    println!("\nbegun");
    let pid = std::process::id();
    for n in 0.. {
        // Refused where every page is held by somebody stopped.
        let _ = writer.append(Level::INFO, &payload(pid, n));
    }
}

fn start(role: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).stdout(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: a child that was not waited for, so the pid is its own.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
}

/// Reads all of a saved ring: contiguous, whole, and each process in its own order. Gives records and what is accounted for.
fn verify(file: &Path, snapshot: &Snapshot) -> (u64, u64) {
    let mut reader = Reader::open(file).unwrap();
    let bounds = reader.bounds().unwrap();
    assert_eq!(bounds, snapshot.bounds());
    let mut last = std::collections::HashMap::new();
    let mut next = 0;
    loop {
        let gap = match reader.next().unwrap() {
            Read::Record(record) => {
                assert_eq!(record.seq, next);
                let text = std::str::from_utf8(record.payload).unwrap();
                let mut words = text.split(' ');
                let (_, pid, n) = (words.next(), words.next().unwrap(), words.next().unwrap().parse::<u64>().unwrap());
                assert_eq!((record.payload, record.pid.to_string()), (&payload(record.pid, n)[..], pid.to_owned()));
                let before = last.insert(record.pid, n);
                assert!(before.is_none_or(|before| n > before), "{before:?} before {n}");
                next += 1;
                continue;
            }
            Read::NotYet { in_flight } => {
                assert!(!in_flight);
                break;
            }
            Read::Lost(gap) | Read::Abandoned(gap) | Read::Stalled(gap) => gap,
        };
        assert_eq!(gap.first, next);
        next += gap.count;
    }
    let (counts, expected) = (reader.counts(), snapshot.counts());
    assert_eq!(next, bounds.next_seq);
    assert_eq!((counts.read, counts.abandoned, counts.stalled), (expected.read, expected.abandoned, expected.stalled));
    assert_eq!(counts.lost, expected.lost + bounds.oldest_seq);
    assert_eq!(bounds.next_seq - bounds.oldest_seq, counts.read + counts.abandoned + counts.stalled + expected.lost);
    (counts.read, counts.abandoned + counts.stalled + expected.lost)
}

#[test]
fn while_writers_write_and_die_and_stop_every_snapshot_is_a_range_of_whole_records() {
    let folder = Folder::new("snapshot-race");
    let ring = folder.join("ring");
    small().create(&ring).unwrap();
    let role = format!("write {}", ring.display());
    let begin = || {
        let mut child = start(&role);
        let out = BufReader::new(child.stdout.take().unwrap());
        out.lines().find(|line| line.as_ref().unwrap() == "begun").unwrap().unwrap();
        child
    };
    let mut writers: Vec<Child> = (0..3).map(|_| begin()).collect();
    let (mut records, mut accounted, mut largest) = (0, 0, 0);
    let file = folder.join("file");
    let since = Instant::now();
    let mut saves = 0;
    while saves < 3000 && since.elapsed() < Duration::from_secs(12) || saves < 40 {
        let i = saves % writers.len();
        let (stops, dies) = (saves % 20 == 7, saves % 20 == 17);
        if stops {
            signal(&writers[i], libc::SIGSTOP);
        }
        if dies {
            writers[i].kill().unwrap();
        }
        let access = if saves % 2 == 0 { Access::Mapped } else { Access::Copied };
        let mut reader = Reader::open_with(&ring, access).unwrap();
        reader.set_patience(Duration::from_millis(20));
        let snapshot = reader.snapshot(|_, _| {}).unwrap();
        assert!(!snapshot.is_damaged());
        snapshot.save(&file, true, |_, _| {}).unwrap();
        let (whole, missing) = verify(&file, &snapshot);
        (records, accounted, largest) = (records + whole, accounted + missing, largest.max(whole));
        if stops || dies || saves % 10 == 0 {
            let checked = check(&file).unwrap();
            assert_eq!((checked.findings, checked.found), (vec![], 0));
        }
        if stops {
            signal(&writers[i], libc::SIGCONT);
        }
        if dies {
            writers[i].wait().unwrap();
            writers[i] = begin();
        }
        saves += 1;
    }
    for writer in &mut writers {
        writer.kill().unwrap();
    }
    for writer in &mut writers {
        writer.wait().unwrap();
    }
    println!("{saves} snapshots, {records} records, {accounted} accounted for, at most {largest} in one");
    assert!(records > 0 && largest > 100, "they hold something: {records}, {largest}");
    // After all are dead nothing is in the way any more.
    let snapshot = take(&ring);
    snapshot.save(&file, true, |_, _| {}).unwrap();
    verify(&file, &snapshot);
    assert_eq!(snapshot.counts().stalled, 0);
}

//! Does death in the middle matter? A child whose payload lies in memory that faults gets exactly as far as the first
//! payload byte of its append: there it dies, or stops until it is told to go on.
#![allow(unsafe_code)]

use lapwing_ring::{AppendError, Create, Level, Read, Reader, Seek, Writer};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "DEATH_ROLE";
const LEN: usize = 4096;

static mut FAULTING: *mut libc::c_void = std::ptr::null_mut();

/// Memory that cannot be read yet.
fn faulting_payload() -> &'static [u8] {
    // SAFETY: a fresh anonymous mapping without access.
    let at = unsafe {
        libc::mmap(std::ptr::null_mut(), LEN, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: written once, before the handler that reads it is installed.
    unsafe { FAULTING = at };
    // SAFETY: mapped for ever; the test is what happens when it is read.
    unsafe { std::slice::from_raw_parts(at.cast(), 100) }
}

/// Stops the process, and makes the memory readable once it goes on.
extern "C" fn stop_and_mend(_: libc::c_int) {
    // SAFETY: raise is safe in a signal handler.
    unsafe { libc::raise(libc::SIGSTOP) };
    // SAFETY: reading a pointer written before the handler was installed.
    let at = unsafe { FAULTING };
    // SAFETY: the mapping made above.
    unsafe { libc::mprotect(at, LEN, libc::PROT_READ) };
}

#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, ring) = role.split_once(' ').unwrap();
    // A test that fails must not leave stopped processes behind.
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let mut writer = Writer::open(Path::new(ring)).unwrap();
    let payload = faulting_payload();
    if role == "stop" {
        let handler = stop_and_mend as extern "C" fn(libc::c_int);
        // SAFETY: the handler makes async-signal-safe calls alone.
        unsafe { libc::signal(libc::SIGSEGV, handler as libc::sighandler_t) };
    }
    match writer.append(Level::WARN, payload) {
        Ok(seq) => println!("\nappended {seq}"),
        Err(error) => println!("\nrefused: {error}"),
    }
    std::process::exit(0);
}

fn start(role: &str, ring: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{role} {}", ring.display())).stdout(Stdio::piped()).spawn().unwrap()
}

struct TestRing(PathBuf);

impl TestRing {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-death-{}-{name}", std::process::id()));
        Create::new().size(64 << 10).create(&path).unwrap();
        Self(path)
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Everything there is to read: sequences of records, and of abandoned and stalled ones. Waits for what is in flight.
fn read_all(reader: &mut Reader) -> (Vec<u64>, Vec<u64>, Vec<u64>) {
    let (mut records, mut abandoned, mut stalled) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        match reader.next().unwrap() {
            Read::Record(record) => {
                assert!(record.payload == [b'm'; 100] || record.payload == [0; 100], "whole records alone");
                records.push(record.seq);
            }
            Read::Abandoned(gap) => abandoned.push(gap.first),
            Read::Stalled(gap) => stalled.push(gap.first),
            Read::Lost(_) => {}
            Read::NotYet { in_flight: true } => reader.pause(),
            Read::NotYet { in_flight: false } => return (records, abandoned, stalled),
        }
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(20), "{what} never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_writer_that_dies_in_an_append_costs_its_record_alone() {
    let ring = TestRing::new("dies");
    let mut writer = Writer::open(&ring.0).unwrap();
    let mut reader = Reader::open(&ring.0).unwrap();
    for seq in 0..5 {
        assert_eq!(writer.append(Level::INFO, &[b'm'; 100]), Ok(seq));
    }
    let mut child = start("die", &ring.0);
    assert!(!child.wait().unwrap().success(), "it died of its payload");
    assert_eq!(writer.append(Level::INFO, &[b'm'; 100]), Ok(6), "sequence 5 was reserved");
    assert_eq!(read_all(&mut reader), (vec![0, 1, 2, 3, 4, 6], vec![5], vec![]));

    // Its slot still pins the page; whoever needs the page frees it.
    assert!(reader.stat().unwrap().writers.iter().any(|w| !w.is_alive() && w.appending));
    for _ in 0..2000 {
        writer.append(Level::INFO, &[b'm'; 100]).unwrap();
    }
    let stat = reader.stat().unwrap();
    assert_eq!((stat.writers.len(), stat.refused.total()), (1, 0), "{:?}", stat.writers);
    let (_, abandoned, stalled) = read_all(&mut reader);
    let counts = reader.counts();
    assert_eq!((abandoned.len(), stalled.len(), counts.abandoned), (0, 0, 1));
    assert_eq!(counts.read + counts.lost + counts.abandoned, stat.bounds.next_seq);
}

#[test]
fn a_snapshot_says_for_ever_which_record_was_abandoned_and_which_stalled() {
    let ring = TestRing::new("saved");
    let file = PathBuf::from(format!("{}.file", ring.0.display()));
    let mut writer = Writer::open(&ring.0).unwrap();
    let mut append = |seq| assert_eq!(writer.append(Level::INFO, &[b'm'; 100]), Ok(seq));
    append(0);
    // The stopped writer first: while it is inside the page, nobody can tell which of the two is its own.
    let dies = |ring: &TestRing| assert!(!start("die", &ring.0).wait().unwrap().success());
    dies(&ring);
    append(2);
    for seq in 3..300 {
        append(seq);
    }
    let child = start("stop", &ring.0);
    let pid = child.id() as libc::pid_t;
    let reader = Reader::open(&ring.0).unwrap();
    wait_for("the stop", || {
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "))
    });
    append(301);
    let mut impatient = Reader::open(&ring.0).unwrap();
    impatient.set_patience(Duration::from_millis(20));
    let snapshot = impatient.snapshot(|_, _| {}).unwrap();
    let _ = std::fs::remove_file(&file);
    snapshot.save(&file, false, |_, _| {}).unwrap();
    // SAFETY: our own child, stopped.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGCONT) }, 0);
    assert!(child.wait_with_output().unwrap().status.success());
    let late = reader.snapshot(|_, _| {}).unwrap();
    let mut saved = Reader::open(&file).unwrap();
    // Whatever becomes of the writers later, and however patient a reader is.
    saved.set_patience(Duration::from_secs(3600));
    let (records, abandoned, stalled) = read_all(&mut saved);
    assert_eq!((abandoned, stalled), (vec![1], vec![300]));
    assert_eq!(records, (0..302).filter(|seq| ![1, 300].contains(seq)).collect::<Vec<_>>());
    let inside: Vec<_> = saved.stat().unwrap().writers.into_iter().filter(|w| w.appending).collect();
    assert!(inside.iter().any(|w| w.pid == pid as u32 && w.is_alive()), "alive and inside an append: {inside:?}");
    assert_eq!(lapwing_ring::check(&file).unwrap().found, 0);
    assert_eq!((late.counts().stalled, late.bounds().next_seq), (0, 302), "what is committed late is a record");
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_writer_stopped_in_an_append_is_stepped_over_and_its_late_commit_harms_nobody() {
    let ring = TestRing::new("stops");
    let mut writer = Writer::open(&ring.0).unwrap();
    let [mut patient, mut hasty] = [0; 2].map(|_| Reader::open(&ring.0).unwrap());
    patient.set_patience(Duration::from_secs(3600));
    hasty.set_patience(Duration::from_millis(20));
    let child = start("stop", &ring.0);
    wait_for("the reservation", || writer_is_appending(&patient));
    assert_eq!(writer.append(Level::INFO, &[b'm'; 100]), Ok(1));

    let (records, abandoned, stalled) = read_all(&mut hasty);
    assert_eq!((records, abandoned, stalled), (vec![1], vec![], vec![0]), "hasty counts it stalled and goes on");
    assert_eq!(patient.next(), Ok(Read::NotYet { in_flight: true }), "patient waits");
    // Nine of sixteen pages.
    for _ in 0..9 * 31 {
        writer.append(Level::INFO, &[b'm'; 100]).unwrap();
    }
    let (records, abandoned, stalled) = read_all(&mut patient);
    assert_eq!((abandoned, stalled), (vec![], vec![0]), "patience ends half a ring ahead");
    assert_eq!((records.len(), patient.counts().lost), (9 * 31 + 1, 0), "it costs this one record");
    // Five laps around its page.
    for _ in 0..5 * 16 * 31 {
        writer.append(Level::INFO, &[b'm'; 100]).unwrap();
    }
    assert_eq!(patient.stat().unwrap().refused.total(), 0);

    // SAFETY: our own child, which was not waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGCONT) };
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("appended 0"), "{text}");
    for _ in 0..3 * 16 * 31 {
        writer.append(Level::INFO, &[b'm'; 100]).unwrap();
    }
    for reader in [&mut patient, &mut hasty] {
        read_all(reader);
        let (counts, bounds) = (reader.counts(), reader.bounds().unwrap());
        assert_eq!(counts.read + counts.lost + counts.stalled, bounds.next_seq);
    }
    let oldest = hasty.seek(Seek::Oldest).unwrap();
    let (records, abandoned, stalled) = read_all(&mut hasty);
    assert_eq!(records, (oldest..oldest + records.len() as u64).collect::<Vec<_>>());
    assert_eq!((abandoned, stalled, hasty.seq()), (vec![], vec![], hasty.bounds().unwrap().next_seq));
}

#[test]
fn a_reader_gets_past_two_neighbouring_pages_that_stopped_writers_hold() {
    let ring = TestRing::new("neighbours");
    let mut writer = Writer::open(&ring.0).unwrap();
    let mut reader = Reader::open(&ring.0).unwrap();
    reader.set_patience(Duration::from_secs(3600));
    let mut stopped = Vec::new();
    for page in 0..2 {
        let child = start("stop", &ring.0);
        let before = page * 32;
        wait_for("the reservation", || reader.bounds().unwrap().next_seq == before + 1);
        stopped.push(child);
        for _ in 0..31 {
            writer.append(Level::INFO, &[b'm'; 100]).unwrap();
        }
    }
    assert_eq!(reader.next(), Ok(Read::NotYet { in_flight: true }), "it stands before the first stopped record");
    for _ in 0..5 * 16 * 31 {
        writer.append(Level::INFO, &[b'm'; 100]).unwrap();
    }
    let since = Instant::now();
    let end = reader.bounds().unwrap().next_seq;
    while reader.seq() < end {
        assert!(since.elapsed() < Duration::from_secs(10), "stands at {} of {end}", reader.seq());
        if let Read::NotYet { .. } = reader.next().unwrap() {
            reader.pause();
        }
    }
    let counts = reader.counts();
    assert_eq!(counts.read + counts.lost + counts.stalled, end);
    for mut child in stopped {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

fn writer_is_appending(reader: &Reader) -> bool {
    reader.bounds().unwrap().next_seq == 1 && reader.stat().unwrap().writers.iter().any(|w| w.appending)
}

#[test]
fn when_every_page_is_pinned_an_append_is_refused_and_counted_until_one_writer_goes_on() {
    let ring = TestRing::new("pinned");
    let mut writer = Writer::open(&ring.0).unwrap();
    let reader = Reader::open(&ring.0).unwrap();
    let mut stopped = Vec::new();
    let mut record = || writer.append(Level::INFO, &[b'm'; 100]);
    loop {
        // A page, and then somebody who stops inside the next record: until one or the other is refused.
        if let Some(refused) = (0..31).find_map(|_| record().err()) {
            assert_eq!(refused, AppendError::AllPagesPinned { pages: 16 });
            break;
        }
        let mut child = start("stop", &ring.0);
        let stat = format!("/proc/{}/stat", child.id());
        let mut ended = false;
        wait_for("the stop", || {
            ended = child.try_wait().unwrap().is_some();
            ended || std::fs::read_to_string(&stat).unwrap().contains(") T ")
        });
        if ended {
            break;
        }
        stopped.push(child);
        assert!(stopped.len() <= 16);
    }
    assert!(stopped.len() > 14, "with {} stopped nobody is refused", stopped.len());
    assert_eq!(reader.stat().unwrap().refused.all_pages_pinned, 1);
    for child in stopped {
        // SAFETY: our own child, which was not waited for.
        unsafe { libc::kill(child.id() as i32, libc::SIGCONT) };
        assert!(child.wait_with_output().unwrap().status.success());
        assert!(record().is_ok(), "one page is enough");
    }
    assert_eq!(reader.stat().unwrap().refused.total(), 1);
}

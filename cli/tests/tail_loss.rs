//! Records that a reader does not get are a line where they would have been, in every format and every order: overwritten,
//! abandoned by a writer that was killed inside its append, stalled by one that is stopped there. And who is about to be lapped
//! is told so.
#![allow(unsafe_code)]

mod sandbox;

use lapwing_ring::{Create, Level, Log, Reader, Writer};
use sandbox::following::Following;
use sandbox::{Done, Sandbox};
use serde_json::Value as Json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

const RING: &str = "LOSS_RING";

/// Stops the process where it is.
extern "C" fn stop(_: libc::c_int) {
    // SAFETY: raise is safe in a signal handler.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Appends a payload that cannot be read: so it stops inside its append, behind the reservation, in front of the commit.
#[test]
fn child() {
    let Ok(ring) = std::env::var(RING) else { return };
    // A test that fails must not leave stopped processes behind.
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let mut writer = Writer::open(Path::new(&ring)).unwrap();
    let (access, kind) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh anonymous mapping without access.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, kind, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: mapped for ever; that it cannot be read is what it is for.
    let payload = unsafe { std::slice::from_raw_parts(at.cast(), 100) };
    let handler = stop as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes one async-signal-safe call.
    unsafe { libc::signal(libc::SIGSEGV, handler as libc::sighandler_t) };
    let _ = writer.append(Level::WARN, payload);
}

/// A writer that is stopped inside its append.
struct Stopped(Child);

impl Stopped {
    fn start(ring: &Path) -> Self {
        let next_seq = || Reader::open(ring).unwrap().bounds().unwrap().next_seq;
        let before = next_seq();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(RING, ring);
        let stopped = Self(command.stdout(Stdio::null()).spawn().unwrap());
        let since = Instant::now();
        while next_seq() == before || !stopped.is_stopped() {
            assert!(since.elapsed() < Duration::from_secs(20), "it never stopped inside its append");
            std::thread::sleep(Duration::from_millis(1));
        }
        stopped
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn append(path: &Path, texts: impl IntoIterator<Item = u64>) {
    let log = Log::open(path).unwrap();
    for text in texts {
        log.append(Level::INFO, text.to_string().as_bytes()).unwrap();
    }
}

/// Two thousand records of which the first are overwritten, one abandoned, a hundred records, one stalled, three records. The two
/// stand on different pages: who is stopped on a page may be the one who would still write any record of it.
fn with_every_loss(path: &Path) -> Stopped {
    append(path, 0..2000);
    Stopped::start(path).kill();
    append(path, 2001..2101);
    let stopped = Stopped::start(path);
    append(path, 2102..2105);
    stopped
}

/// What each line is about: text of a record, or words of a loss.
fn ends(done: &Done) -> Vec<&str> {
    done.lines().into_iter().map(|line| line.split_once("] ").map_or(line, |(_, text)| text)).collect()
}

#[test]
fn every_loss_is_a_line_in_its_place_in_every_format() {
    let sandbox = Sandbox::with_ring("64K");
    let _stopped = with_every_loss(&sandbox.path("ring"));
    let run = |args: &[&str]| sandbox.run(&[&["tail", "--fail-on-loss"], args].concat());

    let json = run(&["-o", "json"]);
    let lines: Vec<Json> = json.lines().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lost = lines[0]["lost"].as_u64().unwrap();
    assert_eq!((json.code, &lines[0]["first"], &lines[0]["last"]), (3, &Json::from(0), &Json::from(lost - 1)));
    let count = lines.len();
    assert_eq!(lines[count - 105], serde_json::json!({"abandoned": 1, "first": 2000, "last": 2000}));
    assert_eq!(lines[count - 4], serde_json::json!({"stalled": 1, "first": 2101, "last": 2101}));
    let mut next = 0;
    for line in &lines {
        let is_record = line.get("seq").is_some();
        assert_eq!(line[if is_record { "seq" } else { "first" }], next, "each sequence once, in order");
        next = line[if is_record { "seq" } else { "last" }].as_u64().unwrap() + 1;
    }
    assert_eq!(next, 2105);

    let in_text = [
        format!("*** {lost} records lost (seq 0..{}) ***", lost - 1),
        "*** 1 records abandoned (seq 2000..2000) ***".to_owned(),
        "*** 1 records stalled (seq 2101..2101) ***".to_owned(),
    ];
    let [first, abandoned, stalled] = in_text.each_ref().map(String::as_str);
    let behind = ["2099", "2100", stalled, "2102", "2103", "2104"];
    // Each waits for a second before it counts the record of the stopped writer as stalled.
    let formats = ["short", "short-iso", "mono", "verbose", "logfmt", "cat", "raw"];
    let outputs = std::thread::scope(|scope| {
        let runs = formats.map(|format| scope.spawn(move || run(&["-o", format])));
        runs.map(|run| run.join().unwrap())
    });
    for (format, done) in formats.iter().zip(&outputs) {
        assert_eq!(done.code, 3, "{format}");
        match *format {
            "short" | "short-iso" => {
                let ends = ends(done);
                assert_eq!(
                    (ends[0], ends[count - 105], &ends[count - 6..]),
                    (first, abandoned, &behind[..]),
                    "{format}"
                );
            }
            "mono" | "verbose" => {
                let lines = done.lines();
                let is_end = |(line, end): (&&str, &&str)| line == end || line.ends_with(&format!(" {end}"));
                assert!(lines[0] == first && lines[count - 105] == abandoned, "{format}: {lines:?}");
                assert!(lines[count - 6..].iter().zip(&behind).all(is_end), "{format}: {lines:?}");
            }
            "logfmt" => {
                let lines = done.lines();
                assert_eq!(lines[0], format!("lost={lost} first=0 last={}", lost - 1));
                assert_eq!(lines[count - 105], "abandoned=1 first=2000 last=2000");
                assert_eq!(lines[count - 4], "stalled=1 first=2101 last=2101");
            }
            _ => {
                let notices: Vec<&str> = done.stderr.lines().collect();
                assert_eq!(notices, [first, abandoned, stalled], "{format}: the data alone, the notices apart");
                assert!(!done.stdout.contains('*'));
            }
        }
    }
}

#[test]
fn losses_stand_in_their_places_in_reverse_and_among_several_rings() {
    let sandbox = Sandbox::with_ring("64K");
    let (one, other) = (sandbox.path("ring"), sandbox.path("other"));
    Create::new().size(64 << 10).create(&other).unwrap();
    append(&other, [1_000_000]);
    let _stopped = with_every_loss(&one);
    append(&other, [1_000_001]);
    let reversed = sandbox.run(&["tail", "-r", "-n", "104", "--fail-on-loss"]);
    let stalled = "*** 1 records stalled (seq 2101..2101) ***";
    let abandoned = "*** 1 records abandoned (seq 2000..2000) ***";
    let lines = ends(&reversed);
    assert_eq!((&lines[..5], reversed.code), (&["2104", "2103", "2102", stalled, "2100"][..], 3));
    assert_eq!(lines[103..], ["2001", abandoned, "1999"]);
    let none = sandbox.run(&["tail", "-r", "-n", "3", "--fail-on-loss"]);
    assert_eq!((ends(&none).len(), none.code), (3, 0), "what is lost in front of what was asked for is not part of it");

    let merged = sandbox.run(&["tail", "--ring", "ring", "--ring", "other", "--fail-on-loss"]);
    let ends = ends(&merged);
    let of_ring = |loss: &str| loss.replace(") ***", " of ring) ***");
    let (abandoned, stalled) = (of_ring(abandoned), of_ring(stalled));
    let expected = ["2100", &stalled, "2102", "2103", "2104", "1000001"];
    assert_eq!((&ends[ends.len() - 6..], merged.code), (&expected[..], 3));
    assert_eq!(ends[ends.len() - 106], abandoned);
    assert!(ends[0] == "1000000" && ends[1].ends_with(" of ring) ***"), "{:?}", &ends[..3]);

    let json = sandbox.run(&["tail", "--ring", "ring", "--ring", "other", "-o", "json", "-r", "-n", "8"]);
    let path = one.to_str().unwrap();
    let stalled = serde_json::json!({"stalled": 1, "first": 2101, "last": 2101, "ring": path});
    assert_eq!(serde_json::from_str::<Json>(json.lines()[4]).unwrap(), stalled);
}

#[test]
fn a_stopped_writer_in_one_ring_does_not_hold_back_a_follower_of_another() {
    let sandbox = Sandbox::with_ring("64K");
    let (one, other) = (sandbox.path("ring"), sandbox.path("other"));
    Create::new().size(64 << 10).create(&other).unwrap();
    let tail = Following::start(sandbox.command(&["tail", "-f", "-o", "json", "--ring", "ring", "--ring", "other"]));
    append(&other, [1]);
    assert!(tail.out().contains(r#""text":"1""#));
    let _stopped = Stopped::start(&one);
    append(&one, [2]);
    append(&other, [3]);
    assert!(tail.out().contains(r#""text":"3""#), "long before patience ends");
    assert!(tail.out().starts_with(r#"{"stalled":1,"first":0,"last":0,"#));
    assert!(tail.out().contains(r#""text":"2""#));
}

#[test]
fn who_is_about_to_be_lapped_is_told_how_far_behind_he_is() {
    let sandbox = Sandbox::with_ring("1M");
    let mut command = sandbox.command(&["tail", "-f", "-o", "json", "-n", "all"]);
    // A pipe that nobody empties for now.
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let (sender, notices) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        std::io::BufRead::lines(stderr).map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let ended = AtomicBool::new(false);
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let appended = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut appended = 0u64;
            while !ended.load(Relaxed) {
                for _ in 0..3 {
                    log.append(Level::INFO, &[b'm'; 80]).unwrap();
                    appended += 1;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            appended
        });
        let notice = || notices.recv_timeout(Duration::from_secs(30)).expect("a notice");
        let first = notice();
        let figures =
            regex::Regex::new(r"(\d+) records behind, (\d+\.\d) s at the present (\d+) records a second$").unwrap();
        let figures = figures.captures(&first).unwrap_or_else(|| panic!("{first}"));
        let [behind, rate] = [1, 3].map(|i| figures[i].parse::<f64>().unwrap());
        let seconds: f64 = figures[2].parse().unwrap();
        assert!(first.contains("about to be overtaken and to lose records"), "{first}");
        assert!(behind > 3000.0 && (behind / rate - seconds).abs() < 0.06, "{first}");
        let last = std::iter::repeat_with(notice).find(|line| line.contains("was overtaken and lost")).unwrap();
        assert!(last.contains("records behind"), "{last}");
        std::thread::sleep(Duration::from_secs(1));
        ended.store(true, Relaxed);
        writing.join().unwrap()
    });
    assert!(notices.try_iter().count() <= 1, "each is said once");
    // And nothing of it is missing from the account.
    let stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut next = 0;
    for line in std::io::BufRead::lines(stdout) {
        let line: Json = serde_json::from_str(&line.unwrap()).unwrap();
        let is_record = line.get("seq").is_some();
        assert_eq!(line[if is_record { "seq" } else { "first" }], next);
        next = line[if is_record { "seq" } else { "last" }].as_u64().unwrap() + 1;
        if next == appended {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_reader_that_is_far_behind_but_gains_on_the_writers_is_told_nothing() {
    let sandbox = Sandbox::with_ring("1M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let append = || log.append(Level::INFO, &[b'm'; 80]).map(drop).unwrap();
    (0..20_000).for_each(|_| append());
    let mut child = sandbox.command(&["tail", "-f", "-n", "all", "-o", "json"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    // Ten times as many are taken as come.
    for _ in 0..25 {
        (0..10).for_each(|_| append());
        std::io::Read::read_exact(&mut stdout, &mut [0; 20 << 10]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    let done = Done::of(child.wait_with_output().unwrap());
    assert_eq!(done.stderr, "");
}

#[test]
fn a_reader_that_keeps_up_is_told_nothing() {
    let sandbox = Sandbox::with_ring("1M");
    let tail = Following::start(sandbox.command(&["tail", "-f", "-o", "cat"]));
    let log = Log::open(&sandbox.path("ring")).unwrap();
    // Several times the ring, and longer than the first look at it takes.
    for i in 0..15_000 {
        log.append(Level::INFO, &[b'm'; 200]).unwrap();
        if i % 10 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let behind: Vec<String> = tail.err.try_iter().collect();
    assert_eq!(behind, [""; 0]);
}

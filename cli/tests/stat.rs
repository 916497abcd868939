//! What `lapwing stat` says: keys that others rely on, rates that add up, and rings that nobody writes to any more.

mod sandbox;

use lapwing_ring::{Level, Log};
use sandbox::{Done, Sandbox, is_of_another_boot};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::os::unix::fs::FileExt;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

/// The contract, in its order. docs/WATCH.md says what each is.
const KEYS: &str = "path ring_id boot_id created saved state clock ns_per_tick size page_size pages used fill slots file_len \
                    max_body access oldest_seq newest_seq next_seq held oldest_time newest_time span_s rate horizon_s \
                    refused last_words writers";
const RATE_KEYS: &str = "seconds records_per_s bytes_per_s";
const REFUSED_KEYS: &str = "total too_large too_many_writers all_pages_pinned damaged";
const WRITER_KEYS: &str = "slot pid uid comm records bytes records_per_s bytes_per_s attached last_write none_since state \
                           alive appending verdict evidence";

fn stat(sandbox: &Sandbox, more: &[&str]) -> Value {
    serde_json::from_str(&sandbox.ok(&[&["stat", "--json"], more].concat())).unwrap()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(30), "{what} never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A `lapwing log` that has appended `lines` and waits for more.
fn logging(sandbox: &Sandbox, lines: &[&str]) -> Child {
    let before = stat(sandbox, &[])["next_seq"].as_u64().unwrap();
    let mut child = sandbox.command(&["log"]).stdin(Stdio::piped()).spawn().unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    wait_for("the records", || stat(sandbox, &[])["next_seq"] == before + lines.len() as u64);
    child
}

/// The keys of the object that `text` begins with, in its order.
fn keys_in_order<'a>(text: &str, keys: &'a str) -> Vec<&'a str> {
    let mut found: Vec<_> = keys.split(' ').collect();
    found.sort_by_key(|key| text.find(&format!("\"{key}\":")).unwrap_or(usize::MAX));
    found
}

fn keys(value: &Value) -> HashSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_keys_are_those_of_the_contract_and_each_is_in_the_book() {
    let sandbox = Sandbox::with_ring("64K");
    let mut child = logging(&sandbox, &["a line"]);
    let text = sandbox.ok(&["stat", "--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    let parts = [(KEYS, &report), (RATE_KEYS, &report["rate"]), (REFUSED_KEYS, &report["refused"])];
    let book = include_str!("../../docs/WATCH.md");
    for (expected, part) in parts.into_iter().chain([(WRITER_KEYS, &report["writers"][0])]) {
        assert_eq!(keys(part), expected.split(' ').collect());
        for key in expected.split(' ') {
            assert!(book.contains(&format!("`{key}`")), "{key} is not in the book");
        }
    }
    assert_eq!(keys_in_order(&text, KEYS).join(" "), KEYS);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn counts_times_and_rate_are_those_of_the_records() {
    let sandbox = Sandbox::with_ring("64K");
    let empty = stat(&sandbox, &[]);
    assert_eq!((&empty["rate"], &empty["newest_seq"], &empty["fill"]), (&Value::Null, &Value::Null, &0.0.into()));
    assert!(sandbox.ok(&["stat"]).contains("\nrate       nothing was written yet\n"));
    let mut child = logging(&sandbox, &["0123456789"; 20]);
    // A copy stands still, and so does its last second.
    std::fs::copy(sandbox.path("ring"), sandbox.path("copy")).unwrap();
    let report = stat(&sandbox, &["--ring", "./copy"]);
    assert_eq!((&report["state"], &report["horizon_s"]), (&"copy".into(), &Value::Null));
    let rate = &report["rate"];
    assert_eq!(
        (&rate["seconds"], &rate["records_per_s"], &rate["bytes_per_s"]),
        (&1.0.into(), &20.0.into(), &200.0.into())
    );
    let records = sandbox.ok(&["tail", "-o", "json"]);
    let times: Vec<Value> =
        records.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["time"].take()).collect();
    assert_eq!((&report["oldest_time"], &report["newest_time"]), (&times[0], &times[19]));
    let writer = &report["writers"][0];
    assert_eq!((&writer["records"], &writer["bytes"], &writer["last_write"]), (&20.into(), &200.into(), &times[19]));
    assert_eq!((&writer["pid"], &writer["comm"]), (&child.id().into(), &"lapwing".into()));
    let text = sandbox.ok(&["stat", "--ring", "./copy"]);
    assert!(text.contains("\nstate      copy: nobody can write to it\n"), "{text}");
    assert!(text.contains("\nrate       20 records/s, 200 B/s over its last 1 s\n"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The objects that `stat --json --watch` writes.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn new(sandbox: &Sandbox, span: &str) -> Self {
        let mut command = sandbox.command(&["stat", "--json", "--watch", span]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> Value {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// What it has said on standard error, when it is ended.
    fn end(mut self) -> String {
        self.child.kill().unwrap();
        Done::of(self.child.wait_with_output().unwrap()).stderr
    }
}

#[test]
fn the_rates_between_the_lines_of_watch_add_up_to_what_was_written() {
    let sandbox = Sandbox::with_ring("1M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    log.append(Level::INFO, b"the first").unwrap();
    let mut watching = Watching::new(&sandbox, "20ms");
    let first = watching.next();
    assert_eq!((&first["next_seq"], &first["writers"][0]["records_per_s"]), (&1.into(), &Value::Null));
    let (mut records, mut bytes, mut of_writer) = (0.0, 0.0, 0.0);
    for turn in 0.. {
        if turn < 10 {
            for _ in 0..=turn {
                log.append(Level::INFO, b"1234567890").unwrap();
            }
        }
        let line = watching.next();
        let rate = |key: &str| line["rate"][key].as_f64().unwrap();
        records += rate("seconds") * rate("records_per_s");
        bytes += rate("seconds") * rate("bytes_per_s");
        of_writer += rate("seconds") * line["writers"][0]["records_per_s"].as_f64().unwrap();
        if turn >= 10 && line["next_seq"] == 56 {
            break;
        }
    }
    let near = |sum: f64, expected: f64| assert!((sum - expected).abs() < 1e-6, "{sum} is not {expected}");
    near(records, 55.0);
    near(bytes, 550.0);
    near(of_writer, 55.0);
    assert_eq!(watching.end(), "");
}

#[test]
fn what_writers_wrote_who_have_left_is_part_of_the_rate() {
    let sandbox = Sandbox::with_ring("1M");
    sandbox.ok(&["log", "first"]);
    let mut watching = Watching::new(&sandbox, "300ms");
    watching.next();
    sandbox.log_lines(["0123456789"; 30]);
    let (mut records, mut bytes) = (0.0, 0.0);
    while records < 29.5 {
        let line = watching.next();
        let rate = |key: &str| line["rate"][key].as_f64().unwrap();
        records += rate("seconds") * rate("records_per_s");
        bytes += rate("seconds") * rate("bytes_per_s");
    }
    assert!((records - 30.0).abs() < 1e-6, "{records}");
    // An estimate: the records of the last second were ten bytes long, but perhaps one of five among them.
    assert!((280.0..=300.1).contains(&bytes), "{bytes}");
    watching.end();
}

#[test]
fn watch_writes_a_line_each_time_and_ends_when_nobody_reads() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..10);
    let mut command = sandbox.command(&["stat", "--watch", "10ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || lines.next().unwrap().unwrap();
    let heading = next();
    let started = jiff::Timestamp::now();
    assert!(heading.starts_with("time ") && heading.ends_with(" writers"), "{heading}");
    let time = regex::Regex::new(r"^\d\d:\d\d:\d\d\.\d{3}$").unwrap();
    for _ in 0..20 {
        let line = next();
        let columns: Vec<_> = line.split_whitespace().collect();
        assert!(time.is_match(columns[0]), "{line}");
        // In the zone that the sandbox sets, which is UTC. The minute may just have ended.
        let around = [0, -1].map(|minutes| started + jiff::SignedDuration::from_mins(minutes));
        assert!(around.iter().any(|time| time.to_string()[11..16] == columns[0][..5]), "{line}");
        assert!(columns.contains(&"10") && line.ends_with(" 0"), "{line}");
        // What is right of a column's name belongs to it.
        assert!(heading.len() == line.len(), "{heading}\n{line}");
    }
    assert_eq!(next(), heading);
    drop(lines);
    wait_for("its end", || child.try_wait().unwrap().is_some());
    let done = Done::of(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
}

#[test]
fn watch_goes_over_to_the_ring_that_takes_the_place() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..10);
    let mut watching = Watching::new(&sandbox, "100ms");
    assert_eq!(watching.next()["next_seq"], 10);
    sandbox.ok(&["rm", "ring"]);
    let (mut stderr, mut removed) = (BufReader::new(watching.child.stderr.take().unwrap()), String::new());
    stderr.read_line(&mut removed).unwrap();
    assert!(removed.contains("was removed"), "{removed}");
    sandbox.ok(&["create", "-s", "128K", "ring"]);
    let ring_id = stat(&sandbox, &[])["ring_id"].clone();
    let new = std::iter::repeat_with(|| watching.next()).find(|line| line["ring_id"] == ring_id).unwrap();
    assert_eq!((&new["size"], &new["next_seq"]), (&(128 << 10).into(), &0.into()));
    let mut replaced = String::new();
    stderr.read_line(&mut replaced).unwrap();
    assert!(replaced.contains("from here on it is the new ring"), "{replaced}");
    watching.end();
}

#[test]
fn when_all_writers_are_dead_it_tells_when_each_wrote_last() {
    let sandbox = Sandbox::with_ring("64K");
    let mut children = [logging(&sandbox, &["one"; 3]), logging(&sandbox, &["two"; 5])];
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let records = sandbox.ok(&["tail", "-o", "json"]);
    let records: Vec<Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let newest = |pid: u32| records.iter().rev().find(|record| record["pid"] == pid).unwrap()["time"].clone();
    // As it is, as a copy, and as it is found after the machine was started anew.
    let path = sandbox.path("ring");
    std::fs::copy(&path, sandbox.path("copy")).unwrap();
    let expected = [("ring", "ok"), ("copy", "copy"), ("ring", "another boot")];
    for (name, state) in expected {
        if state == "another boot" {
            is_of_another_boot(&path);
        }
        let report = stat(&sandbox, &["--ring", name]);
        assert_eq!((&report["state"], &report["next_seq"]), (&state.into(), &8.into()));
        for (child, count) in children.iter().zip([3, 5]) {
            let writers = report["writers"].as_array().unwrap();
            let writer = writers.iter().find(|writer| writer["pid"] == child.id()).unwrap();
            assert_eq!((&writer["records"], &writer["last_write"]), (&count.into(), &newest(child.id())), "{state}");
            // Inode numbers tell a copy, and its writers have the locks of another file.
            if state != "copy" {
                assert_eq!(writer["verdict"], "dead", "{state}: {}", writer["evidence"]);
            }
        }
        let text = sandbox.ok(&["stat", "--ring", name]);
        assert_eq!(text.contains("nobody can write to it"), state != "ok", "{text}");
    }
}

#[test]
fn verbose_names_the_readers_that_can_be_seen_and_no_writer_among_them() {
    let sandbox = Sandbox::with_ring("64K");
    assert!(sandbox.ok(&["stat", "--verbose"]).contains("\nreaders    none, as far as /proc shows\n"));
    let mut writer = logging(&sandbox, &["a line"]);
    let mut tail = sandbox.command(&["tail", "-f"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(tail.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let expected = format!("\nreaders    {} (lapwing), as far as /proc shows\n", tail.id());
    let text = sandbox.ok(&["stat", "--verbose"]);
    assert!(text.contains(&expected), "{text}");
    for child in [&mut writer, &mut tail] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn who_has_no_record_left_is_said_to_have_none_since_the_oldest() {
    let sandbox = Sandbox::with_ring("64K");
    let mut silent = logging(&sandbox, &["the only one"]);
    sandbox.log_lines((0..5000).map(|i| format!("{i} and so on, so that the ring goes round")));
    let report = stat(&sandbox, &[]);
    let writers = report["writers"].as_array().unwrap();
    let writer = writers.iter().find(|writer| writer["pid"] == silent.id()).unwrap();
    assert_eq!((&writer["last_write"], &writer["none_since"]), (&Value::Null, &report["oldest_time"]));
    assert!(report["oldest_seq"].as_u64().unwrap() > 0 && report["fill"].as_f64().unwrap() > 0.9, "{report}");
    silent.kill().unwrap();
    silent.wait().unwrap();
}

/// The header says what it is; all behind it may be anything.
#[test]
fn a_ring_whose_words_lie_is_told_of_or_is_damaged() {
    let sandbox = Sandbox::with_ring("64K");
    let mut writer = logging(&sandbox, &["some text"; 100]);
    sandbox.log_lines((0..1500).map(|i| format!("{i} and so on, so that the ring goes round")));
    let path = sandbox.path("ring");
    let image = std::fs::read(&path).unwrap();
    writer.kill().unwrap();
    writer.wait().unwrap();
    let mut state = 1u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut told = 0;
    for case in 0..60 {
        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&image, 0).unwrap();
        for _ in 0..=random(4) {
            // Refusals, HEAD, writer slots, page headers, anything behind the header.
            let page = 12288 + 4096 * random(16);
            let place = [256, 1024, 4096 + 8 * random(32), page + 8 * random(4), 4096 + 8 * random(9000)];
            let word = [u64::MAX - random(9), random(99), u64::MAX >> 1, random(1 << 31) << 33][random(4) as usize];
            file.write_all_at(&word.to_le_bytes(), place[random(5) as usize]).unwrap();
        }
        let format = [&["--json"][..], &["--prometheus"], &["--verbose"]][case % 3];
        let done = sandbox.run(&[&["stat"], format].concat());
        assert!([0, 4].contains(&done.code), "case {case}: {} {}", done.code, done.stderr);
        told += u32::from(done.code == 0);
    }
    assert!(told > 20, "{told} of 60");
}

#[test]
fn spans_that_make_no_sense_and_formats_that_exclude_each_other_are_wrong_usage() {
    let sandbox = Sandbox::with_ring("64K");
    for args in [&["--watch", "fast"][..], &["--watch=0"], &["--prometheus", "--json"], &["--verbose", "--json"]] {
        assert_eq!(sandbox.run(&[&["stat"], args].concat()).code, 2, "{args:?}");
    }
}

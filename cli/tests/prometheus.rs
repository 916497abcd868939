//! Is `stat --prometheus` what Prometheus reads? Its own checker and its own parser say so, where they are installed.

mod sandbox;

use sandbox::Sandbox;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Prints each sample as a line of JSON: name, labels, value, and the type of its family.
const PARSER: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    for sample in family.samples:
        print(json.dumps([sample.name, sample.labels, sample.value, family.type]))
";
/// A program may be called anything.
const NAME: &str = "q\"uo\\te{} \u{1b}";

/// A ring under a name that needs escapes, a writer with such a name that has appended three lines, and one that is dead.
fn stage() -> (Sandbox, [Child; 2]) {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "-s", "64K", "./a \"ring\\"]);
    let program = sandbox.path(NAME);
    symlink(env!("CARGO_BIN_EXE_lapwing"), &program).unwrap();
    let start = |program: &std::path::Path, text: &[u8]| {
        let mut command = Command::new(program);
        command.args(["log", "--ring", "./a \"ring\\"]).current_dir(sandbox.path("")).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(text).unwrap();
        child
    };
    let living = start(&program, b"one\ntwo\nthree\n");
    let mut dead = start(env!("CARGO_BIN_EXE_lapwing").as_ref(), b"four\n");
    let since = Instant::now();
    while stat(&sandbox)["next_seq"] != 4 {
        assert!(since.elapsed() < Duration::from_secs(30), "the records never came");
        std::thread::sleep(Duration::from_millis(5));
    }
    dead.kill().unwrap();
    dead.wait().unwrap();
    (sandbox, [living, dead])
}

fn stat(sandbox: &Sandbox) -> Value {
    serde_json::from_str(&sandbox.ok(&["stat", "--json", "--ring", "./a \"ring\\"])).unwrap()
}

fn metrics(sandbox: &Sandbox) -> String {
    sandbox.ok(&["stat", "--prometheus", "--ring", "./a \"ring\\"])
}

/// What `program` says of `text`; `None` where it is not there.
fn run(program: &str, args: &[&str], text: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        child => child.unwrap(),
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    Some(child.wait_with_output().unwrap())
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    let (sandbox, mut children) = stage();
    match run("promtool", &["check", "metrics"], &metrics(&sandbox)) {
        None => println!("skipped: there is no promtool here"),
        Some(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.is_empty(), "{said}");
            // It does complain of what is wrong.
            let wrong = metrics(&sandbox).replace("lapwing_records_total", "lapwing_records");
            assert!(!run("promtool", &["check", "metrics"], &wrong).unwrap().status.success());
        }
    }
    children[0].kill().unwrap();
    children[0].wait().unwrap();
}

#[test]
fn the_parser_of_the_python_client_reads_the_numbers_of_the_report() {
    let (sandbox, mut children) = stage();
    let (text, report) = (metrics(&sandbox), stat(&sandbox));
    let python = |program: &str| run("python3", &["-c", program], &text).unwrap();
    if !python("import prometheus_client.parser").status.success() {
        println!("skipped: python3 has no prometheus_client here");
        return;
    }
    let output = python(PARSER);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut samples = HashMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let (name, labels, value, kind): (String, HashMap<String, String>, f64, String) =
            serde_json::from_str(line).unwrap();
        assert_eq!(labels["ring"], report["path"].as_str().unwrap(), "{line}");
        assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        let mut rest: Vec<_> = labels.into_iter().filter(|(key, _)| key != "ring").collect();
        rest.sort();
        assert!(samples.insert((name, rest), value).is_none(), "twice: {line}");
    }
    let with = |name: &str, labels: &[(&str, &str)]| {
        let mut labels: Vec<_> = labels.iter().map(|&(key, text)| (key.to_owned(), text.to_owned())).collect();
        labels.sort();
        let key = (name.to_owned(), labels);
        *samples.get(&key).unwrap_or_else(|| panic!("no {key:?} in {text}"))
    };
    for (name, key) in [
        ("lapwing_records_total", "next_seq"),
        ("lapwing_records_overwritten_total", "oldest_seq"),
        ("lapwing_records_held", "held"),
        ("lapwing_ring_size_bytes", "size"),
        ("lapwing_ring_used_bytes", "used"),
        ("lapwing_ring_slots", "slots"),
        ("lapwing_unfinished_lines", "last_words"),
    ] {
        assert_eq!(with(name, &[]), report[key].as_f64().unwrap(), "{name}");
    }
    assert_eq!(with("lapwing_records_refused_total", &[("cause", "too_large")]), 0.0);
    for (verdict, count) in [("alive", 1.0), ("dead", 1.0), ("unknown", 0.0)] {
        assert_eq!(with("lapwing_writers", &[("verdict", verdict)]), count);
    }
    for (child, comm, records, bytes) in
        [(&children[0], "q\"uo\\te{} \\x1b", 3.0, 11.0), (&children[1], "lapwing", 1.0, 4.0)]
    {
        let writers = report["writers"].as_array().unwrap();
        let writer = writers.iter().find(|writer| writer["pid"] == child.id()).unwrap();
        let of = |key: &str| writer[key].to_string();
        let labels = [("pid", &*of("pid")), ("slot", &of("slot")), ("uid", &of("uid")), ("comm", comm)];
        assert_eq!(writer["comm"], comm);
        assert_eq!(with("lapwing_writer_records_total", &labels), records);
        assert_eq!(with("lapwing_writer_bytes_total", &labels), bytes);
        let time: jiff::Timestamp = writer["last_write"].as_str().unwrap().parse().unwrap();
        let seconds = with("lapwing_writer_last_write_timestamp_seconds", &labels);
        assert!((seconds - time.as_nanosecond() as f64 / 1e9).abs() < 1e-5, "{seconds} is not {time}");
    }
    children[0].kill().unwrap();
    children[0].wait().unwrap();
}

#[test]
fn each_family_is_one_run_of_lines_with_its_help_and_type_in_front() {
    let (sandbox, mut children) = stage();
    let text = metrics(&sandbox);
    assert!(text.ends_with('\n'));
    let (mut family, mut seen) = ("", HashSet::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split(' ').next().unwrap();
            assert!(seen.insert(family), "{family} comes twice");
            let kind = if family.ends_with("_total") { "counter" } else { "gauge" };
            assert_eq!(lines.next(), Some(&*format!("# TYPE {family} {kind}")));
        } else {
            assert!(line.starts_with(&format!("{family}{{ring=\"")), "{line:?} is not of {family}");
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
    let book = include_str!("../../docs/WATCH.md");
    for family in &seen {
        assert!(book.contains(&format!("`{family}`")), "{family} is not in the book");
    }
    assert_eq!(seen.len(), 18);
    children[0].kill().unwrap();
    children[0].wait().unwrap();
}

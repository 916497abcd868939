//! Which records `lapwing tail` shows, what it says of those it cannot show, and how it ends.

mod sandbox;

use lapwing_ring::Geometry;
use sandbox::{Done, Sandbox};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// A run that is not waited for, and its lines as they come.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let mut child = sandbox.command(args).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn next(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(10)).expect("a line within ten seconds")
    }

    fn has_nothing_for(&self, time: Duration) -> bool {
        self.lines.recv_timeout(time).is_err()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbers(done: &Done) -> Vec<u64> {
    done.lines().iter().map(|line| line.parse().unwrap()).collect()
}

const CAT: [&str; 3] = ["tail", "-o", "cat"];

fn cat(sandbox: &Sandbox, args: &[&str]) -> Done {
    sandbox.run(&[&CAT[..], args].concat())
}

/// The first and last sequence of a loss line.
fn loss(line: &str) -> Option<(u64, u64, u64)> {
    let line =
        regex::Regex::new(r"^\*\*\* (\d+) records lost \(seq (\d+)\.\.(\d+)\) \*\*\*$").unwrap().captures(line)?;
    Some((line[1].parse().unwrap(), line[2].parse().unwrap(), line[3].parse().unwrap()))
}

#[test]
fn overwritten_records_are_one_loss_line_at_the_start_and_nothing_else_is_missing() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..5000);
    let short = sandbox.run(&["tail"]);
    let lines = short.lines();
    let (count, first, last) = loss(lines[0]).unwrap();
    assert_eq!((first, last, count + lines.len() as u64 - 1), (0, count - 1, 5000));
    assert!(lines[1].ends_with(&format!(" {count}")) && lines[lines.len() - 1].ends_with(" 4999"));
    assert!(lines[1..].iter().all(|line| !line.starts_with("***")));

    let json = sandbox.ok(&["tail", "-o", "json"]);
    let mut lines = json.lines();
    assert_eq!(lines.next().unwrap(), format!(r#"{{"lost":{count},"first":0,"last":{last}}}"#));
    let sequences = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap());
    assert!(sequences.eq(count..5000));

    let logfmt = sandbox.ok(&["tail", "-o", "logfmt"]);
    assert_eq!(logfmt.lines().next().unwrap(), format!("lost={count} first=0 last={last}"));

    let cat = cat(&sandbox, &[]);
    assert_eq!(numbers(&cat), (count..5000).collect::<Vec<_>>(), "the data alone");
    assert_eq!(cat.stderr, format!("*** {count} records lost (seq 0..{last}) ***\n"), "the notice apart");
}

#[test]
fn fail_on_loss_says_so_in_the_exit_code_and_what_was_not_asked_for_is_no_loss() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..100);
    assert_eq!(sandbox.run(&["tail", "--fail-on-loss"]).code, 0);
    sandbox.log_lines(100..5000);
    assert_eq!(sandbox.run(&["tail"]).code, 0);
    assert_eq!(sandbox.run(&["tail", "--fail-on-loss"]).code, 3);
    for args in [&["-n", "5"][..], &["-n", "all"], &["-n", "all", "-r"], &["--from-seq", "4990"]] {
        let done = cat(&sandbox, &[args, &["--fail-on-loss"]].concat());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{args:?}");
    }
    let from = sandbox.run(&["tail", "--from-seq", "1000", "--fail-on-loss"]);
    let (_, first, last) = loss(from.lines()[0]).unwrap();
    assert_eq!((from.code, first), (3, 1000));
    assert!(from.lines()[1].ends_with(&format!(" {}", last + 1)));
}

#[test]
fn what_exists_begins_with_a_record_even_while_it_is_being_overwritten() {
    let sandbox = Sandbox::with_ring("64K");
    let log = lapwing_ring::Log::open(&sandbox.path("ring")).unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                log.append(lapwing_ring::Level::INFO, b"flat out").unwrap();
            }
        });
        let first_lines: Vec<String> = (0..20)
            .map(|_| sandbox.run(&["tail", "-n", "all", "-o", "json"]).lines().first().unwrap_or(&"").to_string())
            .collect();
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(first_lines.iter().find(|line| line.starts_with(r#"{"lost""#)), None);
    });
}

#[test]
fn n_counts_what_is_shown() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines((0..50).map(|i| if i % 2 == 0 { format!("<4>{i}") } else { format!("{i}") }));
    assert_eq!(numbers(&cat(&sandbox, &["-n", "3"])), [47, 48, 49]);
    assert_eq!(numbers(&cat(&sandbox, &["-n", "3", "-p", "warn"])), [44, 46, 48]);
    assert_eq!(numbers(&cat(&sandbox, &["-n", "2", "-r", "-p", "info..notice"])), [49, 47]);
    assert_eq!(numbers(&cat(&sandbox, &["-n", "1000"])).len(), 50);
    assert_eq!(cat(&sandbox, &["-n", "0"]).stdout, "");
    assert_eq!(numbers(&cat(&sandbox, &["--from-seq", "48"])), [48, 49]);
    assert_eq!(numbers(&cat(&sandbox, &["--from-seq", "40", "-n", "20"])), (40..50).collect::<Vec<_>>());
    assert_eq!(numbers(&cat(&sandbox, &["-r"])), (0..50).rev().collect::<Vec<_>>());
    assert_eq!(cat(&sandbox, &["--from-seq", "50"]).stdout, "");
}

#[test]
fn filters_choose_and_say_when_nothing_matched() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "-t", "a", "one"]);
    sandbox.ok(&["log", "-t", "b", "-p", "err", "two"]);
    let shown = |args: &[&str]| {
        let done = cat(&sandbox, args);
        (done.code, done.stdout)
    };
    assert_eq!(shown(&["-t", "a"]), (0, "one\n".into()));
    assert_eq!(shown(&["-g", "^t.o$"]), (0, "two\n".into()));
    assert_eq!(shown(&["-p", "err"]), (0, "two\n".into()));
    assert_eq!(shown(&["-t", "a", "-p", "err"]), (1, "".into()));
    assert_eq!(shown(&["-g", "three"]), (1, "".into()));
    let pid = sandbox.ok(&["tail", "-o", "json"]);
    let pid = serde_json::from_str::<serde_json::Value>(pid.lines().next().unwrap()).unwrap()["pid"].to_string();
    assert_eq!(shown(&["--pid", &pid]), (0, "one\n".into()));
    let empty = Sandbox::with_ring("64K");
    assert_eq!(empty.run(&["tail"]).code, 0, "no filter, nothing that did not match");
}

#[test]
fn following_shows_the_last_ten_and_then_what_comes() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..15);
    let tail = Following::start(&sandbox, &["tail", "-f", "-o", "cat"]);
    for expected in 5..15 {
        assert_eq!(tail.next(), expected.to_string());
    }
    assert!(tail.has_nothing_for(Duration::from_millis(50)));
    sandbox.ok(&["log", "new"]);
    assert_eq!(tail.next(), "new");
}

#[test]
fn following_begins_where_it_is_told() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..15);
    for (args, first) in [(&["-n", "all"][..], "0"), (&["-n", "2"], "13"), (&["--from-seq", "7"], "7")] {
        let tail = Following::start(&sandbox, &[&["tail", "-f", "-o", "cat"], args].concat());
        assert_eq!(tail.next(), first, "{args:?}");
    }
    let tail = Following::start(&sandbox, &["tail", "-f", "--from-seq", "17", "-o", "cat"]);
    assert!(tail.has_nothing_for(Duration::from_millis(300)));
    sandbox.log_lines(15..20);
    assert_eq!(tail.next(), "17");
    let tail = Following::start(&sandbox, &["tail", "-f", "-n", "0", "-o", "cat", "-g", "new"]);
    assert!(tail.has_nothing_for(Duration::from_millis(300)));
    sandbox.log_lines(["other", "new"]);
    assert_eq!(tail.next(), "new");
}

#[test]
fn following_an_empty_ring_shows_its_first_record() {
    let sandbox = Sandbox::with_ring("64K");
    let tail = Following::start(&sandbox, &["tail", "-f", "-o", "json"]);
    assert!(tail.has_nothing_for(Duration::from_millis(100)));
    sandbox.ok(&["log", "first"]);
    assert!(tail.next().starts_with(r#"{"seq":0,"#));
}

#[test]
fn a_reader_that_is_lapped_while_it_follows_accounts_for_every_record() {
    let sandbox = Sandbox::with_ring("64K");
    let tail = Following::start(&sandbox, &["tail", "-f", "--from-seq", "0", "-o", "json"]);
    const COUNT: u64 = 100_000;
    let log = lapwing_ring::Log::open(&sandbox.path("ring")).unwrap();
    for i in 0..COUNT {
        log.append(lapwing_ring::Level::INFO, i.to_string().as_bytes()).unwrap();
    }
    let mut next = 0;
    while next < COUNT {
        let line: serde_json::Value = serde_json::from_str(&tail.next()).unwrap();
        if let Some(seq) = line["seq"].as_u64() {
            assert_eq!((seq, line["text"].as_str()), (next, Some(seq.to_string().as_str())));
            next += 1;
        } else {
            assert_eq!(line["first"].as_u64(), Some(next), "{line}");
            next += line["lost"].as_u64().unwrap();
            assert_eq!(line["last"].as_u64(), Some(next - 1), "{line}");
        }
    }
    assert_eq!(next, COUNT);
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "text"]);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let done = Done::of(sandbox.command(&["tail"]).stdout(full).output().unwrap());
    assert_eq!(done.code, 1);
    assert!(done.stderr.starts_with("lapwing: cannot write the output"), "{}", done.stderr);
}

#[test]
fn nor_does_a_closed_standard_output_take_anything() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "text"]);
    let closed = |args: &[&str]| {
        let command = sandbox.command(args);
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" >&-", "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        Done::of(shell.current_dir(sandbox.path(".")).output().unwrap())
    };
    for args in [&["tail"][..], &["tail", "--cursor-file", "seen"], &["stat"], &["ls"], &["plot"]] {
        let done = closed(args);
        assert_eq!(done.code, 1, "{args:?}");
        assert!(done.stderr.starts_with("lapwing: cannot write the output: Bad file"), "{args:?}: {}", done.stderr);
    }
    assert_eq!(sandbox.ok(&["tail", "-o", "cat", "--cursor-file", "seen"]), "text\n", "it was never shown");
    // What is done, or told by the exit code, needs no output.
    for args in [&["log", "more"][..], &["check"], &["plot", "-o", "rates.svg"]] {
        let done = closed(args);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let sandbox = Sandbox::with_ring("16M");
    sandbox.log_lines(0..100_000);
    let mut child = sandbox.command(&["tail"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let done = Done::of(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
}

/// Where the words of page `physical` begin in the file of a ring of 64 KiB.
fn page_of_64k(physical: u64) -> (u64, Geometry) {
    let geometry = Geometry::new(64 << 10, None).unwrap();
    (geometry.pages_offset() + physical * geometry.page_size(), geometry)
}

/// The first page ever written is number 1; its index follows eight words of header.
const FIRST_PAGE: u64 = 1;
const INDEX: u64 = 64;

#[test]
fn records_whose_writers_died_are_counted_where_they_would_stand_and_neighbours_are_one_line() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..10);
    // As if four writers had died between reserving and committing: their index entries are blank.
    let file = OpenOptions::new().write(true).open(sandbox.path("ring")).unwrap();
    for seq in [3, 4, 5, 7] {
        file.write_all_at(&[0; 8], page_of_64k(FIRST_PAGE).0 + INDEX + 8 * seq).unwrap();
    }
    let short = sandbox.run(&["tail", "--fail-on-loss"]);
    let ends: Vec<&str> =
        short.lines().iter().map(|line| line.split_once("] ").map_or(*line, |(_, text)| text)).collect();
    let expected = [
        "0",
        "1",
        "2",
        "*** 3 records abandoned (seq 3..5) ***",
        "6",
        "*** 1 records abandoned (seq 7..7) ***",
        "8",
        "9",
    ];
    assert_eq!((ends.as_slice(), short.code), (&expected[..], 3));
    let json = sandbox.ok(&["tail", "-o", "json"]);
    assert_eq!(json.lines().nth(3).unwrap(), r#"{"abandoned":3,"first":3,"last":5}"#);
    let last = sandbox.run(&["tail", "-n", "4", "-o", "json"]);
    assert!(last.lines()[0].starts_with(r#"{"seq":2,"#) && last.lines().len() == 6, "{}", last.stdout);
    let fewer = sandbox.run(&["tail", "-n", "3", "-o", "json"]);
    assert!(fewer.lines()[0].starts_with(r#"{"seq":6,"#), "the loss before it was not asked for: {}", fewer.stdout);
    assert_eq!(sandbox.run(&["tail", "-r"]).lines()[2], expected[5]);
}

#[test]
fn a_damaged_ring_is_shown_as_far_as_it_goes_and_then_it_is_4() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(["whole"]);
    sandbox.log_lines(["broken"]);
    let (page, geometry) = page_of_64k(FIRST_PAGE);
    let file = OpenOptions::new().read(true).write(true).open(sandbox.path("ring")).unwrap();
    // The low half of an index entry tells where its record is; there, the low half of the second word has the level.
    let data = page + INDEX + 8 * u64::from(geometry.index_len());
    let mut bytes = vec![0; geometry.page_size() as usize / 2];
    file.read_exact_at(&mut bytes, data).unwrap();
    let text = bytes.windows(6).position(|window| window == b"broken").unwrap() as u64;
    // Comm (3 + 7), Start (3 + 8), Uid (3 + 4), two bytes of their length, 20 of header.
    let meta = data + text - 30 - 20 + 8;
    file.write_all_at(&[0xff; 4], meta).unwrap();
    let done = cat(&sandbox, &[]);
    assert_eq!((done.code, done.stdout.as_str()), (4, "whole\n"));
    assert!(done.stderr.starts_with("lapwing: ") && done.stderr.contains("damaged"), "{}", done.stderr);
    file.set_len(5000).unwrap();
    for command in ["tail", "stat"] {
        let done = sandbox.run(&[command]);
        assert_eq!(done.code, 4, "{}", done.stderr);
    }
}

#[test]
fn wrong_usage_is_2_and_a_missing_ring_is_1() {
    let sandbox = Sandbox::new();
    for args in [
        &["tail", "--nonsense"][..],
        &["tail", "-o", "xml"],
        &["tail", "-p", "loud"],
        &["tail", "-g", "("],
        &["tail", "-n", "-3"],
        &["tail", "-f", "-r"],
        &["frobnicate"],
        &[],
    ] {
        assert_eq!(sandbox.run(args).code, 2, "{args:?}");
    }
    let missing = sandbox.run(&["tail"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (1, ""));
    assert!(missing.stderr.starts_with("lapwing: ") && missing.stderr.contains("no such ring"), "{}", missing.stderr);
    assert!(!sandbox.path("ring").exists(), "readers never make a ring");
}

#[test]
fn what_is_overwritten_before_a_follower_comes_back_is_a_loss_even_if_it_has_shown_nothing_yet() {
    for args in [&["tail", "-f"][..], &["tail", "-f", "-n", "all"], &["tail", "-f", "-n", "0"]] {
        let sandbox = Sandbox::with_ring("64K");
        let tail = Following::start(&sandbox, args);
        assert!(tail.has_nothing_for(Duration::from_millis(300)), "it waits at the end of an empty ring");
        let signal = |name: &str| {
            let status = std::process::Command::new("kill").args([name, &tail.child.id().to_string()]).status();
            assert!(status.unwrap().success());
        };
        signal("-STOP");
        sandbox.log_lines(0..20_000);
        signal("-CONT");
        let first = tail.next();
        assert!(loss(&first).is_some_and(|(count, from, _)| from == 0 && count > 10_000), "{args:?}: {first}");
    }
}

//! What a program had begun to say when it died is in the log.

mod sandbox;

use sandbox::Sandbox;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Ends when it goes out of scope.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a shell script under `lapwing run`, and gives its pid and the signal that ended it.
fn shell(sandbox: &Sandbox, script: &str) -> (u32, Option<i32>) {
    let mut command = sandbox.command(&["run", "--", "sh", "-c", script]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    (pid, child.wait_with_output().unwrap().status.signal())
}

/// The records as JSON.
fn records(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    sandbox.ok(&["tail", "-o", "json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn flags(record: &serde_json::Value) -> Vec<&str> {
    record["flags"].as_array().map_or(Vec::new(), |flags| flags.iter().map(|flag| flag.as_str().unwrap()).collect())
}

#[test]
fn half_a_line_before_a_sigkill_is_shown_once_under_its_own_sequence() {
    let sandbox = Sandbox::with_ring("1M");
    let script = "echo whole; printf '<4>about to '; printf 'delete the' >&2; printf 'delete'; kill -9 $$";
    let (pid, signal) = shell(&sandbox, script);
    assert_eq!(signal, Some(9));
    for _ in 0..2 {
        let records = records(&sandbox);
        let seen: Vec<_> = records.iter().map(|r| (r["seq"].as_u64().unwrap(), r["text"].as_str().unwrap())).collect();
        let mut texts = vec![seen[1].1, seen[2].1];
        texts.sort_unstable();
        assert_eq!((seen.len(), seen[0], texts), (3, (0, "whole"), vec!["about to delete", "delete the"]));
        for record in &records {
            assert_eq!((record["pid"].as_u64(), record["comm"].as_str()), (Some(pid.into()), Some("sh")), "{record}");
        }
        for record in &records[1..] {
            assert_eq!(flags(record), ["partial", "last-words"], "{record}");
            assert!(record["fields"]["written_ns"].is_i64(), "{record}");
            let expected = if record["text"] == "about to delete" { ("warn", "stdout") } else { ("info", "stderr") };
            assert_eq!((record["level"].as_str().unwrap(), record["src"].as_str().unwrap()), expected);
        }
    }
    let short = sandbox.ok(&["tail"]);
    assert_eq!(short.lines().count(), 3, "{short}");
}

#[test]
fn every_way_to_die_leaves_what_was_written() {
    for (ending, how) in [("kill -SEGV $$", Some(11)), ("kill -ABRT $$", Some(6)), ("kill -TERM $$", Some(15))] {
        let sandbox = Sandbox::with_ring("1M");
        let (_, signal) = shell(&sandbox, &format!("printf half; {ending}"));
        assert_eq!(signal, how);
        let records = records(&sandbox);
        assert_eq!((records.len(), &records[0]["text"]), (1, &"half".into()), "{ending}");
        assert_eq!(flags(&records[0]), ["partial", "last-words"], "{ending}");
    }
    // Who ends by himself is no longer there to be found dead.
    let sandbox = Sandbox::with_ring("1M");
    assert_eq!(shell(&sandbox, "printf half; exit 3").1, None);
    assert_eq!(flags(&records(&sandbox)[0]), ["partial"]);
}

#[test]
fn a_line_that_was_finished_leaves_no_second_copy_of_its_beginning() {
    let sandbox = Sandbox::with_ring("1M");
    shell(&sandbox, "printf 'first half, '; echo 'second half'; kill -9 $$");
    let records = records(&sandbox);
    assert_eq!((records.len(), &records[0]["text"]), (1, &"first half, second half".into()));
}

#[test]
fn a_long_line_in_many_pieces_is_kept_whole() {
    let sandbox = Sandbox::with_ring("16M");
    // More than a record takes, so that its first part is one.
    let script = "i=0; while [ $i -lt 90 ]; do printf %0100d $i; i=$((i + 1)); done; kill -9 $$";
    shell(&sandbox, script);
    let records = records(&sandbox);
    let text: String = records.iter().map(|record| record["text"].as_str().unwrap()).collect();
    let expected: String = (0..90).map(|i| format!("{i:0100}")).collect();
    assert_eq!((records.len(), text), (2, expected));
    assert_eq!((flags(&records[0]), flags(&records[1])), (vec!["cont"], vec!["partial", "last-words"]));
}

#[test]
fn who_follows_sees_the_last_words_soon_after_the_death() {
    let sandbox = Sandbox::with_ring("1M");
    let mut tail = sandbox.command(&["tail", "-f", "-n", "all", "-o", "json"]);
    let mut tail = Running(tail.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(tail.0.stdout.take().unwrap()).lines();
    let script = "echo begun; printf 'half a line'; while :; do sleep 0.1; done";
    let mut command = sandbox.command(&["run", "--", "sh", "-c", script]);
    let mut program = Running(command.stdout(Stdio::null()).spawn().unwrap());
    let mut next = || serde_json::from_str::<serde_json::Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["text"], "begun");
    std::thread::sleep(Duration::from_millis(500));
    program.0.kill().unwrap();
    program.0.wait().unwrap();
    let since = Instant::now();
    let record = next();
    assert_eq!((&record["text"], flags(&record)), (&"half a line".into(), vec!["partial", "last-words"]));
    assert!(since.elapsed() < Duration::from_secs(60), "not by chance at the end of the test");
}

#[test]
fn the_next_run_appends_what_the_last_one_left() {
    let sandbox = Sandbox::with_ring("1M");
    shell(&sandbox, "printf half; kill -9 $$");
    let stat: serde_json::Value = serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap();
    assert_eq!((&stat["last_words"], &stat["next_seq"]), (&1.into(), &0.into()));
    assert!(sandbox.ok(&["stat"]).contains("1 unfinished lines of dead writers"));
    shell(&sandbox, "echo next");
    let stat: serde_json::Value = serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap();
    assert_eq!((&stat["last_words"], &stat["next_seq"]), (&0.into(), &2.into()));
    assert_eq!(sandbox.ok(&["tail", "-o", "cat"]), "half\nnext\n");
}

#[test]
fn one_writer_s_two_lines_are_two() {
    let sandbox = Sandbox::with_ring("1M");
    shell(&sandbox, "printf half; printf too >&2; kill -9 $$");
    assert!(sandbox.ok(&["stat"]).contains("2 unfinished lines of dead writers"));
}

#[test]
fn of_a_copy_last_words_are_said_and_the_copy_stays_as_it_is() {
    let sandbox = Sandbox::with_ring("1M");
    shell(&sandbox, "echo whole; printf 'half \\033[31m'; kill -9 $$");
    let copy = sandbox.path("copy");
    std::fs::copy(sandbox.path("ring"), &copy).unwrap();
    let before = std::fs::read(&copy).unwrap();
    let done = sandbox.run(&["tail", "-o", "cat", "--ring", copy.to_str().unwrap()]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "whole\n"));
    let said = "died before it had finished a line, which is not in the log yet: half \\x1b[31m";
    assert!(done.stderr.contains(said), "{}", done.stderr);
    assert!(std::fs::read(&copy).unwrap() == before);
    assert_eq!(sandbox.ok(&["tail", "-o", "cat"]).lines().count(), 2, "in the ring itself it is");
}

#[test]
fn somebody_else_s_ring_is_left_as_it_is() {
    let sandbox = Sandbox::with_ring("1M");
    shell(&sandbox, "echo whole; printf half; kill -9 $$");
    let ring = sandbox.path("ring");
    if std::os::unix::fs::chown(&ring, Some(65534), None).is_err() {
        return println!("skipped: only root can give a ring away");
    }
    let done = sandbox.run(&["tail", "-o", "cat"]);
    assert_eq!((done.code, done.stdout.as_str()), (0, "whole\n"));
    assert!(done.stderr.contains("died before it had finished a line"), "{}", done.stderr);
    std::os::unix::fs::chown(&ring, Some(0), None).unwrap();
    assert_eq!(sandbox.ok(&["tail", "-o", "cat"]), "whole\nhalf\n");
}

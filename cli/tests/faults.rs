//! What the command says when writers die, when a ring belongs to somebody else, and when its file is cut short meanwhile.

mod sandbox;

use sandbox::{Done, Sandbox};
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::unix::fs::FileExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn stat(sandbox: &Sandbox) -> serde_json::Value {
    serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < Duration::from_secs(20), "{what} never happened");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A `lapwing log` that has taken one line and waits for more.
fn logging(sandbox: &Sandbox) -> Child {
    let before = stat(sandbox)["next_seq"].as_u64().unwrap();
    let mut child = sandbox.command(&["log"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"a line\n").unwrap();
    wait_for("the record", || stat(sandbox)["next_seq"] == before + 1);
    child
}

#[test]
fn stat_says_why_a_writer_counts_as_dead() {
    let sandbox = Sandbox::with_ring("64K");
    let mut child = logging(&sandbox);
    let writer = || stat(&sandbox)["writers"][0].clone();
    assert_eq!(
        (&writer()["verdict"], &writer()["evidence"]),
        (&"alive".into(), &"it holds its lock on the ring".into())
    );
    child.kill().unwrap();
    wait_for("its end", || writer()["verdict"] == "dead");
    child.wait().unwrap();
    let writer = writer();
    assert_eq!(
        (&writer["state"], &writer["alive"], &writer["pid"]),
        (&"dead".into(), &false.into(), &child.id().into())
    );
    let text = sandbox.ok(&["stat", "--verbose"]);
    let line = text.lines().find(|line| line.contains(&child.id().to_string())).unwrap();
    assert!(line.contains(&format!("dead: {}; slot 0", writer["evidence"].as_str().unwrap())), "{line}");
    assert!(line.contains("the lock it held for as long as it could write is gone"), "{line}");
}

#[test]
fn a_follower_of_a_ring_that_is_cut_short_ends_with_an_error() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "before"]);
    let mut command = sandbox.command(&["tail", "-f", "-o", "cat"]);
    let mut tail = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(tail.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "before\n");
    File::options().write(true).open(sandbox.path("ring")).unwrap().set_len(0).unwrap();
    let done = Done::of(tail.wait_with_output().unwrap());
    assert_eq!(done.code, 4);
    assert!(done.stderr.contains("the file was cut short under its readers"), "{}", done.stderr);
}

#[test]
fn a_writer_of_a_ring_that_is_cut_short_says_what_is_lost() {
    let sandbox = Sandbox::with_ring("64K");
    let mut log = logging(&sandbox);
    File::options().write(true).open(sandbox.path("ring")).unwrap().set_len(0).unwrap();
    log.stdin.take().unwrap().write_all(b"into nothing\n").unwrap();
    let mut text = String::new();
    log.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(log.wait().unwrap().code(), Some(4));
    assert!(text.contains("what was written since is lost"), "{text}");
}

#[test]
fn the_ring_of_another_user_is_read_by_copies() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "hello"]);
    assert_eq!(stat(&sandbox)["access"], "mapped");
    if std::os::unix::fs::chown(sandbox.path("ring"), Some(54321), None).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    assert_eq!(stat(&sandbox)["access"], "copied");
    assert!(sandbox.ok(&["stat", "--verbose"]).contains("copied"));
    assert_eq!(sandbox.ok(&["tail", "-o", "cat"]), "hello\n");
    let mut command = sandbox.command(&["tail", "-f", "-o", "cat"]);
    let mut tail = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap());
    for text in ["hello\n", "and more\n"] {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        assert_eq!(line, text);
        if text == "hello\n" {
            sandbox.ok(&["log", "and", "more"]);
        }
    }
    File::options().write(true).open(sandbox.path("ring")).unwrap().set_len(4096).unwrap();
    let done = Done::of(tail.wait_with_output().unwrap());
    assert_eq!(done.code, 4);
    assert!(done.stderr.contains("cut short"), "{}", done.stderr);
}

#[test]
fn tail_shows_what_lies_around_a_damaged_record() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.run_with_input(&["log"], b"one\ntwo\nthree\nfour\n");
    // The records of a ring of 64 KiB begin here; the second one has no fields in front.
    let (records, file) = (12288 + 4096 + 64 + 256, File::options().read(true).write(true).open(sandbox.path("ring")));
    let (mut entry, file) = ([0; 8], file.unwrap());
    file.read_exact_at(&mut entry, 12288 + 4096 + 64 + 8).unwrap();
    let offset = ((u64::from_le_bytes(entry) & 0xffff) - 1) * 8;
    file.write_all_at(&[0xff; 4], records + offset + 8).unwrap();
    for args in [&["tail", "-o", "cat"][..], &["tail", "-o", "cat", "-n", "10"]] {
        let done = sandbox.run(args);
        assert_eq!((done.code, done.stdout.as_str()), (4, "one\nthree\nfour\n"), "{}", done.stderr);
        assert!(done.stderr.contains("record 1 is damaged"), "{}", done.stderr);
    }
    assert!(sandbox.run(&["tail"]).stdout.contains("*** 1 records lost (seq 1..1) ***"));
}

#[test]
fn a_ring_that_takes_sequences_back_ends_tail_with_an_error() {
    let sandbox = Sandbox::with_ring("64K");
    let path = sandbox.path("ring");
    let mut writer = lapwing_ring::Writer::open(&path).unwrap();
    for text in ["0", "1", "2", "3"] {
        writer.append(lapwing_ring::Level::INFO, text.as_bytes()).unwrap();
    }
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let put = |offset, word: u64| file.write_all_at(&word.to_le_bytes(), offset).unwrap();
    // Record 1 is in flight, and its writer, who lives, inside its page: tail has to wait before it.
    put(12288 + 4096 + 64 + 8, 0);
    put(4096 + 8, 1 << 48 | 1);
    let mut child =
        sandbox.command(&["tail", "-o", "cat"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    // And now it was never reserved, nor was what is behind it.
    let mut head = [0; 8];
    file.read_exact_at(&mut head, 1024).unwrap();
    put(1024, u64::from_le_bytes(head) & !(1023 << 16) | 1 << 16);
    wait_for("the end of tail", || child.try_wait().unwrap().is_some());
    let done = Done::of(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stdout.as_str()), (4, "0\n"), "{}", done.stderr);
    assert!(done.stderr.contains("damaged at sequence 1"), "{}", done.stderr);
}

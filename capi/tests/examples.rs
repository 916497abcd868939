//! Do the examples that read say what is in a ring, whatever has become of it?

mod installed;
mod rings;

use installed::{CAPI, Installed, succeed};
use lapwing_ring::{Create, Level, Log, Reader};
use std::fs;
use std::io::{BufRead, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The library, and an example that was compiled as C11, linked with it.
fn example(name: &str) -> (Installed, PathBuf) {
    let installed = Installed::new();
    let program = installed.path(name);
    let mut cc = Command::new("cc");
    cc.current_dir(CAPI).args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"]).arg(&program);
    cc.arg(format!("examples/{name}.c")).arg(format!("-I{}/include", installed.prefix().display()));
    succeed(cc.arg(format!("-L{}/lib", installed.prefix().display())).arg("-llapwing"));
    (installed, program)
}

fn command(installed: &Installed, program: &Path, ring: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg(ring).env("LD_LIBRARY_PATH", installed.prefix().join("lib"));
    command
}

/// A small ring, empty.
fn small(installed: &Installed) -> PathBuf {
    let path = installed.path("small");
    Create::new().size(64 << 10).create(&path).unwrap();
    path
}

/// A program that follows.
struct Following {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Following {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line").unwrap()
    }

    /// Ends it; gives its exit code, the lines that it still said, and what it said on standard error.
    fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        succeed(Command::new("kill").arg("-TERM").arg(self.child.id().to_string()));
        let rest: Vec<_> = self.lines.map(Result::unwrap).collect();
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), rest, said)
    }
}

/// Sequence and text of a line of follow.c.
fn told(line: &str) -> (u64, &str) {
    let (seq, rest) = line.split_once(' ').unwrap_or_else(|| panic!("{line}"));
    (seq.parse().unwrap_or_else(|_| panic!("{line}")), rest.split_once("> ").unwrap().1)
}

#[test]
fn follow_prints_records_and_gaps_as_they_come() {
    let (installed, program) = example("follow");
    let ring = installed.path("gaps");
    rings::with_every_gap(&ring);
    let mut follow = Following::start(command(&installed, &program, &ring));
    let first = follow.line();
    let oldest: u64 = first.strip_prefix("*** ").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(first, format!("*** {oldest} records lost (seq 0..{}) ***", oldest - 1));
    for seq in oldest..3000 {
        let line = follow.line();
        assert_eq!(told(&line), (seq, &*format!("record {seq}")));
        assert!(line.contains(&format!("[{}] <9> ", std::process::id())), "{line}");
    }
    assert_eq!(follow.line(), "*** 1 records abandoned (seq 3000..3000) ***");
    assert_eq!(told(&follow.line()), (3001, "record 3001"));
    // It waits in ppoll now, and what comes wakes it up.
    for seq in 3002..3010 {
        std::thread::sleep(Duration::from_millis(10));
        rings::append(&ring, seq..seq + 1);
        assert_eq!(told(&follow.line()), (seq, &*format!("record {seq}")));
    }
    let (code, rest, said) = follow.end();
    assert_eq!((code, rest), (Some(3), vec![]), "{said}");
    assert_eq!(said, format!("follow: {} read, {oldest} lost, 1 abandoned, 0 stalled\n", 3010 - oldest - 1));
}

#[test]
fn follow_knows_what_it_missed_when_it_is_slow() {
    let (installed, program) = example("follow");
    let ring = small(&installed);
    let mut follow = Following::start(command(&installed, &program, &ring));
    rings::append(&ring, 0..1);
    assert_eq!(told(&follow.line()), (0, "record 0"));
    // Nobody reads what it prints, so it stops in the middle, and is lapped again and again.
    rings::append(&ring, 1..100_000);
    let (code, lines, said) = {
        // What the pipe and it hold now is read; then it goes on to the end.
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.starts_with("99999 ")) {
            lines.push(follow.line());
        }
        let (code, rest, said) = follow.end();
        assert!(rest.is_empty(), "{rest:?}");
        (code, lines, said)
    };
    // 1: gaps, sequences and rolled_out did not agree.
    assert_eq!(code, Some(3), "{said}");
    let mut expected = 1;
    for line in &lines {
        match line.strip_prefix("*** ") {
            Some(gap) => {
                let (count, range) = gap.split_once(" records lost (seq ").unwrap();
                assert_eq!(range.split("..").next().unwrap(), expected.to_string());
                expected += count.parse::<u64>().unwrap();
            }
            None => {
                assert_eq!(told(line), (expected, &*format!("record {expected}")));
                expected += 1;
            }
        }
    }
    assert_eq!(expected, 100_000);
    assert!(lines.len() < 90_000, "{}", lines.len());
}

#[test]
fn what_is_written_cannot_forge_a_line_or_steer_a_terminal() {
    let (installed, program) = example("follow");
    let ring = small(&installed);
    let log = Log::open(&ring).unwrap();
    log.append(Level::INFO, b"a\n*** 7 records lost (seq 1..7) ***\x1b[31m\x9b\tb\\").unwrap();
    let mut follow = Following::start(command(&installed, &program, &ring));
    let line = follow.line();
    assert_eq!(told(&line), (0, "a\\x0a*** 7 records lost (seq 1..7) ***\\x1b[31m\\x9b\tb\\x5c"));
    assert_eq!(follow.end().0, Some(0));
}

#[test]
fn post_mortem_says_what_came_last_from_each() {
    let (installed, program) = example("post_mortem");
    let ring = installed.path("gaps");
    let dead = rings::with_every_gap(&ring);
    // One more process that writes and is gone.
    let status = succeed(
        Command::new("python3")
            .arg("-c")
            .arg(format!(
                "import sys; sys.path.insert(0, {:?}); import logging, lapwing; \
         logging.getLogger().addHandler(lapwing.LapwingHandler({:?}, library={:?})); logging.error('the end')",
                format!("{CAPI}/python"),
                ring.display().to_string(),
                installed.library().display().to_string(),
            ))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    assert!(status.status.success());
    let copy = installed.path("copy");
    fs::copy(&ring, &copy).unwrap();
    fs::remove_file(&ring).unwrap();

    let output = succeed(&mut command(&installed, &program, &copy));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let oldest = Reader::open(&copy).unwrap().bounds().unwrap().oldest_seq;
    assert_eq!(lines[0], format!("the oldest is {oldest}, the next would be 3003"));
    assert_eq!(lines[1], "record 3000: its writer died while it wrote");
    let us = std::process::id();
    assert!(lines[2].ends_with(&format!("[{us}]: {} records, the last, 3001: record 3001", 3001 - oldest)), "{text}");
    assert!(lines[3].starts_with("python3[") && lines[3].ends_with("]: 1 records, the last, 3002: the end"), "{text}");
    assert_eq!(lines[4], format!("{} read, {oldest} lost, 1 abandoned, 0 stalled", 3002 - oldest));
    assert_eq!(lines.len(), 5);
    assert!(!text.contains(&format!("[{dead}]")), "who died in his first record has none");
}

/// How a program ends that is given what it cannot read.
fn refused(output: &Output, name: &str, reason: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.starts_with(&format!("{name}: /")) && said.contains(reason), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn what_cannot_be_read_is_named_with_the_reason() {
    for name in ["follow", "post_mortem"] {
        let (installed, program) = example(name);
        let folder = installed.path("unreadable");
        fs::create_dir(&folder).unwrap();
        for (path, _, reason) in rings::put_unreadable(&folder) {
            refused(&command(&installed, &program, &path).output().unwrap(), name, reason);
        }
    }
}

#[test]
fn who_may_read_reads_and_who_may_not_is_told_so() {
    if rings::euid() != 0 {
        println!("skipped: only root can be somebody else");
        return;
    }
    let (installed, program) = example("post_mortem");
    for folder in ["", "prefix", "prefix/lib"] {
        fs::set_permissions(installed.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ring = installed.path("gaps");
    rings::with_every_gap(&ring);
    let before = fs::read(&ring).unwrap();
    let mut foreign = command(&installed, &program, &ring);
    let output = succeed(foreign.uid(rings::NOBODY).gid(rings::NOBODY));
    assert!(String::from_utf8_lossy(&output.stdout).contains("record 3001"));
    assert!(fs::read(&ring).unwrap() == before, "reading changes nothing");

    fs::set_permissions(&ring, fs::Permissions::from_mode(0o600)).unwrap();
    let mut foreign = command(&installed, &program, &ring);
    let output = foreign.uid(rings::NOBODY).gid(rings::NOBODY).output().unwrap();
    refused(&output, "post_mortem", "no permission to read it: mode 0600, owned by uid 0, and we are uid 65534");
}

#[test]
fn follow_outlives_a_file_that_is_cut_short() {
    let (installed, program) = example("follow");
    let ring = small(&installed);
    rings::append(&ring, 0..1);
    let mut follow = Following::start(command(&installed, &program, &ring));
    follow.line();
    fs::File::options().write(true).open(&ring).unwrap().set_len(4096).unwrap();
    let mut said = String::new();
    follow.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(follow.child.wait().unwrap().code(), Some(1), "{said}");
    assert_eq!(said, "follow: the ring's file is cut short\nfollow: 1 read, 0 lost, 0 abandoned, 0 stalled\n");
}

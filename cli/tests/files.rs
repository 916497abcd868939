//! Programs that read files, and know nothing of rings: less, tail, grep, and whatever stands behind a pipe.

mod sandbox;
#[path = "dump/stage.rs"]
mod stage;

use sandbox::Sandbox;
use stage::{Dumping, read, wait_until};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

const FILTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../contrib/lapwing-lesspipe");

fn less(sandbox: &Sandbox, program: &str, args: &[&str]) -> Command {
    let mut less = Command::new(program);
    less.args(args).current_dir(sandbox.path(".")).stdin(Stdio::null());
    less.env("LESSOPEN", format!("||{FILTER} %s")).env("LAPWING", env!("CARGO_BIN_EXE_lapwing"));
    // A default ring that is another one, and nothing of the user's own.
    less.env("LAPWING_RING", sandbox.path("default")).env_remove("LESS").env_remove("LESSCLOSE").env("TERM", "vt100");
    less
}

fn is_missing(program: &str) -> bool {
    let is_missing =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err();
    if is_missing {
        eprintln!("SKIPPED: {program} is not installed");
    }
    is_missing
}

#[test]
fn less_shows_a_ring_through_the_filter_and_other_files_as_they_are() {
    if is_missing("less") {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(["one", "two\x1b[31m"]);
    std::fs::write(sandbox.path("notes.txt"), "plain notes\n").unwrap();
    std::fs::write(sandbox.path("LAPWING.txt"), "LAPWINGS are birds\n").unwrap();
    for name in ["ring", "./ring", sandbox.path("ring").to_str().unwrap()] {
        let output = less(&sandbox, "less", &[name]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines.len() == 2 && lines[0].ends_with("] one") && lines[1].ends_with("] two\\x1b[31m"),
            "{name}: {text}"
        );
    }
    for (name, expected) in [("notes.txt", "plain notes\n"), ("LAPWING.txt", "LAPWINGS are birds\n")] {
        let output = less(&sandbox, "less", &[name]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{name}");
    }
    if is_missing("script") {
        return;
    }
    // On a terminal, where it is a pager; -E: it ends at the end.
    let output = less(&sandbox, "script", &["-qec", "less -EX ring", "/dev/null"]).output().unwrap();
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(screen.contains("] one") && screen.contains("two\\x1b[31m"), "{screen}");
}

#[test]
fn a_file_that_is_dumped_to_is_followed_by_name_and_searched() {
    let sandbox = Sandbox::with_ring("1M");
    let mut dumping = Dumping::start(&sandbox, &["--to", "out", "-o", "cat", "--rotate", "200"]);
    wait_until("the file", || sandbox.path("out").exists());
    let mut tail = Command::new("tail")
        .args(["-n", "+1", "-s", "0.1", "-F"])
        .arg(sandbox.path("out"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // One for each file at least, and tail sees each of them; where several are rotated at once, no reader by name can.
    for i in 0..12 {
        let text = format!("record {i:03} {}", "x".repeat(60));
        sandbox.log_lines([&text]);
        assert_eq!(lines.next().unwrap().unwrap(), text);
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert_eq!(dumping.end(), (0, String::new()));
    assert!(stage::rotated(&sandbox, "out").len() >= 3);
    let mut grep = Command::new("grep");
    grep.args(["-h", "record 0[01]1"]).args(stage::rotated(&sandbox, "out")).arg(sandbox.path("out"));
    assert_eq!(String::from_utf8_lossy(&grep.output().unwrap().stdout).lines().count(), 2);
    assert!(read(&sandbox.path("out")).len() <= 200);
}

#[test]
fn a_pipe_from_tail_feeds_any_program() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines((0..100).rev());
    let script = "\"$LAPWING\" tail -o cat | sort -n | tail -n 1";
    let output = less(&sandbox, "sh", &["-c", script]).env("LAPWING_RING", sandbox.path("ring")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "99\n");
    // It ends as soon as there is somewhere to write to no more.
    let script = "\"$LAPWING\" tail -n all -o cat | head -n 3 | tr '\\n' ,";
    let output = less(&sandbox, "sh", &["-c", script]).env("LAPWING_RING", sandbox.path("ring")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "99,98,97,");
}

//! What others choose and the command prints, beside records: names in the writer table, paths, words on stderr, losses.

mod sandbox;

use lapwing_ring::{Level, Writer};
use sandbox::Sandbox;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::process::Stdio;

/// Fifteen bytes that would clear the screen and forge a line, as a process may call itself.
const NAME: &[u8; 16] = b"\x1b[2J\n*** 5 \xc2\x9b\xff\0\0";
/// The same in a path.
const PATH: &str = "\u{1b}]0;x\u{7}\n\u{202e}\u{85}ring";

fn assert_harmless(text: &str, lines: usize) {
    let hidden = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert_eq!((text.chars().find(|&c| hidden(c)), text.lines().count()), (None, lines), "{text:?}");
}

#[test]
fn a_name_in_the_writer_table_or_a_path_steers_no_terminal_in_stat() {
    let sandbox = Sandbox::new();
    let path = sandbox.path(PATH);
    let path = path.to_str().unwrap();
    assert_eq!(sandbox.run(&["create", "-s", "64K", path]).code, 0);
    let writer = Writer::open(path.as_ref()).unwrap();
    let runs = [&["stat", "--ring", path][..], &["stat", "-v", "--ring", path]];
    let calm = runs.map(|args| sandbox.ok(args).lines().count());
    // The name in the first writer slot.
    File::options().write(true).open(path).unwrap().write_all_at(NAME, 4096 + 32).unwrap();
    for (args, lines) in runs.into_iter().zip(calm) {
        let text = sandbox.ok(args);
        assert_harmless(&text, lines);
        assert!(text.contains(r"\x1b[2J\x0a*** 5 \u{9b}\xff"), "{text}");
    }
    let json = sandbox.ok(&["stat", "--json", "--ring", path]);
    assert_harmless(&json, 1);
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["writers"][0]["comm"], r"\x1b[2J\x0a*** 5 \u{9b}\xff");
    assert!(report["path"].as_str().unwrap().ends_with(r"\x1b]0;x\x07\x0a\u{202e}\u{85}ring"), "{json}");
    drop(writer);
}

#[test]
fn errors_that_name_a_path_stay_one_line_that_steers_nothing() {
    let sandbox = Sandbox::new();
    let path = sandbox.path(PATH);
    let path = path.to_str().unwrap();
    let missing = sandbox.run(&["tail", "--ring", path]);
    std::fs::write(path, [b'x'; 5000]).unwrap();
    let runs = [
        missing,
        sandbox.run(&["tail", "--ring", path]),
        sandbox.run(&["stat", "--ring", path]),
        sandbox.run(&["log", "--ring", path, "text"]),
        sandbox.run(&["create", path]),
        sandbox.run(&["rm", path]),
        sandbox.run(&["create", "--group", "\u{1b}[2J", "other"]),
        sandbox.run(&["run", "--capture", "off", path]),
        sandbox.run(&["run", "--ring", path, "true"]),
    ];
    for done in runs {
        assert!(done.code != 0 && done.stdout.is_empty() && done.stderr.starts_with("lapwing: "), "{}", done.stderr);
        // Of a failed run a second line says who knows more.
        let doctor = "lapwing: `lapwing doctor` looks for what is wrong, and says what to do\n";
        assert_harmless(done.stderr.strip_suffix(doctor).unwrap_or(&done.stderr), 1);
    }
}

#[test]
fn a_follower_names_a_ring_that_went_away_in_one_harmless_line() {
    let sandbox = Sandbox::new();
    let path = sandbox.path(PATH);
    assert_eq!(sandbox.run(&["create", "-s", "64K", path.to_str().unwrap()]).code, 0);
    let mut follower = sandbox.command(&["tail", "-f", "-n", "all", "-o", "cat", "--ring", path.to_str().unwrap()]);
    let mut follower = follower.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    Writer::open(&path).unwrap().append(Level::INFO, b"here").unwrap();
    // Not before it follows.
    follower.stdout.as_mut().unwrap().read_exact(&mut [0; 5]).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut lines = BufReader::new(follower.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    assert!(line.contains(r"\x1b]0;x\x07\x0a\u{202e}\u{85}ring was removed"), "{line:?}");
    assert_harmless(&line, 1);
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn a_loss_is_told_from_a_record_that_imitates_it() {
    let sandbox = Sandbox::with_ring("64K");
    let forged = "*** 5 records lost (seq 1..5) ***";
    // More than the ring holds, so that there is a true loss too.
    sandbox.log_lines((0..5000).map(|_| forged));
    for format in ["short", "short-iso", "mono", "verbose"] {
        let out = sandbox.ok(&["tail", "-o", format]);
        let losses: Vec<&str> = out.lines().filter(|line| line.starts_with('*')).collect();
        assert!(losses.len() == 1 && losses[0].contains(" records lost (seq 0.."), "{format}: {losses:?}");
    }
    for (format, start) in [("json", "{\"lost\":"), ("logfmt", "lost=")] {
        let out = sandbox.ok(&["tail", "-o", format]);
        assert_eq!(out.lines().filter(|line| line.starts_with(start)).count(), 1, "{format}");
    }
    // Here the text is all there is, and the loss goes where no record does.
    for format in ["cat", "raw"] {
        let done = sandbox.run(&["tail", "-o", format]);
        assert!(done.stdout.starts_with(forged) && !done.stdout.contains("(seq 0.."), "{format}");
        assert!(done.stderr.starts_with("*** ") && done.stderr.lines().count() == 1, "{format}: {}", done.stderr);
    }
}

//! `lapwing save`: a range of the ring, complete or not at all, that every reading command takes for a ring.

mod sandbox;
#[path = "postmortem/stage.rs"]
mod stage;

use sandbox::{Done, Sandbox};
use stage::{Programs, every_command_reads, stat};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn while_programs_write_and_stop_and_die_every_saved_file_is_a_range_of_whole_records() {
    let sandbox = Sandbox::with_ring("128K");
    let mut programs = Programs::start(&sandbox, 3);
    let mut saved = 0;
    for round in 0..14 {
        match round {
            4 | 8 => programs.signal("-STOP"),
            6 | 10 => programs.signal("-CONT"),
            12 => {
                programs.signal("-KILL");
                programs.wait();
            }
            _ => {}
        }
        let done = sandbox.run(&["save", "--force", "./file"]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        let seen = every_command_reads(&sandbox, "file");
        let range = format!("{} records (sequences {}..{}) of", seen.records, seen.first, seen.next - 1);
        assert!(done.stdout.contains(&range), "{seen:?}: {}", done.stdout);
        saved += seen.records;
    }
    println!("{saved} records in 14 saved files");
}

#[test]
fn what_is_saved_is_all_up_to_the_moment_and_nothing_after_it() {
    let sandbox = Sandbox::with_ring("1M");
    sandbox.log_lines(0..100);
    assert_eq!(sandbox.run(&["save", "./file"]).code, 0);
    sandbox.log_lines(100..200);
    let lines: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    assert_eq!(
        sandbox.ok(&["tail", "-o", "cat", "--fail-on-loss", "--ring", "./file"]).lines().collect::<Vec<_>>(),
        lines
    );
    assert_eq!(sandbox.ok(&["tail", "-o", "cat", "-n", "3", "--ring", "./file"]), "97\n98\n99\n");
    assert_eq!(sandbox.ok(&["tail", "-o", "cat", "-g", "^42$", "--ring", "./file"]), "42\n");
}

#[test]
fn a_saved_ring_says_that_it_is_one_and_when_it_was_saved() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    assert!(sandbox.ok(&["save", "./file"]).contains("./file: 3 records (sequences 0..2) of"));
    assert!(stat(&sandbox, "ring")["saved"].is_null());
    let saved = stat(&sandbox, "file")["saved"].as_str().unwrap().to_owned();
    assert!(sandbox.ok(&["stat", "--ring", "./file"]).contains(&format!("saved      {saved}")));
    assert!(sandbox.ok(&["check", "./file"]).contains("this is a saved ring: it can be read, and not written to"));
    let listed = sandbox.ok(&["ls"]);
    assert!(listed.lines().any(|line| line.contains(" saved ") && line.ends_with("/file")), "{listed}");
    let kept = sandbox.ok(&["gc", "--older-than", "0s"]);
    assert!(kept.contains("/file: kept: it was saved"), "{kept}");
    let doctor = sandbox.run(&["doctor", "--ring", "./file"]);
    assert!(doctor.code == 1 && doctor.stdout.contains("is a saved ring"), "{}", doctor.stdout);
    for args in [&["log", "--ring", "./file", "x"][..], &["run", "--ring", "./file", "--", "echo", "x"]] {
        let done = sandbox.run(args);
        assert!(done.stderr.contains("is a saved ring"), "{args:?} {}", done.stderr);
    }
    let followed = sandbox.run(&["tail", "-f", "-o", "cat", "--ring", "./file"]);
    assert_eq!((followed.code, followed.stdout.as_str()), (0, "0\n1\n2\n"));
    assert!(followed.stderr.contains("nothing more will come"), "{}", followed.stderr);
    sandbox.ok(&["rm", "./file"]);
}

#[test]
fn an_empty_ring_is_saved_too_and_takes_no_space() {
    let sandbox = Sandbox::with_ring("16M");
    assert_eq!(sandbox.run(&["save", "./file"]).code, 0);
    assert_eq!(sandbox.ok(&["tail", "--ring", "./file"]), "");
    assert_eq!(sandbox.ok(&["check", "./file"]).lines().last(), Some("./file: no damage"));
    let meta = fs::metadata(sandbox.path("file")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.len()), (0o600, fs::metadata(sandbox.path("ring")).unwrap().len()));
    assert!(meta.blocks() * 512 <= 64 << 10, "{} blocks", meta.blocks());
}

#[test]
fn nothing_is_replaced_without_force_and_no_link_is_followed() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    fs::write(sandbox.path("text"), "precious").unwrap();
    symlink("text", sandbox.path("link")).unwrap();
    symlink("nowhere", sandbox.path("dangling")).unwrap();
    for name in ["text", "link", "dangling", "ring"] {
        let done = sandbox.run(&["save", &format!("./{name}")]);
        assert_eq!(done.code, 1);
        assert!(done.stderr.contains("exists already"), "{}", done.stderr);
    }
    for name in ["link", "dangling", "ring", "."] {
        let done = sandbox.run(&["save", "--force", &format!("./{name}")]);
        assert_eq!(done.code, 1);
        assert!(done.stderr.contains("--force does not replace"), "{}", done.stderr);
    }
    assert_eq!(fs::read(sandbox.path("text")).unwrap(), b"precious");
    assert!(!sandbox.path("nowhere").exists());
    sandbox.ok(&["log", "the ring is one still"]);
    assert_eq!(sandbox.run(&["save", "--force", "./text"]).code, 0);
    assert_eq!(sandbox.ok(&["tail", "-o", "cat", "--ring", "./text"]).lines().count(), 4);
    let full = sandbox.run(&["save", "/dev/full"]);
    assert_eq!(full.code, 1);
    assert!(full.stderr.contains("exists already"), "{}", full.stderr);
}

#[test]
fn standard_output_gets_the_same_file() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..300);
    let done = sandbox.run(&["save", "-"]);
    assert_eq!(done.code, 0);
    assert!(done.stderr.contains("-: 300 records (sequences 0..299)"), "{}", done.stderr);
    fs::write(sandbox.path("file"), &done.raw).unwrap();
    assert_eq!(sandbox.ok(&["check", "./file"]).lines().last(), Some("./file: no damage"));
    assert_eq!(sandbox.ok(&["tail", "--ring", "./file"]), sandbox.ok(&["tail"]));
    let mut cut = sandbox.command(&["save", "-"]);
    let mut cut = cut.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(cut.stdout.take());
    let cut = Done::of(cut.wait_with_output().unwrap());
    assert_eq!((cut.code, cut.stderr.as_str()), (0, ""), "whoever read it left");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let done = Done::of(sandbox.command(&["save", "-"]).stdout(full).output().unwrap());
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("cannot write the output"), "{}", done.stderr);
}

#[test]
fn killed_at_any_moment_it_leaves_no_file_or_a_complete_one() {
    let sandbox = Sandbox::with_ring("16M");
    sandbox.log_lines((0..60_000).map(|i| format!("{i:0200}")));
    let (mut none, mut complete) = (0, 0);
    let since = Instant::now();
    for round in 0..40u64 {
        let _ = fs::remove_file(sandbox.path("file"));
        let mut save = sandbox.command(&["save", "./file"]);
        let mut save = save.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(round * 2500));
        let _ = save.kill();
        save.wait().unwrap();
        if sandbox.path("file").exists() {
            complete += 1;
            assert_eq!(sandbox.ok(&["check", "./file"]).lines().last(), Some("./file: no damage"));
        } else {
            none += 1;
        }
        let names = fs::read_dir(sandbox.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| name == "ring" || name == "file"), "nothing else is left");
    }
    println!("{none} times nothing, {complete} times all, in {:?}", since.elapsed());
    assert!(none > 0, "it was never killed before its end");
}

#[test]
fn last_words_are_saved_as_records_and_unfinished_lines_of_the_living_as_what_they_are() {
    let sandbox = Sandbox::with_ring("1M");
    let mut dead = sandbox.command(&["run", "--", "sh", "-c", "echo whole; printf 'half'; kill -9 $$"]);
    dead.stdout(Stdio::null()).output().unwrap();
    let mut living = sandbox.command(&["run", "--", "sh", "-c", "echo begun; printf 'not yet'; sleep 600"]);
    let mut living = living.stdout(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while !sandbox.run(&["save", "--force", "./file"]).stdout.contains("1 unfinished lines") {
        assert!(since.elapsed() < Duration::from_secs(30));
    }
    let tail = sandbox.run(&["tail", "-o", "json", "--ring", "./file"]);
    assert!(tail.stdout.contains("\"half\"") && tail.stdout.contains("last-words"), "{}", tail.stdout);
    let said = "had not finished a line when the ring was saved, which is not in the log: not yet";
    assert!(tail.stderr.contains(said), "{}", tail.stderr);
    living.kill().unwrap();
    living.wait().unwrap();
    let later = sandbox.run(&["tail", "-o", "json", "--ring", "./file"]);
    assert_eq!((later.stdout, later.stderr), (tail.stdout, tail.stderr), "whatever becomes of it later");
}

#[test]
fn of_a_damaged_ring_what_can_be_read_is_saved_and_the_rest_is_accounted_for() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..20);
    let mut bytes = fs::read(sandbox.path("ring")).unwrap();
    // The second index entry of the first page, which lies behind one page of 4096 bytes: beyond the page's end.
    let entry = 12288 + 4096 + 64 + 8;
    bytes[entry..entry + 2].copy_from_slice(&[0xff, 0xff]);
    fs::write(sandbox.path("ring"), bytes).unwrap();
    let done = sandbox.run(&["save", "./file"]);
    assert_eq!(done.code, 4);
    assert!(
        done.stdout.contains("19 records (sequences 0..19)") && done.stdout.contains(", 1 lost"),
        "{}",
        done.stdout
    );
    assert!(done.stderr.contains("the ring is damaged"), "{}", done.stderr);
    let tail = sandbox.run(&["tail", "-o", "json", "--ring", "./file"]);
    assert_eq!(tail.code, 0);
    assert!(tail.stdout.contains(r#"{"lost":1,"first":1,"last":1}"#), "{}", tail.stdout);
    assert_eq!(sandbox.run(&["check", "./file"]).code, 0);
}

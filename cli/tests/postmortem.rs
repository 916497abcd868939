//! A ring can be read after all of its writers are dead, wherever its file has got to.

mod sandbox;
#[path = "postmortem/stage.rs"]
mod stage;

use sandbox::{Sandbox, is_of_another_boot};
use stage::{Programs, every_command_reads, seen, stat};
use std::fs;

#[test]
fn after_all_writers_are_dead_the_ring_says_what_they_said() {
    let sandbox = Sandbox::with_ring("256K");
    for i in 0..5 {
        let script = format!(
            "for n in $(seq 0 299); do echo \"line $$ $n $(( ($$ + n * 7919) % 10007 )) $n$n$n$n\"; done; exit {i}"
        );
        let mut command = sandbox.command(&["run", "--quiet", "--", "bash", "-c", &script]);
        assert_eq!(command.output().unwrap().status.code(), Some(i));
    }
    let seen = every_command_reads(&sandbox, "ring");
    assert_eq!((seen.records, seen.next), (1500, 1500));
    assert_eq!(stat(&sandbox, "ring")["writers"], serde_json::json!([]));
}

#[test]
fn after_a_sigkill_of_all_at_once_every_record_is_whole_or_accounted_for() {
    for round in 0..4 {
        let sandbox = Sandbox::with_ring(["64K", "1M"][round % 2]);
        let mut programs = Programs::start(&sandbox, 4);
        programs.signal("-KILL");
        programs.wait();
        let seen = every_command_reads(&sandbox, "ring");
        assert!(seen.stalled == 0 && seen.abandoned <= 4, "{seen:?}");
        assert_eq!(seen.records + seen.lost + seen.abandoned, seen.next);
        let stat = stat(&sandbox, "ring");
        assert!(stat["writers"].as_array().unwrap().iter().all(|writer| writer["verdict"] == "dead"), "{stat}");
    }
}

#[test]
fn a_ring_of_another_boot_is_read_by_every_command() {
    let sandbox = Sandbox::with_ring("256K");
    let mut programs = Programs::start(&sandbox, 2);
    programs.signal("-KILL");
    programs.wait();
    let before = sandbox.run(&["tail", "-o", "json"]).stdout;
    is_of_another_boot(&sandbox.path("ring"));
    every_command_reads(&sandbox, "ring");
    assert_eq!(sandbox.run(&["tail", "-o", "json"]).stdout, before);
    let refused = sandbox.run(&["log", "x"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("before this host last started"), "{}", refused.stderr);
    let saved = sandbox.run(&["log", "--ring", "./ring.saved", "x"]);
    assert_eq!(saved.code, 1);
    assert!(saved.stderr.contains("is a saved ring"), "{}", saved.stderr);
}

#[test]
fn a_copy_of_a_ring_at_rest_is_read_by_every_command() {
    let sandbox = Sandbox::with_ring("256K");
    let mut programs = Programs::start(&sandbox, 2);
    programs.signal("-KILL");
    programs.wait();
    let before = sandbox.run(&["tail", "-o", "json"]).stdout;
    for how in [&["-a"][..], &["--sparse=always"]] {
        let _ = fs::remove_file(sandbox.path("copy"));
        let mut copy = std::process::Command::new("cp");
        assert!(copy.args(how).arg(sandbox.path("ring")).arg(sandbox.path("copy")).status().unwrap().success());
        every_command_reads(&sandbox, "copy");
        assert_eq!(sandbox.run(&["tail", "-o", "json", "--ring", "./copy"]).stdout, before);
    }
}

#[test]
fn of_a_copy_made_while_writers_wrote_every_command_gives_whole_records_or_says_that_it_is_damaged() {
    let sandbox = Sandbox::with_ring("256K");
    let _programs = Programs::start(&sandbox, 2);
    let (mut records, mut damaged) = (0, 0);
    for _ in 0..6 {
        fs::copy(sandbox.path("ring"), sandbox.path("copy")).unwrap();
        let tail = sandbox.run(&["tail", "-o", "json", "--ring", "./copy"]);
        assert!([0, 4].contains(&tail.code), "{} {}", tail.code, tail.stderr);
        records += seen(&tail).records;
        let stat = sandbox.run(&["stat", "--json", "--ring", "./copy"]);
        assert!([0, 4].contains(&stat.code), "{} {}", stat.code, stat.stderr);
        let checked = sandbox.run(&["check", "./copy"]);
        assert!([0, 4].contains(&checked.code), "{} {}", checked.code, checked.stderr);
        // What `tail` cannot read is damage to `check` too.
        assert!(tail.code == 0 || checked.code == 4, "{} {}", tail.stderr, checked.stdout);
        let saved = sandbox.run(&["save", "--force", "--ring", "./copy", "./saved"]);
        assert!([0, 4].contains(&saved.code), "{} {}", saved.code, saved.stderr);
        if saved.code == 0 {
            // What is saved is sound, whatever it was saved from.
            assert_eq!(sandbox.run(&["check", "./saved"]).code, 0);
            seen(&sandbox.run(&["tail", "-o", "json", "--ring", "./saved"]));
        }
        damaged += u32::from(tail.code == 4);
        assert!(sandbox.run(&["log", "--ring", "./copy", "x"]).stderr.contains("is a copy of a ring"));
    }
    println!("{records} records of 6 copies, {damaged} of them damaged");
    assert!(records > 0);
}

#[test]
fn a_ring_cut_short_is_an_error_that_says_so_for_every_command() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..300);
    let whole = fs::read(sandbox.path("ring")).unwrap();
    for len in [0, 7, 8, 4095, 4096, 20_000, whole.len() - 1] {
        fs::write(sandbox.path("ring"), &whole[..len]).unwrap();
        // So short that nothing says it ever was a ring.
        let code = if len < 8 { 1 } else { 4 };
        for args in [&["tail"][..], &["tail", "-f"], &["stat"], &["save", "./file"]] {
            let done = sandbox.run(args);
            assert_eq!((done.code, done.stdout.as_str()), (code, ""), "{len} {args:?} {}", done.stderr);
            assert!(done.stderr.contains("cut short"), "{len} {args:?} {}", done.stderr);
        }
        assert!(!sandbox.path("file").exists());
        let checked = sandbox.run(&["check"]);
        assert_eq!(checked.code, code, "{len} {}", checked.stderr);
    }
}

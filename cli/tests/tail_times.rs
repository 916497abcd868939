//! `lapwing tail -S` and `-U`: exactly the records of the time that was asked for, and no loss in front of them.

mod sandbox;

use lapwing_ring::{Level, Log};
use sandbox::Sandbox;
use sandbox::following::Following;
use std::time::Duration;

/// Sequence and time of every record, as `tail -o json` shows them.
fn records(text: &str) -> Vec<(u64, String)> {
    let line = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        (json["seq"].as_u64().unwrap_or_else(|| panic!("{line}")), json["time"].as_str().unwrap().to_owned())
    };
    text.lines().map(line).collect()
}

/// A ring that was overwritten, with records of half a second.
fn half_a_second() -> Sandbox {
    let sandbox = Sandbox::with_ring("64K");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    for i in 0..2000 {
        log.append(Level::INFO, format!("record {i} of two thousand").as_bytes()).unwrap();
        if i % 8 == 0 {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    sandbox
}

#[test]
fn since_and_until_choose_by_the_record_s_own_time() {
    let sandbox = half_a_second();
    let all = records(&sandbox.ok(&["tail", "-n", "all", "-o", "json"]));
    assert!(all.len() > 300 && all[0].0 > 0, "{}", all.len());
    for from in [0, 1, 7, all.len() / 3, all.len() / 2, all.len() - 2, all.len() - 1] {
        let time = &all[from].1;
        let at_or_after: Vec<_> = all.iter().filter(|(_, other)| other >= time).cloned().collect();
        let at_or_before: Vec<_> = all.iter().filter(|(_, other)| other <= time).cloned().collect();
        let since = sandbox.run(&["tail", "-S", time, "-o", "json", "--fail-on-loss"]);
        assert_eq!((records(&since.stdout), since.code), (at_or_after.clone(), 0), "-S {time}");
        assert_eq!(records(&sandbox.ok(&["tail", "-n", "all", "-U", time, "-o", "json"])), at_or_before, "-U {time}");
        let last = &at_or_before[at_or_before.len().saturating_sub(3)..];
        assert_eq!(records(&sandbox.ok(&["tail", "-n", "3", "-U", time, "-o", "json"])), last, "-n 3 -U {time}");
        let mut reversed = records(&sandbox.ok(&["tail", "-S", time, "-r", "-o", "json"]));
        reversed.reverse();
        assert_eq!(reversed, at_or_after, "-r -S {time}");
        assert_eq!(records(&sandbox.ok(&["tail", "-S", time, "-U", time, "-o", "json"])), [all[from].clone()]);
    }
    let from_start = sandbox.run(&["tail", "-U", &all[5].1, "--fail-on-loss"]);
    assert_eq!(
        (from_start.code, from_start.lines().len()),
        (3, 7),
        "-U alone asks from sequence 0: a loss and six records"
    );
}

#[test]
fn the_forms_that_people_type_are_understood_in_local_time() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "here"]);
    let count = |args: &[&str]| {
        let output = sandbox.command(&[&["tail", "-o", "cat"], args].concat()).env("TZ", "XYZ-5").output().unwrap();
        assert!(output.stderr.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout.split(|&byte| byte == b'\n').count() - 1
    };
    let there: &[&[&str]] = &[
        &["-S", "1 hour ago"],
        &["-S", "-1h"],
        &["-S", "yesterday", "-U", "tomorrow"],
        &["-S", "@1700000000"],
        &["--since=2024-01-01", "--until", "in 5 min"],
        &["-S", "2024-01-01 05:53:42", "-U", "now"],
        &["-S", "2024-01-01T05:53:42Z"],
    ];
    for args in there {
        assert_eq!(count(args), 1, "{args:?}");
    }
    for args in [&["-S", "in 5 min"][..], &["-U", "1 hour ago"], &["-U", "@1700000000"], &["-S", "tomorrow"]] {
        assert_eq!(count(args), 0, "{args:?}");
    }
    // The time as it is shown, in the zone in which it is shown.
    let shown = sandbox.command(&["tail"]).env("TZ", "XYZ-5").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    let (time, _) = shown.split_once(" lapwing[").unwrap();
    let second = &time[..time.len() - 7];
    assert_eq!((count(&["-S", second]), count(&["-U", second])), (1, 0), "{shown}");
    let wrong = sandbox.run(&["tail", "-S", "tea time"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("times are now, today") && wrong.stderr.contains("'10 min ago'"), "{}", wrong.stderr);
}

#[test]
fn a_follower_begins_since_and_ends_when_until_is_past() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..20);
    let args = ["tail", "-f", "-S", "1 hour ago", "-U", "in 5 seconds", "-o", "cat"];
    let mut tail = Following::start(sandbox.command(&args));
    for i in 0..20 {
        assert_eq!(tail.out(), i.to_string(), "all of the hour, not the last ten");
    }
    sandbox.ok(&["log", "meanwhile"]);
    assert_eq!(tail.out(), "meanwhile");
    assert_eq!(tail.ended().code(), Some(0));
    assert!(tail.out.recv().is_err(), "nothing else");
    let mut past = Following::start(sandbox.command(&["tail", "-f", "-n", "2", "-U", "1 minute ago"]));
    assert_eq!(past.ended().code(), Some(0));
    assert!(past.out.recv().is_err());
}

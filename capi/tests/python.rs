//! Does the handler for Python's logging append what a program logs? `python.py` is the program.

mod installed;

use installed::{Appended, CAPI, Installed, found, succeed};
use lapwing_ring::Flags;
use std::path::Path;
use std::process::Command;

/// Level, tag and text of a record.
fn told(record: &Appended) -> (&str, &str, &str) {
    (record.level.name(), record.tag.as_deref().unwrap_or_default(), record.text())
}

#[test]
fn what_is_logged_comes_into_the_ring() {
    if !found("python3") {
        return;
    }
    let installed = Installed::new();
    let mut python = Command::new("python3");
    python.arg(Path::new(CAPI).join("tests/python.py")).arg(installed.ring());
    python.env("PYTHONPATH", installed.prefix().join("share/lapwing")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = succeed(python.env("LAPWING_LIBRARY", installed.library()));
    let printed = String::from_utf8(output.stdout).unwrap();
    let pids: Vec<u32> = printed.split_whitespace().skip(1).map(|word| word.parse().unwrap()).collect();
    let &[parent, child, worker] = &pids[..] else { panic!("{printed}") };

    let records = installed.records();
    let mut rest = records.iter();
    let expected = [
        ("trace", "disk.sda", "Level 1 level 1"),
        ("trace", "disk.sda", "Level 5 level 5"),
        ("debug", "disk.sda", "DEBUG level 10"),
        ("info", "disk.sda", "INFO level 20"),
        ("info", "disk.sda", "Level 25 level 25"),
        ("warn", "disk.sda", "WARNING level 30"),
        ("err", "disk.sda", "ERROR level 40"),
        ("crit", "disk.sda", "CRITICAL level 50"),
        ("crit", "disk.sda", "Level 60 level 60"),
        ("info", "disk.sda", "INFO größe\nzweite Zeile"),
        ("info", "disk.sda", "INFO half \\udcff, zero \0 and on"),
        ("info", "root", "INFO "),
        ("info", "a", "INFO tag with a zero"),
    ];
    for expected in expected {
        assert_eq!(told(rest.next().unwrap()), expected);
    }
    let (level, _, text) = told(rest.next().unwrap());
    assert!(level == "err" && text.starts_with("ERROR it failed\nTraceback"), "{text}");
    assert!(text.ends_with("ZeroDivisionError: division by zero"), "{text}");

    let long: Vec<_> = rest.by_ref().take(3).collect();
    assert_eq!(long.iter().map(|record| record.flags).collect::<Vec<_>>(), [Flags::CONT, Flags::CONT, Flags::NONE]);
    let whole: Vec<u8> = long.iter().flat_map(|record| record.text.clone()).collect();
    assert_eq!(String::from_utf8(whole).unwrap(), format!("INFO long {}", "ä".repeat(10_000)));

    for (pid, text) in [(child, "WARNING child"), (worker, "WARNING worker")] {
        let record = rest.next().unwrap();
        assert_eq!((record.pid, told(record)), (pid, ("warn", "disk.sda", text)));
    }
    let threads: Vec<_> = rest.collect();
    assert_eq!(threads.len(), 400);
    assert!(threads.iter().all(|record| told(record) == ("debug", "disk.sda", "DEBUG thread")));
    assert!(records.iter().all(|record| record.pid == parent || [child, worker].contains(&record.pid)));
}

//! A follower that sleeps: programs that run under the preload library wake it, and make no system call for nobody.

mod sandbox;

use lapwing_ring::Create;
use sandbox::Sandbox;
use sandbox::following::Following;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A ring in memory, the only place where readers sleep by the bell.
fn ring(folder: &tempfile::TempDir) -> PathBuf {
    let path = folder.path().join("ring");
    Create::new().size(64 << 10).create(&path).unwrap();
    path
}

/// Waits until somebody sleeps. The word is that of docs/FORMAT.md.
fn wait_for_bell(ring: &Path) {
    let since = Instant::now();
    let mut word = [0; 8];
    while u64::from_le_bytes(word) != 1 {
        assert!(since.elapsed() < Duration::from_secs(20), "nobody sleeps");
        std::thread::sleep(Duration::from_millis(1));
        File::open(ring).unwrap().read_exact_at(&mut word, 1152).unwrap();
    }
}

#[test]
fn a_follower_that_sleeps_gets_each_line_soon() {
    let (sandbox, folder) = (Sandbox::new(), tempfile::tempdir_in("/dev/shm").unwrap());
    let ring = ring(&folder);
    let ring_name = ring.to_str().unwrap();
    let tail = Following::start(sandbox.command(&["tail", "-f", "-o", "cat", "--ring", ring_name]));
    for i in 0..5 {
        wait_for_bell(&ring);
        let since = Instant::now();
        sandbox.ok(&["log", "--ring", ring_name, &format!("line {i}")]);
        assert_eq!(tail.out(), format!("line {i}"));
        println!("{:?}, with the start of a process", since.elapsed());
        assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    }
}

#[test]
fn a_captured_program_wakes_who_sleeps_and_nobody_else() {
    if !Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|it| it.status.success()) {
        return println!("skipped: strace is missing, or may not trace");
    }
    let (sandbox, folder) = (Sandbox::new(), tempfile::tempdir_in("/dev/shm").unwrap());
    let ring = ring(&folder);
    let (ring_name, trace) = (ring.to_str().unwrap(), folder.path().join("trace"));
    let wakes = |text: &str| {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "trace=futex", "-e", "signal=none", "-o"]).arg(&trace);
        strace.args([env!("CARGO_BIN_EXE_lapwing"), "run", "--quiet", "--capture", "preload", "--ring", ring_name]);
        strace.args(["--", "/bin/sh", "-c", &format!("echo {text}")]);
        assert!(strace.status().unwrap().success());
        let trace = std::fs::read_to_string(&trace).unwrap();
        // Those of the C library are private.
        trace.lines().filter(|line| line.contains("FUTEX_WAKE, 2147483647")).count()
    };
    assert_eq!(wakes("for nobody"), 0);
    let tail = Following::start(sandbox.command(&["tail", "-f", "-n", "all", "-o", "cat", "--ring", ring_name]));
    assert_eq!(tail.out(), "for nobody");
    wait_for_bell(&ring);
    assert_eq!(wakes("for the follower"), 1);
    assert_eq!(tail.out(), "for the follower");
}

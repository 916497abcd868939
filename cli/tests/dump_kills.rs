//! `lapwing dump` killed again and again: no line is missing, doubled or torn, whatever it was at.

mod sandbox;
#[path = "dump/stage.rs"]
mod stage;

use lapwing_ring::Log;
use sandbox::Sandbox;
use stage::{Account, Dumping, append, read, rotated, wait_until};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const ROUNDS: u64 = 60;

/// Kills a dump with `args` again and again while records come as fast as `pause` lets them; gives the account of all files.
fn account_of_kills(ring: &str, args: &[&str], pause: Option<Duration>) -> (Account, u64) {
    let sandbox = Sandbox::with_ring(ring);
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let args = [&["--to", "out"], args].concat();
    let is_over = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut seq = 0;
            while !is_over.load(Relaxed) {
                append(&log, seq..seq + 100, 12);
                seq += 100;
                pause.into_iter().for_each(std::thread::sleep);
            }
            seq
        });
        for round in 0..ROUNDS {
            let mut dumping = Dumping::start(&sandbox, &args);
            // At first before it has begun, later in the middle of everything.
            std::thread::sleep(Duration::from_millis(3 + round * 7 % 53));
            dumping.kill();
        }
        is_over.store(true, Relaxed);
        writing.join().unwrap()
    });
    let mut last = Dumping::start(&sandbox, &args);
    wait_until("the rest", || {
        read(&sandbox.path("out")).lines().any(|line| line.ends_with(&format!("{}", written - 1)))
    });
    assert_eq!(last.end(), (0, String::new()));
    (account_of_files(&sandbox), written)
}

fn account_of_files(sandbox: &Sandbox) -> Account {
    let mut account = Account::from(0);
    for path in rotated(sandbox, "out") {
        let name = path.to_str().unwrap();
        // A log that was just being compressed has two forms, and both may be there.
        if name.ends_with(".part") || path.with_file_name(format!("{name}.zst")).exists() {
            continue;
        }
        account = account.take(&read(&path));
    }
    account.take(&read(&sandbox.path("out")))
}

#[test]
fn into_one_file_with_a_ring_that_loses_nothing() {
    for format in ["cat", "short"] {
        let (account, written) = account_of_kills("64M", &["-o", format], Some(Duration::from_micros(200)));
        assert_eq!((account.next, account.lost), (written, 0), "{format}");
    }
}

#[test]
fn into_one_file_with_a_ring_that_is_overwritten_all_the_time() {
    let (account, written) = account_of_kills("64K", &["-o", "cat"], None);
    assert_eq!(account.next, written);
    // How many depends on how often each of them got to write anything before it died.
    assert!(account.shown > 0 && account.losses > 3, "{account:?}");
}

#[test]
fn into_files_that_are_rotated_and_compressed() {
    let args = ["-o", "cat", "--rotate", "30000", "--zstd"];
    let (account, written) = account_of_kills("64M", &args, Some(Duration::from_micros(500)));
    assert_eq!((account.next, account.lost), (written, 0));
    let (account, written) = account_of_kills("64K", &args, Some(Duration::from_micros(50)));
    assert_eq!(account.next, written);
}

#[test]
fn slowly_and_synced_before_each_record() {
    let (account, written) = account_of_kills("64K", &["-o", "cat", "--rate", "100K"], Some(Duration::from_millis(1)));
    assert_eq!(account.next, written);
    let (account, written) =
        account_of_kills("64K", &["-o", "cat", "--fsync", "record"], Some(Duration::from_millis(1)));
    assert_eq!(account.next, written);
}

/// Whatever of these is done, or not done yet, when it dies.
const CALLS: [&str; 9] =
    ["pwrite64", "write", "renameat2", "rename", "unlink", "ftruncate", "openat", "fsync", "fdatasync"];

#[test]
fn in_front_of_each_system_call_that_changes_a_file() {
    if std::process::Command::new("strace").arg("--version").output().is_err() {
        return eprintln!("SKIPPED: strace is not installed");
    }
    let mut kills = 0;
    for call in CALLS {
        for nth in 1.. {
            let sandbox = Sandbox::with_ring("1M");
            let log = Log::open(&sandbox.path("ring")).unwrap();
            append(&log, 0..200, 12);
            let args = ["--to", "out", "-o", "cat", "--rotate", "1000", "--zstd", "--keep", "9", "--fsync", "record"];
            let inject = format!("inject={call}:signal=SIGKILL:when={nth}");
            let traced = sandbox.command(&[&["dump"], &args[..]].concat());
            let mut strace = std::process::Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject]);
            strace.arg(traced.get_program()).args(traced.get_args()).current_dir(sandbox.path("."));
            strace.env("LAPWING_RING", sandbox.path("ring"));
            let mut strace = strace.spawn().unwrap();
            let is_through = || rotated(&sandbox, "out").len() == 2 && read(&sandbox.path("out")).ends_with("199\n");
            let mut ended = None;
            wait_until("a death, or everything", || {
                ended = strace.try_wait().unwrap();
                ended.is_some() || is_through()
            });
            // It may die of the last calls still.
            std::thread::sleep(Duration::from_millis(if ended.is_some() { 0 } else { 100 }));
            let children = format!("/proc/{0}/task/{0}/children", strace.id());
            for pid in std::fs::read_to_string(children).unwrap_or_default().split_whitespace() {
                let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
            let is_killed = !strace.wait().unwrap().success();
            let mut next = Dumping::start(&sandbox, &args);
            append(&log, 200..210, 12);
            assert_eq!(next.end(), (0, String::new()), "{call} {nth}");
            let account = account_of_files(&sandbox);
            assert_eq!((account.next, account.lost), (210, 0), "{call} {nth}");
            if !is_killed {
                break;
            }
            kills += 1;
        }
    }
    eprintln!("killed {kills} times");
    assert!(kills > 40);
}

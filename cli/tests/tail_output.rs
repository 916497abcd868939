//! When `lapwing tail` writes: whole lines, at once where somebody waits for them, in large blocks where nobody does. Each write to
//! a socket of datagrams is one datagram, so it can be seen.

mod sandbox;

use lapwing_ring::{Level, Log};
use sandbox::Sandbox;
use sandbox::following::Following;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

fn append(log: &Log, text: &str) {
    log.append(Level::INFO, text.as_bytes()).unwrap();
}

/// A run whose writes are datagrams.
fn start(sandbox: &Sandbox, args: &[&str]) -> (Child, UnixDatagram) {
    let (ours, its) = UnixDatagram::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    (sandbox.command(args).stdout(OwnedFd::from(its)).spawn().unwrap(), ours)
}

/// The next write; nothing once there is no writer any more.
fn next_write(writes: &UnixDatagram) -> String {
    let mut buffer = vec![0; 256 << 10];
    let len = writes.recv(&mut buffer).expect("a write within twenty seconds");
    String::from_utf8(buffer[..len].to_vec()).unwrap()
}

#[test]
fn a_follower_writes_each_line_when_it_came_and_never_a_part_of_one() {
    let sandbox = Sandbox::with_ring("1M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let (mut child, writes) = start(&sandbox, &["tail", "-f", "-o", "cat"]);
    for i in 0..20 {
        append(&log, &format!("line {i}"));
        assert_eq!(next_write(&writes), format!("line {i}\n"), "not before the next one comes");
    }
    for i in 0..5000 {
        append(&log, &format!("{i:0100}"));
    }
    let mut seen = 0;
    while seen < 5000 {
        let text = next_write(&writes);
        assert!(text.ends_with('\n'), "{}", text.len());
        seen += text.lines().inspect(|line| assert_eq!(line.len(), 100)).count();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn without_following_and_a_terminal_lines_are_written_in_blocks() {
    let sandbox = Sandbox::with_ring("1M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    for i in 0..5000 {
        append(&log, &format!("{i:0100}"));
    }
    let (mut child, writes) = start(&sandbox, &["tail", "-o", "cat"]);
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 5000 * 101 {
        let text = next_write(&writes);
        assert!(text.ends_with('\n'));
        sizes.push(text.len());
    }
    child.wait().unwrap();
    assert!(sizes.len() < 10, "{sizes:?}");
}

#[test]
fn a_rare_line_does_not_wait_for_the_end_of_a_flood() {
    let sandbox = Sandbox::with_ring("1M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let tail = Following::start(sandbox.command(&["tail", "-f", "-o", "cat", "-g", "^rare"]));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // So fast that there is always more to read, and that this one's lines can be overwritten before they are.
            for i in 0u64.. {
                append(&log, if i % 4096 == 0 { "rare" } else { "flood" });
                if ended.load(Relaxed) {
                    break;
                }
            }
        });
        let line = tail.out.recv_timeout(Duration::from_secs(20));
        ended.store(true, Relaxed);
        assert_eq!(line.as_deref(), Ok("rare"));
    });
}

#[test]
fn a_follower_of_a_quiet_ring_ends_when_its_reader_leaves() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    let mut command = sandbox.command(&["tail", "-f"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut String::new()).unwrap();
    drop(stdout);
    let since = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(since.elapsed() < Duration::from_secs(20), "it goes on for nobody");
        std::thread::sleep(Duration::from_millis(5));
    }
    let done = sandbox::Done::of(child.wait_with_output().unwrap());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
}

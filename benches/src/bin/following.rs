//! What waiting for records costs, and how late they are noticed: by `Reader::wait`, and by a descriptor in poll(2).
//!
//! `following [SECONDS]` for each row; behind the table, what an append takes that wakes sleepers. The writer is another process, and the processor time is that of the reader with its
//! thread alone.
#![allow(unsafe_code)]

use lapwing_ring::{Access, Create, Level, Read, Reader, Seek, Watch, Writer};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [role, rate, ring] if role == "append" => return append(rate.parse().unwrap(), Path::new(ring)),
        [role, ring] if role == "read" => {
            let mut reader = Reader::open(Path::new(ring)).unwrap();
            loop {
                reader.wait(Duration::from_secs(60)).unwrap();
                while !matches!(reader.next().unwrap(), Read::NotYet { .. }) {}
            }
        }
        _ => {}
    }
    let seconds = arguments.first().map_or(10, |n| n.parse().expect("a number of seconds"));
    let time = Duration::from_secs(seconds);
    let path = PathBuf::from(format!("/dev/shm/lapwing-bench-following-{}", std::process::id()));
    Create::new().create(&path).unwrap();
    println!(
        "{:<7} {:<6} {:>12} {:>10} {:>10} {:>12}",
        "access", "waits", "records/s", "median us", "99 % us", "% of a core"
    );
    for access in [Access::Mapped, Access::Copied] {
        for rate in [0, 2, 20, 200, 2000] {
            for by_poll in [false, true] {
                let mut reader = Reader::open_with(&path, access).unwrap();
                reader.seek(Seek::Newest).unwrap();
                let watch = by_poll.then(|| reader.watch().unwrap());
                let writer = (rate > 0).then(|| start(&["append", &rate.to_string(), path.to_str().unwrap()]));
                let (latencies, used) = follow(&mut reader, watch.as_ref(), time);
                if let Some(mut writer) = writer {
                    writer.kill().unwrap();
                    writer.wait().unwrap();
                }
                print!("{:<7} {:<6}", format!("{access:?}").to_lowercase(), if by_poll { "poll" } else { "wait" });
                let at = |part: usize| {
                    latencies.get(latencies.len() * part / 100).map_or("-".into(), |ns| format!("{}", ns / 1000))
                };
                let per_second = latencies.len() as f64 / time.as_secs_f64();
                println!(" {per_second:>12.0} {:>10} {:>10} {used:>12.2}", at(50), at(99));
            }
        }
    }
    for readers in [0, 1, 10] {
        let mut children: Vec<_> = (0..readers).map(|_| start(&["read", path.to_str().unwrap()])).collect();
        std::thread::sleep(Duration::from_millis(200));
        println!("an append 10 ms behind the last one, {readers} asleep: median {} ns", seldom(&path));
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    std::fs::remove_file(&path).unwrap();
}

/// How long appends take that are far apart, nanoseconds.
fn seldom(ring: &Path) -> u64 {
    let mut writer = Writer::open(ring).unwrap();
    let mut took: Vec<u64> = (0..500)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let before = now(libc::CLOCK_MONOTONIC);
            writer.append(Level::INFO, &before.to_le_bytes()).unwrap();
            now(libc::CLOCK_MONOTONIC) - before
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}

/// Follows for so long: how late each record came, sorted, and percents of a core.
fn follow(reader: &mut Reader, watch: Option<&Watch>, time: Duration) -> (Vec<u64>, f64) {
    let (since, before) = (Instant::now(), used());
    let mut latencies = Vec::new();
    while since.elapsed() < time {
        let left = time.saturating_sub(since.elapsed());
        match watch {
            Some(watch) => {
                let mut poll = libc::pollfd { fd: watch.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
                // SAFETY: one descriptor to ask about.
                unsafe { libc::poll(&mut poll, 1, left.as_millis() as i32) };
            }
            None => {
                reader.wait(left).unwrap();
            }
        }
        loop {
            match reader.next().unwrap() {
                Read::Record(record) => latencies.push(
                    now(libc::CLOCK_MONOTONIC).saturating_sub(u64::from_le_bytes(record.payload.try_into().unwrap())),
                ),
                Read::NotYet { .. } => break,
                _ => {}
            }
        }
        if let Some(watch) = watch {
            watch.rearm(reader).unwrap();
        }
    }
    latencies.sort_unstable();
    (latencies, (used() - before) as f64 / since.elapsed().as_nanos() as f64 * 100.0)
}

fn start(role: &[&str]) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap()).args(role).spawn().unwrap()
}

/// Appends the time, so often a second, at irregular intervals.
fn append(rate: u64, ring: &Path) {
    let mut writer = Writer::open(ring).unwrap();
    let period = 1_000_000_000 / rate;
    let mut random = 12345u64;
    loop {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        std::thread::sleep(Duration::from_nanos(period / 2 + (random >> 33) % period));
        writer.append(Level::INFO, &now(libc::CLOCK_MONOTONIC).to_le_bytes()).unwrap();
    }
}

/// Processor time of this process, nanoseconds.
fn used() -> u64 {
    now(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn now(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the time.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

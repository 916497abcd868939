//! A process that does one thing again and again and says how long it took: another process, so that the library can be
//! loaded into it or not.

use super::outputs::Output;
use super::{LINE, WRITES, library};
use crate::{Ring, SIZE};
use lapwing_ring::{Level, Log};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write, stderr, stdin, stdout};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// Operations before those that are measured: other workers have had the caches meanwhile.
const WARM: usize = 50;

/// One of them, with its standard output.
pub struct Worker {
    child: Child,
    output: Output,
    /// How much of each operation's line comes out there.
    printed: usize,
    orders: ChildStdin,
    answers: BufReader<ChildStderr>,
}

impl Worker {
    /// Starts one, which is this program with the arguments `worker` and `what`, for [`work`]. `quiet`: with the library, and in
    /// which mode.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(what: &str, output: Output, ring: &Ring, quiet: Option<bool>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("where this program is"));
        command.args(["worker", what]).env("LAPWING_RING", ring.path());
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(output.writer());
        if let Some(quiet) = quiet {
            command.env("LD_PRELOAD", library()).env("LAPWING_STREAM", output.stream());
            command.env("LAPWING_QUIET", if quiet { "1" } else { "0" });
        }
        let mut child = command.spawn().expect("a worker");
        let orders = child.stdin.take().expect("its standard input");
        let answers = BufReader::new(child.stderr.take().expect("its standard error"));
        let printed = if what.starts_with("write") && quiet != Some(true) { LINE.len() } else { 0 };
        let mut worker = Self { child, output, printed, orders, answers };
        // Until it has touched all of the ring: the first lap of a process is paid in page faults.
        for _ in 0..SIZE / ((WARM + worker.in_a_round()) * LINE.len()) + 1 {
            worker.round();
        }
        worker
    }

    /// Nanoseconds for each operation of a round.
    ///
    /// # Panics
    /// When it has died.
    pub fn round(&mut self) -> f64 {
        self.measure(self.in_a_round())
    }

    /// How long so many operations take.
    ///
    /// # Panics
    /// When it has died.
    pub fn take(&mut self, mut count: u64) -> Duration {
        let mut taken = 0.0;
        while count > 0 {
            let now = count.min(self.in_a_round() as u64);
            taken += self.measure(now as usize) * now as f64;
            count -= now;
        }
        Duration::from_secs_f64(taken / 1e9)
    }

    /// As many as its output holds.
    fn in_a_round(&self) -> usize {
        if self.printed == 0 { WRITES } else { self.output.holds() }
    }

    /// Nanoseconds for each of `count` operations.
    fn measure(&mut self, count: usize) -> f64 {
        writeln!(self.orders, "{count}").expect("a worker that lives");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("an answer");
        self.output.empty((WARM + count) * self.printed);
        answer.trim().parse().unwrap_or_else(|_| panic!("a worker said {answer:?}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It ends by itself when its standard input does, but that is open until we have waited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a worker does.
///
/// # Panics
/// When there is no such thing, or it fails.
pub fn work(what: &str) {
    let path = std::env::var_os("LAPWING_RING").expect("a ring");
    match what {
        "append" => {
            let log = Log::open(path.as_ref()).expect("the ring");
            let text = &LINE[..LINE.len() - 1];
            obey(|| assert!(black_box(log.append(Level::INFO, black_box(text))).is_ok()));
        }
        // File::write is write(2) by the C library's name.
        "write" => {
            let mut file = File::from(stdout().as_fd().try_clone_to_owned().expect("standard output"));
            obey(|| assert_eq!(file.write(black_box(LINE)).expect("a write"), LINE.len()));
        }
        // What a program can do by itself where the library does it for one that does not know.
        "write-and-append" => {
            let log = Log::open(path.as_ref()).expect("the ring");
            let mut file = File::from(stdout().as_fd().try_clone_to_owned().expect("standard output"));
            obey(|| {
                assert_eq!(file.write(black_box(LINE)).expect("a write"), LINE.len());
                assert!(black_box(log.append(Level::INFO, black_box(&LINE[..LINE.len() - 1]))).is_ok());
            });
        }
        // Two writes, and a line that nobody has finished between them.
        "halves" => {
            let mut file = File::from(stdout().as_fd().try_clone_to_owned().expect("standard output"));
            let halves = LINE.split_at(LINE.len() / 2);
            obey(|| {
                for half in [halves.0, halves.1] {
                    assert_eq!(file.write(black_box(half)).expect("a write"), half.len());
                }
            });
        }
        "other" => {
            let mut file = File::options().write(true).open("/dev/null").expect("/dev/null");
            obey(|| assert_eq!(file.write(black_box(LINE)).expect("a write"), LINE.len()));
        }
        other => panic!("no worker does {other}"),
    }
}

fn obey(mut operation: impl FnMut()) {
    for line in stdin().lines() {
        let count: u32 = line.expect("a line").parse().expect("a number");
        for _ in 0..WARM {
            operation();
        }
        let since = Instant::now();
        for _ in 0..count {
            operation();
        }
        let taken = since.elapsed().as_nanos() as f64 / f64::from(count);
        writeln!(stderr(), "{taken}").expect("somebody who listens");
    }
}

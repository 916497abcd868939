//! A process that does one thing again and again and says how long it took: another process, so that the library can be
//! loaded into it or not.

use crate::outputs::Output;
use crate::{LINE, WRITES, library};
use lapwing_benches::Ring;
use lapwing_ring::{Level, Log};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write, stderr, stdin, stdout};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::Instant;

/// Operations before those that are measured: other workers have had the caches meanwhile.
const WARM: usize = 50;

pub(crate) struct Worker {
    child: Child,
    output: Output,
    /// How much of each operation's line comes out there.
    printed: usize,
    orders: ChildStdin,
    answers: BufReader<ChildStderr>,
}

impl Worker {
    /// Starts one. `quiet`: with the library, and in which mode.
    pub(crate) fn start(what: &str, output: Output, ring: &Ring, quiet: Option<bool>) -> Self {
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
        let in_a_round = WARM + if printed == 0 { WRITES } else { output.holds() };
        let mut worker = Self { child, output, printed, orders, answers };
        // Until it has touched all of the ring: the first lap of a process is paid in page faults.
        for _ in 0..lapwing_benches::SIZE / (in_a_round * LINE.len()) + 1 {
            worker.round();
        }
        worker
    }

    /// Nanoseconds for each operation of a round.
    pub(crate) fn round(&mut self) -> f64 {
        let count = if self.printed == 0 { WRITES } else { self.output.holds() };
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
pub(crate) fn work(what: &str) {
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

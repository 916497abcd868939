//! What the tests of `lapwing dump` stand on: a dump that runs, and the account of what it wrote.
#![allow(dead_code, reason = "each test program uses a part of it")]

use crate::sandbox::Sandbox;
use lapwing_ring::{Level, Log};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A `lapwing dump` that runs.
pub struct Dumping {
    pub child: Child,
    stderr: PathBuf,
}

/// How it ended: its exit code, -1 after a signal, and what it said.
pub type End = (i32, String);

impl Dumping {
    pub fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        // Into a file: a pipe that nobody reads could hold it up.
        let stderr = sandbox.path("stderr");
        let said = std::fs::File::create(&stderr).unwrap();
        let mut command = sandbox.command(&[&["dump"], args].concat());
        Self { child: command.stdout(Stdio::null()).stderr(said).spawn().unwrap(), stderr }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap()
    }

    pub fn wait_for_said(&self, part: &str) {
        wait_until(part, || self.said().contains(part));
    }

    pub fn wait(&mut self) -> End {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code().unwrap_or(-1), self.said());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("it does not end: {}", self.said());
    }

    pub fn end(&mut self) -> End {
        wait_until("its handlers", || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap();
            let (caught, wanted) = (u64::from_str_radix(caught, 16).unwrap(), 1 << 14 | 1 << 1 | 1);
            caught & wanted == wanted || status.contains("State:\tZ")
        });
        self.signal(Signal::TERM);
        self.wait()
    }

    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}

impl Drop for Dumping {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < PATIENCE, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Appends records whose text is their sequence, padded to `width`; nobody else may append.
pub fn append(log: &Log, sequences: std::ops::Range<u64>, width: usize) {
    for seq in sequences {
        assert_eq!(log.append(Level::INFO, format!("{seq:0width$}").as_bytes()), Ok(seq));
    }
}

/// What became of the sequences from `from` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    pub next: u64,
    pub shown: u64,
    pub lost: u64,
    pub losses: u64,
}

impl Account {
    pub fn from(from: u64) -> Self {
        Self { next: from, shown: 0, lost: 0, losses: 0 }
    }

    /// Takes in `text`: whole lines, each for the next sequence, or a loss that begins with it.
    pub fn take(mut self, text: &str) -> Self {
        assert!(text.is_empty() || text.ends_with('\n'), "a torn line at the end: {:?}", text.lines().last());
        for line in text.lines() {
            match loss(line) {
                Some((count, first, last)) => {
                    assert_eq!((first, last), (self.next, self.next + count - 1), "{line}");
                    self.next += count;
                    self.lost += count;
                    self.losses += 1;
                }
                None => {
                    let text = line.rsplit(' ').next().unwrap();
                    assert_eq!(text.parse(), Ok(self.next), "a line that is missing, doubled or torn: {line:?}");
                    self.next += 1;
                    self.shown += 1;
                }
            }
        }
        self
    }
}

/// Count, first and last of a line that tells a loss.
pub fn loss(line: &str) -> Option<(u64, u64, u64)> {
    let numbers = line.strip_prefix("*** ")?.strip_suffix(") ***")?;
    let (count, range) = numbers.split_once(" records lost (seq ")?;
    let (first, last) = range.split_once("..")?;
    Some((count.parse().ok()?, first.parse().ok()?, last.parse().ok()?))
}

pub fn read(path: &Path) -> String {
    let mut text = String::new();
    if path.extension().is_some_and(|ending| ending == "zst") {
        let file = std::fs::File::open(path).unwrap();
        zstd::Decoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    } else if path.exists() {
        text = std::fs::read_to_string(path).unwrap();
    }
    text
}

/// The files that were rotated out of `log`, oldest first.
pub fn rotated(sandbox: &Sandbox, log: &str) -> Vec<PathBuf> {
    let folder = sandbox.path(log);
    let entries = std::fs::read_dir(folder.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let begin = format!("{}.2", folder.file_name().unwrap().to_str().unwrap());
    let is_rotated = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&begin);
    let mut paths: Vec<PathBuf> = entries.filter(is_rotated).collect();
    paths.sort();
    paths
}

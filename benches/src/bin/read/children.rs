//! Runs a program pinned to one core and says what that took.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The core that all that is measured runs on; what empties pipes runs on another.
const CORE: &str = "1";

/// What one run took, seconds.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// From before the fork to behind the wait.
    pub(crate) wall: f64,
    /// User and system time of the program.
    pub(crate) cpu: f64,
}

/// Where the output goes.
pub(crate) enum Sink<'a> {
    Null,
    /// A pipe that is emptied as fast as can be.
    Pipe,
    File(&'a Path),
}

/// `program` on [`CORE`] and no other.
pub(crate) fn pinned(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", CORE]).arg(program);
    command
}

/// Runs `command` to its end. An exit code is 0, or 1 where a filter found nothing.
pub(crate) fn run(mut command: Command, sink: &Sink<'_>) -> Cost {
    command.stdin(Stdio::null()).stdout(match sink {
        Sink::Null => Stdio::null(),
        Sink::Pipe => Stdio::piped(),
        Sink::File(path) => File::create(path).expect("a file for the output").into(),
    });
    let (cpu, since) = (cpu_of_children(), Instant::now());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    if let Some(mut output) = child.stdout.take() {
        let mut buf = vec![0; 1 << 16];
        while output.read(&mut buf).expect("a pipe can be read") > 0 {}
    }
    let status = child.wait().expect("a child to wait for");
    let cost = Cost { wall: since.elapsed().as_secs_f64(), cpu: cpu_of_children() - cpu };
    assert!(matches!(status.code(), Some(0 | 1)), "{command:?}: {status}");
    cost
}

/// User and system time of all children that were waited for, seconds.
fn cpu_of_children() -> f64 {
    // SAFETY: all zeros is a usage.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: stores into the usage and does nothing else.
    let done = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    assert_eq!(done, 0, "the usage of one's children can be asked for");
    [usage.ru_utime, usage.ru_stime].map(|time| time.tv_sec as f64 + time.tv_usec as f64 / 1e6).iter().sum()
}

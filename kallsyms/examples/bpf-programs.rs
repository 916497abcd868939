//! Prints the BPF programs of this machine and, given a number of seconds, what comes and goes meanwhile.
//!
//! ```text
//! bpf-programs [SECONDS]
//! ```

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use lapwing_kallsyms::bpf::{BpfError, Ksymbols, ProgramSet, Programs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn main() -> Result<(), BpfError> {
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    // Opened first, so that nothing passes unseen between the two.
    let ksymbols = if seconds > 0 { Some(Ksymbols::open()?) } else { None };
    let start = Instant::now();
    let programs = Programs::read()?;
    let took = start.elapsed();
    let mut set = ProgramSet::new();
    set.replace_all(&programs);
    for function in set.iter() {
        println!("{:016x} {:6} {}", function.address, function.len, function.name);
    }
    println!("{} programs of {} functions, listed in {took:?}", programs.list.len(), set.len());
    match ksymbols {
        Some(ksymbols) => follow(ksymbols, set, Instant::now() + Duration::from_secs(seconds)),
        None => Ok(()),
    }
}

fn follow(mut ksymbols: Ksymbols, mut set: ProgramSet, until: Instant) -> Result<(), BpfError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            println!("{} functions at the end", set.len());
            return Ok(());
        }
        {
            let mut fds: Vec<_> =
                ksymbols.descriptors().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
            let wait = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            // Interrupted is as good as readable.
            let _ = poll(&mut fds, Some(&wait));
        }
        let news = ksymbols.read();
        for change in &news.changes {
            let sign = if change.loaded { '+' } else { '-' };
            let function = &change.function;
            println!("{sign} {} {:016x} {:6} {}", change.at, function.address, function.len, function.name);
            set.apply(change);
        }
        if news.lost {
            println!("some were lost; listing all again");
            set.replace_all(&Programs::read()?);
        }
    }
}

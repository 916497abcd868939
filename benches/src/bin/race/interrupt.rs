//! Ctrl-C and its like: the race takes down what it has set up, and ends by the signal only then.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether somebody wants the race to end.
#[derive(Clone, Default)]
pub struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Listens from now on, but for what this process was started to ignore (nohup). A second signal
    /// changes nothing: many get each signal twice, by their process group and by who started them.
    pub fn new() -> io::Result<Self> {
        let interrupt = Self::default();
        let ignored = ignored();
        for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| ignored & 1 << (signal - 1) == 0) {
            flag::register_usize(signal, Arc::clone(&interrupt.0), signal as usize)?;
        }
        Ok(interrupt)
    }

    pub fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// Ends this process as the signal would have, if there was one.
    pub fn pass_on(&self) -> io::Result<()> {
        match self.0.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => signal_hook::low_level::emulate_default_handler(signal as i32),
        }
    }
}

/// A bit for each signal that this process ignores; none where the kernel does not say.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

//! Two clocks: one that all processes share, in nanoseconds, and the cheapest one, for stamps.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine was started.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A stamp: the processor's counter where there is one that all processors agree on.
#[inline(always)]
pub fn stamp() -> u64 {
    if cfg!(target_arch = "x86_64") { lapwing_benches::ticks() } else { now() }
}

/// Nanoseconds between two stamps that differ by one.
pub fn stamp_ns() -> f64 {
    let (from, since) = (stamp(), now());
    while now() - since < 20_000_000 {
        std::hint::spin_loop();
    }
    (now() - since) as f64 / (stamp() - from) as f64
}

//! The processors that this process may run on, and how a thread stays on one of them.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The processors that this process may run on, ascending.
///
/// # Panics
/// When the kernel does not say.
pub fn allowed() -> Vec<usize> {
    let set = sched_getaffinity(None).expect("the kernel says where a process may run");
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// Keeps the calling thread, and the threads and processes that it starts from now on, on one processor.
///
/// # Panics
/// When this process may not run there.
pub fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).unwrap_or_else(|error| panic!("processor {cpu}: {error}"));
}

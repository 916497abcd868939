//! Whether a program has address space to spare for the ring.
#![allow(unsafe_code)]

use crate::state::State;
use std::path::Path;

/// How many times the space that we take has to be free, where it is limited.
const SPARE: u64 = 4;

/// False under a limit (RLIMIT_AS) that the program will rather need for itself.
pub(crate) fn is_enough_for(ring: &Path) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for the answer.
    let failed = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } != 0;
    if failed || limit.rlim_cur == libc::RLIM_INFINITY {
        return true;
    }
    let Ok(meta) = ring.metadata() else { return false };
    let ours = meta.len() + size_of::<State>() as u64;
    used().is_some_and(|used| limit.rlim_cur.saturating_sub(used) / SPARE >= ours)
}

/// Bytes of address space that this process has.
fn used() -> Option<u64> {
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').next()?.parse().ok()?;
    // SAFETY: no preconditions.
    Some(pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as u64)
}

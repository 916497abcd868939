//! Is all that a program wrote before its end through the pump? A lock says so, which the pump holds until then, or until it
//! is dead: a byte of the ring's file, far beyond its end, for each pid.
#![allow(unsafe_code)]

use libc::{c_int, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where the byte of pid 0 lies: behind those of the ring's writers, before those that locks are tested by.
pub const LOCKS_AT: i64 = (1 << 40) + (1 << 32);
/// No pid is larger.
const MOST_PIDS: i64 = 1 << 22;
/// From one look to the next.
const PAUSE: Duration = Duration::from_micros(200);

fn range(kind: c_int, first: i64, len: i64) -> flock {
    let (l_type, l_whence) = (kind as _, libc::SEEK_SET as _);
    flock { l_type, l_whence, l_start: LOCKS_AT + first, l_len: len, l_pid: 0 }
}

fn control(fd: RawFd, what: c_int, range: &mut flock) -> bool {
    // SAFETY: a lock's description, which the kernel may write an answer into.
    unsafe { libc::fcntl(fd, what, std::ptr::from_mut(range)) == 0 }
}

/// For the pump of program `pid`, before the program can have written anything. Children of a fork hold the lock too.
pub(super) fn hold(ring: &Path, pid: u32) -> io::Result<OwnedFd> {
    let file = OpenOptions::new().read(true).write(true).open(ring)?;
    if !control(file.as_raw_fd(), libc::F_OFD_SETLK, &mut range(libc::F_WRLCK, i64::from(pid), 1)) {
        return Err(io::Error::last_os_error());
    }
    Ok(file.into())
}

/// Everything is through.
pub(super) fn release(fd: RawFd, pid: u32) {
    control(fd, libc::F_OFD_SETLK, &mut range(libc::F_UNLCK, i64::from(pid), 1));
}

/// The first pid in the range that a pump still works for.
fn pending(ring: &File, first: i64, len: i64) -> Option<i64> {
    let mut asked = range(libc::F_RDLCK, first, len);
    let is_answered = control(ring.as_raw_fd(), libc::F_OFD_GETLK, &mut asked);
    (is_answered && c_int::from(asked.l_type) != libc::F_UNLCK).then_some((asked.l_start - LOCKS_AT).max(first))
}

/// Waits until everything of program `pid`, which has ended, is through, but no longer than `limit`. Allocates nothing for
/// paths of common length.
pub fn wait_for(ring: &Path, pid: u32, limit: Duration) {
    let Ok(file) = File::open(ring) else { return };
    let start = Instant::now();
    while pending(&file, i64::from(pid), 1).is_some() && start.elapsed() < limit {
        sleep(PAUSE);
    }
}

/// As [`wait_for`], for all programs that have ended.
pub fn wait_for_ended(ring: &Path, limit: Duration) {
    let Ok(file) = File::open(ring) else { return };
    let start = Instant::now();
    let mut first = 0;
    while let Some(pid) = pending(&file, first, MOST_PIDS - first)
        && start.elapsed() < limit
    {
        if u32::try_from(pid).is_ok_and(super::sys::is_gone) {
            sleep(PAUSE);
        } else {
            first = pid + 1;
        }
    }
}

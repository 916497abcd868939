//! The system calls of torture, each behind a safe function: time, signals, processes, shared mappings.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// CLOCK_MONOTONIC, nanoseconds.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Sleeps for so long, or until a signal comes. Safe in signal handlers.
pub(crate) fn nap(ns: u64) {
    let time = libc::timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
    // SAFETY: a valid time; the rest of it is not asked for.
    unsafe { libc::nanosleep(&time, std::ptr::null_mut()) };
}

pub(crate) fn pid() -> i32 {
    // SAFETY: no preconditions.
    unsafe { libc::getpid() }
}

pub(crate) fn parent() -> i32 {
    // SAFETY: no preconditions.
    unsafe { libc::getppid() }
}

pub(crate) fn tid() -> i32 {
    // SAFETY: no preconditions.
    unsafe { libc::gettid() }
}

/// Sends `signal` to one process; false when there is none. Safe in signal handlers.
pub(crate) fn signal(pid: i32, signal: i32) -> bool {
    assert!(pid > 1, "never a group");
    // SAFETY: one positive pid.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Ends this process as it stands: no destructors.
pub(crate) fn leave(status: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(status) }
}

/// Has this process killed when its parent ends, and ends it if that has happened already.
pub(crate) fn die_with(parent_pid: i32) {
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    if parent() != parent_pid {
        leave(0);
    }
}

/// Orphans of this process's children become its own.
pub(crate) fn adopt_orphans() {
    // SAFETY: changes who is told of an orphan's end, no more.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}

/// Forks. Only for processes of one thread.
pub(crate) fn fork() -> io::Result<i32> {
    // SAFETY: one thread, so no lock of another is left behind in the child.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    }
}

/// A child that ended, and its status; `None` when there is none (that has ended).
pub(crate) fn reap(wait: bool) -> Option<(i32, i32)> {
    let mut status = 0;
    loop {
        // SAFETY: room for the status.
        let pid = unsafe { libc::waitpid(-1, &mut status, if wait { 0 } else { libc::WNOHANG }) };
        if pid > 0 {
            return Some((pid, status));
        }
        if pid == 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return None;
        }
    }
}

/// The parent of `pid`, as /proc tells it.
pub(crate) fn parent_of(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// A timer that signals the thread that made it, once each time it is set; never freed.
#[derive(Clone, Copy)]
pub(crate) struct Alarm(libc::timer_t);

impl Alarm {
    pub(crate) const NONE: Self = Self(std::ptr::null_mut());

    pub(crate) fn new() -> Self {
        // SAFETY: all-zero bytes are a valid value of this plain structure.
        let mut event: libc::sigevent = unsafe { std::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = tid();
        let mut timer = std::ptr::null_mut();
        // SAFETY: a filled-in event and room for the timer.
        assert_eq!(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) }, 0);
        Self(timer)
    }

    /// The signal comes after so many nanoseconds. Safe in signal handlers.
    pub(crate) fn set(self, ns: u64) {
        let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let times = libc::itimerspec { it_interval: none, it_value: libc::timespec { tv_sec: 0, tv_nsec: ns as i64 } };
        // SAFETY: a timer of this process, valid times; the old ones are not asked for.
        unsafe { libc::timer_settime(self.0, 0, &times, std::ptr::null_mut()) };
    }
}

/// Installs a signal handler; a system call that it interrupts goes on.
///
/// # Safety
/// The handler makes async-signal-safe calls alone.
pub(crate) unsafe fn handle(signal: i32, handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void)) {
    // SAFETY: all-zero bytes are a valid value of this plain structure: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: a filled-in action whose handler the caller vouches for.
    assert_eq!(unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) }, 0);
}

/// Bytes that the file system of `folder` has free.
pub(crate) fn free_bytes(folder: &Path) -> u64 {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return 0 };
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: a NUL-terminated path, room for the answer.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: the call succeeded, so the answer is there.
    let stat = unsafe { stat.assume_init() };
    stat.f_bavail * stat.f_frsize
}

/// Memory whose protection can be taken away and given back; never unmapped.
#[derive(Clone, Copy)]
pub(crate) struct FaultPage(*mut libc::c_void);

impl FaultPage {
    pub(crate) const LEN: usize = 4096;

    pub(crate) fn new() -> Self {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh anonymous mapping, no address asked for.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), Self::LEN, protection, flags, -1, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        Self(at)
    }

    pub(crate) fn address(self) -> usize {
        self.0 as usize
    }

    /// Fills the front with `bytes` and makes the page unreadable; whoever reads what this gives raises SIGSEGV.
    pub(crate) fn arm(&mut self, bytes: &[u8]) -> &[u8] {
        assert!(bytes.len() <= Self::LEN);
        mend(self.address());
        // SAFETY: the page is ours, as long as `LEN`, and writable again.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.cast(), bytes.len()) };
        // SAFETY: the mapping made above.
        unsafe { libc::mprotect(self.0, Self::LEN, libc::PROT_NONE) };
        // SAFETY: mapped for ever; the handler of SIGSEGV makes it readable before any byte of it is seen.
        unsafe { std::slice::from_raw_parts(self.0.cast(), bytes.len()) }
    }
}

/// Makes the fault page at `address` readable and writable. Safe in signal handlers.
pub(crate) fn mend(address: usize) {
    let at = address as *mut libc::c_void;
    // SAFETY: only ever called with the address of a `FaultPage`.
    unsafe { libc::mprotect(at, FaultPage::LEN, libc::PROT_READ | libc::PROT_WRITE) };
}

/// Words of a file, mapped and shared: what was stored is there whatever happens to this process.
pub(crate) struct Shared {
    at: *const AtomicU64,
    len: usize,
}

// SAFETY: atomics alone, which any thread may use.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    /// A new file of `len` zero words; memory is taken as they are touched.
    pub(crate) fn create(path: &Path, len: usize) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len(len as u64 * 8)?;
        Self::map(&file, len)
    }

    /// All whole words of a file that is there.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = file.metadata()?.len() as usize / 8;
        Self::map(&file, len)
    }

    fn map(file: &File, len: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (flags, fd) = (libc::MAP_SHARED, file.as_raw_fd());
        // SAFETY: an open file, no address asked for.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), len * 8, protection, flags, fd, 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { at: at.cast(), len })
    }
}

impl Deref for Shared {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        // SAFETY: `len` words are mapped, aligned to a page, for as long as we live; nobody truncates the file.
        unsafe { std::slice::from_raw_parts(self.at, self.len) }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: the whole of our own mapping, which nobody borrows any more.
        unsafe { libc::munmap(self.at.cast_mut().cast(), self.len * 8) };
    }
}

//! The system calls of the pump, each behind a safe function. Descriptors are numbers here: the pump has them in fixed
//! places, see [`super::places`].
#![allow(unsafe_code)]

use libc::{c_int, c_ulong};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`check`], for calls that give a length.
fn length(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Both sides of a fork.
pub(super) enum Fork {
    Parent(libc::pid_t),
    Child,
}

/// For processes of one thread, as all are that call this; in others the child could wait for a lock for ever.
pub(super) fn fork() -> io::Result<Fork> {
    // SAFETY: there is one thread, so the child has everything that the parent had.
    Ok(match check(unsafe { libc::fork() })? {
        0 => Fork::Child,
        child => Fork::Parent(child),
    })
}

/// Ends this process, without a word to anything that is registered.
pub(super) fn leave(status: c_int) -> ! {
    // SAFETY: no preconditions.
    unsafe { libc::_exit(status) }
}

/// Is a SIGCHLD pending? To be asked before a child is made.
pub(super) fn has_heard_of_child() -> bool {
    pending(libc::SIGCHLD)
}

/// Waits for the end of a child, and takes back the SIGCHLD that it left pending, if the caller blocks that signal and had
/// not heard of another: the program that comes after us has no such child.
pub(super) fn wait_for(child: libc::pid_t, had_heard: bool) {
    loop {
        // SAFETY: no room for a status is given, so none is written.
        let result = unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
        if result >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
    if !had_heard && pending(libc::SIGCHLD) {
        let set = set_of(libc::SIGCHLD);
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a set, a time, and no room for details.
        unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &now) };
    }
}

fn set_of(signal: c_int) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: room for a set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: the call before has made a set of it.
    unsafe { libc::sigaddset(set.as_mut_ptr(), signal) };
    // SAFETY: as above.
    unsafe { set.assume_init() }
}

fn pending(signal: c_int) -> bool {
    let mut set = set_of(signal);
    // SAFETY: room for a set.
    unsafe { libc::sigpending(&mut set) };
    // SAFETY: a set.
    unsafe { libc::sigismember(&set, signal) == 1 }
}

/// Leaves the session, and with it the terminal and everybody's process group.
pub(super) fn new_session() {
    // SAFETY: no preconditions. It fails for leaders of a group only, and a child just forked is none.
    unsafe { libc::setsid() };
}

/// What ps(1) and pkill(1) call this process.
pub(super) fn set_name(name: &CStr) {
    // SAFETY: a NUL-terminated name; the kernel copies it.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// From now on only SIGKILL, SIGSTOP and our own faults matter. Ended children leave nothing behind.
pub(super) fn ignore_signals() {
    const FAULTS: [c_int; 6] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP];
    for signal in (1..=64).filter(|signal| !FAULTS.contains(signal)) {
        // SAFETY: ignoring runs no code of ours. The kernel refuses what cannot be ignored, the C library what is its own.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Makes `to` another number of `from`, which a program started by exec keeps.
pub(super) fn place(from: RawFd, to: RawFd) -> io::Result<()> {
    // SAFETY: whatever `to` was: in this process nobody but the pump's own code counts on numbers.
    check(unsafe { libc::dup2(from, to) }).map(drop)
}

/// Another number for `fd`, `least` or larger, which is closed by exec.
pub(super) fn copy(fd: RawFd, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: makes a new descriptor, changes none.
    let copy = check(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, least) })?;
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Closes `first` and everything above.
pub(super) fn close_from(first: RawFd) {
    // SAFETY: nobody in this process uses any of them any more.
    if unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) } == 0 {
        return;
    }
    // SAFETY: no preconditions.
    let end = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) }.clamp(256, 1 << 20) as RawFd;
    for fd in first..end {
        // SAFETY: as above.
        unsafe { libc::close(fd) };
    }
}

/// Asks the kernel to say with every piece that is received on `socket` who has sent it.
pub(super) fn ask_for_senders(socket: RawFd) -> io::Result<()> {
    let on: c_int = 1;
    let (value, len) = ((&raw const on).cast(), size_of::<c_int>() as libc::socklen_t);
    // SAFETY: the value is a number of that size.
    check(unsafe { libc::setsockopt(socket, libc::SOL_SOCKET, libc::SO_PASSCRED, value, len) }).map(drop)
}

/// Whoever writes to the other end is told so from now on. What is there can still be read.
pub(super) fn refuse_more(socket: RawFd) {
    // SAFETY: no preconditions.
    unsafe { libc::shutdown(socket, libc::SHUT_RD) };
}

/// Writes to a socket without waiting.
pub(super) fn send(socket: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: memory of that length.
    length(unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) })
}

pub(super) fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: memory of that length.
    length(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) })
}

/// Reads into memory that others may look at: `room` bytes from `to` on.
///
/// # Safety
/// That is memory, which nobody has a reference into.
pub(super) unsafe fn read(fd: RawFd, to: *mut u8, room: usize) -> io::Result<usize> {
    // SAFETY: the caller's promise.
    length(unsafe { libc::read(fd, to.cast(), room) })
}

/// Bytes that can be read at once.
pub(super) fn queued(fd: RawFd) -> usize {
    let mut count: c_int = 0;
    // SAFETY: room for a number.
    unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) };
    usize::try_from(count).unwrap_or(0)
}

/// Waits until something is true of `polled`, or no longer than `limit`.
pub(super) fn poll(polled: &mut [libc::pollfd], limit: Option<Duration>) {
    let limit = limit.map_or(-1, |limit| limit.as_millis().min(60_000) as c_int);
    // SAFETY: as many as the slice has.
    if unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, limit) } < 0 {
        polled.iter_mut().for_each(|polled| polled.revents = 0);
    }
}

/// What kind of file a descriptor is open on: `S_IFIFO`, `S_IFSOCK` and so on; 0 if it is closed.
pub(super) fn kind(fd: RawFd) -> libc::mode_t {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for the answer.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: the call succeeded, so the answer is there.
    unsafe { stat.assume_init_ref() }.st_mode & libc::S_IFMT
}

/// Is it one open file, with one offset, under two numbers? `None`: the kernel does not tell.
pub(super) fn is_one_file(a: RawFd, b: RawFd) -> Option<bool> {
    const KCMP_FILE: c_int = 0;
    // SAFETY: no preconditions.
    let us = unsafe { libc::getpid() };
    // SAFETY: compares, changes nothing.
    let order = unsafe { libc::syscall(libc::SYS_kcmp, us, us, KCMP_FILE, a as c_ulong, b as c_ulong) };
    (order >= 0).then_some(order == 0)
}

/// A descriptor that can be read from, as poll(2) has it, when that process has ended.
pub(super) fn process(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: makes a new descriptor.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = check(fd as c_int)?;
    // SAFETY: just made, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The calling process and its user.
pub(super) fn who() -> (u32, u32) {
    // SAFETY: no preconditions.
    let pid = unsafe { libc::getpid() };
    // SAFETY: no preconditions.
    (pid as u32, unsafe { libc::getuid() })
}

/// Is there no such process any more? One that nobody has waited for counts as gone.
pub(super) fn is_gone(pid: u32) -> bool {
    match std::fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat.iter().rposition(|&byte| byte == b')').is_some_and(|end| stat.get(end + 2) == Some(&b'Z')),
        // SAFETY: signal 0 is sent to nobody; 0 and negative numbers, which mean groups, are not asked for.
        Err(_) => i32::try_from(pid).is_ok_and(|pid| pid > 0 && unsafe { libc::kill(pid, 0) } != 0),
    }
}

/// Tells a process group that its terminal has changed its size.
pub(super) fn tell_size(group: libc::pid_t) {
    if group > 1 {
        // SAFETY: a group, and a signal that is ignored where nobody asked for it.
        unsafe { libc::kill(-group, libc::SIGWINCH) };
    }
}

pub(super) fn read_into(fd: RawFd, room: &mut [u8]) -> io::Result<usize> {
    // SAFETY: memory of that length, which is ours alone.
    unsafe { read(fd, room.as_mut_ptr(), room.len()) }
}

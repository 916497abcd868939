//! The pseudo-terminal that stands in for a real one: a terminal to the program, and a pipe to the pump.
#![allow(unsafe_code)]

use libc::{c_int, winsize};
use std::fs::{File, OpenOptions};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

/// The end that the program gets and the end that the pump gets. What is written to the one comes out of the other as it
/// is: the real terminal does with it what it does.
pub(super) fn open(like: RawFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let ours: File = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/ptmx")?;
    let unlocked: c_int = 0;
    // SAFETY: reads a number.
    if unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: makes a new descriptor.
    let theirs = unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    if theirs < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just made, and nobody else's.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    change_nothing(theirs.as_raw_fd())?;
    if let Some(size) = size(like) {
        set_size(theirs.as_raw_fd(), &size);
    }
    Ok((theirs, ours.into()))
}

fn change_nothing(fd: RawFd) -> io::Result<()> {
    let mut modes = MaybeUninit::uninit();
    // SAFETY: room for the answer.
    if unsafe { libc::tcgetattr(fd, modes.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the answer is there.
    let mut modes = unsafe { modes.assume_init() };
    // SAFETY: changes the answer.
    unsafe { libc::cfmakeraw(&mut modes) };
    // SAFETY: modes of a terminal, changed a little.
    if unsafe { libc::tcsetattr(fd, libc::TCSANOW, &modes) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Rows and columns of a terminal. `None`: it is none.
pub(super) fn size(fd: RawFd) -> Option<winsize> {
    let mut size = winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: room for the answer.
    (unsafe { libc::ioctl(fd, libc::TIOCGWINSZ, &raw mut size) } == 0).then_some(size)
}

pub(super) fn set_size(fd: RawFd, size: &winsize) {
    // SAFETY: reads a size.
    unsafe { libc::ioctl(fd, libc::TIOCSWINSZ, std::ptr::from_ref(size)) };
}

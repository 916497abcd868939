//! Descriptors for system calls of our own: the C library's open, read and close are places where a thread can be cancelled,
//! and may be interposed. Nothing here allocates, so all of it may run in a signal handler.
#![allow(unsafe_code)]

#[cfg(not(all(test, loom)))]
use crate::process::is_confined;
use std::ffi::CStr;

/// No model asks the kernel for anything.
#[cfg(all(test, loom))]
const fn is_confined() -> bool {
    false
}

/// An open descriptor, closed when it goes out of scope.
#[derive(Debug)]
pub(crate) struct Descriptor(libc::c_int);

impl Descriptor {
    /// Opens `path` without following a link, waiting for anybody, or passing it on through exec.
    pub(crate) fn open(path: &CStr, flags: libc::c_int) -> Option<Self> {
        if is_confined() {
            return None;
        }
        let flags = flags | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) };
        (fd >= 0).then_some(Self(fd as libc::c_int))
    }

    /// Reads once, as much as fits.
    pub(crate) fn read<'b>(&self, buf: &'b mut [u8]) -> Option<&'b [u8]> {
        // SAFETY: an open descriptor, a buffer with its length.
        let n = unsafe { libc::syscall(libc::SYS_read, self.0, buf.as_mut_ptr(), buf.len()) };
        buf.get(..usize::try_from(n).ok()?)
    }

    /// Device and inode.
    pub(crate) fn identity(&self) -> Option<(u64, u64)> {
        let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
        // SAFETY: an open descriptor, room for the answer.
        if unsafe { libc::fstat(self.0, stat.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call succeeded, so the answer is there.
        let stat = unsafe { stat.assume_init() };
        Some((stat.st_dev, stat.st_ino))
    }

    /// The type of the file system, a magic number of statfs(2).
    pub(crate) fn file_system(&self) -> Option<u32> {
        let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
        // SAFETY: an open descriptor, room for the answer.
        if unsafe { libc::fstatfs(self.0, stat.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call succeeded, so the answer is there.
        Some(unsafe { stat.assume_init() }.f_type as u32)
    }

    /// Takes a lock of the open file description on the byte at `at`, if nobody has one that conflicts.
    pub(crate) fn lock(&self, kind: libc::c_int, at: i64) -> bool {
        let lock = byte_lock(kind, at);
        // SAFETY: an open descriptor and a lock that the call only reads.
        unsafe { libc::syscall(libc::SYS_fcntl, self.0, libc::F_OFD_SETLK, &raw const lock) == 0 }
    }

    /// Would a lock of this kind conflict with somebody's?
    pub(crate) fn is_locked_against(&self, kind: libc::c_int, at: i64) -> Option<bool> {
        let mut lock = byte_lock(kind, at);
        // SAFETY: an open descriptor and a lock that the call may change.
        let result = unsafe { libc::syscall(libc::SYS_fcntl, self.0, libc::F_OFD_GETLK, &raw mut lock) };
        (result == 0).then_some(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
    }

    /// Maps one page of the file without access: the mapping keeps the open file description, and so its locks, until it
    /// goes, with [`unmap`] or with the memory of this process.
    pub(crate) fn pin(&self) -> Option<usize> {
        // SAFETY: a fresh mapping that cannot be accessed, no address asked for.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), PIN, libc::PROT_NONE, libc::MAP_SHARED | libc::MAP_NORESERVE, self.0, 0)
        };
        if at == libc::MAP_FAILED {
            return None;
        }
        // A child must not keep it: while it lives, we would seem to. That is safe, so nothing is done where it fails.
        // SAFETY: advice on the whole of the mapping just made.
        unsafe { libc::madvise(at, PIN, libc::MADV_DONTFORK) };
        Some(at as usize)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours and is not used again.
        unsafe { libc::syscall(libc::SYS_close, self.0) };
    }
}

const PIN: usize = 4096;

/// Removes what [`Descriptor::pin`] mapped in this process.
pub(crate) fn unmap(pin: usize) {
    // SAFETY: a mapping of our own, inaccessible, so nothing refers into it.
    unsafe { libc::munmap(pin as *mut libc::c_void, PIN) };
}

fn byte_lock(kind: libc::c_int, at: i64) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: at,
        l_len: 1,
        l_pid: 0,
    }
}

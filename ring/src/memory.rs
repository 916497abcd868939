//! The memory that a ring is looked at through: its file mapped, or private memory of the same length. A program that is
//! captured maps a ring when it starts, so this asks the kernel for nothing else.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// A mapping of so many bytes, which goes when this is dropped.
pub(crate) struct Memory {
    base: *mut u8,
    len: usize,
}

// SAFETY: an address and a length, which any thread may have; what may be done there is for its users to prove.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    /// The first `len` bytes of `file`, shared with all who have it mapped; to be stored into if `write`.
    pub(crate) fn of_file(file: &File, len: usize, write: bool) -> io::Result<Self> {
        let protection = if write { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        Self::map(len, protection, libc::MAP_SHARED, file.as_raw_fd())
    }

    /// `len` bytes of zeros. What is not used takes no memory.
    pub(crate) fn private(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        Self::map(len, libc::PROT_READ | libc::PROT_WRITE, flags, -1)
    }

    fn map(len: usize, protection: libc::c_int, flags: libc::c_int, fd: libc::c_int) -> io::Result<Self> {
        // SAFETY: a fresh mapping, no address asked for.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { base: base.cast(), len })
    }

    /// Where it begins: at the start of a page.
    pub(crate) fn as_mut_ptr(&self) -> *mut u8 {
        self.base
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: a mapping of our own, of this length; who borrows from it goes before it.
        unsafe { libc::munmap(self.base.cast(), self.len) };
    }
}

//! Mapping a published table.

#![allow(unsafe_code)]

use crate::shared::Trusted;
use crate::shared::header::SUCCESSOR;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect, munmap};
use std::ffi::c_void;
use std::io;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A mapping of so many bytes, which goes when this is dropped.
struct Pages {
    base: NonNull<c_void>,
    len: usize,
}

impl Pages {
    fn of(file: &Trusted, len: usize, flags: MapFlags) -> io::Result<Self> {
        // SAFETY: no address is asked for, so nothing that exists is replaced; the protection lets nobody write.
        let base = unsafe { mmap(null_mut(), len, ProtFlags::READ, flags, file.file(), 0) }?;
        let base = NonNull::new(base).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { base, len })
    }

    fn protect(&self, len: usize, flags: MprotectFlags) -> io::Result<()> {
        // SAFETY: `len` is at most the mapping's length (both callers say 1), so only pages of ours change.
        Ok(unsafe { mprotect(self.base.as_ptr(), len, flags) }?)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: a mapping of our own of this length. Whoever borrows its bytes borrows `MappedTable`, which owns it.
        let _ = unsafe { munmap(self.base.as_ptr(), self.len) };
    }
}

/// The file of a published table, mapped for reading.
///
/// The only bytes that a publisher changes in a file that has its name are those of the successor, in the first page. They
/// are looked at through a mapping of their own, as an atomic; in the mapping that is lent as bytes that page is a private copy.
pub(crate) struct MappedTable {
    table: Pages,
    first_page: Pages,
}

// SAFETY: two addresses of memory that nobody writes to but as an atomic, and that any thread may unmap.
unsafe impl Send for MappedTable {}
// SAFETY: as above; all methods only read.
unsafe impl Sync for MappedTable {}

impl MappedTable {
    /// The first `len` bytes of `file`, which is as long at least and longer than the header's word of the successor.
    pub(crate) fn map(file: &Trusted, len: usize) -> io::Result<Self> {
        let header_ends = SUCCESSOR + size_of::<u64>();
        if len < header_ends {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let table = Pages::of(file, len, MapFlags::PRIVATE)?;
        let first_page = Pages::of(file, header_ends, MapFlags::SHARED)?;
        table.protect(1, MprotectFlags::READ | MprotectFlags::WRITE)?;
        let first_byte = table.base.cast::<u8>();
        // SAFETY: the mapping has at least one byte, and its first page may be read.
        let byte = unsafe { first_byte.read_volatile() };
        // SAFETY: the first page may be written since `protect`, and nobody has borrowed it yet. The mapping is private, so
        // this makes the kernel copy the page.
        unsafe { first_byte.write_volatile(byte) };
        table.protect(1, MprotectFlags::READ)?;
        Ok(Self { table, first_page })
    }

    /// The table as it was when it was mapped.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped for reading for as long as `self` lives, and do not change: the first page is a copy
        // of our own, and behind it the file is never written again once it has its name. Only its owner could do that, who is
        // root or ourselves (`Trusted`), and so could change our memory in any case.
        unsafe { std::slice::from_raw_parts(self.table.base.cast().as_ptr(), self.table.len) }
    }

    /// Zero as long as no newer table was announced.
    #[inline]
    pub(crate) fn successor(&self) -> u64 {
        // SAFETY: `map` has mapped this many bytes.
        let word = unsafe { self.first_page.base.cast::<u8>().add(SUCCESSOR) };
        // SAFETY: eight bytes at a multiple of eight from the start of a page, mapped for as long as `self` lives, and used as
        // an atomic alone.
        let word: &AtomicU64 = unsafe { word.cast().as_ref() };
        // What follows a successor is a look at the path by the kernel, so no ordering is needed.
        word.load(Relaxed)
    }
}

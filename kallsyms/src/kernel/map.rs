//! Mapping a published table.

#![allow(unsafe_code)]

use crate::shared::Trusted;
use crate::table::SUCCESSOR;
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

    /// Of the first page alone.
    fn protect_first(&self, flags: MprotectFlags) -> io::Result<()> {
        // SAFETY: the page that the first byte lies in, which is ours.
        Ok(unsafe { mprotect(self.base.as_ptr(), 1, flags) }?)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: a mapping of our own of this length. Whoever borrows its bytes borrows what owns it.
        let _ = unsafe { munmap(self.base.as_ptr(), self.len) };
    }
}

/// The bytes of a published table, as they were when its file was mapped.
///
/// The only bytes that a publisher changes in a file that has its name are those of the successor, in the first page. Here that
/// page is a private copy; [`Successor`] is what changes.
pub(crate) struct MappedTable(Pages);

/// The word of a published table that says whether there is a newer one.
pub(crate) struct Successor(Pages);

// SAFETY: an address of memory that nobody writes to, and that any thread may unmap.
unsafe impl Send for MappedTable {}
// SAFETY: as above; all methods only read.
unsafe impl Sync for MappedTable {}
// SAFETY: an address of memory that is used as an atomic alone, and that any thread may unmap.
unsafe impl Send for Successor {}
// SAFETY: as above; its method only loads.
unsafe impl Sync for Successor {}

impl MappedTable {
    /// The first `len` bytes of `file`, one at least, which is not shorter.
    pub(crate) fn map(file: &Trusted, len: usize) -> io::Result<Self> {
        let pages = Pages::of(file, len, MapFlags::PRIVATE)?;
        pages.protect_first(MprotectFlags::READ | MprotectFlags::WRITE)?;
        let first = pages.base.cast::<u8>();
        // SAFETY: a mapping has one page at least, which may be read.
        let byte = unsafe { first.read_volatile() };
        // SAFETY: the first page may be written since `protect_first`, and nobody has borrowed it yet. The mapping is private,
        // so this makes the kernel copy the page.
        unsafe { first.write_volatile(byte) };
        pages.protect_first(MprotectFlags::READ)?;
        Ok(Self(pages))
    }
}

impl AsRef<[u8]> for MappedTable {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` bytes are mapped for reading for as long as `self` lives, and do not change: the first page is a copy
        // of our own, and behind it the file is never written again once it has its name. Only its owner could do that, who is
        // root or ourselves (`Trusted`), and so could change our memory in any case.
        unsafe { std::slice::from_raw_parts(self.0.base.cast().as_ptr(), self.0.len) }
    }
}

impl Successor {
    /// Of `file`, which is long enough to have that word.
    pub(crate) fn map(file: &Trusted) -> io::Result<Self> {
        Pages::of(file, SUCCESSOR + size_of::<u64>(), MapFlags::SHARED).map(Self)
    }

    /// Zero as long as no newer table was announced.
    #[inline]
    pub(crate) fn load(&self) -> u64 {
        // SAFETY: `map` has mapped this many bytes and eight more.
        let word = unsafe { self.0.base.cast::<u8>().add(SUCCESSOR) };
        // SAFETY: eight bytes at a multiple of eight from the start of a page, mapped for as long as `self` lives, and used as
        // an atomic alone.
        let word: &AtomicU64 = unsafe { word.cast().as_ref() };
        // What follows a successor is a look at the path by the kernel, so no ordering is needed.
        word.load(Relaxed)
    }
}

const _: () = assert!(SUCCESSOR.is_multiple_of(align_of::<AtomicU64>()), "its word is an atomic one");

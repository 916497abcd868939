//! Rings over memory that ends where the ring ends: a guard page lies right before it or right behind it, so that a test
//! dies of the first access out of bounds.
#![allow(unsafe_code)]

use crate::clock::Clock;
use crate::copy::Body;
use crate::layout::Geometry;
use crate::map::view;
use crate::ring::{Judge, Ring};
use crate::sync::Atomic;

const GUARD: usize = 4096;

/// Which end of the ring the nearer guard page touches; the other one is less than a page away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Touching {
    Start,
    End,
}

pub(crate) struct Guarded {
    geometry: Geometry,
    mapped: *mut libc::c_void,
    mapped_len: usize,
    base: *mut u8,
}

impl Guarded {
    pub(crate) fn new(geometry: Geometry, touching: Touching) -> Self {
        let len = geometry.pages_end() as usize;
        let usable = len.next_multiple_of(GUARD);
        let mapped_len = usable + 2 * GUARD;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a fresh anonymous mapping wherever the kernel likes.
        let mapped = unsafe { libc::mmap(std::ptr::null_mut(), mapped_len, libc::PROT_NONE, flags, -1, 0) };
        assert_ne!(mapped, libc::MAP_FAILED);
        // SAFETY: one page into a mapping of three or more.
        let start = unsafe { mapped.cast::<u8>().add(GUARD) };
        // SAFETY: the pages between the first and the last of our own mapping.
        let result = unsafe { libc::mprotect(start.cast(), usable, libc::PROT_READ | libc::PROT_WRITE) };
        assert_eq!(result, 0);
        let room = match touching {
            Touching::Start => 0,
            Touching::End => usable - len,
        };
        // SAFETY: `room + len` is at most `usable`.
        let base = unsafe { start.add(room) };
        Self { geometry, mapped, mapped_len, base }
    }

    /// Every word of the file that would be.
    pub(crate) fn words(&self) -> &[Atomic<u64>] {
        let len = self.geometry.pages_end() as usize / 8;
        // SAFETY: so many readable and writable bytes follow `base`, which is aligned to 8 bytes as the page and the file's
        // length are; they are mapped as long as `self` lives, and accessed as atomic words alone while it is borrowed.
        unsafe { std::slice::from_raw_parts(self.base.cast(), len) }
    }

    /// Makes the words what they are in `image`.
    ///
    /// # Panics
    /// When the image has another length.
    pub(crate) fn restore(&mut self, image: &[u64]) {
        let len = self.words().len();
        assert_eq!(image.len(), len);
        // SAFETY: as many words on both sides, which do not overlap; nobody else looks while `self` is borrowed mutably.
        unsafe { std::ptr::copy_nonoverlapping(image.as_ptr(), self.base.cast(), len) };
    }

    pub(crate) fn ring<'m>(&'m self, clock: Clock, body: Body, judge: Judge<'m>) -> Ring<'m> {
        // SAFETY: `pages_end` bytes from `base`, aligned, mapped for reading and writing as long as `self` lives.
        let ring = unsafe { view(self.base, self.geometry, clock) };
        Ring { body, judge, ..ring }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; whoever borrowed it is gone.
        unsafe { libc::munmap(self.mapped, self.mapped_len) };
    }
}

//! What the pump has read and not yet passed on, in memory that it shares with its guard: whoever of the two is left goes
//! on from there.
//!
//! One process uses a hand at a time: the guard looks at it when the pump is dead. The counters are written in an order
//! that makes sense wherever the pump is killed.
#![allow(unsafe_code)]

use super::sys;
use std::cell::UnsafeCell;
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};

/// The most that is read at once, bytes.
pub(super) const CHUNK: usize = 64 << 10;

/// Who has sent a piece, as the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sender {
    /// In our pid namespace; 0 if the sender is not there.
    pub(super) pid: u32,
    pub(super) uid: u32,
}

/// The hand of one stream.
#[repr(C)]
pub(super) struct Hand {
    /// The kernel itself writes down here how much it has put in: a pump that is killed on its way out of the call has
    /// said so all the same.
    message: UnsafeCell<libc::mmsghdr>,
    target: UnsafeCell<libc::iovec>,
    /// Room for one answer about the sender, and for nothing else: descriptors that somebody sends are dropped.
    control: UnsafeCell<[u64; 4]>,
    /// How much of it is in the ring, and at the other side.
    pub(super) recorded: AtomicU32,
    pub(super) passed: AtomicU32,
    /// Pumps that have died over it.
    pub(super) deaths: AtomicU32,
    /// The stream has ended, and its places hold nothing any more.
    pub(super) is_closed: AtomicU32,
    bytes: UnsafeCell<[u8; CHUNK]>,
}

// SAFETY: all cells are used by the one thread of the one process that pumps.
unsafe impl Sync for Hand {}

/// The hands of both streams.
pub(super) fn map() -> io::Result<&'static [Hand; 2]> {
    let len = size_of::<[Hand; 2]>();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping, no address asked for.
    let base = unsafe { libc::mmap(ptr::null_mut(), len, protection, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed, aligned to a page, never unmapped; all fields may be zero.
    Ok(unsafe { &*base.cast() })
}

impl Hand {
    /// What is in it.
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the kernel writes to it inside `receive` only, and what this gives does not outlive the next step.
        let bytes = unsafe { &*self.bytes.get() };
        &bytes[..self.len().min(CHUNK)]
    }

    fn len(&self) -> usize {
        // SAFETY: a field of our own message.
        let len = unsafe { &raw const (*self.message.get()).msg_len };
        // SAFETY: a number; the kernel does not write it now.
        unsafe { len.read_volatile() as usize }
    }

    fn set_len(&self, len: usize) {
        // SAFETY: a field of our own message.
        let place = unsafe { &raw mut (*self.message.get()).msg_len };
        // SAFETY: a number; the kernel does not write it now.
        unsafe { place.write_volatile(len as u32) };
    }

    /// What is not yet passed on.
    pub(super) fn rest(&self) -> &[u8] {
        let bytes = self.bytes();
        &bytes[(self.passed.load(Acquire) as usize).min(bytes.len())..]
    }

    fn empty(&self) {
        self.set_len(0);
        for counter in [&self.recorded, &self.passed, &self.deaths] {
            counter.store(0, Release);
        }
    }

    /// Fills the empty hand from a socket. 0 is the end of the stream.
    pub(super) fn receive(&self, socket: RawFd) -> io::Result<usize> {
        self.empty();
        let target = libc::iovec { iov_base: self.bytes.get().cast(), iov_len: CHUNK };
        // SAFETY: nobody else looks at it.
        unsafe { self.target.get().write(target) };
        // SAFETY: a message of zeros is one without anything.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        (message.msg_iov, message.msg_iovlen) = (self.target.get(), 1);
        (message.msg_control, message.msg_controllen) = (self.control.get().cast(), size_of::<[u64; 4]>());
        // SAFETY: a field of our own message.
        let place = unsafe { &raw mut (*self.message.get()).msg_hdr };
        // SAFETY: nobody else looks at it.
        unsafe { place.write(message) };
        // SAFETY: one message, whose parts are as large as it says and live as long as the mapping.
        let count = unsafe { libc::recvmmsg(socket, self.message.get(), 1, libc::MSG_DONTWAIT, ptr::null_mut()) };
        if count < 0 { Err(io::Error::last_os_error()) } else { Ok(self.len()) }
    }

    /// Fills the empty hand from a pipe or a terminal. 0 is the end of the stream.
    pub(super) fn read(&self, fd: RawFd) -> io::Result<usize> {
        self.empty();
        // So that nobody is taken for the sender of this.
        // SAFETY: a field of our own message.
        let control = unsafe { &raw mut (*self.message.get()).msg_hdr.msg_controllen };
        // SAFETY: nobody else looks at it.
        unsafe { control.write(0) };
        // SAFETY: that much room, and what `bytes` gave is out of use.
        let len = unsafe { sys::read(fd, self.bytes.get().cast(), CHUNK) }?;
        self.set_len(len);
        Ok(len)
    }

    /// Who has sent what is in it, if the kernel told.
    pub(super) fn sender(&self) -> Option<Sender> {
        // SAFETY: a field of our own message.
        let message = unsafe { &raw const (*self.message.get()).msg_hdr };
        // SAFETY: a message that `receive` made and the kernel completed, or zeros.
        let header = unsafe { libc::CMSG_FIRSTHDR(message) };
        if header.is_null() {
            return None;
        }
        // SAFETY: a whole header lies there, or there would have been none.
        let header_read = unsafe { header.read() };
        if (header_read.cmsg_level, header_read.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
            return None;
        }
        // SAFETY: what a header of this kind has behind it, and `control` is large enough for.
        let data = unsafe { libc::CMSG_DATA(header) };
        // SAFETY: as above; no alignment is promised.
        let credentials = unsafe { data.cast::<libc::ucred>().read_unaligned() };
        Some(Sender { pid: u32::try_from(credentials.pid).unwrap_or(0), uid: credentials.uid })
    }
}

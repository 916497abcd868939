//! perf_event_open(2), for the records of symbols that come and go, and the ring that the kernel writes them to.

#![allow(unsafe_code)]

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicU64, fence};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The largest record that is asked for: header, address, length, type and flags, a name of `KSYM_NAME_LEN`, the time; and
/// 8 bytes or more for each other that follows symbols, which the kernel adds by mistake.
pub(crate) const RECORD_MAX: usize = 8 + 16 + 512 + 8 + 512;

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_DUMMY: u64 = 9;
const PERF_SAMPLE_TIME: u64 = 1 << 2;
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
const WATERMARK: u64 = 1 << 14;
const SAMPLE_ID_ALL: u64 = 1 << 18;
const USE_CLOCKID: u64 = 1 << 25;
const KSYMBOL: u64 = 1 << 29;

/// `struct perf_event_attr` of <linux/perf_event.h>, `PERF_ATTR_SIZE_VER5`.
#[repr(C)]
#[derive(Default)]
struct Attr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved: u16,
}

const _: () = {
    assert!(offset_of!(Attr, flags) == 40);
    assert!(offset_of!(Attr, clockid) == 92);
    assert!(size_of::<Attr>() == 112);
};

// Of `struct perf_event_mmap_page`, the first page of the mapping: bytes ever written by the kernel, and ever read by us.
const DATA_HEAD: usize = 1024;
const DATA_TAIL: usize = 1032;

/// The records of one processor: its descriptor polls as readable when there are new ones.
#[derive(Debug)]
pub(crate) struct Ring {
    fd: OwnedFd,
    /// The page of `struct perf_event_mmap_page`, then `capacity` bytes of data.
    base: NonNull<u8>,
    page: usize,
    capacity: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and nothing but this structure knows where it is.
unsafe impl Send for Ring {}

impl Ring {
    /// Follows the symbols that come and go on processor `cpu`, in a ring of `capacity` bytes or, where that is no power
    /// of two of at least a page, the next one up.
    pub(crate) fn open(cpu: u32, capacity: usize) -> io::Result<Self> {
        let attr = Attr {
            kind: PERF_TYPE_SOFTWARE,
            size: size_of::<Attr>() as u32,
            config: PERF_COUNT_SW_DUMMY,
            sample_type: PERF_SAMPLE_TIME,
            // The clock is one for all processors, and ours too: what happened first is told apart by it.
            flags: WATERMARK | SAMPLE_ID_ALL | USE_CLOCKID | KSYMBOL,
            wakeup_watermark: 1,
            clockid: libc::CLOCK_MONOTONIC,
            ..Attr::default()
        };
        let (pid, group) = (-1 as libc::pid_t, -1 as libc::c_int);
        let cpu = cpu as libc::c_int;
        // SAFETY: the kernel reads `size` bytes of `attr`, which has as many, and writes nothing.
        let fd =
            unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const attr, pid, cpu, group, PERF_FLAG_FD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel made this descriptor for us just now, so nobody else owns it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
        let page = rustix::param::page_size();
        let capacity = capacity.max(page).next_power_of_two();
        let (protection, null) = (ProtFlags::READ | ProtFlags::WRITE, std::ptr::null_mut());
        // SAFETY: a new mapping at an address of the kernel's choice replaces no memory that anybody knows of.
        let base = unsafe { mmap(null, page + capacity, protection, MapFlags::SHARED, &fd, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { fd, base, page, capacity })
    }

    /// Appends all records that are there to `records` and makes room for as many. False where the kernel may have had
    /// one without room for it since the call before: it tells of that itself only with the next record that has room.
    pub(crate) fn take(&mut self, records: &mut Vec<u8>) -> bool {
        let tail = self.counter(DATA_TAIL);
        // Relaxed: nobody but us writes it.
        let from = tail.load(std::sync::atomic::Ordering::Relaxed);
        let head = self.counter(DATA_HEAD);
        // perf:head. Acquire: if this reads a head, the bytes below it are read as the kernel wrote them. Its partner is
        // the kernel's smp_wmb before it stores the head (B in perf_output_put_handle).
        let to = head.load(Acquire);
        let count = to.wrapping_sub(from);
        let whole = count <= self.capacity as u64;
        if whole {
            self.copy(from, count as usize, records);
        }
        // perf:tail. Release: the bytes were read before the kernel may write over them. Its partner is the control
        // dependency of the kernel's stores on its load of the tail (A in perf_output_begin).
        tail.store(to, Release);
        // perf:full. A record found no room under the old tail only where the head stood near it, and that head was
        // stored before: SeqCst, because our store of the tail must not sink below our load of that head.
        fence(SeqCst);
        let after = head.load(Acquire).wrapping_sub(from);
        whole && after + RECORD_MAX as u64 <= self.capacity as u64
    }

    /// Appends `count` bytes from `from` on, at most the capacity, which the kernel leaves alone until the tail passes.
    fn copy(&self, from: u64, count: usize, into: &mut Vec<u8>) {
        let at = (from % self.capacity as u64) as usize;
        let first = count.min(self.capacity - at);
        for (at, count) in [(at, first), (0, count - first)] {
            // SAFETY: `at` is below the capacity, and the data is as long as that behind one page.
            let start = unsafe { self.base.add(self.page + at) };
            // SAFETY: `at + count` is at most the capacity, so the bytes are in the mapping, which lives as long as
            // `self`; the kernel writes none of them before the tail has passed them, and so does nobody else.
            let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), count) };
            into.extend_from_slice(bytes);
        }
    }

    fn counter(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: both offsets that this is called with lie in the first page of the mapping.
        let counter = unsafe { self.base.add(offset) };
        // SAFETY: it is aligned, for both offsets are multiples of 8 and the mapping begins with a page; it lives as long
        // as `self`; kernel and we only ever load and store it whole.
        unsafe { AtomicU64::from_ptr(counter.as_ptr().cast()) }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is as long as it was made, and whatever borrowed from it borrowed `self`, which is gone.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.page + self.capacity) };
        debug_assert!(unmapped.is_ok(), "{unmapped:?}");
    }
}

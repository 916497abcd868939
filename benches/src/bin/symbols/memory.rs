//! What a process takes: bytes that are allocated now, the most there ever were, and what the kernel says is resident.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, with a count.
pub struct Counting;

// SAFETY: every call goes to the system's allocator as it comes; the counts do not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps what GlobalAlloc::alloc asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the memory is from `alloc` or `realloc` above, which is to say from the system's, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let live = LIVE.fetch_add(size, Relaxed) + size - layout.size();
        LIVE.fetch_sub(layout.size(), Relaxed);
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: as for `dealloc`; the caller keeps the rest of what GlobalAlloc::realloc asks.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Allocated now.
    pub heap: usize,
    /// The most that was ever allocated.
    pub heap_peak: usize,
    /// Resident now, and what of that is no file's.
    pub resident: usize,
    pub anonymous: usize,
    /// The most that was ever resident.
    pub resident_peak: usize,
}

/// Of this process, now.
pub fn now() -> Memory {
    let (heap, heap_peak) = (LIVE.load(Relaxed), PEAK.load(Relaxed));
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let kilobytes = |name: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
    };
    Memory {
        heap,
        heap_peak,
        resident: kilobytes("VmRSS:") * 1024,
        anonymous: kilobytes("RssAnon:") * 1024,
        resident_peak: kilobytes("VmHWM:") * 1024,
    }
}

//! An allocator that counts what a program asks for.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

pub struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ALL: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came, and its answer comes back as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        ALL.fetch_add(layout.size(), Relaxed);
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) };
    }
}

/// What was asked for during a piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// The most at one time, in bytes, beyond what there was before.
    pub peak: usize,
    /// All together, in bytes.
    pub bytes: usize,
    /// How often.
    pub calls: usize,
}

/// Does `work`, and counts what all threads ask for meanwhile.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Taken) {
    let (now, bytes, calls) = (NOW.load(Relaxed), ALL.load(Relaxed), CALLS.load(Relaxed));
    PEAK.store(now, Relaxed);
    let done = work();
    let peak = PEAK.load(Relaxed) - now;
    (done, Taken { peak, bytes: ALL.load(Relaxed) - bytes, calls: CALLS.load(Relaxed) - calls })
}

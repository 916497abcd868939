//! The bell: a reader that is about to sleep sets it, and the next writer that commits rings it and wakes all who sleep.
//! docs/PROTOCOL.md, "Sleep", says why neither needs a fence.

#![forbid(unsafe_code)]

use crate::ring::Ring;
use crate::sync::{Atomic, at};
use atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::compiler_fence;

/// Gives what wakes all who sleep on the word, unless this process must make no system call.
pub(crate) type Waker = fn() -> Option<fn(&Atomic<u64>)>;

/// What the word says while somebody may sleep; else 0.
pub(crate) const SET: u64 = 1;

/// To be called before the last look in front of a sleep. True if the bell was not set already.
pub(crate) fn set(bell: &Atomic<u64>) -> bool {
    bell.swap(SET, at("bell:set", Acquire)) != SET
}

/// Wakes all who sleep on the word.
pub(crate) fn ring(bell: &Atomic<u64>, wake: fn(&Atomic<u64>)) {
    bell.swap(0, at("bell:ring", Release));
    wake(bell);
}

impl Ring<'_> {
    /// To be called behind a commit.
    #[inline(always)]
    pub(crate) fn wake_sleepers(&self) {
        // The processor may look before others see the commit, which sleepers allow for. The compiler may not.
        compiler_fence(SeqCst);
        if self.header.bell.load(Relaxed) != 0 {
            self.ring_bell();
        }
    }

    #[cold]
    #[inline(never)]
    fn ring_bell(&self) {
        // Who may not wake leaves that to the next one.
        if let Some(wake) = (self.waker)() {
            ring(&self.header.bell, wake);
        }
    }
}

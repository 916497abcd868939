//! What a process remembers between two writes: what its descriptors are open on, and its unfinished lines;
//! and buffers.
//!
//! All of it lies in memory that the kernel wipes in a forked child, and zeros are a valid beginning. So a child starts
//! without its parent's unfinished line and without a lock that a thread of its parent held, and nobody has to ask for the
//! pid to find out.
#![allow(unsafe_code)]

use crate::confine;
use crate::files::Files;
use lapwing_ring::Kept;
use lapwing_writer_shim::environment::Stream;
use lapwing_writer_shim::lines::Lines;
use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32};

/// Buffers for writes that come while the stream's own buffer is taken: as many writes at once as the ring's handle has
/// slots for. What is not used takes no memory.
const SPARE: usize = 62;

/// Buffers for messages that come in pieces, each as long as what is kept of one. What is not used takes no memory.
const BUFFERS: usize = 16;
const BUFFER: usize = 64 << 10;

#[repr(C)]
pub(crate) struct State {
    /// The process whose state this is; 0 before its first record. A vfork child, which shares this memory, has another.
    pid: AtomicU32,
    /// Has the ring taken the last record of this process?
    accepted: AtomicBool,
    /// Of each stream: there is an unfinished line, or was when its assembly was last given back. Here, and not there, so that
    /// a program that had none ends without touching that memory.
    unfinished: [AtomicBool; 2],
    pub(crate) files: Files,
    /// The two streams', then the spare ones.
    assemblies: [Assembly; 2 + SPARE],
    buffers: [Buffer; BUFFERS],
}

static STATE: AtomicPtr<State> = AtomicPtr::new(ptr::null_mut());

impl State {
    /// Maps the one state of this process. `None`: no memory.
    pub(crate) fn map() -> Option<&'static Self> {
        const { assert!(align_of::<Self>() <= 64) };
        let (base, is_wiped) = lapwing_ring::wiped_on_fork(size_of::<Self>()).ok()?;
        STATE.store(base.cast().as_ptr(), Release);
        if !is_wiped {
            // SAFETY: the handler is a function of this library, which is never unloaded.
            if unsafe { libc::pthread_atfork(None, None, Some(wipe_after_fork)) } != 0 {
                return None;
            }
        }
        Self::get()
    }

    /// The state of this process, if it was mapped.
    #[inline(always)]
    pub(crate) fn get() -> Option<&'static Self> {
        // SAFETY: null, or memory that is never unmapped, aligned to 64 bytes, all zeros at first; zeros are a valid State,
        // and everything in it is atomic or guarded by a `held`.
        unsafe { STATE.load(Acquire).as_ref() }
    }

    /// Writes down whose state this is. A system call the first time.
    #[inline]
    pub(crate) fn claim(&self) {
        if self.pid.load(Relaxed) == 0 {
            self.pid.store(getpid(), Relaxed);
        }
    }

    /// Is it written down? Not so in a forked child that has recorded nothing.
    pub(crate) fn is_claimed(&self) -> bool {
        self.pid.load(Relaxed) != 0
    }

    #[inline]
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted.load(Relaxed)
    }

    #[inline]
    pub(crate) fn set_accepted(&self, is: bool) {
        if self.accepted.load(Relaxed) != is {
            self.accepted.store(is, Relaxed);
        }
    }

    /// Is this memory our own? False where nothing was recorded yet, and in a vfork child. A system call.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid.load(Relaxed) == getpid()
    }

    /// Is this a vfork child, in its parent's memory? A system call.
    pub(crate) fn is_borrowed(&self) -> bool {
        let pid = self.pid.load(Relaxed);
        pid != 0 && !confine::is_on() && pid != getpid()
    }

    /// The stream's unfinished line, unless somebody is at it right now: another thread, or whom a signal interrupted.
    #[inline]
    pub(crate) fn unfinished(&self, stream: Stream, limit: usize) -> Option<Held<'_>> {
        self.assemblies[stream as usize].try_hold(limit, Some(&self.unfinished[stream as usize]))
    }

    /// Is no line of the stream unfinished, as far as anybody knows who is not at it right now?
    #[inline]
    pub(crate) fn has_no_unfinished(&self, stream: Stream) -> bool {
        !self.unfinished[stream as usize].load(Relaxed)
    }

    /// A buffer for the length of one write.
    pub(crate) fn spare(&self, limit: usize) -> Option<Held<'_>> {
        self.assemblies[2..].iter().find_map(|spare| spare.try_hold(limit, None))
    }

    /// A buffer for the length of one message.
    pub(crate) fn buffer(&self) -> Option<HeldBuffer<'_>> {
        let free = |buffer: &&Buffer| !buffer.held.load(Relaxed) && !buffer.held.swap(true, Acquire);
        self.buffers.iter().find(free).map(HeldBuffer)
    }
}

extern "C" fn wipe_after_fork() {
    if let Some(state) = State::get() {
        state.pid.store(0, Relaxed);
        state.accepted.store(false, Relaxed);
        state.files.forget_all();
        for unfinished in &state.unfinished {
            unfinished.store(false, Relaxed);
        }
        for assembly in &state.assemblies {
            // A thread of our parent may have been at it: what it left is cleared by whoever holds it next.
            assembly.stale.store(true, Relaxed);
            assembly.held.store(false, Release);
        }
        for buffer in &state.buffers {
            buffer.held.store(false, Release);
        }
    }
}

fn getpid() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::getpid() as u32 }
}

#[repr(C)]
struct Assembly {
    held: AtomicBool,
    /// What is in it is a parent's.
    stale: AtomicBool,
    lines: UnsafeCell<Lines>,
    kept: UnsafeCell<Kept>,
}

// SAFETY: `lines` and `kept` are touched by the one who set `held` from false to true, and `held` is cleared behind that.
unsafe impl Sync for Assembly {}

impl Assembly {
    #[inline]
    fn try_hold<'a>(&'a self, limit: usize, unfinished: Option<&'a AtomicBool>) -> Option<Held<'a>> {
        if self.held.load(Relaxed) || self.held.swap(true, Acquire) {
            return None;
        }
        let mut held = Held(self, unfinished);
        if self.stale.load(Relaxed) {
            held.clear();
            *held.kept().1 = Kept::NOWHERE;
            self.stale.store(false, Relaxed);
        }
        if held.is_between_lines() {
            held.set_limit(limit);
        }
        Some(held)
    }
}

/// An assembly that is ours until this is dropped, and where it says then whether there is an unfinished line in it.
pub(crate) struct Held<'a>(&'a Assembly, Option<&'a AtomicBool>);

impl Held<'_> {
    /// The line, and where the ring's file keeps it.
    #[inline]
    pub(crate) fn kept(&mut self) -> (&Lines, &mut Kept) {
        // SAFETY: we hold it, so nobody else looks at it; zeros are a Kept that is nowhere.
        let kept = unsafe { &mut *self.0.kept.get() };
        (self, kept)
    }
}

impl Deref for Held<'_> {
    type Target = Lines;
    #[inline]
    fn deref(&self) -> &Lines {
        // SAFETY: we hold it, so nobody else looks at it. It began as zeros, which are an empty Lines.
        unsafe { &*self.0.lines.get() }
    }
}

impl DerefMut for Held<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Lines {
        // SAFETY: as in `deref`, and the borrow of `self` keeps it the only one.
        unsafe { &mut *self.0.lines.get() }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        let unfinished = !self.is_between_lines();
        if let Some(said) = self.1
            && said.load(Relaxed) != unfinished
        {
            said.store(unfinished, Relaxed);
        }
        self.0.held.store(false, Release);
    }
}

#[repr(C)]
struct Buffer {
    held: AtomicBool,
    bytes: UnsafeCell<[u8; BUFFER]>,
}

// SAFETY: `bytes` is touched by the one who set `held` from false to true, and `held` is cleared behind that.
unsafe impl Sync for Buffer {}

/// A buffer that is ours until this is dropped. What is in it is somebody's before us.
pub(crate) struct HeldBuffer<'a>(&'a Buffer);

impl HeldBuffer<'_> {
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: we hold it, so nobody else looks at it, and the borrow of `self` keeps this the only one.
        unsafe { &mut *self.0.bytes.get() }
    }
}

impl Drop for HeldBuffer<'_> {
    fn drop(&mut self) {
        self.0.held.store(false, Release);
    }
}

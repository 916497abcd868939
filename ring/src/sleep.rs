//! What the bell needs of the kernel: futex(2) for both sides, and for a reader, whose mapping is read-only, the page of the
//! bell mapped a second time, where it may write the file.
#![allow(unsafe_code)]

use crate::bell;
use crate::file::{is_in_memory, open_regular};
use crate::layout::{HEADER_LEN, Header};
use crate::memory::Memory;
use crate::private::Alarm;
use crate::process::{KeepErrno, is_confined};
use crate::sync::Atomic;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What rings hand to writers, see [`bell::Waker`].
pub(crate) fn waker() -> Option<fn(&Atomic<u64>)> {
    (!is_confined()).then_some(wake_all as fn(&Atomic<u64>))
}

fn wake_all(word: &Atomic<u64>) {
    let _errno = KeepErrno::new();
    // Where the memory is gone there is nobody to wake.
    let _ = futex(word, libc::FUTEX_WAKE, i32::MAX as u32, std::ptr::null());
}

/// Other processes sleep on the same file through mappings of their own, so no call is PRIVATE. The low half is the first
/// four bytes.
fn futex(word: &Atomic<u64>, call: libc::c_int, value: u32, timeout: *const libc::timespec) -> libc::c_long {
    let at = std::ptr::from_ref(word).cast::<u32>();
    // SAFETY: the aligned address of four bytes that are only ever reached as atomics, and a time, or none, that the caller
    // keeps; of an address that is not mapped any more the kernel says so.
    unsafe { libc::syscall(libc::SYS_futex, at, call, value, timeout) }
}

/// The bell of a ring that this process reads.
pub(crate) struct Bell {
    memory: Memory,
    guarded: Option<usize>,
    #[allow(dead_code, reason = "the guard has its address")]
    alarm: Arc<Alarm>,
}

impl Bell {
    /// The bell of the ring at `path`, if that is the file `identity` and we may write it. `None` on a disk too: who only
    /// reads must not keep one busy, nor die where it is full.
    pub(crate) fn open(path: &Path, identity: (u64, u64), alarm: Arc<Alarm>) -> Option<Self> {
        let (file, meta) = open_regular(path, true).ok()?;
        if (meta.dev(), meta.ino()) != identity || meta.len() < HEADER_LEN as u64 || !is_in_memory(&file) {
            return None;
        }
        let memory = Memory::of_file(&file, HEADER_LEN, true).ok()?;
        let guarded = crate::guard::enter(memory.as_mut_ptr() as usize, HEADER_LEN, &alarm);
        Some(Self { memory, guarded, alarm })
    }

    fn word(&self) -> &Atomic<u64> {
        // SAFETY: the first page of a ring is mapped for as long as `self` lives, and all of a header are atomic words.
        &unsafe { &*self.memory.as_mut_ptr().cast::<Header>() }.bell
    }

    /// See [`bell::set`].
    pub(crate) fn set(&self) -> bool {
        bell::set(self.word())
    }

    /// Wakes all who sleep, as a writer does.
    pub(crate) fn ring(&self) {
        bell::ring(self.word(), wake_all);
    }

    /// Sleeps while the bell is set, `bound` at most. True: it is not set any more, or cannot be slept on.
    pub(crate) fn sleep(&self, bound: Duration) -> bool {
        let timeout = libc::timespec {
            tv_sec: bound.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: bound.subsec_nanos().into(),
        };
        if futex(self.word(), libc::FUTEX_WAIT, bell::SET as u32, &timeout) == 0 {
            return true;
        }
        !matches!(io::Error::last_os_error().raw_os_error(), Some(libc::ETIMEDOUT | libc::EINTR))
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(place) = self.guarded {
            crate::guard::leave(place);
        }
    }
}

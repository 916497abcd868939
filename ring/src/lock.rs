//! Locks that live exactly as long as their owner's memory. A lock belongs to an open file description, and a mapping keeps
//! that after its descriptor is closed: so a lock that is gone proves that no mapping is left, in any pid namespace, without
//! /proc. An exec and a SIGKILL release it, closing all descriptors does not, and a child of a fork does not inherit it.
//! Nothing here allocates, except where a ring is opened.

#![forbid(unsafe_code)]

use crate::descriptor::{Descriptor, unmap};
use std::borrow::Cow;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where in the file the lock of slot 0 lies: one byte for each slot, far beyond the end of any ring.
pub const LOCKS_AT: i64 = 1 << 40;

/// The lock of one slot, held until it is dropped or this process image ends.
#[derive(Debug)]
pub(crate) struct SlotLock(usize);

impl SlotLock {
    /// As a number, to be kept beside the slot it locks; [`SlotLock::from_bits`] gives it back.
    pub(crate) fn into_bits(self) -> u64 {
        let bits = self.0 as u64;
        std::mem::forget(self);
        bits
    }

    /// The lock that [`SlotLock::into_bits`] made this of, in the same process; none of 0.
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits as usize))
    }
}

impl Drop for SlotLock {
    fn drop(&mut self) {
        unmap(self.0);
    }
}

/// The file of an open ring, found again when a lock is taken or looked at: a descriptor kept in somebody else's process
/// could be closed by that, and its number be another file's.
#[derive(Clone)]
pub(crate) struct LockFile {
    path: Option<CString>,
    /// Device and inode of what is mapped.
    identity: (u64, u64),
    flags: libc::c_int,
}

impl LockFile {
    /// Of the file `identity` that was opened at `path`.
    pub(crate) fn new(path: &Path, identity: (u64, u64), write: bool) -> Self {
        let path = if path.is_absolute() { Ok(path.into()) } else { std::path::absolute(path).map(Cow::Owned) };
        let path = path.ok().and_then(|path: Cow<'_, Path>| CString::new(path.as_os_str().as_bytes()).ok());
        Self { path, identity, flags: if write { libc::O_RDWR } else { libc::O_RDONLY } }
    }

    /// Device and inode of what is mapped.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// The file, if it is still the one that is mapped and its locks tell the truth.
    fn open(&self) -> Option<Descriptor> {
        let file = Descriptor::open(self.path.as_ref()?, self.flags)?;
        (file.identity()? == self.identity && !file.file_system().is_none_or(is_elsewhere)).then_some(file)
    }

    /// Takes the lock of `slot`.
    pub(crate) fn take(&self, slot: usize) -> Taken {
        let Some(file) = self.open() else { return Taken::NoLocks };
        if !file.lock(libc::F_WRLCK, byte(slot)) {
            return Taken::Busy;
        }
        // A byte that nobody else has any use for: what holds it holds the slot's too, and is us.
        let probe = PROBES_AT + (random() >> 24) as i64;
        let pinned = if file.lock(libc::F_WRLCK, probe) { file.pin() } else { None };
        let Some(lock) = pinned.map(SlotLock) else { return Taken::NoLocks };
        drop(file);
        // Where the mapping does not keep the file that was locked, the locks are gone with the descriptor.
        match self.open().and_then(|file| file.is_locked_against(libc::F_RDLCK, probe)) {
            Some(true) => Taken::Lock(lock),
            _ => Taken::NoLocks,
        }
    }

    /// Does somebody hold the lock of `slot`? Disturbs nobody, and readers' own locks do not count.
    pub(crate) fn is_held(&self, slot: usize) -> Option<bool> {
        self.open()?.is_locked_against(libc::F_RDLCK, byte(slot))
    }

    /// If nobody holds the lock of `slot`: a shared lock, and until it is dropped nobody can take the slot's.
    pub(crate) fn keep_out(&self, slot: usize) -> Option<Descriptor> {
        let file = self.open()?;
        file.lock(libc::F_RDLCK, byte(slot)).then_some(file)
    }
}

/// What came of taking a lock.
#[derive(Debug)]
pub(crate) enum Taken {
    Lock(SlotLock),
    /// Somebody has a lock on the byte: for a moment who takes or frees the slot, for longer who wants to annoy us.
    Busy,
    /// Locks on this file do not last as long as a mapping, or it cannot be found again.
    NoLocks,
}

/// Beyond the bytes of all slots, 2^40 bytes for tests of locks.
const PROBES_AT: i64 = 1 << 41;

fn byte(slot: usize) -> i64 {
    LOCKS_AT + slot as i64
}

/// 64 bits that differ from one call to the next, in whichever process; no system call that could fail.
fn random() -> u64 {
    let here = std::ptr::from_ref(&()) as u64;
    let seed = crate::clock::monotonic_ns() ^ here.rotate_left(32) ^ (std::process::id() as u64) << 40;
    seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// File systems whose locks another machine keeps and can lose, or that show an inode of another file system and have locks
/// of their own for it: NFS, SMB, CIFS, 9P, FUSE, Ceph, AFS, Coda, Lustre, GFS2, OCFS2, vboxsf, overlayfs, eCryptfs.
fn is_elsewhere(file_system: u32) -> bool {
    const ELSEWHERE: [u32; 14] = [
        0x6969,
        0xfe53_4d42,
        0xff53_4d42,
        0x0102_1997,
        0x6573_5546,
        0x00c3_6400,
        0x5346_414f,
        0x7375_7245,
        0x0bd0_0bd0,
        0x0116_1970,
        0x7461_636f,
        0x786f_4256,
        0x794c_7630,
        0xf15f,
    ];
    ELSEWHERE.contains(&file_system)
}

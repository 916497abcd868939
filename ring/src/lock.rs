//! Locks that live exactly as long as their owner's memory. A lock belongs to an open file description, and a mapping keeps
//! that after its descriptor is closed: so a lock that is gone proves that no mapping is left, in any pid namespace, without
//! /proc. An exec and a SIGKILL release it, closing all descriptors does not, and a child of a fork does not inherit it.
//! Nothing here allocates, except where a ring is opened.

#![forbid(unsafe_code)]

use crate::descriptor::{Descriptor, unmap};
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
pub(crate) struct LockFile {
    path: Option<CString>,
    /// Device and inode of what is mapped.
    identity: (u64, u64),
    flags: libc::c_int,
}

impl LockFile {
    /// Of the file `identity` that was opened at `path`.
    pub(crate) fn new(path: &Path, identity: (u64, u64), write: bool) -> Self {
        let path = std::path::absolute(path).ok().and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
        Self { path, identity, flags: if write { libc::O_RDWR } else { libc::O_RDONLY } }
    }

    /// Device and inode of what is mapped.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    fn open(&self) -> Option<Descriptor> {
        let file = Descriptor::open(self.path.as_ref()?, self.flags)?;
        (file.identity()? == self.identity).then_some(file)
    }

    /// Takes the lock of `slot`. `None`: somebody has it, or locks do not tell the truth on this file system.
    pub(crate) fn take(&self, slot: usize) -> Option<SlotLock> {
        let file = self.open()?;
        if file.file_system().is_none_or(is_remote) || !file.lock(libc::F_WRLCK, byte(slot)) {
            return None;
        }
        let lock = SlotLock(file.pin()?);
        drop(file);
        // Where the mapping does not keep the file that was locked (overlayfs), the lock is gone with the descriptor.
        self.is_held(slot)?.then_some(lock)
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

fn byte(slot: usize) -> i64 {
    LOCKS_AT + slot as i64
}

/// File systems whose locks another machine keeps, and can lose: NFS, SMB, CIFS, 9P, FUSE, Ceph, AFS, Coda.
fn is_remote(file_system: u32) -> bool {
    const REMOTE: [u32; 8] =
        [0x6969, 0xfe53_4d42, 0xff53_4d42, 0x0102_1997, 0x6573_5546, 0x00c3_6400, 0x5346_414f, 0x7375_7245];
    REMOTE.contains(&file_system)
}

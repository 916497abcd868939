//! Files, before anybody looks into them: opened without surprises, kept from being removed, told from their copies.
#![allow(unsafe_code)]

use crate::error::Error;
use crate::process::effective_uid;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

pub(crate) fn os_error(path: &Path, call: &'static str, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.raw_os_error() {
        Some(libc::ENOENT) => Error::NotFound { path },
        Some(libc::EEXIST) => Error::Exists { path },
        Some(libc::ELOOP) => Error::NotARegularFile { path, kind: "a symbolic link" },
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => {
            let Ok(meta) = path.symlink_metadata() else { return Error::Os { path, call, source } };
            let (mode, owner) = (meta.mode() & 0o7777, meta.uid());
            let to = if call == "open for writing" { "write" } else { call };
            Error::PermissionDenied { path, mode, owner, uid: effective_uid(), to }
        }
        _ => Error::Os { path, call, source },
    }
}

/// What tells a file from its copies, also when it is seen through another mount: inode number, and time of birth in
/// nanoseconds of the Unix epoch. 0 where the file system does not say.
pub(crate) fn born(meta: &std::fs::Metadata) -> [u64; 2] {
    let since = meta.created().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    [meta.ino(), since.map_or(0, |since| since.as_nanos() as u64)]
}

/// Does it go when the host stops, as on tmpfs and ramfs? Then it is of this boot, and that need not be asked, which takes
/// longer than all the rest of opening a ring.
pub(crate) fn is_in_memory(file: &File) -> bool {
    const KEPT_IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: an open descriptor, room for the answer.
    if unsafe { libc::fstatfs(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call succeeded, so the answer is there.
    KEPT_IN_MEMORY.contains(&(unsafe { stat.assume_init() }.f_type as u32))
}

/// Opens without following a link and without waiting for a pipe's other end.
pub(crate) fn open_regular(path: &Path, write: bool) -> Result<(File, std::fs::Metadata), Error> {
    open_and(path, write, |_| {})
}

/// As [`open_regular`], and keeps it from those who remove unused rings.
pub(crate) fn open_to_use(path: &Path, write: bool) -> Result<(File, std::fs::Metadata), Error> {
    let (file, meta) = open_and(path, write, share_lock)?;
    is_named(&meta, path)?;
    Ok((file, meta))
}

/// Opens, does something, and looks at what was opened.
fn open_and(path: &Path, write: bool, before: impl Fn(&File)) -> Result<(File, std::fs::Metadata), Error> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY;
    let call = if write { "open for writing" } else { "read" };
    let kind = |meta: &std::fs::Metadata| match meta.file_type() {
        t if t.is_dir() => "a folder",
        t if t.is_fifo() => "a pipe",
        t if t.is_socket() => "a socket",
        t if t.is_symlink() => "a symbolic link",
        _ => "a device",
    };
    let failed = |error: io::Error| match path.symlink_metadata() {
        Ok(meta) if !meta.is_file() => Error::NotARegularFile { path: path.to_owned(), kind: kind(&meta) },
        _ => os_error(path, call, error),
    };
    let file = OpenOptions::new().read(true).write(write).custom_flags(flags).open(path).map_err(failed)?;
    before(&file);
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(Error::NotARegularFile { path: path.to_owned(), kind: kind(&meta) });
    }
    Ok((file, meta))
}

/// Shares a lock on the file (flock(2)) with all who have it mapped: the lock lasts as long as the mapping. Who removes
/// rings that nobody uses holds it alone meanwhile. A reader may hold it alone to annoy us, so this waits for a moment
/// and no longer.
pub(crate) fn keep_from_gc(file: &File, path: &Path) -> Result<(), Error> {
    share_lock(file);
    file.metadata().map_or(Ok(()), |meta| is_named(&meta, path))
}

fn share_lock(file: &File) {
    for _ in 0..20 {
        match file.try_lock_shared() {
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(1)),
            // No locks on this file system: then nothing is removed by them either.
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => break,
        }
    }
}

/// A file that was removed between opening and locking it is to be found again, or made again, under its name.
fn is_named(meta: &std::fs::Metadata, path: &Path) -> Result<(), Error> {
    if meta.nlink() == 0 { Err(Error::NotFound { path: path.to_owned() }) } else { Ok(()) }
}

//! Files that nobody needs any more: rings without a user, and what a creator left that was killed. For who tidies up.

#![forbid(unsafe_code)]

use crate::create::TEMPORARY;
use crate::error::{Error, ReadError};
use crate::file::{open_regular, os_error};
use crate::layout::MAGIC;
use crate::map::{Access, Identity, Mapping, identify};
use crate::process::effective_uid;
use crate::stat::{Stat, stat};
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A ring that nobody has mapped, held so that nobody can take it up unnoticed.
///
/// Whoever maps a ring shares a lock on its file, which is gone with the last mapping, however its process ended; this
/// holds the lock alone. Not all file systems keep locks for mappings (overlayfs does not), so look into the writer table
/// too before you remove a ring.
pub struct Unused {
    file: File,
    map: Mapping,
    identity: Identity,
}

impl Unused {
    /// Holds the ring at `path`; `None` if somebody has it mapped.
    ///
    /// # Errors
    /// Not a ring, or one that cannot be read; no locks on this file system.
    pub fn hold(path: &Path) -> Result<Option<Self>, Error> {
        let (file, meta) = open_regular(path, false)?;
        let identity = identify(&file, path, &meta)?;
        if !lock_alone(&file, path)? {
            return Ok(None);
        }
        let map = copied(&file, path, &meta, &identity)?;
        Ok(Some(Self { file, map, identity }))
    }

    /// Geometry, bounds, writers, refused records.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn stat(&self) -> Result<Stat, ReadError> {
        stat(&self.map, self.identity)
    }

    /// Removes the ring, if its name still means this file.
    ///
    /// # Errors
    /// It does not, or the file cannot be removed.
    pub fn remove(self) -> Result<(), Error> {
        remove(&self.file, self.map.path())
    }
}

/// A file under the temporary name of a creator that is gone: all there is of it is zeros, or an unused ring, or another
/// name of a ring. Only where the file system has no unnamed files do creators need one.
pub struct Leftover {
    file: File,
    path: PathBuf,
}

impl Leftover {
    /// Holds what a creator left at `path`; `None` if it is something else, or not ours, or still being made.
    ///
    /// # Errors
    /// The file cannot be read; no locks on this file system.
    pub fn hold(path: &Path) -> Result<Option<Self>, Error> {
        let Some(ring) = ring_of(path) else { return Ok(None) };
        let (file, meta) = open_regular(path, false)?;
        let same_file = |other: &Metadata| (other.dev(), other.ino()) == (meta.dev(), meta.ino());
        let linked = ring.symlink_metadata().is_ok_and(|ring| same_file(&ring));
        let ours = meta.uid() == effective_uid();
        // The second name of a ring may go while the ring is in use.
        let held = linked
            || meta.nlink() == 1
                && lock_alone(&file, path)?
                && is_unwritten(&file, path, &meta).map_err(failed(path))?;
        Ok((ours && held).then(|| Self { file, path: path.to_owned() }))
    }

    /// Removes the name, if it still means this file.
    ///
    /// # Errors
    /// It does not, or the file cannot be removed.
    pub fn remove(self) -> Result<(), Error> {
        remove(&self.file, &self.path)
    }
}

/// The ring for which `path` is a temporary name.
fn ring_of(path: &Path) -> Option<PathBuf> {
    let digits = path.extension()?.as_bytes().strip_prefix(TEMPORARY.as_bytes())?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (digits.len() == 16 && digits.iter().all(is_digit)).then(|| path.with_extension(""))
}

/// Is this a file in which nobody has ever written a record?
fn is_unwritten(file: &File, path: &Path, meta: &Metadata) -> io::Result<bool> {
    let mut words = io::BufReader::with_capacity(64 << 10, file);
    let mut first = [0; 8];
    if meta.len() >= 8 {
        words.read_exact(&mut first)?;
    }
    if u64::from_le_bytes(first) == MAGIC {
        let Ok(identity) = identify(file, path, meta) else { return Ok(false) };
        let map = copied(file, path, meta, &identity).map_err(io::Error::other)?;
        return Ok(map.ring().bounds().is_some_and(|bounds| bounds.next_seq == 0));
    }
    for byte in first.into_iter().map(Ok).chain(words.bytes()) {
        if byte? != 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The ring in the file, as a reader has it that does not map it.
fn copied(file: &File, path: &Path, meta: &Metadata, identity: &Identity) -> Result<Mapping, Error> {
    let file = file.try_clone().map_err(failed(path))?;
    Mapping::new(file, path, meta, identity, Access::Copied, false)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| os_error(path, "read", error)
}

fn lock_alone(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(os_error(path, "lock", error)),
    }
}

fn remove(file: &File, path: &Path) -> Result<(), Error> {
    let failed = |error| os_error(path, "remove", error);
    let (held, named) = (file.metadata().map_err(failed)?, path.symlink_metadata().map_err(failed)?);
    if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
        return Err(Error::Exists { path: path.to_owned() });
    }
    std::fs::remove_file(path).map_err(failed)
}

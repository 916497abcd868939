//! Files that can be mapped: opened without surprises, and nobody but root and ourselves can change them.

#![forbid(unsafe_code)]

use super::error::AttachError;
use rustix::process::geteuid;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Never follow a link, never wait for a pipe's other end.
pub(super) const CAREFULLY: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;

/// A regular file that belongs to root or to us and that nobody else may write, open for reading.
///
/// Who may write a file may cut it short, and touching a mapping behind its new end raises SIGBUS, which ends the process; or
/// change it after it was checked, which leads the reader astray. Root and we ourselves can do worse to this process.
pub(crate) struct Trusted {
    file: File,
    meta: Metadata,
}

impl Trusted {
    pub(super) fn open(path: &Path) -> Result<Self, AttachError> {
        let named = || path.to_owned();
        let file = OpenOptions::new().read(true).custom_flags(CAREFULLY).open(path).map_err(|e| unopened(path, e))?;
        let meta = file.metadata().map_err(|source| AttachError::Os { path: named(), call: "look at it", source })?;
        if !meta.is_file() {
            return Err(AttachError::NotARegularFile { path: named(), kind: kind(meta.file_type()) });
        }
        let (mode, owner, uid) = (meta.mode() & 0o7777, meta.uid(), geteuid().as_raw());
        // With an access control list the group's bits are its mask: nobody in the list may do what they do not allow.
        if ![0, uid].contains(&owner) || mode & 0o022 != 0 {
            return Err(AttachError::NotTrusted { path: named(), mode, owner, uid });
        }
        Ok(Self { file, meta })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// In bytes.
    pub(super) fn len(&self) -> u64 {
        self.meta.len()
    }

    /// What tells it from every file that exists at the same time.
    pub(super) fn identity(&self) -> (u64, u64) {
        (self.meta.dev(), self.meta.ino())
    }
}

fn unopened(path: &Path, source: io::Error) -> AttachError {
    let path = path.to_owned();
    if source.kind() == io::ErrorKind::NotFound {
        return AttachError::NotFound { path };
    }
    match path.symlink_metadata() {
        Ok(meta) if !meta.is_file() => AttachError::NotARegularFile { path, kind: kind(meta.file_type()) },
        Ok(meta) if source.kind() == io::ErrorKind::PermissionDenied => AttachError::PermissionDenied {
            path,
            mode: meta.mode() & 0o7777,
            owner: meta.uid(),
            uid: geteuid().as_raw(),
        },
        _ => AttachError::Os { path, call: "open it", source },
    }
}

/// What it is that is not a regular file.
pub(super) fn kind(of: FileType) -> &'static str {
    match of {
        t if t.is_dir() => "a folder",
        t if t.is_fifo() => "a pipe",
        t if t.is_socket() => "a socket",
        t if t.is_symlink() => "a symbolic link",
        _ => "a device",
    }
}

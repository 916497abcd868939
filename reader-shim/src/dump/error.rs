//! Why a dump cannot begin, or cannot go on.

use std::io;
use std::path::{Path, PathBuf};

/// Why a dump ended.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum DumpError {
    #[error("{}: cannot {call}: {source}", path.display())]
    Os { path: PathBuf, call: &'static str, source: io::Error },
    /// Neither a file nor something that takes bytes one after the other.
    #[error("{}: records go to a file, a terminal, a pipe or a character device, and this is {kind}", path.display())]
    Kind { path: PathBuf, kind: &'static str },
    /// A link could lead our records into any file of ours.
    #[error(
        "{}: a symbolic link, which is followed to terminals, pipes and devices only, and only if it belongs to root or us",
        path.display()
    )]
    Link { path: PathBuf },
    /// Whoever made the file could read the records, or have them appended to something else.
    #[error("{}: belongs to user {owner}, and we are user {uid}; remove it, or give it to us", path.display())]
    Owner { path: PathBuf, owner: u32, uid: u32 },
    /// Lines behind its end would make it damaged.
    #[error("{}: is a ring; `lapwing save` copies one ring into another file", path.display())]
    Ring { path: PathBuf },
    #[error("{}: another dump writes to it", path.display())]
    Busy { path: PathBuf },
    #[error("{}: this is no file, so it cannot be rotated, compressed or synced", path.display())]
    NoFile { path: PathBuf },
    #[error("{}: no state of a dump; choose another file with --state, or remove it to begin anew", path.display())]
    NoState { path: PathBuf },
    #[error("cannot wait: {0}")]
    Wait(io::Error),
}

impl DumpError {
    pub(crate) fn os(path: &Path, call: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Os { path, call, source }
    }

    /// The file system is full, or our part of it.
    pub(crate) fn is_no_room(&self) -> bool {
        matches!(self, Self::Os { source, .. } if is_no_room(source))
    }

    /// Whoever read the pipe has left.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Os { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }
}

pub(crate) fn is_no_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

//! Why a table could not be published or attached.

#![forbid(unsafe_code)]

use crate::table::{Damage, MAX};
use std::io;
use std::path::PathBuf;

/// Why a table was not published. What is at the path is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Permission bits that no table may have.
    #[error(
        "mode {mode:04o}: a table is read and written by its owner, and at most read by others: \
         0600, 0640, 0604 or 0644"
    )]
    #[allow(missing_docs)]
    Mode { mode: u32 },
    /// The path has no name of a file at its end.
    #[error("{path}: names no file")]
    #[allow(missing_docs)]
    NoName { path: PathBuf },
    /// The folder that it would lie in does not exist.
    #[error("{path}: the folder that it would lie in does not exist; make one that only we may write to")]
    #[allow(missing_docs)]
    NoFolder { path: PathBuf },
    /// The default's folder belongs to somebody else, or others may write to it.
    #[error(
        "{path}: has to be a folder that belongs to us (uid {uid}) and that nobody else may write to, \
         and has owner {owner} and mode {mode:04o}"
    )]
    #[allow(missing_docs)]
    UnsafeFolder { path: PathBuf, mode: u32, owner: u32, uid: u32 },
    /// There is something else: a folder, a pipe, a device, or a symbolic link, which is never followed.
    #[error("{path}: is {kind}, and a table is a regular file; remove it or choose another path")]
    #[allow(missing_docs)]
    NotARegularFile { path: PathBuf, kind: &'static str },
    /// There is a file of somebody else.
    #[error("{path}: belongs to uid {owner}, and we are uid {uid}; let its owner remove it, or choose another path")]
    #[allow(missing_docs)]
    NotOurs { path: PathBuf, owner: u32, uid: u32 },
    /// There is a file that is no table; it is not replaced.
    #[error("{path}: there is a file that is no table; remove it or choose another path")]
    #[allow(missing_docs)]
    NotATable { path: PathBuf },
    /// Another publisher has been at it all the time.
    #[error("{path}: another publisher has held its lock for {seconds} s; is it stopped?")]
    #[allow(missing_docs)]
    Busy { path: PathBuf, seconds: u64 },
    /// The file system has no room for another table beside the one that is there.
    #[error("{path}: no space: {needed} bytes are needed beside what is there")]
    #[allow(missing_docs)]
    NoSpace { path: PathBuf, needed: usize },
    /// This process may not make files of that size.
    #[error("{path}: the table has {needed} bytes, and this process may write {limit} to a file (ulimit -f)")]
    #[allow(missing_docs)]
    FileSizeLimit { path: PathBuf, needed: usize, limit: u64 },
    /// The kernel refused something else.
    #[error("{path}: {call}: {source}")]
    #[allow(missing_docs)]
    Os { path: PathBuf, call: &'static str, source: io::Error },
}

/// Why a table was not attached. One that was attached before stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// There is nothing at the path.
    #[error("{path}: no table is published there; `lapwing sym --publish` does that")]
    #[allow(missing_docs)]
    NotFound { path: PathBuf },
    /// Not a regular file: a folder, a pipe, a device, or a symbolic link, which is never followed.
    #[error("{path}: is {kind}, and a table is a regular file")]
    #[allow(missing_docs)]
    NotARegularFile { path: PathBuf, kind: &'static str },
    /// We may not read it.
    #[error(
        "{path}: no permission to read it: mode {mode:04o}, owned by uid {owner}, and we are uid {uid}; \
         who publishes it can let others read it with --mode"
    )]
    #[allow(missing_docs)]
    PermissionDenied { path: PathBuf, mode: u32, owner: u32, uid: u32 },
    /// Somebody could change it, or cut it short, while it is mapped.
    #[error(
        "{path}: is not to be trusted: it has owner {owner} and mode {mode:04o}, and a table has to belong to root or \
         to us (uid {uid}), and nobody else may write it"
    )]
    #[allow(missing_docs)]
    NotTrusted { path: PathBuf, mode: u32, owner: u32, uid: u32 },
    /// Longer than any table. Nothing was mapped.
    #[error("{path}: has {len} bytes, and a table has up to {MAX}")]
    #[allow(missing_docs)]
    TooLarge { path: PathBuf, len: u64 },
    /// It is no table, or of another version, or damaged.
    #[error("{path}: {source}; publish it anew")]
    #[allow(missing_docs)]
    Unfit { path: PathBuf, source: Damage },
    /// Published before this host last started, or on another one: its addresses mean nothing here.
    #[error("{path}: was published before this host last started, or on another host; publish it anew")]
    #[allow(missing_docs)]
    OtherBoot { path: PathBuf },
    /// It was made of a copy of a kernel's symbols, and nobody knows of which boot.
    #[error("{path}: made of a copy, it need not be of this boot")]
    NoBoot {
        /// The table.
        path: PathBuf,
    },
    /// The kernel does not say which boot this is, so the table cannot be told from one of another boot.
    #[error("{path}: cannot tell whether it is of this boot: no id in /proc/sys/kernel/random/boot_id")]
    #[allow(missing_docs)]
    NoBootId { path: PathBuf },
    /// Not newer than the table that is attached, though it is in its place: somebody put it there by hand.
    #[error("{path}: has generation {generation}, and generation {attached} was there before; attach it anew")]
    #[allow(missing_docs)]
    Backwards { path: PathBuf, generation: u64, attached: u64 },
    /// The kernel refused something else.
    #[error("{path}: {call}: {source}")]
    #[allow(missing_docs)]
    Os { path: PathBuf, call: &'static str, source: io::Error },
}

//! What can go wrong, as types that carry the numbers and say what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A size that a ring cannot have. All sizes in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GeometryError {
    /// The ring's size is no power of two, or too small.
    #[allow(missing_docs)]
    Size { size: u64, min: u64 },
    /// The page's size is no power of two, or out of bounds.
    #[allow(missing_docs)]
    PageSize { page_size: u64, min: u64, max: u64 },
    /// Ring size divided by page size is no power of two, or out of bounds.
    #[allow(missing_docs)]
    PageCount { pages: u64, min: u64, max: u64 },
    /// Too many writer slots, or none.
    #[allow(missing_docs)]
    SlotCount { slots: u64, max: u64 },
    /// The index does not have the length that the page size asks for.
    #[allow(missing_docs)]
    IndexLen { index_len: u64, expected: u64 },
}

impl fmt::Display for GeometryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size { size, min } => {
                write!(f, "a ring of {size} bytes: the size has to be a power of two from {min} up")?;
                if size > min && size < 1 << 62 {
                    write!(f, ", for instance {}", size.next_power_of_two())?;
                }
                Ok(())
            }
            Self::PageSize { page_size, min, max } => {
                write!(f, "pages of {page_size} bytes: the page size has to be a power of two from {min} to {max}")
            }
            Self::PageCount { pages, min, max } => write!(
                f,
                "{pages} pages: a ring has a power of two of them from {min} to {max}; change the size or the page size"
            ),
            Self::SlotCount { slots, max } => write!(f, "{slots} writer slots: a ring has 1 to {max}"),
            Self::IndexLen { index_len, expected } => {
                write!(f, "an index of {index_len} records a page where {expected} were expected")
            }
        }
    }
}

impl std::error::Error for GeometryError {}

/// Why a ring could not be created, opened or attached to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is something at the path already.
    #[allow(missing_docs)]
    Exists { path: PathBuf },
    /// There is nothing at the path.
    #[allow(missing_docs)]
    NotFound { path: PathBuf },
    /// Not a regular file: a folder, a pipe, a device, or a symbolic link, which is never followed.
    #[allow(missing_docs)]
    NotARegularFile { path: PathBuf, kind: &'static str },
    /// The file does not begin as a ring does.
    #[allow(missing_docs)]
    NotARing { path: PathBuf, found: u64 },
    /// The file is shorter than a header, or than its own geometry says.
    #[allow(missing_docs)]
    Truncated { path: PathBuf, len: u64, needed: u64 },
    /// Another version of the format.
    #[allow(missing_docs)]
    UnsupportedVersion { path: PathBuf, version: u64, supported: u64 },
    /// Sizes that no ring has.
    #[allow(missing_docs)]
    BadGeometry { path: PathBuf, source: GeometryError },
    /// A header of our version that says what no header of that version says.
    #[allow(missing_docs)]
    BadHeader { path: PathBuf, what: &'static str, found: u64 },
    /// The folder that the ring would lie in does not exist.
    #[allow(missing_docs)]
    NoFolder { path: PathBuf },
    /// This process may not make files of that size (`ulimit -f`).
    #[allow(missing_docs)]
    FileSizeLimit { path: PathBuf, needed: u64, limit: u64 },
    /// The clock that the header names is not one of this format, or this machine does not have it.
    #[allow(missing_docs)]
    BadClock { path: PathBuf, kind: u64 },
    /// Reading or writing the file is not allowed to us.
    #[allow(missing_docs)]
    PermissionDenied { path: PathBuf, mode: u32, owner: u32, uid: u32, to: &'static str },
    /// The file system has no room for the whole ring. Nothing was left behind.
    #[allow(missing_docs)]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
    /// The ring was made before this host was last started, so nobody may write to it; it can still be read.
    #[allow(missing_docs)]
    OtherBoot { path: PathBuf },
    /// The file was copied from a ring, so its writers are elsewhere and nobody may write to it; it can still be read.
    #[allow(missing_docs)]
    Copied { path: PathBuf },
    /// The file was saved out of a ring, so nobody may write to it; it can be read.
    #[allow(missing_docs)]
    Saved { path: PathBuf },
    /// The folder of the default ring is not ours alone.
    #[allow(missing_docs)]
    UnsafeFolder { path: PathBuf, mode: u32, owner: u32, uid: u32 },
    /// Every writer slot belongs to somebody who is not proven dead.
    TooManyWriters(TooManyWriters),
    /// The kernel refused something else.
    #[allow(missing_docs)]
    Os { path: PathBuf, call: &'static str, source: io::Error },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists { path } => {
                write!(f, "{}: exists already; remove it first or choose another name", path.display())
            }
            Self::NotFound { path } => write!(f, "{}: no such ring; `lapwing create` makes one", path.display()),
            Self::NotARegularFile { path, kind } => {
                write!(f, "{}: is {kind}, and a ring is a regular file", path.display())
            }
            Self::NotARing { path, found } => write!(
                f,
                "{}: is not a ring (its first eight bytes are {found:#018x}, a ring's are {:#018x})",
                path.display(),
                crate::layout::MAGIC
            ),
            Self::Truncated { path, len, needed } => {
                write!(f, "{}: is cut short: {len} bytes, and {needed} are needed", path.display())
            }
            Self::UnsupportedVersion { path, version, supported } => write!(
                f,
                "{}: has format version {version}, and this program reads version {supported}; {}",
                path.display(),
                if version > supported { "use a newer lapwing" } else { "read it with the lapwing that wrote it" }
            ),
            Self::BadGeometry { path, source } => write!(f, "{}: {source}", path.display()),
            Self::BadHeader { path, what, found } => {
                write!(f, "{}: is damaged: its header says that {what} is {found}", path.display())
            }
            Self::NoFolder { path } => write!(f, "{}: the folder it would lie in does not exist", path.display()),
            Self::FileSizeLimit { path, needed, limit } => write!(
                f,
                "{}: the ring needs a file of {needed} bytes, and this process is limited to {limit} (ulimit -f)",
                path.display()
            ),
            Self::BadClock { path, kind } => {
                write!(f, "{}: keeps time by clock {kind}, which this machine does not have", path.display())
            }
            Self::PermissionDenied { path, mode, owner, uid, to } => write!(
                f,
                "{}: no permission to {to} it: mode {mode:04o}, owned by uid {owner}, and we are uid {uid}",
                path.display()
            ),
            Self::NoSpace { path, needed, free } => write!(
                f,
                "{}: no space: the ring needs {needed} bytes and {free} are free; make it smaller with --size, or choose another file system with --ring",
                path.display()
            ),
            Self::OtherBoot { path } => write!(
                f,
                "{}: was written before this host last started; read it, then remove it with `lapwing rm`",
                path.display()
            ),
            Self::Copied { path } => write!(
                f,
                "{}: is a copy of a ring, or was moved here from another file system: it can be read, and not written to; make a ring with `lapwing create`",
                path.display()
            ),
            Self::Saved { path } => write!(
                f,
                "{}: is a saved ring: it can be read, and not written to; make a ring with `lapwing create`",
                path.display()
            ),
            Self::UnsafeFolder { path, mode, owner, uid } => write!(
                f,
                "{}: has to be a folder of ours (uid {uid}) with mode 0700, and has owner {owner} and mode {mode:04o}",
                path.display()
            ),
            Self::TooManyWriters(e) => e.fmt(f),
            Self::Os { path, call, source } => write!(f, "{}: {call}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::BadGeometry { source, .. } => Some(source),
            Self::TooManyWriters(e) => Some(e),
            Self::Os { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Every one of the ring's writer slots belongs to somebody who is not proven dead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyWriters {
    /// Slots of the ring.
    pub slots: u32,
}

impl fmt::Display for TooManyWriters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "all {} writer slots of the ring are in use; a larger ring has more", self.slots)
    }
}

impl std::error::Error for TooManyWriters {}

/// Why a record did not enter the ring. It is counted in the ring's header under the same cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AppendError {
    /// Fields and payload are longer than half a page allows; lengths in bytes.
    #[allow(missing_docs)]
    TooLarge { len: usize, limit: usize },
    /// No writer slot could be had.
    TooManyWriters(TooManyWriters),
    /// Every page is held by a writer that stopped inside an append.
    #[allow(missing_docs)]
    AllPagesPinned { pages: u32 },
    /// Every slot of this process's pool is inside an append at this moment.
    #[allow(missing_docs)]
    PoolBusy { size: usize },
    /// The ring's own words contradict each other.
    Damaged,
}

impl AppendError {
    /// The word of `Header::refused` that counts this error.
    pub(crate) const fn cause(&self) -> usize {
        match self {
            Self::TooLarge { .. } => 0,
            Self::TooManyWriters(_) | Self::PoolBusy { .. } => 1,
            Self::AllPagesPinned { .. } => 2,
            Self::Damaged => 3,
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooLarge { len, limit } => {
                write!(f, "a record of {len} bytes: this ring takes up to {limit}; split it, or use larger pages")
            }
            Self::TooManyWriters(e) => e.fmt(f),
            Self::AllPagesPinned { pages } => {
                write!(f, "all {pages} pages of the ring are held by writers that stopped in the middle of a record")
            }
            Self::PoolBusy { size } => write!(f, "{size} appends of this process are in progress at once"),
            Self::Damaged => write!(
                f,
                "the ring is damaged: its words contradict each other; read what is left of it, then remove it with `lapwing rm`"
            ),
        }
    }
}

impl std::error::Error for AppendError {}

/// What is wrong with a ring that is being read. Unless it says otherwise, reading cannot go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ReadError {
    /// The ring's words contradict each other; `seq` is where the reader stood.
    #[allow(missing_docs)]
    Damaged { seq: u64, what: &'static str },
    /// Record `seq` was committed, and its header is impossible. The reader counts it as lost and stands behind it: reading
    /// can go on.
    #[allow(missing_docs)]
    BadRecord { seq: u64 },
    /// The file is shorter than it was when it was opened; `seq` is where the reader stood.
    #[allow(missing_docs)]
    Truncated { seq: u64 },
    /// The file can no longer be read; `errno` is the kernel's word for why.
    #[allow(missing_docs)]
    Unreadable { seq: u64, errno: i32 },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { seq, what } => write!(f, "the ring is damaged at sequence {seq}: {what}"),
            Self::BadRecord { seq } => write!(f, "record {seq} is damaged: its header is impossible"),
            Self::Truncated { seq } => {
                write!(f, "the file was cut short under its readers, who stood at sequence {seq}")
            }
            Self::Unreadable { seq, errno } => {
                write!(f, "the file can no longer be read, at sequence {seq}: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl std::error::Error for ReadError {}

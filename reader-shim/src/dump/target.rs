//! Opening what a dump writes to, without falling for what somebody else has put there.

use super::error::DumpError;
use super::orders::{Orders, Waited};
use lapwing_ring::MAGIC;
use rustix::fs::OFlags;
use rustix::termios::{OutputModes, isatty, tcgetattr};
use serde::{Deserialize, Serialize};
use std::fs::{File, FileType, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// Tells a file from those that get its inode number after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct FileId {
    pub(crate) inode: u64,
    /// Nanoseconds of the Unix epoch; 0 where the file system does not say.
    pub(crate) born_ns: u64,
}

impl FileId {
    pub(crate) fn of(meta: &Metadata) -> Self {
        let born = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self { inode: meta.ino(), born_ns: born.map_or(0, |born| born.as_nanos() as u64) }
    }
}

/// What takes our lines.
pub(crate) enum Target {
    File(File),
    Stream(Stream),
}

impl Target {
    pub(crate) fn open(path: &Path) -> Result<Self, DumpError> {
        Ok(match is_file(path)? {
            true => Self::File(open_own(path, true)?),
            false => Self::Stream(Stream::open(path)?),
        })
    }
}

/// Is there a file at `path`, or nothing yet? Touches nothing, and tells early what can take no records, before a state is
/// made for it.
pub(crate) fn is_file(path: &Path) -> Result<bool, DumpError> {
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(DumpError::os(path, "look at")(error)),
    };
    let kind = meta.file_type();
    if !meta.is_symlink() {
        if !kind.is_file() && !is_stream(kind) {
            return Err(DumpError::Kind { path: path.to_owned(), kind: kind_of(kind) });
        }
        if kind.is_file() && is_ring(path) {
            return Err(DumpError::Ring { path: path.to_owned() });
        }
        return Ok(!is_stream(kind));
    }
    let is_planted = meta.uid() != 0 && meta.uid() != own_uid();
    let is_device = path.metadata().is_ok_and(|meta| is_stream(meta.file_type()));
    if is_planted || !is_device {
        return Err(DumpError::Link { path: path.to_owned() });
    }
    Ok(false)
}

fn is_ring(path: &Path) -> bool {
    let mut first = [0; size_of::<u64>()];
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    file.is_ok_and(|file| file.read_exact_at(&mut first, 0).is_ok()) && u64::from_le_bytes(first) == MAGIC
}

fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn is_stream(kind: FileType) -> bool {
    kind.is_char_device() || kind.is_fifo()
}

fn kind_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_block_device() => "a block device",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_file() => "a file",
        _ => "neither of them",
    }
}

/// Opens a regular file of our own, made with mode 0600 if it is missing, and locks it.
pub(crate) fn open_own(path: &Path, append: bool) -> Result<File, DumpError> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    loop {
        let mut options = OpenOptions::new();
        options.read(true).write(true).append(append).create(true).mode(0o600).custom_flags(flags.bits() as i32);
        let file = options.open(path).map_err(|source| match path.symlink_metadata().map(|meta| meta.file_type()) {
            Ok(kind) if kind.is_symlink() => DumpError::Link { path: path.to_owned() },
            Ok(kind) if !kind.is_file() => DumpError::Kind { path: path.to_owned(), kind: kind_of(kind) },
            _ => DumpError::Os { path: path.to_owned(), call: "open", source },
        })?;
        let meta = file.metadata().map_err(DumpError::os(path, "look at"))?;
        if !meta.is_file() {
            return Err(DumpError::Kind { path: path.to_owned(), kind: kind_of(meta.file_type()) });
        }
        let (owner, uid) = (meta.uid(), own_uid());
        if owner != uid && owner != 0 {
            return Err(DumpError::Owner { path: path.to_owned(), owner, uid });
        }
        lock(&file, path)?;
        // Whoever moved it away held the lock before us: ours is on a file of another name then.
        let there = path.symlink_metadata();
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (meta.dev(), meta.ino())) {
            return Ok(file);
        }
    }
}

fn lock(file: &File, path: &Path) -> Result<(), DumpError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(DumpError::Busy { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(DumpError::os(path, "lock")(error)),
    }
}

/// A terminal, a pipe or a device: what is written is gone.
pub(crate) struct Stream {
    file: File,
    is_terminal: bool,
}

impl Stream {
    /// Never waits: not for a modem's carrier, nor for somebody who reads the pipe.
    fn open(path: &Path) -> Result<Self, DumpError> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .map_err(DumpError::os(path, "open"))?;
        let kind = file.metadata().map_err(DumpError::os(path, "look at"))?.file_type();
        if !is_stream(kind) {
            return Err(DumpError::Kind { path: path.to_owned(), kind: kind_of(kind) });
        }
        let is_terminal = isatty(&file);
        if is_terminal {
            lock(&file, path)?;
        }
        Ok(Self { file, is_terminal })
    }

    /// Does a newline need a carriage return in front of it? Not where the terminal adds one.
    pub(crate) fn wants_returns(&self) -> bool {
        let adds = OutputModes::OPOST | OutputModes::ONLCR;
        self.is_terminal && tcgetattr(&self.file).is_ok_and(|modes| !modes.output_modes.contains(adds))
    }

    /// Hands over what it takes of `bytes`, which is all of them unless we are told to finish and run out of time.
    pub(crate) fn write(&self, mut bytes: &[u8], orders: &mut Orders) -> io::Result<Waited> {
        while !bytes.is_empty() {
            match (&self.file).write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if orders.wait(None, Some(self.file.as_fd()))? == Waited::OutOfTime {
                        return Ok(Waited::OutOfTime);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Waited::Ready)
    }
}

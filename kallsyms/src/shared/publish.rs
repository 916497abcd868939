//! Publishing: the new table complete beside the old one, a word in the old one that it is coming, and the name.

#![forbid(unsafe_code)]

use super::error::PublishError;
use super::trusted::{CAREFULLY, kind};
use crate::snapshot::Snapshot;
use crate::table::{self, GENERATION, HEADER, MAGIC, SUCCESSOR};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::{Resource, geteuid, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long another publisher may hold the lock. Publishing takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a header that mean the same in every version of the format, so that a table of another one can be replaced, and
/// its readers told.
const OF_ALL_VERSIONS: usize = SUCCESSOR + 8;

/// For whom a table is published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Permission bits of the file, whatever the umask: 0600, 0640, 0604 or 0644.
    pub mode: u32,
    /// The group of the file; the publisher's own where there is none.
    pub group: Option<u32>,
}

impl Default for Options {
    /// For us alone: mode 0600.
    fn default() -> Self {
        Self { mode: 0o600, group: None }
    }
}

/// Makes `table` the one at `path`, in place of what was published there, and returns the generation that it has there: the
/// one after that of the old table. Readers of the old table are told; what they hold stays valid. Waits for other publishers,
/// up to 5 s.
///
/// The table keeps the boot id that it has; that of what [`crate::parse()`] has made is of no boot.
///
/// A process that is killed inside leaves the old table or the new one, and perhaps `PATH.new`, which the next publisher
/// removes. `PATH.lock` stays.
///
/// # Errors
/// [`PublishError`]; the old table is still there then.
pub fn publish(path: &Path, table: &Snapshot, options: &Options) -> Result<u64, PublishError> {
    // Its owner has to open it for publishing the next one, and readers refuse one that somebody else may write.
    if options.mode & 0o600 != 0o600 || options.mode & !0o644 != 0 {
        return Err(PublishError::Mode { mode: options.mode });
    }
    // Beyond this limit the kernel would not only refuse, but end us by SIGXFSZ.
    if let Some(limit) = getrlimit(Resource::Fsize).current.filter(|&limit| limit < table.size() as u64) {
        return Err(PublishError::FileSizeLimit { path: path.to_owned(), needed: table.size(), limit });
    }
    if path.file_name().is_none() {
        return Err(PublishError::NoName { path: path.to_owned() });
    }
    let _lock = Lock::take(path)?;
    let new = New { path, name: path.with_added_extension("new") };
    new.remove()?;
    let published = new.publish(table.bytes(), options);
    if published.is_err() {
        let _ = new.remove();
    }
    published
}

/// The table that is going to be at `path`, while it has a name of its own.
struct New<'a> {
    path: &'a Path,
    name: PathBuf,
}

impl New<'_> {
    fn publish(&self, table: &[u8], options: &Options) -> Result<u64, PublishError> {
        let old = Old::open(self.path)?;
        let generation = match &old {
            Some(old) => old.generation.checked_add(1).ok_or(PublishError::NotATable { path: self.path.to_owned() })?,
            None => first_generation(),
        };
        self.fill(table, generation, options)?;
        let Some(old) = old else {
            return match renameat_with(CWD, &self.name, CWD, self.path, RenameFlags::NOREPLACE) {
                Ok(()) => Ok(generation),
                Err(error) => Err(failed(self.path, "give it its name")(error.into())),
            };
        };
        old.announce(generation).map_err(failed(self.path, "announce its successor"))?;
        fs::rename(&self.name, self.path).map(|()| generation).map_err(|error| {
            // Else its readers would go on looking for what has not come.
            let _ = old.announce(0);
            failed(self.path, "replace it")(error)
        })
    }

    fn fill(&self, table: &[u8], generation: u64, options: &Options) -> Result<(), PublishError> {
        let file = OpenOptions::new().write(true).create_new(true).custom_flags(CAREFULLY).mode(0o600).open(&self.name);
        let file = file.map_err(failed(&self.name, "make it"))?;
        let (header, rest) = table.split_at(HEADER);
        let mut header = header.to_vec();
        header[GENERATION..GENERATION + 8].copy_from_slice(&generation.to_le_bytes());
        header[SUCCESSOR..SUCCESSOR + 8].fill(0);
        let written = file.write_all_at(&header, 0).and_then(|()| file.write_all_at(rest, HEADER as u64));
        written.map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                PublishError::NoSpace { path: self.path.to_owned(), needed: table.len() }
            }
            _ => failed(&self.name, "write it")(error),
        })?;
        if let Some(group) = options.group {
            fchown(&file, None, Some(group)).map_err(failed(&self.name, "set its group"))?;
        }
        file.set_permissions(Permissions::from_mode(options.mode)).map_err(failed(&self.name, "set its mode"))
    }

    fn remove(&self) -> Result<(), PublishError> {
        match fs::remove_file(&self.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(&self.name, "remove what a publisher left")(error))
            }
            _ => Ok(()),
        }
    }
}

/// The table that is at the path, open for telling its readers.
struct Old {
    file: File,
    generation: u64,
}

impl Old {
    fn open(path: &Path) -> Result<Option<Self>, PublishError> {
        let Some(file) = open_ours(path, false)? else { return Ok(None) };
        let mut bytes = [0; OF_ALL_VERSIONS];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(failed(path, "read it")(error)),
            read => match table::generation(&bytes).filter(|_| read.is_ok() && bytes.starts_with(MAGIC)) {
                Some(generation) => Ok(Some(Self { file, generation })),
                None => Err(PublishError::NotATable { path: path.to_owned() }),
            },
        }
    }

    fn announce(&self, generation: u64) -> io::Result<()> {
        self.file.write_all_at(&generation.to_le_bytes(), SUCCESSOR as u64)
    }
}

/// Of a path where there is none: later than every generation that this host has seen.
fn first_generation() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    (now.tv_sec as u64).saturating_mul(1_000_000).saturating_add(now.tv_nsec as u64 / 1000).max(1)
}

/// The right to publish at a path, until this is dropped or its process ends.
struct Lock(File);

impl Lock {
    fn take(path: &Path) -> Result<Self, PublishError> {
        let name = path.with_added_extension("lock");
        let begun = Instant::now();
        loop {
            let Some(file) = open_ours(&name, true)? else {
                return Err(PublishError::NoFolder { path: path.to_owned() });
            };
            let meta = file.metadata().map_err(failed(&name, "look at it"))?;
            if meta.mode() & 0o777 != 0o600 {
                file.set_permissions(Permissions::from_mode(0o600)).map_err(failed(&name, "set its mode"))?;
            }
            match file.try_lock() {
                // It may have been removed, and made again by another publisher.
                Ok(()) => match name.symlink_metadata() {
                    Ok(named) if (named.dev(), named.ino()) == (meta.dev(), meta.ino()) => return Ok(Self(file)),
                    _ => {}
                },
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed(&name, "lock it")(error)),
            }
            if begun.elapsed() > PATIENCE {
                return Err(PublishError::Busy { path: path.to_owned(), seconds: PATIENCE.as_secs() });
            }
            sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough where a child of a fork has the descriptor too.
        let _ = self.0.unlock();
    }
}

/// Opens a regular file of ours for reading and writing; `None` where there is none, nor a folder to make it in.
fn open_ours(path: &Path, create: bool) -> Result<Option<File>, PublishError> {
    let uid = geteuid().as_raw();
    let refused = |meta: &fs::Metadata| {
        let (path, owner) = (path.to_owned(), meta.uid());
        match meta.is_file() {
            false => Some(PublishError::NotARegularFile { path, kind: kind(meta.file_type()) }),
            true => (owner != uid).then_some(PublishError::NotOurs { path, owner, uid }),
        }
    };
    let mut how = OpenOptions::new();
    how.read(true).write(true).create(create).custom_flags(CAREFULLY).mode(0o600);
    match how.open(path) {
        Ok(file) => {
            let meta = file.metadata().map_err(failed(path, "look at it"))?;
            refused(&meta).map_or(Ok(Some(file)), Err)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let refused = path.symlink_metadata().ok().as_ref().and_then(refused);
            Err(refused.unwrap_or_else(|| failed(path, "open it")(error)))
        }
    }
}

fn failed(path: &Path, call: &'static str) -> impl Fn(io::Error) -> PublishError {
    move |source| PublishError::Os { path: path.to_owned(), call, source }
}

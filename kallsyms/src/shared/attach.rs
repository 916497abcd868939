//! Attaching: a published table mapped for reading, and the next one when it has come.

#![forbid(unsafe_code)]

use super::error::AttachError;
use super::trusted::Trusted;
use crate::kernel::map::{MappedTable, Successor};
use crate::snapshot::{Bytes, Snapshot, State};
use crate::symbolizer::boot_id;
use crate::table::{BootId, Damage, HEADER, MAX, Table, boot};
use arc_swap::ArcSwap;
use rustix::time::{ClockId, clock_gettime};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, TryLockError};

/// Between two looks for a successor that was announced and has not come.
const RETRY_NS: u64 = 10_000_000;
/// Between two looks for a table that nobody announced, because the one before was removed by hand.
const CHECK_NS: u64 = 1_000_000_000;

/// A published table, as it is now.
///
/// All methods can be called from any number of threads. No privilege is needed but to read the file.
pub struct Attached {
    path: PathBuf,
    any_boot: bool,
    current: ArcSwap<Attachment>,
    /// Not before this time is an announced successor looked for again; zero: at once. Nanoseconds of CLOCK_MONOTONIC_COARSE.
    retry_at: AtomicU64,
    /// Not before this time is looked whether the path still names this table.
    check_at: AtomicU64,
    /// At the last look there was no table to be had at the path.
    lost: AtomicBool,
    looking: Mutex<()>,
}

struct Attachment {
    table: Snapshot,
    successor: Successor,
    identity: (u64, u64),
}

impl Attached {
    /// Attaches the table at `path`: all of it is checked, and mapped.
    ///
    /// The file has to belong to root or to us, and nobody else may write it: its owner could cut it short while it is mapped,
    /// and looking at what is no longer there ends the process with SIGBUS.
    ///
    /// # Errors
    /// [`AttachError`], also when the table is of another boot, as after each addresses mean something else, or of none, as one
    /// that was made of a copy.
    pub fn open(path: &Path) -> Result<Self, AttachError> {
        Self::new(path, false)
    }

    /// As [`Attached::open`], whatever boot the table is of: for looking at a copy from elsewhere.
    ///
    /// # Errors
    /// As [`Attached::open`].
    pub fn open_of_any_boot(path: &Path) -> Result<Self, AttachError> {
        Self::new(path, true)
    }

    fn new(path: &Path, any_boot: bool) -> Result<Self, AttachError> {
        let attachment = Attachment::of(Trusted::open(path)?, path, any_boot)?;
        Ok(Self {
            path: path.to_owned(),
            any_boot,
            current: ArcSwap::from_pointee(attachment),
            retry_at: AtomicU64::new(0),
            check_at: AtomicU64::new(now().saturating_add(CHECK_NS)),
            lost: AtomicBool::new(false),
            looking: Mutex::new(()),
        })
    }

    /// Attaches the newer table if one was published; true then. To be called once a batch of lookups: while nothing was
    /// published it loads a word of the mapping and the coarse clock, and does no system call.
    ///
    /// A successor that was announced and is not at the path yet is looked for at most every 10 ms, and once a second it is
    /// looked whether the path still names this table. Of several threads one looks, and the others go on.
    ///
    /// # Errors
    /// Why the newer table, or a table that was put in place of this one, could not be attached. The old one stays, and the
    /// next look is at the times named above; in between this is false. See [`Attached::is_stale`].
    pub fn refresh(&self) -> Result<bool, AttachError> {
        let current = self.current.load();
        let due = match current.successor.load() {
            0 => &self.check_at,
            _ => &self.retry_at,
        };
        if now() < due.load(Relaxed) {
            return Ok(false);
        }
        drop(current);
        let looking = self.looking.try_lock();
        if let Err(TryLockError::WouldBlock) = looking {
            return Ok(false);
        }
        let looked = self.look();
        let now = now();
        let retry_at = if let Ok(true) = looked { 0 } else { now.saturating_add(RETRY_NS) };
        self.retry_at.store(retry_at, Relaxed);
        self.check_at.store(now.saturating_add(CHECK_NS), Relaxed);
        self.lost.store(looked.is_err(), Relaxed);
        looked
    }

    fn look(&self) -> Result<bool, AttachError> {
        let current = self.current.load();
        let file = Trusted::open(&self.path)?;
        // The mapping keeps its file, so no other can have got its number.
        if file.identity() == current.identity {
            return Ok(false);
        }
        let next = Attachment::of(file, &self.path, self.any_boot)?;
        let (generation, attached) = (next.table.generation(), current.table.generation());
        if generation <= attached {
            return Err(AttachError::Backwards { path: self.path.clone(), generation, attached });
        }
        self.current.store(Arc::new(next));
        Ok(true)
    }

    /// Is a newer table announced or in place that [`Attached::refresh`] has not attached, or is there none any more?
    pub fn is_stale(&self) -> bool {
        self.lost.load(Relaxed) || self.current.load().successor.load() != 0
    }

    /// The table as it is now. It stays as it is for as long as somebody holds it.
    pub fn snapshot(&self) -> Snapshot {
        self.current.load().table.clone()
    }

    /// Where it is published.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Attachment {
    fn of(file: Trusted, path: &Path, any_boot: bool) -> Result<Self, AttachError> {
        let path = || path.to_owned();
        let len = file.len();
        if len > MAX as u64 {
            return Err(AttachError::TooLarge { path: path(), len });
        }
        let unfit = |source| AttachError::Unfit { path: path(), source };
        if len < HEADER as u64 {
            return Err(unfit(Damage::Foreign));
        }
        let failed = |source| AttachError::Os { path: path(), call: "map it", source };
        let table = MappedTable::map(&file, len as usize).map_err(failed)?;
        Table::check(table.as_ref()).map_err(unfit)?;
        if !any_boot {
            let here = boot_id();
            if here == BootId::default() {
                return Err(AttachError::NoBootId { path: path() });
            }
            if boot(table.as_ref()) == Some(BootId::default()) {
                return Err(AttachError::NoBoot { path: path() });
            }
            if boot(table.as_ref()) != Some(here) {
                return Err(AttachError::OtherBoot { path: path() });
            }
        }
        let successor = Successor::map(&file).map_err(failed)?;
        Ok(Self { table: Snapshot::new(State::new(Bytes::Mapped(table))), successor, identity: file.identity() })
    }
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    (now.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::{Attached, RETRY_NS};
    use crate::shared::{Options, publish};
    use crate::table::SUCCESSOR;
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::sync::atomic::Ordering::Relaxed;

    /// As a publisher does that dies before it has renamed.
    #[test]
    fn what_is_lent_as_bytes_does_not_change_when_a_successor_is_announced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kallsyms");
        let table = crate::parse("ffffffff81000000 T _text\nffffffff81000000 T start\n".as_bytes()).unwrap();
        publish(&path, &table, &Options::default()).unwrap();
        let attached = Attached::open_of_any_boot(&path).unwrap();
        let snapshot = attached.snapshot();
        let before = snapshot.bytes().to_vec();
        assert!(!attached.is_stale());
        assert!(!attached.refresh().unwrap());
        assert_eq!(attached.retry_at.load(Relaxed), 0, "looked, and nothing was announced");

        let file = File::options().write(true).open(&path).unwrap();
        file.write_all_at(&7u64.to_le_bytes(), SUCCESSOR as u64).unwrap();
        assert!(attached.is_stale());
        assert_eq!(snapshot.bytes(), before);
        assert_ne!(std::fs::read(&path).unwrap(), before);

        let looked = super::now();
        assert!(!attached.refresh().unwrap());
        assert!(attached.retry_at.load(Relaxed) >= looked + RETRY_NS);
        publish(&path, &table, &Options::default()).unwrap();
        attached.retry_at.store(u64::MAX, Relaxed);
        assert!(!attached.refresh().unwrap(), "looked before its time");
        attached.retry_at.store(0, Relaxed);
        assert!(attached.refresh().unwrap());
        assert!(!attached.is_stale());
    }
}

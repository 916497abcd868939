//! The rings in a folder, as `lapwing ls` and `lapwing gc` see them.

use lapwing_ring::{Error, Read, Reader, Seek, Stat, identify_path};
use std::fs::{Metadata, read_dir};
use std::io;
use std::path::{Path, PathBuf};

/// A regular file that is a ring, or was one.
pub struct FoundRing {
    pub path: PathBuf,
    pub meta: Metadata,
    pub state: RingState,
}

pub enum RingState {
    Sound {
        stat: Box<Stat>,
        /// When it was last written to, or made: nanoseconds of the Unix epoch.
        last_ns: u64,
    },
    /// It begins as a ring does, and cannot be read as one.
    Broken,
    /// A file that we may not open.
    Closed,
}

/// The regular files in `folder`, in the order of their names. Links are not followed.
pub fn files(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    for entry in read_dir(folder)? {
        let path = entry?.path();
        // What is gone meanwhile is not there.
        if let Ok(meta) = path.symlink_metadata().map(|meta| (meta.is_file(), meta))
            && meta.0
        {
            found.push((path, meta.1));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

/// `None`: the file is no ring.
pub fn look(path: PathBuf, meta: Metadata) -> Option<FoundRing> {
    let state = match identify_path(&path) {
        Ok(_) => match stat(&path) {
            Some(state) => state,
            None => RingState::Broken,
        },
        Err(Error::PermissionDenied { .. }) => RingState::Closed,
        // Too short to say that it is a ring.
        Err(Error::Truncated { len: ..8, .. }) => return None,
        Err(
            Error::Truncated { .. }
            | Error::BadGeometry { .. }
            | Error::BadHeader { .. }
            | Error::BadClock { .. }
            | Error::UnsupportedVersion { .. },
        ) => RingState::Broken,
        Err(_) => return None,
    };
    Some(FoundRing { path, meta, state })
}

fn stat(path: &Path) -> Option<RingState> {
    let mut reader = Reader::open(path).ok()?;
    let stat = reader.stat().ok()?;
    let mut last_ns = stat.identity.created_ns;
    if let Some(newest) = stat.bounds.next_seq.checked_sub(1)
        && reader.seek(Seek::Seq(newest)).is_ok()
        && let Ok(Read::Record(record)) = reader.next()
    {
        last_ns = last_ns.max(record.real_ns.max(0) as u64);
    }
    Some(RingState::Sound { stat: Box::new(stat), last_ns })
}

//! How far the bridge has come: a small file beside the ring, `RING.kmsg`, which also is the lock that keeps a second bridge
//! out.
//!
//! Two notes are written for each kernel record: before it is appended, and behind that. So whoever comes after a bridge
//! that was killed knows whether it was inside an append, and from which sequence of the ring on to look for the record.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file of the ring at `ring`.
pub fn place_of(ring: &Path) -> PathBuf {
    let mut name = OsString::from(ring);
    name.push(".kmsg");
    name.into()
}

/// Removes the file of the ring at `ring`, which is gone, unless a bridge is at it still. What cannot be removed stays.
pub fn forget_place(ring: &Path) {
    let path = place_of(ring);
    if let Ok(place) = Place::lock(&path, false)
        && matches!(place.read(), Ok(Some(_)))
    {
        // With the lock held, so that no bridge takes it meanwhile.
        let _ = std::fs::remove_file(&path);
    }
}

/// What the file says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Note {
    /// The ring it was written for: there may be another one under that name by now.
    pub(crate) ring_id: [u64; 2],
    /// A record is about to be appended, or was, that tells of these kernel records: of one, or of some that are lost.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) is_taken: bool,
    /// The record has this sequence of the ring or a later one.
    pub(crate) ring_seq: u64,
}

impl Note {
    /// One line, always of the same length, so that a note covers the one before it.
    fn text(&self) -> String {
        let Self { ring_id: [high, low], first, last, is_taken, ring_seq } = self;
        let state = if *is_taken { "taken " } else { "taking" };
        format!("lapwing-kmsg 1 ring={high:016x}{low:016x} {state} kernel={first:020}..{last:020} seq={ring_seq:020}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix("lapwing-kmsg 1 ")?.strip_suffix('\n')?.split_ascii_whitespace();
        let ring_id = words.next()?.strip_prefix("ring=")?;
        let half = |range| u64::from_str_radix(ring_id.get(range)?, 16).ok();
        let ring_id = [half(0..16)?, half(16..32)?];
        let is_taken = match words.next()? {
            "taken" => true,
            "taking" => false,
            _ => return None,
        };
        let (first, last) = words.next()?.strip_prefix("kernel=")?.split_once("..")?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        let ring_seq = words.next()?.strip_prefix("seq=")?.parse().ok()?;
        Some(Self { ring_id, first, last, is_taken, ring_seq })
    }
}

/// The file, locked.
#[derive(Debug)]
pub(crate) struct Place(File);

/// Why there is no place.
#[derive(Debug)]
pub(crate) enum NoPlace {
    /// Another bridge has it.
    Busy,
    Io(io::Error),
}

impl Place {
    /// Opens the file, which is made if it is missing, and keeps others out until this is dropped.
    pub(crate) fn open(path: &Path) -> Result<Self, NoPlace> {
        loop {
            let place = Self::lock(path, true)?;
            // Whoever removed it held the lock before us: ours is on a file that the next bridge would not find.
            if place.has_its_path(path).map_err(NoPlace::Io)? {
                return Ok(place);
            }
        }
    }

    fn lock(path: &Path, make: bool) -> Result<Self, NoPlace> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(make).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(path).map_err(NoPlace::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(NoPlace::Busy),
            Err(TryLockError::Error(error)) => Err(NoPlace::Io(error)),
        }
    }

    fn has_its_path(&self, path: &Path) -> io::Result<bool> {
        let ours = self.0.metadata()?;
        let there = path.symlink_metadata();
        Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (ours.dev(), ours.ino())))
    }

    /// What was noted last; `None` in a new file, and in one that makes no sense.
    pub(crate) fn read(&self) -> io::Result<Option<Note>> {
        let mut text = [0; 256];
        let len = self.0.read_at(&mut text, 0)?;
        Ok(std::str::from_utf8(&text[..len]).ok().and_then(Note::parse))
    }

    /// Notes it. One system call: a process that is killed has made all of it or nothing.
    pub(crate) fn write(&self, note: &Note) -> io::Result<()> {
        self.0.write_all_at(note.text().as_bytes(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_note_reads_back_and_all_are_of_one_length(ring_id: [u64; 2], first: u64, last: u64, is_taken: bool, ring_seq: u64) {
            let note = Note { ring_id, first, last, is_taken, ring_seq };
            prop_assert_eq!(Note::parse(&note.text()), Some(note));
            let other = Note { ring_id: [0; 2], first: 0, last: 0, is_taken: !is_taken, ring_seq: 0 };
            prop_assert_eq!(note.text().len(), other.text().len());
            prop_assert_eq!(Note::parse(&note.text()[..note.text().len() - 1]), None);
        }
    }
}

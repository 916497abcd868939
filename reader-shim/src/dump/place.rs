//! How far a dump has come: a small file beside the one that it writes, which also is the lock that keeps a second one out.
//!
//! What is about to be written is noted first: where in the file, how many bytes, and which sequences its lines stand
//! for. So whoever comes after a dump that was killed finds out from the file itself which lines are in it.

use super::batch::Run;
use super::error::DumpError;
use super::target::{FileId, open_own};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The format of the note.
const VERSION: u32 = 1;
/// Two notes take turns, each in a block of its own: one that is torn by a power failure leaves the one before it.
const SLOT: usize = 4096;

/// One note.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) lapwing_dump: u32,
    /// Which of two notes is the later one.
    pub(crate) generation: u64,
    pub(crate) ring_id: [u64; 2],
    /// The boot it was written in; what a file system had not written down yet, another boot does not find.
    pub(crate) boot: String,
    /// The file it is about; none of a terminal.
    pub(crate) file: Option<FileId>,
    /// The first sequence of the file and when it was begun, microseconds of the Unix epoch.
    pub(crate) first: u64,
    pub(crate) begun_us: i64,
    /// `len` bytes of the file from `at` on are these lines, as far as they are there.
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) is_raw: bool,
    pub(crate) runs: Vec<Run>,
    /// What comes next behind all of them.
    pub(crate) next: u64,
}

impl State {
    /// Nothing is on its way.
    pub(crate) fn new(ring_id: [u64; 2], next: u64, boot: &str) -> Self {
        Self {
            lapwing_dump: VERSION,
            generation: 0,
            ring_id,
            boot: boot.to_owned(),
            file: None,
            first: next,
            begun_us: 0,
            at: 0,
            len: 0,
            is_raw: false,
            runs: Vec::new(),
            next,
        }
    }

    /// The sequence of the first line that it is about.
    pub(crate) fn start(&self) -> u64 {
        self.runs.first().map_or(self.next, |run| run.first)
    }
}

/// The kernel's id of this boot.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim_end().to_owned()
}

/// The file, locked, and the last note in it.
pub(crate) struct Place {
    file: File,
    path: PathBuf,
    pub(crate) state: Option<State>,
}

impl Place {
    /// Opens the file, which is made if it is missing, and keeps others out until this is dropped.
    pub(crate) fn open(path: &Path) -> Result<Self, DumpError> {
        let file = open_own(path, false)?;
        let os = DumpError::os;
        let len = file.metadata().map_err(os(path, "look at"))?.len();
        let mut slots = vec![0; 2 * SLOT];
        let there = slots.len().min(usize::try_from(len).unwrap_or(usize::MAX));
        file.read_exact_at(&mut slots[..there], 0).map_err(os(path, "read"))?;
        let state = slots.chunks(SLOT).filter_map(decode).max_by_key(|state| state.generation);
        // Whoever was killed in front of the first note has left zeros; anything else is not ours to overwrite.
        if state.is_none() && (len > slots.len() as u64 || slots.iter().any(|&byte| byte != 0)) {
            return Err(DumpError::NoState { path: path.to_owned() });
        }
        if there < slots.len() {
            // All the room that will be needed: a full disk must not keep notes out.
            file.write_all_at(&slots[there..], there as u64).map_err(os(path, "write"))?;
        }
        Ok(Self { file, path: path.to_owned(), state })
    }

    /// Notes it. One system call into one page: a process that is killed has made all of it or nothing.
    pub(crate) fn store(&mut self, mut state: State) -> Result<(), DumpError> {
        state.generation = self.state.as_ref().map_or(1, |last| last.generation + 1);
        let slot = encode(&state).map_err(DumpError::os(&self.path, "write"))?;
        let at = state.generation % 2 * SLOT as u64;
        self.file.write_all_at(&slot, at).map_err(DumpError::os(&self.path, "write"))?;
        self.state = Some(state);
        Ok(())
    }

    /// Has the last note written down for good.
    pub(crate) fn sync(&self) -> Result<(), DumpError> {
        self.file.sync_data().map_err(DumpError::os(&self.path, "sync"))
    }
}

/// A line of JSON, a line with its sum, and blanks up to the end of the block.
fn encode(state: &State) -> io::Result<Vec<u8>> {
    let mut slot = serde_json::to_vec(state)?;
    let sum = sum(&slot);
    slot.extend_from_slice(format!("\n{sum:016x}\n").as_bytes());
    if slot.len() >= SLOT {
        return Err(io::Error::other("a note that is too long"));
    }
    slot.resize(SLOT - 1, b' ');
    slot.push(b'\n');
    Ok(slot)
}

fn decode(slot: &[u8]) -> Option<State> {
    let mut lines = slot.split(|&byte| byte == b'\n');
    let (note, found) = (lines.next()?, lines.next()?);
    if found != format!("{:016x}", sum(note)).as_bytes() {
        return None;
    }
    serde_json::from_slice(note).ok().filter(|state: &State| state.lapwing_dump == VERSION)
}

/// FNV-1a: half a note of one time and half of another have another sum.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(next: u64) -> State {
        State { file: Some(FileId { inode: 5, born_ns: 6 }), ..State::new([1, u64::MAX], next, "boot") }
    }

    #[test]
    fn the_longest_note_has_room() {
        let run = Run { first: u64::MAX, lines: u64::MAX };
        let full = State { runs: vec![run; 61], at: u64::MAX, len: u64::MAX, begun_us: i64::MIN, ..state(u64::MAX) };
        assert_eq!(decode(&encode(&full).unwrap()), Some(full));
    }

    #[test]
    fn notes_take_turns_and_a_torn_one_leaves_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let mut place = Place::open(&path).unwrap();
        assert_eq!(place.state, None);
        for next in 1..4 {
            place.store(state(next)).unwrap();
        }
        assert!(matches!(Place::open(&path), Err(DumpError::Busy { .. })));
        drop(place);
        let next = |path| Place::open(path).unwrap().state.map(|state| state.next);
        assert_eq!(next(&path), Some(3));
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 2 * SLOT);
        // The third note lies in the second block.
        for torn in [SLOT, SLOT + 40] {
            let mut damaged = bytes.clone();
            damaged[torn] ^= 1;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(next(&path), Some(2));
        }
        let mut both = bytes;
        both[0] ^= 1;
        both[SLOT] ^= 1;
        std::fs::write(&path, &both).unwrap();
        assert!(matches!(Place::open(&path), Err(DumpError::NoState { .. })));
    }

    #[test]
    fn what_is_no_state_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        for text in ["my notes".to_owned(), "x".repeat(SLOT), "y".repeat(3 * SLOT)] {
            std::fs::write(&path, &text).unwrap();
            assert!(matches!(Place::open(&path), Err(DumpError::NoState { .. })));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::write(&path, "").unwrap();
        assert!(Place::open(&path).unwrap().state.is_none());
    }
}

//! What every process of a round writes down, in words that survive it: the control file and the two kinds of journals.
//!
//! ```text
//! control   0 phase | 1 next cell | 2 next journal | 64 .. cells
//! cell      pid | parent's cell + 1 | when it killed itself | stops by itself | kind | naps inside
//! writer    0 kind | 1 cell | 2, 3 ring id | 4 pid, tid | 5 longest body | 16 .. appends
//! append    begun | ended | sequence | length, state | hash
//! reader    0 kind | 1 cell | 2, 3 ring id | 4 patience | 5 how it ended | 6 sequence | 7 .. counts | 16 .. entries
//! entry     sequence | hash, or how many | pid and tid, or when | what, length
//! ```

use crate::os::{self, Shared};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::{Relaxed, Release};

pub(crate) const HEADER: usize = 16;
pub(crate) const APPEND: usize = 5;
pub(crate) const ENTRY: usize = 4;
pub(crate) const WRITER: u64 = 1;
pub(crate) const READER: u64 = 2;

const APPENDS: usize = 1 << 20;
const ENTRIES: usize = 3 << 20;

/// What became of an append; 0 while it has not returned.
pub(crate) const APPENDED: u64 = 1;
/// The first of the refusals; the next ones follow in the order of [`REFUSALS`].
pub(crate) const REFUSED: u64 = 2;
pub(crate) const REFUSALS: [&str; 5] = ["too large", "too many writers", "all pages pinned", "pool busy", "damaged"];

/// What a reader's entry tells.
pub(crate) const RECORD: u64 = 1;
pub(crate) const LOST: u64 = 2;
pub(crate) const ABANDONED: u64 = 3;
pub(crate) const STALLED: u64 = 4;
/// The reader moved, and stands before this sequence.
pub(crate) const MOVED: u64 = 5;
/// The gap before it: when its call returned, and when the reader first found its first record in flight.
pub(crate) const TIMES: u64 = 6;

/// How a reader ended: not at all, before the end of the log, at its end.
pub(crate) const LEFT: u64 = 1;
pub(crate) const FINISHED: u64 = 2;

/// What processes are to do: write and read, read on, finish.
pub(crate) const RUN: u64 = 0;
pub(crate) const WRITERS_END: u64 = 1;
pub(crate) const READERS_END: u64 = 2;

const CELLS_AT: usize = 64;
const CELL: usize = 8;
const CELLS: usize = 1 << 14;

/// The file that all processes of a round share.
pub(crate) struct Control(Shared);

/// One process in the control file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) pid: i32,
    /// `None`: the director's own child.
    pub(crate) parent: Option<usize>,
    /// 0: it did not.
    pub(crate) killed_itself: u64,
    pub(crate) stops: u64,
    pub(crate) kind: u64,
    pub(crate) naps: u64,
}

impl Control {
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        Shared::create(&folder.join("control"), CELLS_AT + CELL * CELLS).map(Self)
    }

    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Shared::open(&folder.join("control")).map(Self)
    }

    pub(crate) fn phase(&self) -> u64 {
        self.0[0].load(Relaxed)
    }

    pub(crate) fn set_phase(&self, phase: u64) {
        self.0[0].store(phase, Relaxed);
    }

    /// A cell for one more process.
    pub(crate) fn new_cell(&self, parent: Option<usize>, kind: u64) -> usize {
        let cell = self.0[1].fetch_add(1, Relaxed) as usize;
        assert!(cell < CELLS, "a round has at most {CELLS} processes");
        self.word(cell, 1).store(parent.map_or(0, |cell| cell as u64 + 1), Relaxed);
        self.word(cell, 4).store(kind, Relaxed);
        cell
    }

    pub(crate) fn cells(&self) -> usize {
        self.0[1].load(Relaxed) as usize
    }

    fn word(&self, cell: usize, i: usize) -> &std::sync::atomic::AtomicU64 {
        &self.0[CELLS_AT + cell * CELL + i]
    }

    pub(crate) fn cell(&self, cell: usize) -> Cell {
        let word = |i| self.word(cell, i).load(Relaxed);
        Cell {
            pid: word(0) as i32,
            parent: (word(1) as usize).checked_sub(1),
            killed_itself: word(2),
            stops: word(3),
            kind: word(4),
            naps: word(5),
        }
    }

    pub(crate) fn set_pid(&self, cell: usize, pid: i32) {
        self.word(cell, 0).store(pid as u64, Release);
    }

    /// To be said before the deed.
    pub(crate) fn kills_itself(&self, cell: usize) {
        self.word(cell, 2).store(os::now(), Release);
    }

    pub(crate) fn stops_itself(&self, cell: usize) {
        self.word(cell, 3).fetch_add(1, Relaxed);
    }

    pub(crate) fn napped(&self, cell: usize) {
        self.word(cell, 5).fetch_add(1, Relaxed);
    }

    /// The path of one more journal.
    pub(crate) fn new_journal(&self, folder: &Path) -> PathBuf {
        folder.join(format!("journal{}", self.0[2].fetch_add(1, Relaxed)))
    }

    pub(crate) fn journals(&self) -> u64 {
        self.0[2].load(Relaxed)
    }
}

/// The appends of one thread, or of one signal handler, to one ring.
pub(crate) struct WriterJournal {
    words: Shared,
    at: usize,
}

impl WriterJournal {
    pub(crate) fn create(control: &Control, folder: &Path, cell: usize, ring: [u64; 2], max_body: usize) -> Self {
        let path = control.new_journal(folder);
        let words = Shared::create(&path, HEADER + APPEND * APPENDS).expect("room for a journal");
        let who = os::pid() as u64 | (os::tid() as u64) << 32;
        for (word, value) in words.iter().zip([WRITER, cell as u64, ring[0], ring[1], who, max_body as u64]) {
            word.store(value, Relaxed);
        }
        Self { words, at: HEADER }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.at + APPEND > self.words.len()
    }

    /// To be called right before an append. Gives the time it noted.
    pub(crate) fn begin(&mut self, len: usize, hash: u64) -> u64 {
        let entry = &self.words[self.at..self.at + APPEND];
        entry[3].store(len as u64, Relaxed);
        entry[4].store(hash, Relaxed);
        let now = os::now();
        entry[0].store(now, Release);
        now
    }

    /// To be called right after it.
    pub(crate) fn end(&mut self, result: Result<u64, u64>) {
        let now = os::now();
        let entry = &self.words[self.at..self.at + APPEND];
        entry[1].store(now, Relaxed);
        let state = match result {
            Ok(seq) => {
                entry[2].store(seq, Relaxed);
                APPENDED
            }
            Err(cause) => REFUSED + cause,
        };
        entry[3].store(entry[3].load(Relaxed) | state << 32, Release);
        self.at += APPEND;
    }
}

/// All that one reader got from one ring.
pub(crate) struct ReaderJournal {
    words: Shared,
    at: usize,
}

impl ReaderJournal {
    pub(crate) fn create(path: &Path, cell: usize, ring: [u64; 2], patience: u64) -> Self {
        let words = Shared::create(path, HEADER + ENTRY * ENTRIES).expect("room for a journal");
        for (word, value) in words.iter().zip([READER, cell as u64, ring[0], ring[1], patience]) {
            word.store(value, Relaxed);
        }
        Self { words, at: HEADER }
    }

    pub(crate) fn is_full(&self) -> bool {
        // A gap is two entries.
        self.at + 2 * ENTRY > self.words.len()
    }

    pub(crate) fn push(&mut self, seq: u64, second: u64, third: u64, what: u64) {
        let entry = &self.words[self.at..self.at + ENTRY];
        for (word, value) in entry.iter().zip([seq, second, third]) {
            word.store(value, Relaxed);
        }
        entry[3].store(what, Release);
        self.at += ENTRY;
    }

    /// How the reader ended, where, and its own counts.
    pub(crate) fn close(&self, how: u64, seq: u64, counts: [u64; 4]) {
        for (word, value) in self.words[6..].iter().zip([seq].into_iter().chain(counts)) {
            word.store(value, Relaxed);
        }
        self.words[5].store(how, Release);
    }
}

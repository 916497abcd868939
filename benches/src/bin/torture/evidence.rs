//! The journals of a round, read back, and what the director knows of the deaths in it.

use crate::journal::{APPEND, APPENDED, Control, ENTRY, HEADER, READER, REFUSED, WRITER};
use crate::os::Shared;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// An append that was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append {
    /// Index among [`Evidence::writers`].
    pub(crate) writer: u32,
    pub(crate) len: u32,
    pub(crate) hash: u64,
    pub(crate) begun: u64,
    pub(crate) result: Returned,
}

/// How an append ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Returned {
    Never,
    /// When, and with which sequence.
    Appended {
        ended: u64,
        seq: u64,
    },
    /// The place in [`crate::journal::REFUSALS`].
    Refused(usize),
}

/// One writer journal.
#[derive(Clone, Debug)]
pub(crate) struct WriterLog {
    pub(crate) name: String,
    pub(crate) ring: [u64; 2],
    pub(crate) cell: usize,
    /// Pid in the low half, tid in the high half.
    pub(crate) who: u64,
    pub(crate) max_body: u64,
}

/// One reader journal.
pub(crate) struct ReaderLog {
    pub(crate) name: String,
    pub(crate) ring: [u64; 2],
    /// Nanoseconds.
    pub(crate) patience: u64,
    pub(crate) ended: u64,
    pub(crate) seq: u64,
    pub(crate) counts: [u64; 4],
    words: Shared,
}

impl ReaderLog {
    /// Sequence, two words that depend, and what it is.
    pub(crate) fn entries(&self) -> impl Iterator<Item = [u64; 4]> {
        let entries = self.words[HEADER..].chunks_exact(ENTRY);
        entries.map_while(|entry| match entry[3].load(Acquire) {
            0 => None,
            what => Some([entry[0].load(Relaxed), entry[1].load(Relaxed), entry[2].load(Relaxed), what]),
        })
    }
}

/// The end of a process by a kill that is on record: its own, one of the director's, or of the process that forked it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    /// It lived until then at least.
    pub(crate) since: u64,
    /// It was certainly dead from then on.
    pub(crate) over: u64,
}

/// All that is known of a round.
pub(crate) struct Evidence {
    pub(crate) writers: Vec<WriterLog>,
    pub(crate) appends: Vec<Append>,
    pub(crate) readers: Vec<ReaderLog>,
    /// By cell.
    pub(crate) deaths: HashMap<usize, Death>,
}

impl Evidence {
    /// Reads every journal of the round.
    pub(crate) fn load(folder: &Path, control: &Control, deaths: HashMap<usize, Death>) -> io::Result<Self> {
        let (mut writers, mut appends, mut readers) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..control.journals() {
            let name = format!("journal{i}");
            let words = match Shared::open(&folder.join(&name)) {
                Ok(words) if words.len() > HEADER => words,
                // Its maker was killed before it had made it.
                Ok(_) => continue,
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINVAL)) => continue,
                Err(error) => return Err(error),
            };
            let word = |i: usize| words[i].load(Relaxed);
            let (cell, ring) = (word(1) as usize, [word(2), word(3)]);
            match word(0) {
                WRITER => {
                    let writer = writers.len() as u32;
                    appends.extend(words[HEADER..].chunks_exact(APPEND).map_while(|entry| append(writer, entry)));
                    writers.push(WriterLog { name, ring, cell, who: word(4), max_body: word(5) });
                }
                READER => {
                    let counts = std::array::from_fn(|i| word(7 + i));
                    let (patience, ended, seq) = (word(4), words[5].load(Acquire), word(6));
                    readers.push(ReaderLog { name, ring, patience, ended, seq, counts, words });
                }
                _ => {}
            }
        }
        Ok(Self { writers, appends, readers, deaths })
    }

    pub(crate) fn ring(&self, append: &Append) -> [u64; 2] {
        self.writers[append.writer as usize].ring
    }

    /// The death of the process that began `append`.
    pub(crate) fn death(&self, append: &Append) -> Option<Death> {
        self.deaths.get(&self.writers[append.writer as usize].cell).copied()
    }

    /// An append as a violation shows it.
    pub(crate) fn show(&self, append: &Append) -> String {
        let writer = &self.writers[append.writer as usize];
        let Append { len, hash, begun, result, .. } = append;
        let (pid, tid) = (writer.who as u32, writer.who >> 32);
        format!("{} pid {pid} tid {tid}: begun {begun} {result:?} length {len} hash {hash:x}", writer.name)
    }
}

fn append(writer: u32, entry: &[std::sync::atomic::AtomicU64]) -> Option<Append> {
    let begun = entry[0].load(Acquire);
    if begun == 0 {
        return None;
    }
    let meta = entry[3].load(Acquire);
    let result = match meta >> 32 {
        0 => Returned::Never,
        APPENDED => Returned::Appended { ended: entry[1].load(Relaxed), seq: entry[2].load(Relaxed) },
        state => Returned::Refused((state - REFUSED) as usize),
    };
    Some(Append { writer, len: meta as u32, hash: entry[4].load(Relaxed), begun, result })
}

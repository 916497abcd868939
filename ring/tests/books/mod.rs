//! The books of a test: who wrote which record under which sequence, and readers that hold every record and gap against
//! them. Shared by the tests that kill and hold writers; what is wrong comes back as text.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

mod others;
mod view;

pub use others::{Others, mix};
pub use view::{PAGE_COUNT, View};

use lapwing_ring::{Field, Flags, Level, Read, Reader, Record, Seek, Source, Writer};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is wrong, in words.
pub type Checked<T = ()> = Result<T, String>;

/// Bytes in front of each payload's pattern: writer, counter, length.
const DESCRIPTION: usize = 12;
/// An append makes no system call or a few; one that takes this long is not bounded.
const LONGEST_APPEND: Duration = Duration::from_secs(20);

/// The `counter`th payload of `writer`: `len` bytes, 12 at least, that say what they are.
pub fn payload(writer: u32, counter: u32, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    for word in [writer, counter, len as u32] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend((DESCRIPTION..len).map(|i| (counter as usize * 31 + i * 7) as u8 ^ writer as u8));
    bytes
}

/// The level at which `writer` writes all its records.
pub fn level(writer: u32) -> Level {
    Level::new((writer % 24) as u8 + 1).expect("1 to 24")
}

/// One record of one writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    pub writer: u32,
    pub counter: u32,
}

impl Entry {
    /// What `record` says it is, if every byte of it agrees.
    fn of(record: &Record<'_>) -> Checked<Self> {
        let word = |i: usize| record.payload.get(i..i + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()));
        let (Some(writer), Some(counter)) = (word(0), word(4)) else {
            return Err(format!("{} bytes of payload are no payload of ours", record.payload.len()));
        };
        if record.payload.len() < DESCRIPTION || record.payload != payload(writer, counter, record.payload.len()) {
            return Err(format!("torn or forged: {}", record.payload.escape_ascii()));
        }
        if (record.level, record.source) != (level(writer), Source::Api) {
            return Err(format!("level {:?} and source {:?} of writer {writer}", record.level, record.source));
        }
        Ok(Self { writer, counter })
    }
}

/// What is known of every sequence.
pub struct Books {
    /// Appended by ourselves: sequence and record are facts.
    written: BTreeMap<u64, Entry>,
    /// Appended by others: what a reader found, or they told.
    heard: BTreeMap<u64, Entry>,
    abandoned: BTreeSet<u64>,
    counters: HashMap<u32, u32>,
    pids: HashMap<u32, u32>,
    uid: u32,
}

impl Books {
    pub fn new() -> Self {
        let uid = std::fs::metadata("/proc/self").expect("/proc").uid();
        let (written, heard, abandoned) = Default::default();
        Self { written, heard, abandoned, counters: HashMap::new(), pids: HashMap::new(), uid }
    }

    /// `writer`'s records come from the process `pid` alone.
    pub fn expect_pid(&mut self, writer: u32, pid: u32) {
        self.pids.insert(writer, pid);
    }

    /// Appends the next record of `id`, `len` bytes, and enters it.
    pub fn append(&mut self, writer: &mut Writer, id: u32, len: usize) -> Checked<u64> {
        let counter = self.counters.entry(id).or_default();
        let entry = Entry { writer: id, counter: *counter };
        *counter += 1;
        self.pids.insert(id, std::process::id());
        let since = Instant::now();
        let seq = writer.append(level(id), &payload(id, entry.counter, len));
        let took = since.elapsed();
        let seq = seq.map_err(|error| format!("{entry:?} was refused: {error}"))?;
        if took > LONGEST_APPEND {
            return Err(format!("{entry:?} took {took:?}"));
        }
        if let Some((last, other)) = self.written.last_key_value()
            && *last >= seq
        {
            return Err(format!("{entry:?} got sequence {seq} after {other:?} had got {last}"));
        }
        if let Some(other) = self.heard.get(&seq) {
            return Err(format!("{entry:?} got sequence {seq}, which {other:?} has"));
        }
        self.written.insert(seq, entry);
        Ok(seq)
    }

    /// Enters that a record of somebody else stands under `seq`.
    pub fn hear(&mut self, entry: Entry, seq: u64) -> Checked {
        if let Some(other) = self.written.get(&seq).or_else(|| self.heard.get(&seq))
            && *other != entry
        {
            return Err(format!("{entry:?} stands under sequence {seq}, which {other:?} has"));
        }
        if self.written.contains_key(&seq) || self.heard.contains_key(&seq) {
            return Ok(());
        }
        if let Some((other, _)) = self.heard.iter().find(|(_, heard)| **heard == entry) {
            return Err(format!("{entry:?} stands under the sequences {other} and {seq}"));
        }
        if self.counters.contains_key(&entry.writer) {
            return Err(format!("{entry:?} stands under sequence {seq}, where it was not written"));
        }
        if self.abandoned.contains(&seq) {
            return Err(format!("{entry:?} stands under sequence {seq}, which was counted abandoned"));
        }
        self.heard.insert(seq, entry);
        Ok(())
    }

    fn check(&mut self, record: &Record<'_>) -> Checked<Entry> {
        let entry = Entry::of(record)?;
        if let Some(pid) = self.pids.get(&entry.writer)
            && *pid != record.pid
        {
            return Err(format!("{entry:?} has pid {}, not {pid}", record.pid));
        }
        let fields: Vec<Field<'_>> = record.fields.collect();
        match fields[..] {
            [] => {}
            [Field::Comm(comm), Field::Start(start), Field::Uid(uid)]
                if !comm.is_empty() && start != 0 && uid == self.uid => {}
            [Field::Comm(_), Field::Uid(_), Field::KeyValue(..)] if record.flags.contains(Flags::LAST_WORDS) => {}
            _ => return Err(format!("{entry:?} is introduced by {fields:?}")),
        }
        self.hear(entry, record.seq)?;
        Ok(entry)
    }
}

/// A reader that holds all it gets against the books.
pub struct Follower {
    pub name: &'static str,
    pub reader: Reader,
    /// False: it is read often enough to lose nothing.
    pub may_lose: bool,
    start: u64,
    last: HashMap<u32, u32>,
}

impl Follower {
    /// A follower before sequence 0 with this much patience.
    pub fn open(name: &'static str, ring: &Path, patience: Duration) -> Checked<Self> {
        let mut reader = Reader::open(ring).map_err(|error| format!("{name}: {error}"))?;
        reader.set_patience(patience);
        Ok(Self { name, reader, may_lose: false, start: 0, last: HashMap::new() })
    }

    /// Moves to the oldest record.
    pub fn seek_oldest(mut self) -> Checked<Self> {
        self.start = self.reader.seek(Seek::Oldest).map_err(|error| format!("{}: {error}", self.name))?;
        Ok(self)
    }

    /// Reads all there is; tells whether it stands before a record in flight.
    pub fn read_on(&mut self, books: &mut Books) -> Checked<bool> {
        loop {
            let at = self.reader.seq();
            let step = Self::step(&mut self.reader, &mut self.last, books, self.may_lose);
            match step.map_err(|error| format!("{}, at {at}: {error}", self.name))? {
                Some(in_flight) => return Ok(in_flight),
                None if self.reader.seq() <= at => return Err(format!("{}: gets nowhere from {at}", self.name)),
                None => {}
            }
        }
    }

    fn step(
        reader: &mut Reader,
        last: &mut HashMap<u32, u32>,
        books: &mut Books,
        may_lose: bool,
    ) -> Checked<Option<bool>> {
        let at = reader.seq();
        match reader.next().map_err(|error| error.to_string())? {
            Read::Record(record) => {
                let entry = books.check(&record)?;
                if record.seq != at {
                    return Err(format!("{entry:?} comes as {}", record.seq));
                }
                if let Some(before) = last.insert(entry.writer, entry.counter)
                    && before >= entry.counter
                {
                    return Err(format!("{entry:?} comes after {before}"));
                }
            }
            Read::Lost(gap) if !may_lose || gap.first != at => return Err(format!("lost {gap:?}")),
            Read::Lost(_) => {}
            Read::Abandoned(gap) | Read::Stalled(gap) if gap.first != at || gap.count != 1 => {
                return Err(format!("given up: {gap:?}"));
            }
            Read::Abandoned(_) if books.written.contains_key(&at) || books.heard.contains_key(&at) => {
                return Err("a committed record was counted abandoned".to_owned());
            }
            Read::Stalled(_) if books.written.contains_key(&at) => {
                return Err("a committed record was counted stalled".to_owned());
            }
            Read::Abandoned(_) => drop(books.abandoned.insert(at)),
            Read::Stalled(_) => {}
            Read::NotYet { in_flight } => return Ok(Some(in_flight)),
        }
        Ok(None)
    }

    /// Reads to the end, for as long as records are in flight; and the books must balance.
    pub fn settle(&mut self, books: &mut Books) -> Checked {
        let since = Instant::now();
        while self.read_on(books)? {
            if since.elapsed() > Duration::from_secs(60) {
                return Err(format!("{}: stands before {} for ever", self.name, self.reader.seq()));
            }
            self.reader.pause();
        }
        let (counts, bounds) = (self.reader.counts(), self.reader.bounds().map_err(|error| error.to_string())?);
        let passed = self.start + counts.read + counts.lost + counts.abandoned + counts.stalled;
        if passed != bounds.next_seq {
            return Err(format!("{}: {counts:?} from {} on, but {} reserved", self.name, self.start, bounds.next_seq));
        }
        Ok(())
    }
}

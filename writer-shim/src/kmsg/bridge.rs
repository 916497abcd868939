//! Kernel records become records of a ring, each once, and what the kernel lost is said: `lapwing kmsg` without the device.

#![forbid(unsafe_code)]

use super::place::{NoPlace, Note, Place, place_of};
use super::{KernelRecord, unescaped};
use lapwing_ring::{
    AppendError, Draft, Error, Field, Flags, Level, Location, Log, Origin, Read, ReadError, Reader, Record, Seek,
    Source, Value,
};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

const KERNEL: Origin<'static> = Origin { pid: 0, tid: 0, comm: Some(b"kernel"), uid: None };
/// Room in a record for what the ring puts in front of it.
const BESIDE: usize = 64;
/// Kind and length of an encoded field, and the length of its key.
const HEADER: usize = 4;

/// Why there is no bridge, or why it does not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum BridgeError {
    /// The ring cannot be opened.
    Ring(Error),
    /// The ring cannot be read to its end.
    Read(ReadError),
    /// Another bridge writes to this ring.
    #[allow(missing_docs)]
    Busy { path: PathBuf },
    /// How far the bridge has come cannot be noted.
    #[allow(missing_docs)]
    Place { path: PathBuf, source: io::Error },
    /// The ring refuses a record. Nothing is lost: it can be [taken](Bridge::take) again.
    Refused(AppendError),
}

impl fmt::Display for BridgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ring(error) => error.fmt(f),
            Self::Read(error) => error.fmt(f),
            Self::Busy { path } => {
                write!(f, "{}: another bridge writes the kernel log to this ring: it holds the lock", path.display())
            }
            Self::Place { path, source } => {
                write!(f, "{}: cannot note there how far the kernel log was read: {source}", path.display())
            }
            Self::Refused(error) => write!(f, "the ring refuses the kernel's records: {error}"),
        }
    }
}

impl std::error::Error for BridgeError {}

/// What became of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is in the ring.
    Recorded,
    /// It was before.
    Known,
    /// It is no kernel record.
    Unreadable,
}

/// The one bridge of a ring.
pub struct Bridge {
    log: Log,
    reader: Reader,
    place: Place,
    /// The kernel record that comes next.
    next: u64,
    /// No record of ours has this sequence of the ring or a later one.
    ring_seq: u64,
    /// Kernel records of which nobody knows whether they were appended: the first and the last.
    unsure: Option<(u64, u64)>,
}

impl Bridge {
    /// Opens the ring, and finds out where an earlier bridge stopped. The default ring is made if it is missing.
    ///
    /// # Errors
    /// The ring cannot be written and read, another bridge is at it, or the file beside it cannot be written.
    pub fn open(location: &Location) -> Result<Self, BridgeError> {
        let log = location.open_log().map_err(BridgeError::Ring)?;
        let path = place_of(log.path());
        let place = Place::open(&path).map_err(|error| match error {
            NoPlace::Busy => BridgeError::Busy { path: path.clone() },
            NoPlace::Io(source) => BridgeError::Place { path: path.clone(), source },
        })?;
        let reader = Reader::open(log.path()).map_err(BridgeError::Ring)?;
        let ring_seq = reader.bounds().map_err(BridgeError::Read)?.next_seq;
        let note = place.read().map_err(|source| BridgeError::Place { path, source })?;
        let mut bridge = Self { log, reader, place, next: 0, ring_seq, unsure: None };
        bridge.resume(note.filter(|note| note.ring_id == bridge.reader.identity().ring_id))?;
        Ok(bridge)
    }

    fn resume(&mut self, note: Option<Note>) -> Result<(), BridgeError> {
        self.next = match note {
            Some(Note { last, is_taken: true, .. }) => last.saturating_add(1),
            Some(Note { first, last, ring_seq, .. }) => {
                let (found, is_overwritten) = self.last_since(ring_seq)?;
                let is_found = found.is_some_and(|found| found >= last);
                self.unsure = (!is_found && is_overwritten).then_some((first, last));
                if is_found || is_overwritten { last.saturating_add(1) } else { first }
            }
            // The file is gone, or new: whatever is in the ring was not written by us.
            None => self.last_since(0)?.0.map_or(0, |last| last.saturating_add(1)),
        };
        Ok(())
    }

    /// The last kernel record that the ring holds from `ring_seq` on, and whether something from there on is overwritten.
    fn last_since(&mut self, ring_seq: u64) -> Result<(Option<u64>, bool), BridgeError> {
        let mut last = None;
        let mut is_overwritten = false;
        self.reader.seek(Seek::Seq(ring_seq)).map_err(BridgeError::Read)?;
        while self.reader.seq() < self.ring_seq {
            match self.reader.next() {
                Ok(Read::Record(record)) => last = kernel_seq_of(&record).max(last),
                Ok(Read::Lost(_)) | Err(ReadError::BadRecord { .. }) => is_overwritten = true,
                Ok(Read::Abandoned(_) | Read::Stalled(_)) => {}
                Ok(Read::NotYet { .. }) => self.reader.pause(),
                Err(error) => return Err(BridgeError::Read(error)),
            }
        }
        Ok((last, is_overwritten))
    }

    /// Appends what one read of /dev/kmsg gave, unless it is in the ring already; in front of it, what the kernel lost.
    ///
    /// # Errors
    /// The ring refuses it, or where we are cannot be noted. Then it can be tried again.
    pub fn take(&mut self, read: &[u8]) -> Result<Taken, BridgeError> {
        let Some(record) = KernelRecord::parse(read) else { return Ok(Taken::Unreadable) };
        self.say_unsure()?;
        if record.seq < self.next {
            return Ok(Taken::Known);
        }
        if record.seq > self.next {
            self.say_lost(self.next, record.seq - 1, true)?;
        }
        let mut sheet = Sheet::new(self.log.max_body());
        if let Some(facility) = record.facility {
            sheet.add(b"facility", Value::Text(facility.as_bytes()));
        }
        sheet.add(KERNEL_SEQ, Value::Uint(record.seq));
        sheet.add(b"kernel_us", Value::Uint(record.us));
        if !matches!(record.flags, b"-" | b"") {
            sheet.add(b"kernel_flags", Value::Text(record.flags));
        }
        let pairs: Vec<_> = record.pairs().map(|(key, value)| (unescaped(key), unescaped(value))).collect();
        for (key, value) in &pairs {
            sheet.add(key, Value::Text(value));
        }
        self.append((record.seq, record.seq), record.level, sheet, &unescaped(record.text))?;
        Ok(Taken::Recorded)
    }

    /// Says of which records nobody knows.
    fn say_unsure(&mut self) -> Result<(), BridgeError> {
        if let Some((first, last)) = self.unsure {
            self.say_lost(first, last, false)?;
            self.unsure = None;
        }
        Ok(())
    }

    fn say_lost(&mut self, first: u64, last: u64, is_sure: bool) -> Result<(), BridgeError> {
        let count = last - first + 1;
        let mut sheet = Sheet::new(self.log.max_body());
        for (key, number) in [(&b"kernel_lost"[..], count), (b"kernel_first", first), (KERNEL_LAST, last)] {
            sheet.add(key, Value::Uint(number));
        }
        let text = match is_sure {
            true => format!("{count} kernel records lost (kernel sequence {first}..{last})"),
            false => format!("{count} kernel records may be lost (kernel sequence {first}..{last})"),
        };
        self.append((first, last), Level::WARN, sheet, text.as_bytes())
    }

    /// Appends a record that tells of kernel records from the first to the last of `these`, and notes it.
    fn append(&mut self, these: (u64, u64), level: Level, sheet: Sheet<'_>, text: &[u8]) -> Result<(), BridgeError> {
        self.note(these, false)?;
        let text_len = text.len().min(sheet.room);
        let is_cut = sheet.is_cut || text_len < text.len();
        let flags = if is_cut { Flags::PARTIAL } else { Flags::NONE };
        let draft = Draft { level, source: Source::Kmsg, flags, fields: &sheet.fields };
        let seq = self.log.append_for(&KERNEL, &draft, &[&text[..text_len]]).map_err(BridgeError::Refused)?;
        self.ring_seq = seq + 1;
        self.next = these.1.saturating_add(1);
        self.note(these, true)
    }

    fn note(&self, (first, last): (u64, u64), is_taken: bool) -> Result<(), BridgeError> {
        let ring_id = self.reader.identity().ring_id;
        let failed = |source| BridgeError::Place { path: place_of(self.log.path()), source };
        self.place.write(&Note { ring_id, first, last, is_taken, ring_seq: self.ring_seq }).map_err(failed)
    }

    /// Where the ring is.
    pub fn path(&self) -> &Path {
        self.log.path()
    }

    /// Does the ring still have its name? If not, nobody will look for records in it.
    ///
    /// # Errors
    /// The path cannot be looked at.
    pub fn is_current(&self) -> io::Result<bool> {
        self.reader.is_current()
    }
}

const KERNEL_SEQ: &[u8] = b"kernel_seq";
const KERNEL_LAST: &[u8] = b"kernel_last";

/// Up to which kernel record this record tells.
fn kernel_seq_of(record: &Record<'_>) -> Option<u64> {
    let mut fields = record.fields.filter_map(|field| match field {
        Field::KeyValue(KERNEL_SEQ | KERNEL_LAST, Value::Uint(seq)) => Some(seq),
        _ => None,
    });
    fields.next().filter(|_| record.source == Source::Kmsg)
}

/// The fields of one record, as far as they take half of it.
struct Sheet<'a> {
    fields: Vec<Field<'a>>,
    /// Bytes that are left, and bytes that have to be left for the text.
    room: usize,
    for_text: usize,
    is_cut: bool,
}

impl<'a> Sheet<'a> {
    fn new(max_body: usize) -> Self {
        Self { fields: Vec::new(), room: max_body.saturating_sub(BESIDE), for_text: max_body / 2, is_cut: false }
    }

    fn add(&mut self, key: &'a [u8], value: Value<'a>) {
        let len = match value {
            Value::Text(text) => text.len(),
            _ => size_of::<u64>(),
        };
        match self.room.checked_sub(HEADER + key.len() + len) {
            Some(room) if room >= self.for_text => {
                self.room = room;
                self.fields.push(Field::KeyValue(key, value));
            }
            _ => self.is_cut = true,
        }
    }
}

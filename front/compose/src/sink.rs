//! An open ring as front ends use it: records of any length go in, in pieces if need be, and nothing comes back.

use crate::sheet::Sheet;
use lapwing_ring::{Draft, Error, Field, Flags, Level, Location, Log, Purpose, Value};
use smallvec::SmallVec;
use std::fmt;
use std::panic::RefUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The longest text of one record, bytes, as everywhere in Lapwing.
const LONGEST_TEXT: usize = 8 << 10;
/// More than the ring puts in front of a writer's first record on a page, and of all fields, bytes.
const INTRODUCTION: usize = 64;
/// Kind and length of an encoded field, and the length of its key.
const HEADER: usize = 4;

/// A ring that is open for writing, for any number of threads.
///
/// Appending never blocks and never panics. What the ring refuses is counted here and in the ring. A forked child goes on
/// with the same sink: it takes writer slots of its own, and counts on from its parent's number.
pub struct Sink {
    log: Log,
    refused: AtomicU64,
}

impl Sink {
    /// Opens the default ring, and makes it if it is missing.
    ///
    /// # Errors
    /// As [`Location::open_log`].
    pub fn open() -> Result<Arc<Self>, Error> {
        Self::open_location(&Location::find(None, Purpose::Write))
    }

    /// Opens the ring `ring`: a path, or a bare name beside the default ring. There has to be one.
    ///
    /// # Errors
    /// As [`Location::open_log`].
    pub fn open_at(ring: impl AsRef<Path>) -> Result<Arc<Self>, Error> {
        Self::open_location(&Location::find(Some(ring.as_ref().as_os_str()), Purpose::Write))
    }

    fn open_location(location: &Location) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self { log: location.open_log()?, refused: AtomicU64::new(0) }))
    }

    /// Appends what is on `sheet`.
    ///
    /// A text longer than 8 KiB, or than a record of this ring can be, goes on in further records with the same tag, all but
    /// the last with the flag `cont`. Fields are in the first, as far as they take half of the longest record. If anything
    /// was cut, the last record has the flag `partial`. A record that is refused is no reason to leave out those behind it.
    pub fn append(&self, level: Level, sheet: &Sheet) {
        let mut labels = Labels::new(sheet.tag_bytes(), self.log.max_body() / 2);
        for (key, value) in sheet.fields() {
            labels.add(key, value);
        }
        let end = if sheet.is_cut() || labels.is_cut { Flags::PARTIAL } else { Flags::NONE };
        let (mut fields, mut beside) = (&labels.fields[..], labels.bytes);
        let mut rest = sheet.payload();
        loop {
            let limit = self.log.max_body().saturating_sub(INTRODUCTION + beside).min(LONGEST_TEXT);
            let (now, behind) = rest.split_at(boundary(rest, limit.max(4)));
            let flags = if behind.is_empty() { end } else { Flags::CONT };
            if self.log.append_slices(&Draft { flags, fields, ..Draft::new(level) }, &[now]).is_err() {
                self.refused.fetch_add(1, Relaxed);
            }
            if behind.is_empty() {
                return;
            }
            rest = behind;
            (fields, beside) = (&fields[..labels.tags.min(fields.len())], labels.tag_bytes);
        }
    }

    /// How many records of this process the ring refused; the ring's own count has everybody's, by cause.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Where the ring is.
    pub fn path(&self) -> &Path {
        self.log.path()
    }
}

// No code of others runs inside an append, so no panic leaves one half done.
impl RefUnwindSafe for Sink {}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("path", &self.path()).field("refused", &self.refused()).finish()
    }
}

/// The longest beginning of `text`, at most `limit` bytes, that ends between two characters.
fn boundary(text: &[u8], limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let is_boundary = |&i: &usize| text[i] & 0xc0 != 0x80;
    // No character has more than four bytes; what is no text is cut anywhere.
    (0..=limit).rev().take(4).find(is_boundary).unwrap_or(limit)
}

/// The tag, and as many fields as there is room for.
struct Labels<'a> {
    fields: SmallVec<[Field<'a>; 18]>,
    /// How many bytes they take, and how many are left.
    bytes: usize,
    room: usize,
    /// Of these, the tag: how many fields, how many bytes.
    tags: usize,
    tag_bytes: usize,
    is_cut: bool,
}

impl<'a> Labels<'a> {
    fn new(tag: &'a [u8], room: usize) -> Self {
        let mut labels = Self { fields: SmallVec::new(), bytes: 0, room, tags: 0, tag_bytes: 0, is_cut: false };
        if !tag.is_empty() {
            labels.push(Field::Tag(tag), tag.len());
            (labels.tags, labels.tag_bytes) = (1, labels.bytes);
        }
        labels
    }

    fn add(&mut self, key: &'a [u8], value: Value<'a>) {
        let Some(room) = self.room.checked_sub(HEADER + key.len()) else {
            self.is_cut = true;
            return;
        };
        match value {
            Value::Text(text) => {
                let len = boundary(text, room);
                self.is_cut |= len < text.len();
                self.push(Field::KeyValue(key, Value::Text(&text[..len])), key.len() + len);
            }
            _ if room < size_of::<u64>() => self.is_cut = true,
            _ => self.push(Field::KeyValue(key, value), key.len() + size_of::<u64>()),
        }
    }

    fn push(&mut self, field: Field<'a>, len: usize) {
        self.fields.push(field);
        self.bytes += HEADER + len;
        self.room = self.room.saturating_sub(HEADER + len);
    }
}

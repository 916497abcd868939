//! The records of one page: index entries, headers, fields, and that they lie one behind the other.

#![forbid(unsafe_code)]

use super::pages::{HEAD, PageWords, index_offset, offset_of_page};
use super::{Expected, Look, Tally, Words};
use crate::layout::{Geometry, PAGE_HEADER_WORDS, RECORD_HEADER_LEN, record_words};
use crate::record::{FIELDS_LEN, Flags, Meta, broken_field};
use crate::word::{EntryWord, LeftOut};

/// Pids and thread ids end here.
const MAX_PID: u32 = 1 << 22;
fn is_id(id: &u32) -> bool {
    (1..=MAX_PID).contains(id)
}

const HEADER_WORDS: u32 = record_words(0);

/// A page's words, copied, and where they are from.
struct PageCopy {
    words: Vec<u64>,
    epoch: u64,
    base: u64,
    /// Bytes from the start of the file.
    at: u64,
    geometry: Geometry,
    saved: bool,
}

/// The records up to the last committed one, and where they end.
struct Seen {
    count: u32,
    end: Place,
}

/// Where the next record begins, as far as that is known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Exactly(u32),
    AtLeast(u32),
}

impl PageCopy {
    fn entry(&self, i: u32) -> EntryWord {
        EntryWord::from_bits(self.words[PAGE_HEADER_WORDS + i as usize])
    }

    fn entry_at(&self, i: u32) -> u64 {
        index_offset(self.geometry, self.epoch) + 8 * i as u64
    }

    fn data(&self) -> &[u64] {
        &self.words[PAGE_HEADER_WORDS + self.geometry.index_len() as usize..]
    }

    /// Bytes from the start of the file to word `offset` of the data region.
    fn data_at(&self, offset: u32) -> u64 {
        self.at + 8 * (PAGE_HEADER_WORDS as u64 + self.geometry.index_len() as u64 + offset as u64)
    }

    fn is_committed(&self, i: u32) -> bool {
        self.entry(i).offset_in(self.epoch).is_some()
    }

    /// Words of the record at `offset`, by its own account.
    fn len_at(&self, offset: u32) -> Option<u32> {
        let meta = *self.data().get(offset as usize + 1)? as u32;
        Some(record_words((meta & 0x7fff) as usize).max(HEADER_WORDS))
    }

    /// Where entry `i` says that its record begins.
    fn offset(&self, i: u32) -> Option<u32> {
        if i < self.geometry.index_len() { self.entry(i).offset_in(self.epoch) } else { None }
    }

    /// Does something begin at `offset` that could be record `i`, and ends where the next one begins?
    fn is_plausible(&self, offset: u32, i: u32) -> bool {
        let ends = self.len_at(offset).map(|len| offset + len);
        if self.offset(i + 1).is_some_and(|next| ends != Some(next)) {
            return false;
        }
        let Some([_, meta, tid, ..]) = self.data().get(offset as usize..) else { return false };
        Meta::unpack(*meta as u32).is_some() && [(*meta >> 32) as u32, *tid as u32].iter().all(is_id)
    }

    /// Zero, or an entry of this page or of an earlier lap of its place, or what a saved ring has instead of one.
    fn is_entry(&self, entry: EntryWord) -> bool {
        if self.saved && LeftOut::is(entry) {
            return true;
        }
        let (bits, tag) = (entry.to_bits(), entry.tag());
        let behind = self.epoch.wrapping_sub(tag) & (u64::MAX >> 16);
        bits == 0
            || bits & 0xffff != 0
                && behind >> 47 == 0
                && self.geometry.physical(tag) == self.geometry.physical(self.epoch)
    }
}

impl Look {
    /// Looks at the records of `page`: `count` of them, or as many as there seem to be. Gives how many those are.
    pub(super) fn records(
        &mut self,
        words: &Words<'_>,
        geometry: Geometry,
        page: PageWords,
        count: Option<u32>,
        next_free: Option<u32>,
        tally: &mut Tally,
    ) -> u32 {
        let at = offset_of_page(geometry, page.epoch);
        let copied = words.words(at, geometry.page_words());
        let gone = |tally: &mut Tally| {
            tally.overwritten = tally.overwritten.saturating_add(count.unwrap_or(0) as u64);
            count.unwrap_or(0)
        };
        let Some(copied) = copied else {
            // Beyond the end of the file.
            tally.damaged += count.unwrap_or(0) as u64;
            return count.unwrap_or(0);
        };
        let (findings, holes, before) = (self.findings.len(), self.holes.len(), *tally);
        let copy = PageCopy { words: copied, epoch: page.epoch, base: page.base, at, geometry, saved: self.saved };
        let held = self.walk(words, &copy, count, next_free, tally);
        if words.word(at) == Some(page.epoch) {
            return held;
        }
        // Reused under our eyes.
        self.findings.truncate(findings);
        self.holes.truncate(holes);
        *tally = before;
        gone(tally)
    }

    fn walk(
        &mut self,
        words: &Words<'_>,
        page: &PageCopy,
        count: Option<u32>,
        next_free: Option<u32>,
        tally: &mut Tally,
    ) -> u32 {
        let index_len = page.geometry.index_len();
        let last = (0..index_len).rev().find(|&i| page.is_committed(i)).map_or(0, |i| i + 1);
        let mut seen = Seen { count: last, end: Place::Exactly(0) };
        let held = count.unwrap_or(last);
        let mut place = Place::Exactly(0);
        for i in 0..held {
            if i == last {
                seen.end = place;
            }
            let seq = page.base.wrapping_add(i as u64);
            let entry = page.entry(i);
            match entry.offset_in(page.epoch) {
                Some(offset) => match self.committed(page, i, offset, &mut place, next_free) {
                    true => tally.readable += 1,
                    false => tally.damaged += 1,
                },
                None => {
                    if page.is_entry(entry) {
                        tally.uncommitted += 1;
                        self.hole(seq, page.epoch, i);
                    } else {
                        tally.damaged += 1;
                        self.wrong_entry(page, i, entry, Some(seq));
                    }
                    let (Place::Exactly(from) | Place::AtLeast(from)) = place;
                    place = Place::AtLeast(from + HEADER_WORDS);
                }
            }
        }
        for i in held..index_len {
            let entry = page.entry(i);
            if !page.is_entry(entry) {
                self.wrong_entry(page, i, entry, None);
            }
        }
        // While HEAD moves, the page is ahead of what we know of it.
        if next_free.is_none() || words.word(HEAD) == Some(self.head) {
            self.end(page, held, seen, place, next_free);
        }
        held
    }

    /// Does the page end where HEAD, or the next page, says?
    fn end(&mut self, page: &PageCopy, held: u32, seen: Seen, place: Place, next_free: Option<u32>) {
        let Some(next_free) = next_free else {
            let (Place::Exactly(from) | Place::AtLeast(from)) = place;
            if seen.count > held {
                let last = seen.count - 1;
                let (entry, seq) = (page.entry(last).to_bits(), page.base.wrapping_add(last as u64));
                let expected = Expected::Rule("no record behind the last one of its page");
                self.wrong(page.entry_at(last), Some(seq), "an index entry", entry, expected);
            } else if from > page.geometry.data_words() {
                let expected = Expected::Rule("as many as it has room for");
                self.wrong(page.at, None, "the records of a page", held as u64, expected);
            }
            return;
        };
        let mut wrong = |what, found, expected| self.wrong(HEAD, None, what, found, expected);
        if seen.count > held {
            wrong("the count in HEAD", held as u64, Expected::AtLeast(seen.count as u64));
        } else if seen.count < held && seen.end == Place::Exactly(next_free) {
            wrong("the count in HEAD", held as u64, Expected::Exactly(seen.count as u64));
        } else {
            match place {
                Place::Exactly(from) if next_free != from => {
                    wrong("the next free word in HEAD", next_free as u64, Expected::Exactly(from as u64));
                }
                Place::AtLeast(from) if next_free < from => {
                    wrong("the next free word in HEAD", next_free as u64, Expected::AtLeast(from as u64));
                }
                _ => {}
            }
        }
    }

    fn wrong_entry(&mut self, page: &PageCopy, i: u32, entry: EntryWord, seq: Option<u64>) {
        let expected = Expected::Rule("0, or an entry of this page or of an earlier one in its place");
        self.wrong(page.entry_at(i), seq, "an index entry", entry.to_bits(), expected);
    }

    /// Is the committed record `i` of the page sound? Moves `place` behind it.
    fn committed(&mut self, page: &PageCopy, i: u32, offset: u32, place: &mut Place, free: Option<u32>) -> bool {
        let seq = Some(page.base.wrapping_add(i as u64));
        let data_words = page.geometry.data_words();
        let end = free.unwrap_or(data_words).min(data_words);
        let offset_at = page.entry_at(i);
        let mut wrong_offset = |expected| self.wrong(offset_at, seq, "the offset of a record", offset as u64, expected);
        let fits = offset + HEADER_WORDS <= end;
        let (from, right) = match *place {
            Place::Exactly(from) => (from, offset == from),
            Place::AtLeast(from) => (offset.max(from), offset >= from),
        };
        // Where a record's own length would end it, or where the one behind it begins.
        let next = page.offset(i + 1);
        if !fits || !right {
            wrong_offset(match *place {
                Place::Exactly(from) => Expected::Exactly(from as u64),
                Place::AtLeast(from) => Expected::Between(from as u64, end.saturating_sub(HEADER_WORDS) as u64),
            });
            // The record itself may be where it should be.
            *place = match page.len_at(from).map(|len| from + len).filter(|&behind| behind <= end) {
                Some(behind) if matches!(*place, Place::Exactly(_)) => Place::Exactly(behind),
                _ => Place::AtLeast((from + HEADER_WORDS).min(end)),
            };
            return false;
        }
        let sound = self.record(page, i, offset, end);
        *place = match page.len_at(offset).map(|len| offset + len) {
            Some(behind) if sound && behind <= end => Place::Exactly(behind),
            // Whatever its own length says, it ends where the next one begins.
            _ => next
                .filter(|&next| next > offset && next <= end)
                .map_or(Place::AtLeast(offset + HEADER_WORDS), Place::Exactly),
        };
        sound
    }

    fn record(&mut self, page: &PageCopy, i: u32, offset: u32, end: u32) -> bool {
        let (seq, next) = (Some(page.base.wrapping_add(i as u64)), page.offset(i + 1));
        let (at, data) = (page.data_at(offset), &page.data()[offset as usize..]);
        let bits = data[1] as u32;
        let len = (bits & 0x7fff) as usize;
        let words = record_words(len);
        let behind = offset + words;
        // Entries of different writers are committed in any order, but records lie in the order of the index.
        // If something begins where this one ends, it is the next entry that is wrong.
        let misses = |next: u32| next > offset && next != behind && next <= end && !page.is_plausible(behind, i + 1);
        let overlaps = next.is_some_and(misses);
        let (meta_at, before) = (at + 8, self.findings.len());
        if len > page.geometry.max_body() || behind > end || overlaps {
            let most = (page.geometry.max_body() as u64).min(((end - offset) * 8) as u64 - RECORD_HEADER_LEN as u64);
            let expected = match next.filter(|_| overlaps) {
                Some(next) if record_words(0) <= next - offset => {
                    let bytes = (next - offset) as u64 * 8 - RECORD_HEADER_LEN as u64;
                    Expected::Between(bytes.saturating_sub(7), bytes)
                }
                _ => Expected::AtMost(most),
            };
            self.wrong(meta_at, seq, "the length of a record", len as u64, expected);
            return false;
        }
        let bytes: &[u8] = bytemuck::cast_slice(&data[..words as usize]);
        let (body, padding) = bytes[RECORD_HEADER_LEN..].split_at(len);
        match Meta::unpack(bits) {
            None => {
                let (expected, found) = (Expected::Rule("a level of 1 to 24 and a known source"), bits >> 15 & 0x1ff);
                self.wrong(meta_at, seq, "the level and source of a record", found as u64, expected);
            }
            Some(meta) if meta.flags.has_unknown() => {
                let expected = Expected::Rule("flags that have a name");
                self.wrong(meta_at, seq, "the flags of a record", meta.flags.bits() as u64, expected);
            }
            Some(meta) if meta.flags.contains(Flags::FIELDS) => self.fields(at, seq, body),
            Some(_) => {}
        }
        for (id, offset) in [((data[1] >> 32) as u32, 12), (data[2] as u32, 16)] {
            if !is_id(&id) {
                let what = if offset == 12 { "the pid of a record" } else { "the thread of a record" };
                self.wrong(at + offset, seq, what, id as u64, Expected::Between(1, MAX_PID as u64));
            }
        }
        if let Some(byte) = padding.iter().position(|&byte| byte != 0) {
            let at = at + (RECORD_HEADER_LEN + len + byte) as u64;
            self.wrong(at, seq, "a byte behind a record", padding[byte] as u64, Expected::Exactly(0));
        }
        self.findings.len() == before
    }

    fn fields(&mut self, at: u64, seq: Option<u64>, body: &[u8]) {
        let at = at + RECORD_HEADER_LEN as u64;
        let Some((&len, rest)) = body.split_first_chunk::<FIELDS_LEN>() else {
            let expected = Expected::AtLeast(FIELDS_LEN as u64);
            return self.wrong(at, seq, "the length of a body with fields", body.len() as u64, expected);
        };
        let len = u16::from_le_bytes(len) as usize;
        let Some(fields) = rest.get(..len) else {
            let expected = Expected::AtMost(rest.len() as u64);
            return self.wrong(at, seq, "the length of a record's fields", len as u64, expected);
        };
        if let Some(broken) = broken_field(fields) {
            let (at, kind) = (at + (FIELDS_LEN + broken) as u64, fields[broken]);
            let expected = Expected::Rule("a field that ends where the fields do, with data of its kind");
            self.wrong(at, seq, "a field of the kind", kind as u64, expected);
        }
    }
}

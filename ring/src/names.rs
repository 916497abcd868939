//! Who wrote a record. A process introduces itself once on every page of the ring, so a reader has to remember.

#![forbid(unsafe_code)]

use crate::error::ReadError;
use crate::follow::Reader;
use crate::reader::{Read, Seek};
use crate::record::{Field, Fields, Flags, Record};
use crate::stat::WriterStat;
use std::collections::HashMap;

/// The process behind a record, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Who<'a> {
    /// Its name, any bytes; `?` where nobody knows.
    pub comm: &'a [u8],
    /// The user it runs as.
    pub uid: Option<u32>,
}

struct Known {
    comm: Vec<u8>,
    uid: Option<u32>,
}

const UNKNOWN: &[u8] = b"?";

impl Known {
    #[inline(always)]
    fn who(&self) -> Who<'_> {
        Who { comm: if self.comm.is_empty() { UNKNOWN } else { &self.comm }, uid: self.uid }
    }
}

/// A reader that follows for months meets more processes than it should remember; they introduce themselves again.
const REMEMBERED: usize = 1 << 16;

/// Processes that are found without hashing: few write at a time, and their pids tend to be neighbours.
const RECENT: usize = 64;

/// What a reader has learned of the processes that write.
pub struct Names {
    known: Vec<Known>,
    /// Places in `known`.
    by_pid: HashMap<u32, usize>,
    /// The process met last of those whose pids have the same low bits, and its place.
    recent: [Option<(u32, usize)>; RECENT],
    /// A process was met that never introduced itself: its writer slot may tell.
    ask: bool,
}

impl Default for Names {
    fn default() -> Self {
        Self { known: Vec::new(), by_pid: HashMap::new(), recent: [None; RECENT], ask: false }
    }
}

impl Names {
    /// Notes what `record` says of its writer. Every record that is read has to come by here, in order.
    #[inline(always)]
    pub fn learn(&mut self, record: &Record<'_>) {
        if record.flags.contains(Flags::FIELDS) {
            self.learn_fields(record.pid, record.fields);
        }
    }

    /// An introduction: the name and user that stand in front of a start time. Fields of the record's own come later.
    fn learn_fields(&mut self, pid: u32, fields: Fields<'_>) {
        if !fields.into_iter().any(|field| matches!(field, Field::Start(_))) {
            return;
        }
        let comm = fields.into_iter().find_map(|field| match field {
            Field::Comm(comm) => Some(comm),
            _ => None,
        });
        let uid = fields.into_iter().find_map(|field| match field {
            Field::Uid(uid) => Some(uid),
            _ => None,
        });
        if let Some(comm) = comm {
            self.remember(pid, comm, uid);
        }
    }

    /// Learns from the records around `seq`, and leaves `reader` in front of it. Counts of the reader start anew.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn learn_around(&mut self, reader: &mut Reader, seq: u64) -> Result<(), ReadError> {
        self.ask = true;
        // Writers introduce themselves on every page, but the one that opens a page does so in its second record there.
        // So: from in front of the page to behind it.
        let oldest = reader.bounds()?.oldest_seq;
        let page = reader.identity().geometry.index_len() as u64;
        let (from, to) = (seq.saturating_sub(page).max(oldest), seq.max(oldest).saturating_add(page));
        reader.seek(Seek::Seq(from))?;
        while reader.seq() < to {
            match reader.next() {
                Ok(Read::Record(record)) => self.learn(&record),
                Ok(Read::NotYet { .. }) => break,
                Ok(_) => {}
                Err(ReadError::BadRecord { .. }) => {}
                // To be said when the reader comes here.
                Err(_) => break,
            }
        }
        reader.seek(Seek::Seq(seq))?;
        Ok(())
    }

    /// Records were lost, and introductions may have been among them.
    pub fn lost(&mut self) {
        self.ask = true;
    }

    /// Looks into the ring's table of writers, if there is something that only it may know. What records said comes
    /// first.
    ///
    /// # Errors
    /// The ring is damaged.
    #[inline]
    pub fn ask(&mut self, reader: &Reader) -> Result<(), ReadError> {
        if self.ask {
            self.learn_table(&reader.stat()?.writers);
        }
        Ok(())
    }

    fn learn_table(&mut self, writers: &[WriterStat]) {
        for writer in writers {
            if self.find(writer.pid).is_none_or(|place| self.known[place].comm.is_empty()) {
                self.remember(writer.pid, &writer.comm, Some(writer.uid));
            }
        }
        self.ask = false;
    }

    /// Where `pid` stands in `known`.
    #[inline]
    fn find(&mut self, pid: u32) -> Option<usize> {
        let recent = &mut self.recent[pid as usize % RECENT];
        match *recent {
            Some((found, place)) if found == pid => Some(place),
            _ => {
                let place = *self.by_pid.get(&pid)?;
                *recent = Some((pid, place));
                Some(place)
            }
        }
    }

    fn remember(&mut self, pid: u32, comm: &[u8], uid: Option<u32>) -> usize {
        let place = self.find(pid).unwrap_or_else(|| {
            if self.known.len() >= REMEMBERED {
                self.known.clear();
                self.by_pid.clear();
                self.recent = [None; RECENT];
            }
            let place = self.known.len();
            self.known.push(Known { comm: Vec::new(), uid });
            self.by_pid.insert(pid, place);
            place
        });
        let known = &mut self.known[place];
        known.uid = uid;
        known.comm.clear();
        known.comm.extend_from_slice(comm);
        place
    }

    /// Who wrote `record`. What the record itself says comes before what its process said earlier.
    #[inline(always)]
    pub fn who<'a>(&'a mut self, record: &Record<'a>) -> Who<'a> {
        if !record.flags.contains(Flags::FIELDS)
            && let Some(place) = self.find(record.pid)
        {
            return self.known[place].who();
        }
        self.who_else(record.pid, record.fields)
    }

    fn who_else<'a>(&'a mut self, pid: u32, fields: Fields<'a>) -> Who<'a> {
        let (mut comm, mut uid) = (None, None);
        for field in fields {
            match field {
                Field::Comm(name) => comm = Some(name),
                Field::Uid(id) => uid = Some(id),
                _ => {}
            }
        }
        let place = match self.find(pid) {
            Some(place) => Some(place),
            None if comm.is_some() => None,
            None => {
                // Remembered as unknown, so that the table is asked once.
                self.ask = true;
                Some(self.remember(pid, b"", None))
            }
        };
        let known = place.map_or(Who { comm: UNKNOWN, uid: None }, |place| self.known[place].who());
        let comm = comm.map_or(known.comm, |comm| if comm.is_empty() { UNKNOWN } else { comm });
        Who { comm, uid: uid.or(known.uid) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use crate::record::Source;

    fn record(pid: u32) -> Record<'static> {
        Record {
            seq: 0,
            mono_ns: 0,
            real_ns: 0,
            pid,
            tid: pid,
            level: Level::INFO,
            source: Source::Api,
            flags: Flags::NONE,
            fields: Fields::default(),
            payload: b"",
        }
    }

    #[test]
    fn processes_keep_their_names_apart_however_many_write_in_turn() {
        let mut names = Names::default();
        let pids = || (1..200u32).chain((1..200).map(|pid| pid * RECENT as u32));
        for pid in pids() {
            names.remember(pid, format!("p{pid}").as_bytes(), Some(pid));
        }
        for pid in pids().chain(pids()) {
            let (record, name) = (record(pid), format!("p{pid}"));
            assert_eq!(names.who(&record), Who { comm: name.as_bytes(), uid: Some(pid) });
        }
        names.remember(64, b"renamed", None);
        assert_eq!(names.who(&record(64)), Who { comm: b"renamed", uid: None });
        assert!(!names.ask);
        assert_eq!(names.who(&record(63 * 1000)), Who { comm: b"?", uid: None });
        assert!(names.ask, "a stranger may stand in the table");
    }

    #[test]
    fn who_remembers_no_more_than_it_should_forgets_all_and_learns_anew() {
        let mut names = Names::default();
        let (last, next) = (REMEMBERED as u32 - 1, REMEMBERED as u32);
        for pid in 0..=last {
            names.remember(pid, b"old", None);
        }
        assert_eq!(names.who(&record(last)).comm, b"old");
        names.remember(next, b"new", None);
        assert_eq!(names.known.len(), 1);
        assert_eq!(names.who(&record(next)).comm, b"new");
        assert_eq!(names.who(&record(last)).comm, b"?", "the place of who is forgotten is not looked at");
    }
}

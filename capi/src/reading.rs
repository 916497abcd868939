//! The reader behind the functions: the ring's, with what C asks of it beside.
#![allow(non_camel_case_types, reason = "names of the header")]

use crate::error::lapwing_error::{self, LAPWING_E_OS};
use crate::record::{LAPWING_NO_UID, lapwing_gap_kind, lapwing_gap_t, lapwing_record_t};
use lapwing_ring::{Field, Flags, Gap, Names, Read, ReadError, Reader, Record, Seek, Watch};

/// A ring that is open for reading, and a place in it.
pub struct lapwing_reader_t {
    pub(crate) reader: Reader,
    names: Names,
    pub(crate) watch: Option<Watch>,
    /// The sequence behind the last record that was handed out.
    pub(crate) expected: u64,
    /// What the last record's pointers point to.
    bytes: Vec<u8>,
}

/// What a step of a reader came to.
pub(crate) enum Found {
    NotYet,
    Record(lapwing_record_t),
    Gap(lapwing_gap_t),
}

// One thread may open it, and another go on with it.
const _: () = {
    const fn goes_to_other_threads<T: Send>() {}
    goes_to_other_threads::<lapwing_reader_t>();
};

impl lapwing_reader_t {
    pub(crate) fn new(mut reader: Reader) -> Result<Self, ReadError> {
        let mut names = Names::default();
        names.learn_around(&mut reader, 0)?;
        Ok(Self { reader, names, watch: None, expected: 0, bytes: Vec::new() })
    }

    pub(crate) fn next(&mut self) -> Result<Found, lapwing_error> {
        self.names.ask(&self.reader)?;
        let (kind, gap) = match self.reader.next() {
            Ok(Read::Record(record)) => {
                let found = dress(&record, &mut self.names, self.expected, &mut self.bytes);
                self.expected = record.seq.wrapping_add(1);
                return Ok(Found::Record(found));
            }
            Ok(Read::NotYet { .. }) => {
                self.rearm()?;
                return Ok(Found::NotYet);
            }
            Ok(Read::Lost(gap)) => {
                self.names.lost();
                (lapwing_gap_kind::LAPWING_LOST, gap)
            }
            Ok(Read::Abandoned(gap)) => (lapwing_gap_kind::LAPWING_ABANDONED, gap),
            Ok(Read::Stalled(gap)) => (lapwing_gap_kind::LAPWING_STALLED, gap),
            Err(ReadError::BadRecord { seq }) => (lapwing_gap_kind::LAPWING_DAMAGED, Gap { first: seq, count: 1 }),
            Err(error) => return Err(error.into()),
        };
        Ok(Found::Gap(lapwing_gap_t { first: gap.first, count: gap.count, kind: kind as u32, size: 0 }))
    }

    pub(crate) fn seek(&mut self, to: Seek) -> Result<(), lapwing_error> {
        let place = self.reader.seek(to)?;
        match to {
            // From the beginning of a page all are introduced, but for the first perhaps.
            Seek::Oldest => self.names.lost(),
            Seek::Newest | Seek::Seq(_) => self.names.learn_around(&mut self.reader, place)?,
        }
        self.expected = place;
        self.rearm()
    }

    pub(crate) fn rearm(&self) -> Result<(), lapwing_error> {
        let rearmed = self.watch.as_ref().map_or(Ok(()), |watch| watch.rearm(&self.reader));
        rearmed.map_err(|_| LAPWING_E_OS)
    }
}

/// The record as C has it, with its texts in `bytes`.
fn dress(record: &Record<'_>, names: &mut Names, expected: u64, bytes: &mut Vec<u8>) -> lapwing_record_t {
    names.learn(record);
    let who = names.who(record);
    let tag = record.fields.into_iter().find_map(|field| match field {
        Field::Tag(tag) => Some(tag),
        _ => None,
    });
    let texts = [record.payload, who.comm, tag.unwrap_or_default()];
    bytes.clear();
    let places = texts.map(|text| {
        let place = bytes.len();
        bytes.extend_from_slice(text);
        bytes.push(0);
        place
    });
    // A record is shorter than 32 KiB.
    let [length, comm_length, tag_length] = texts.map(|text| text.len() as u32);
    let [data, comm, tag] = places.map(|place| bytes[place..].as_ptr().cast());
    lapwing_record_t {
        sequence: record.seq,
        mono_ns: record.mono_ns,
        real_ns: record.real_ns,
        pid: record.pid,
        tid: record.tid,
        level: record.level.number(),
        source: record.source as u8,
        // That there are fields says how it is stored, and not what it is.
        flags: (record.flags.bits() & !Flags::FIELDS.bits()).into(),
        length,
        data,
        size: 0,
        uid: who.uid.unwrap_or(LAPWING_NO_UID),
        rolled_out: record.seq.wrapping_sub(expected),
        comm,
        tag,
        comm_length,
        tag_length,
    }
}

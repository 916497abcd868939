//! The reading role: follows a ring in one of many manners and writes down all it gets.

use crate::dice::Dice;
use crate::journal::{
    ABANDONED, Control, FINISHED, LEFT, LOST, MOVED, READERS_END, RECORD, RUN, ReaderJournal, STALLED, TIMES,
};
use crate::payload::hash_read;
use crate::{os, trouble};
use lapwing_ring::{Access, Body, Error, Gap, Read, ReadError, Reader, Seek};
use std::path::Path;
use std::time::Duration;

/// The exit status of a reader that found its ring damaged.
pub(crate) const DAMAGED: i32 = 87;

/// How a reader behaves.
struct Manner {
    patience: Duration,
    /// It sleeps so long, at most, after so many records.
    rest: Option<(u64, u64)>,
    /// It leaves after so many records.
    life: u64,
    batch: u64,
}

/// Ends when the control file says so, or earlier.
pub(crate) fn main(folder: &Path, control: &'static Control, cell: usize, seed: u64) {
    let mut dice = Dice::new(seed);
    let access = dice.of(&[Access::Mapped, Access::Mapped, Access::Copied]);
    let mut reader = loop {
        match Reader::open_with(&folder.join("ring"), access) {
            Ok(reader) => break reader,
            Err(Error::NotFound { .. }) if control.phase() == RUN => os::nap(200_000),
            Err(Error::NotFound { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    };
    reader.set_copy_body(dice.of(&[Body::Words, Body::Wide]));
    let hour = Duration::from_secs(3600);
    let micros = Duration::from_micros;
    let manner = Manner {
        patience: dice.of(&[
            Duration::ZERO,
            Duration::ZERO,
            micros(50),
            micros(1000),
            micros(20_000),
            micros(1_000_000),
            hour,
        ]),
        rest: dice.of(&[None, None, None, Some((100, 1_000_000)), Some((2000, 30_000_000))]),
        life: dice.of(&[u64::MAX, u64::MAX, 1000, 100_000]),
        batch: dice.of(&[1, 16, 256]),
    };
    reader.set_patience(manner.patience);
    reader.set_spin(dice.one_in(4));
    let _page = trouble::expect_alarms(dice.next(), 300_000);
    let patience = manner.patience.as_nanos() as u64;
    let mut follow = Follow::new(reader, &control.new_journal(folder), cell, patience);
    match dice.below(4) {
        0 => {}
        1 => or_die(follow.seek(Seek::Newest)),
        2 => or_die(follow.seek(Seek::Oldest)),
        _ => {
            let next = follow.reader.bounds().map_or(0, |bounds| bounds.next_seq);
            or_die(follow.seek(Seek::Seq(dice.below(next + 10))));
        }
    }
    let mut taken = 0;
    loop {
        // Asked before the look: what was written before the end is found by a look after it.
        let ending = control.phase() == READERS_END;
        let got = or_die(trouble::exposed(|| follow.take(manner.batch)));
        taken += got.records;
        if got.idle && ending {
            return follow.close(FINISHED);
        }
        if follow.journal.is_full() || (taken >= manner.life && !ending) {
            return follow.close(LEFT);
        }
        if !ending && dice.one_in(20_000) {
            or_die(follow.seek(dice.of(&[Seek::Oldest, Seek::Newest, Seek::Seq(0)])));
        }
        if got.records == 0 {
            follow.reader.pause();
        }
        if let Some((records, ns)) = manner.rest
            && !ending
            && taken % records < manner.batch
        {
            os::nap(dice.below(ns));
        }
    }
}

/// A damaged ring ends this process with a status that the director knows.
fn or_die<R>(result: Result<R, ReadError>) -> R {
    result.unwrap_or_else(|error| {
        eprintln!("reader, process {}: {error}", os::pid());
        std::process::exit(DAMAGED)
    })
}

/// Reads a ring in which nobody writes any more, from `from` to its end. Gives the reader back.
///
/// # Errors
/// The ring is damaged.
pub(crate) fn read_out(reader: Reader, journal: &Path, cell: usize, from: Seek) -> Result<Reader, ReadError> {
    let mut follow = Follow::new(reader, journal, cell, 1_000_000_000);
    follow.seek(from)?;
    let since = os::now();
    let how = loop {
        if follow.take(1000)?.idle {
            break FINISHED;
        }
        // Too full to go on, or somebody stands in flight for ever.
        if follow.journal.is_full() || os::now() - since > 30_000_000_000 {
            break LEFT;
        }
        follow.reader.pause();
    };
    follow.close(how);
    Ok(follow.reader)
}

struct Follow {
    reader: Reader,
    journal: ReaderJournal,
    /// When the next sequence was first found in flight; 0: it was not.
    waiting_since: u64,
}

struct Taken {
    records: u64,
    /// Nothing more, and nothing in flight.
    idle: bool,
}

impl Follow {
    fn new(reader: Reader, journal: &Path, cell: usize, patience: u64) -> Self {
        let identity = *reader.identity();
        let mut journal = ReaderJournal::create(journal, cell, identity.ring_id, patience);
        journal.push(0, 0, 0, MOVED);
        Self { reader, journal, waiting_since: 0 }
    }

    fn seek(&mut self, to: Seek) -> Result<(), ReadError> {
        let seq = self.reader.seek(to)?;
        self.journal.push(seq, 0, 0, MOVED);
        self.waiting_since = 0;
        Ok(())
    }

    fn close(&self, how: u64) {
        let counts = self.reader.counts();
        self.journal.close(how, self.reader.seq(), [counts.read, counts.lost, counts.abandoned, counts.stalled]);
    }

    /// Up to `limit` records and gaps.
    fn take(&mut self, limit: u64) -> Result<Taken, ReadError> {
        let mut records = 0;
        for _ in 0..limit {
            if self.journal.is_full() {
                break;
            }
            let before = os::now();
            let (what, gap): (u64, Gap) = match self.reader.next()? {
                Read::Record(record) => {
                    let who = record.pid as u64 | (record.tid as u64) << 32;
                    self.journal.push(record.seq, hash_read(&record), who, RECORD | (record.payload.len() as u64) << 8);
                    self.waiting_since = 0;
                    records += 1;
                    continue;
                }
                Read::NotYet { in_flight } => {
                    if in_flight && self.waiting_since == 0 {
                        self.waiting_since = before;
                    }
                    return Ok(Taken { records, idle: !in_flight });
                }
                Read::Lost(gap) => (LOST, gap),
                Read::Abandoned(gap) => (ABANDONED, gap),
                Read::Stalled(gap) => (STALLED, gap),
            };
            let since = if self.waiting_since == 0 { before } else { self.waiting_since };
            self.journal.push(gap.first, gap.count, before, what);
            self.journal.push(os::now(), since, 0, TIMES);
            self.waiting_since = 0;
            records += 1;
        }
        Ok(Taken { records, idle: false })
    }
}

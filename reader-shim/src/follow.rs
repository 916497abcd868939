//! The walk along a ring that every reading command makes.

use crate::loss::{Loss, LossKind};
use lapwing_ring::{Bounds, Gap, Names, Read, ReadError, Reader, Record, Seek, Who};
use std::io;
use std::time::Duration;

/// What a walk comes by.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Item<'a> {
    Record(Record<'a>, Who<'a>),
    Loss(Loss),
    /// A record that is damaged; it is part of a loss too.
    Damage(ReadError),
}

/// What one step came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// A record or a gap was passed.
    Moved,
    /// A record is in flight.
    Waiting,
    /// There is nothing to read: this is the end of the log now.
    End,
}

/// Why a walk ended.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The ring is damaged.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was read could not be handed on.
    #[error(transparent)]
    Write(#[from] io::Error),
}

/// A reader that knows names and joins gaps.
pub struct Follow {
    reader: Reader,
    names: Names,
    /// A loss that the next gap may still prolong.
    loss: Option<Loss>,
}

impl Follow {
    /// Walks with `reader`, from where it stands.
    pub fn new(reader: Reader) -> Self {
        Self { reader, names: Names::default(), loss: None }
    }

    /// Stands before `seq`, knowing the names of those who wrote around it. What is overwritten already will be lost.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn start_at(&mut self, seq: u64) -> Result<(), ReadError> {
        self.loss = None;
        self.names.learn_around(&mut self.reader, seq)
    }

    /// The first sequence to look at for what was written at `real_ns`, nanoseconds of the Unix epoch, or later: at most two
    /// pages in front of it, and so for all of the log at the price of a few records. The walk stands elsewhere afterwards.
    ///
    /// Where the clock was set back while the log was written, it may be a later place that has this time too.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn first_since(&mut self, real_ns: i64) -> Result<u64, ReadError> {
        let Bounds { oldest_seq, next_seq } = self.reader.bounds()?;
        let page = self.reader.identity().geometry.index_len() as u64;
        let (mut low, mut high) = (oldest_seq, next_seq);
        while high - low > page {
            let middle = low + (high - low) / 2;
            match self.newest_near(middle)? {
                Some(newest) if newest < real_ns => low = middle,
                _ => high = middle,
            }
        }
        Ok(low.saturating_sub(page).max(oldest_seq))
    }

    /// The newest time among some records from `seq` on. Single ones may be older than those in front of them: who is
    /// stopped between asking for the time and appending appends late.
    fn newest_near(&mut self, seq: u64) -> Result<Option<i64>, ReadError> {
        self.reader.seek(Seek::Seq(seq))?;
        let mut newest = None;
        for _ in 0..16 {
            match self.reader.next() {
                Ok(Read::Record(record)) => newest = newest.max(Some(record.real_ns)),
                Ok(Read::NotYet { .. }) => break,
                Ok(_) | Err(ReadError::BadRecord { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    /// The reader it walks with.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The next sequence.
    pub fn seq(&self) -> u64 {
        self.reader.seq()
    }

    /// Every record in front of this sequence was handed on, as itself or as part of a loss. Less than [`Follow::seq`] while
    /// a loss is held back.
    pub fn passed(&self) -> u64 {
        self.loss.map_or(self.seq(), |loss| loss.gap.first)
    }

    /// The ends of the log now.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn bounds(&self) -> Result<Bounds, ReadError> {
        self.reader.bounds()
    }

    /// Waits a little; see [`Reader::pause`].
    pub fn pause(&mut self) {
        self.reader.pause();
    }

    /// As [`Follow::pause`], for `limit` at most; see [`Reader::pause_at_most`].
    pub fn pause_at_most(&mut self, limit: Duration) {
        self.reader.pause_at_most(limit);
    }

    /// Reads once and hands on what there is: at most one loss and the record behind it.
    ///
    /// Neighbouring gaps of one kind are handed on as one loss, when something else follows or nothing is in flight.
    ///
    /// # Errors
    /// The ring is damaged, or what `each` said.
    #[inline]
    pub fn step(&mut self, each: impl FnMut(Item<'_>) -> io::Result<()>) -> Result<Progress, FollowError> {
        self.names.ask(&self.reader)?;
        if let Some(record) = self.reader.next_record() {
            return hand_on(&mut self.loss, &mut self.names, record, each);
        }
        self.step_else(each)
    }

    /// [`Follow::step`] where the next record cannot be had at once.
    #[cold]
    fn step_else(&mut self, mut each: impl FnMut(Item<'_>) -> io::Result<()>) -> Result<Progress, FollowError> {
        let read = match self.reader.next() {
            Err(error @ ReadError::BadRecord { seq }) => {
                each(Item::Damage(error))?;
                Read::Lost(Gap { first: seq, count: 1 })
            }
            read => read?,
        };
        let (kind, gap) = match read {
            Read::Record(record) => return hand_on(&mut self.loss, &mut self.names, record, each),
            Read::NotYet { in_flight } => {
                if in_flight {
                    return Ok(Progress::Waiting);
                }
                self.finish(each)?;
                return Ok(Progress::End);
            }
            Read::Lost(gap) => {
                self.names.lost();
                (LossKind::Lost, gap)
            }
            Read::Abandoned(gap) => (LossKind::Abandoned, gap),
            Read::Stalled(gap) => (LossKind::Stalled, gap),
        };
        let found = Loss { kind, gap };
        if !self.loss.as_mut().is_some_and(|loss| loss.extend(found))
            && let Some(loss) = self.loss.replace(found)
        {
            each(Item::Loss(loss))?;
        }
        Ok(Progress::Moved)
    }

    /// Hands on the loss that is still held back.
    ///
    /// # Errors
    /// What `each` said.
    pub fn finish(&mut self, mut each: impl FnMut(Item<'_>) -> io::Result<()>) -> io::Result<()> {
        self.loss.take().map_or(Ok(()), |loss| each(Item::Loss(loss)))
    }
}

/// Hands on the loss in front of `record`, if there is one, and the record. Inlined for the same reason as
/// [`Reader::next_record`].
#[inline(always)]
fn hand_on(
    loss: &mut Option<Loss>,
    names: &mut Names,
    record: Record<'_>,
    mut each: impl FnMut(Item<'_>) -> io::Result<()>,
) -> Result<Progress, FollowError> {
    if let Some(loss) = loss.take() {
        each(Item::Loss(loss))?;
    }
    names.learn(&record);
    each(Item::Record(record, names.who(&record)))?;
    Ok(Progress::Moved)
}

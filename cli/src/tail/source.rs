//! One ring as `lapwing tail` reads it: the walk along it, what of it is wanted, and how it is rendered.

use super::legible::Legible;
use crate::failure::{Failure, say};
use lapwing_reader_shim::{Filter, Follow, Item, Loss, LossKind, Progress, Renderer};
use lapwing_ring::{ReadError, Reader, Record};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub struct Source {
    /// Its place among the rings that were named.
    pub number: usize,
    path: PathBuf,
    pub pace: Arc<Pace>,
    pub follow: Follow,
    pub renderer: Renderer,
    pub gate: Gate,
    legible: Legible,
}

/// How far the walk is, for whoever watches it.
#[derive(Default)]
pub struct Pace {
    pub at: AtomicU64,
    /// Counts the rings that had this path.
    pub ring_number: AtomicU64,
}

/// What of a ring was asked for, beside what the filter says.
pub struct Gate {
    /// Where the last run ended, if that is known.
    pub resume_at: Option<u64>,
    /// Nothing in front of this sequence. A log can be shorter than `--from-seq` or a cursor says.
    pub from_seq: u64,
    /// Nothing that was written before this time; nanoseconds of the Unix epoch, as all times here.
    pub since: Option<i64>,
    /// Nothing that was written later.
    pub until: Option<i64>,
    /// Was what is overwritten already asked for? Not where only what exists was.
    pub from_start: bool,
    /// It was, or a record has come by: from here on it is a loss.
    overwritten_counts: bool,
    /// A record that is not older than `since` has come by.
    in_time: bool,
    /// The first record that is later than `until`.
    late: Option<u64>,
    /// A damaged record was met.
    damaged: bool,
}

impl Gate {
    pub fn new(since: Option<i64>, until: Option<i64>) -> Self {
        Self {
            resume_at: None,
            from_seq: 0,
            since,
            until,
            from_start: true,
            overwritten_counts: true,
            in_time: true,
            late: None,
            damaged: false,
        }
    }

    /// A walk begins, perhaps not the first one.
    pub fn begin(&mut self) {
        self.overwritten_counts = self.from_start;
        self.in_time = self.since.is_none();
        self.late = None;
    }

    /// From now on every loss counts: what is overwritten was there to be read.
    pub fn count_all(&mut self) {
        self.overwritten_counts = true;
        self.in_time = true;
    }

    fn wants(&mut self, filter: &Filter, item: &Item<'_>) -> bool {
        match item {
            Item::Record(record, who) => self.has(record) && filter.wants(record, who),
            Item::Loss(loss) => self.counts(loss),
            Item::Damage(error) => {
                self.say_damage(error);
                false
            }
        }
    }

    fn has(&mut self, record: &Record<'_>) -> bool {
        let early = self.since.is_some_and(|since| record.real_ns < since);
        let late = self.until.is_some_and(|until| record.real_ns > until);
        self.in_time |= !early;
        self.overwritten_counts |= self.in_time;
        if late && self.late.is_none() {
            self.late = Some(record.seq);
        }
        record.seq >= self.from_seq && !early && !late
    }

    fn counts(&self, loss: &Loss) -> bool {
        self.in_time && self.late.is_none() && (self.overwritten_counts || loss.kind != LossKind::Lost)
    }

    /// Says so once: a damaged ring can have a great many of them.
    fn say_damage(&mut self, error: &ReadError) {
        if !std::mem::replace(&mut self.damaged, true) {
            say(format_args!("{error}; it is counted as lost, as are others like it"));
        }
    }
}

impl Source {
    pub fn new(number: usize, reader: Reader, renderer: Renderer, gate: Gate, mut legible: Legible) -> Self {
        legible.look_at(&reader);
        Self {
            number,
            path: reader.path().to_owned(),
            pace: Arc::default(),
            follow: Follow::new(reader),
            renderer,
            gate,
            legible,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes on with another ring of the same path, from its beginning.
    pub fn replace(&mut self, reader: Reader) -> Result<(), Failure> {
        self.legible.look_at(&reader);
        self.follow = Follow::new(reader);
        self.gate.from_seq = 0;
        self.start_at(0)?;
        self.pace.ring_number.fetch_add(1, Relaxed);
        Ok(())
    }

    pub fn start_at(&mut self, seq: u64) -> Result<(), Failure> {
        let started = self.follow.start_at(seq).map_err(|source| Failure::Read { path: self.path.clone(), source });
        self.pace.at.store(self.follow.seq(), Relaxed);
        started
    }

    /// The first sequence to look at for what was written since [`Gate::since`]; what is in front of it is older.
    pub fn first_since(&mut self) -> Result<Option<u64>, Failure> {
        let Some(since) = self.gate.since else { return Ok(None) };
        let found = self.follow.first_since(since);
        found.map(Some).map_err(|source| Failure::Read { path: self.path.clone(), source })
    }

    /// The oldest sequence that can be read, and the one behind the newest.
    pub fn bounds(&self) -> Result<(u64, u64), Failure> {
        let bounds = self.follow.bounds().map_err(|source| Failure::Read { path: self.path.clone(), source })?;
        Ok((bounds.oldest_seq, bounds.next_seq))
    }

    /// Reads once, and hands on what is wanted of it.
    pub fn step(
        &mut self,
        filter: &Filter,
        mut each: impl FnMut(&mut Renderer, &Item<'_>) -> io::Result<()>,
    ) -> Result<Progress, Failure> {
        let Self { path, pace, follow, renderer, gate, legible, .. } = self;
        let take = |item: &Item<'_>| if gate.wants(filter, item) { each(renderer, item) } else { Ok(()) };
        let stepped = legible.step(follow, take);
        pace.at.store(follow.seq(), Relaxed);
        stepped.map_err(|error| Failure::follow(path.clone())(error))
    }

    /// Hands on the loss that is still held back.
    pub fn finish(
        &mut self,
        filter: &Filter,
        mut each: impl FnMut(&mut Renderer, &Item<'_>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let Self { follow, renderer, gate, .. } = self;
        let finished = follow.finish(|item| if gate.wants(filter, &item) { each(renderer, &item) } else { Ok(()) });
        finished.map_err(Failure::Output)
    }

    /// Is nothing that is still wanted to be expected further on? Writers who append at the same time may be a little out of
    /// order, so a page later than the first record that is too late.
    pub fn is_over(&self) -> bool {
        let page = self.follow.reader().identity().geometry.index_len() as u64;
        self.gate.late.is_some_and(|late| self.follow.seq() > late + page)
    }

    /// Everything in front of this sequence was handed on, or will never be wanted.
    pub fn passed(&self) -> u64 {
        // A copy of a ring can end before the place that was reached in the ring itself.
        self.gate.late.unwrap_or(u64::MAX).min(self.follow.passed()).max(self.gate.from_seq)
    }

    pub fn is_damaged(&self) -> bool {
        self.gate.damaged
    }
}

//! Several rings as one log: by time, rings in the order in which they were named where times are equal, and each ring in
//! the order of its sequences. A loss stands in front of the record that follows it in its ring.

use super::entry::Entry;
use super::output::Output;
use super::source::Source;
use super::window::Window;
use crate::failure::Failure;
use lapwing_reader_shim::{Filter, Item, Progress, Renderer};
use lapwing_ring::ReadError;
use std::collections::VecDeque;
use std::io;
use std::iter::once;
use std::time::{Duration, Instant};

/// A follower shows no record later than this after it came, however quiet the other rings are. Writers note a record's time
/// and append it within microseconds, so what another ring gets in this time is in its place, unless its writer was stopped
/// in between.
const HOLD: Duration = Duration::from_millis(30);
/// Lines that are held for others, bytes in all; more are shown at once.
const MOST_HELD: usize = 32 << 20;

/// Where a walk leads.
pub enum Sink<'a> {
    Output(&'a mut Output),
    Window(&'a mut Window),
}

impl Sink<'_> {
    fn item(&mut self, ring: usize, renderer: &mut Renderer, item: &Item<'_>) -> io::Result<()> {
        match self {
            Self::Output(output) => output.item(ring, renderer, item),
            Self::Window(window) => {
                Entry::new(ring, renderer, item).into_iter().for_each(|entry| window.take(entry));
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: Entry) -> io::Result<()> {
        match self {
            Self::Output(output) => output.entry(&entry),
            Self::Window(window) => {
                window.take(entry);
                Ok(())
            }
        }
    }

    /// Called now and then; `passed` is how far each ring has been handed on.
    fn pause(&mut self, is_waiting: bool, passed: impl Iterator<Item = (usize, u64)>) -> io::Result<()> {
        let Self::Output(output) = self else { return Ok(()) };
        passed.for_each(|(ring, seq)| output.passed(ring, seq));
        if is_waiting { output.flush_if_watched() } else { output.flush_in_time() }
    }
}

/// Steps between two looks at the clock.
const STEPS: u64 = 256;

/// Walks along all rings to their `ends`, waiting for records in flight before them.
pub fn walk(sources: &mut [Source], ends: &[u64], filter: &Filter, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let [source] = sources else { return walk_several(sources, ends, filter, sink) };
    let (number, mut steps) = (source.number, 0u64);
    while source.follow.seq() < ends[0] && !source.is_over() {
        let progress = source.step(filter, |renderer, item| sink.item(number, renderer, item))?;
        steps += 1;
        if progress != Progress::Moved || steps.is_multiple_of(STEPS) {
            sink.pause(progress != Progress::Moved, once((number, source.passed()))).map_err(Failure::Output)?;
        }
        wait(source, progress)?;
    }
    source.finish(filter, |renderer, item| sink.item(number, renderer, item))?;
    sink.pause(false, once((number, source.passed()))).map_err(Failure::Output)
}

/// Waits for a record in flight. There has to be one: sequences are never taken back.
fn wait(source: &mut Source, progress: Progress) -> Result<(), Failure> {
    match progress {
        Progress::Moved => {}
        Progress::Waiting => source.follow.pause(),
        Progress::End => {
            let what = "it ends before a sequence that it had reserved";
            let source_error = ReadError::Damaged { seq: source.follow.seq(), what };
            return Err(Failure::Read { path: source.path().to_owned(), source: source_error });
        }
    }
    Ok(())
}

fn walk_several(sources: &mut [Source], ends: &[u64], filter: &Filter, sink: &mut Sink<'_>) -> Result<(), Failure> {
    let mut held = Held::new(sources.len());
    let mut steps = 0u64;
    loop {
        for (ring, source) in sources.iter_mut().enumerate() {
            // Until it is known when the next record of it was written, or that there is none.
            while !held.has_record(ring) && source.follow.seq() < ends[ring] && !source.is_over() {
                let progress = source.step(filter, |renderer, item| held.take(ring, renderer, item))?;
                wait(source, progress)?;
            }
            if !held.has_record(ring) {
                source.finish(filter, |renderer, item| held.take(ring, renderer, item))?;
            }
        }
        let Some(entry) = held.pop() else {
            return sink
                .pause(false, sources.iter().map(|source| (source.number, source.passed())))
                .map_err(Failure::Output);
        };
        sink.entry(entry).map_err(Failure::Output)?;
        steps += 1;
        if steps.is_multiple_of(STEPS) {
            sink.pause(false, held.passed(sources)).map_err(Failure::Output)?;
        }
    }
}

/// Lines that wait for those of other rings.
pub struct Held {
    rings: Vec<VecDeque<(Instant, Entry)>>,
    bytes: usize,
    /// When the present round of reading began. Whoever came a while before that waited until every ring was looked at again.
    now: Instant,
}

impl Held {
    pub fn new(rings: usize) -> Self {
        Self { rings: (0..rings).map(|_| VecDeque::new()).collect(), bytes: 0, now: Instant::now() }
    }

    /// A round of reading begins.
    pub fn begin(&mut self) {
        self.now = Instant::now();
    }

    pub fn take(&mut self, ring: usize, renderer: &mut Renderer, item: &Item<'_>) -> io::Result<()> {
        let Some(entry) = Entry::new(ring, renderer, item) else { return Ok(()) };
        let held = &mut self.rings[ring];
        if entry.time.is_some() {
            // Losses in front of it go with it.
            held.iter_mut()
                .rev()
                .take_while(|(_, loss)| loss.time.is_none())
                .for_each(|(_, loss)| loss.time = entry.time);
        }
        self.bytes += entry.line.len();
        held.push_back((self.now, entry));
        Ok(())
    }

    fn has_record(&self, ring: usize) -> bool {
        self.rings[ring].front().is_some_and(|(_, entry)| entry.time.is_some())
    }

    /// The ring whose line comes first. A loss behind which nothing is known comes before all others.
    fn first(&self) -> Option<usize> {
        let fronts = self.rings.iter().enumerate().filter_map(|(ring, held)| Some((held.front()?.1.time, ring)));
        fronts.min().map(|(_, ring)| ring)
    }

    fn pop(&mut self) -> Option<Entry> {
        let first = self.first()?;
        let (_, entry) = self.rings[first].pop_front()?;
        self.bytes -= entry.line.len();
        Some(entry)
    }

    /// Gives out in order what every other ring has a later line for, and what was held for long enough.
    pub fn release(&mut self, output: &mut Output) -> io::Result<()> {
        while let Some(ring) = self.first() {
            let all = self.rings.iter().all(|held| !held.is_empty());
            let oldest = self.rings[ring].front().map(|&(came, _)| came);
            let is_due = oldest.is_none_or(|came| self.now.saturating_duration_since(came) >= HOLD);
            if !all && !is_due && self.bytes < MOST_HELD {
                break;
            }
            if let Some(entry) = self.pop() {
                output.entry(&entry)?;
            }
        }
        Ok(())
    }

    /// Gives out all, in order.
    pub fn release_all(&mut self, output: &mut Output) -> io::Result<()> {
        std::iter::from_fn(|| self.pop()).try_for_each(|entry| output.entry(&entry))
    }

    /// How far each ring was given out.
    pub fn passed<'a>(&'a self, sources: &'a [Source]) -> impl Iterator<Item = (usize, u64)> + 'a {
        let fronts = self.rings.iter().map(|held| held.front().map(|(_, entry)| entry.first_seq()));
        fronts.zip(sources).map(|(front, source)| (source.number, front.unwrap_or_else(|| source.passed())))
    }
}

//! What the newest records of a ring tell of those who wrote them: who wrote when, how fast, at which levels. It waits for
//! nobody and reads a bounded number of records, so it costs the same on a ring of any size.

use lapwing_ring::{Counts, Field, Flags, Read, ReadError, Reader, Record, Seek};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// So many of the newest records are looked at, at most.
const NEWEST: u64 = 1 << 16;
/// For the last records of those who wrote none of these, older ones are looked at for so long.
const FOR_THE_SILENT: Duration = Duration::from_millis(100);
/// Rates are over this long, or over less where the records that are looked at do not reach as far back.
const WINDOW_NS: u64 = 1_000_000_000;
/// How often an end of the log that writers move along is looked for again.
const TRIES: u32 = 64;

/// When something was written, by both clocks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub mono_ns: u64,
    /// Nanoseconds of the Unix epoch.
    pub real_ns: i64,
}

impl From<&Record<'_>> for Moment {
    fn from(record: &Record<'_>) -> Self {
        Self { mono_ns: record.mono_ns, real_ns: record.real_ns }
    }
}

/// When the last record was written under a pid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastWrite {
    /// Then.
    At(Moment),
    /// Not since the oldest record that was looked at, which was written then. Who writes for others has no record under its
    /// own pid.
    NoneSince(Moment),
    /// There was no record to look at.
    Unknown,
}

/// What was written in the last second, or since the oldest record that was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    /// How long that is, nanoseconds; never 0.
    pub ns: u64,
    /// Records that were reserved.
    pub records: u64,
    /// Their payload, bytes; an estimate where not all of them could be read.
    pub bytes: u64,
    /// How many of those that were read have each level, by its number less one.
    pub levels: [u64; 24],
}

impl Window {
    /// Seconds.
    pub fn seconds(&self) -> f64 {
        self.ns as f64 / 1e9
    }
}

/// A process under whose pid records were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Process {
    /// The last of them.
    pub last: Moment,
    /// How many were read that were written in the window.
    pub records: u64,
    /// Their payload, bytes.
    pub bytes: u64,
    /// What it is called, any bytes; empty where none of them said so.
    pub comm: Vec<u8>,
}

/// A look at the newest records of a ring.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// When the oldest record was written that can be read.
    pub oldest: Option<Moment>,
    /// When the newest was.
    pub newest: Option<Moment>,
    /// `None` where there is nothing to read, or writers were so fast that nothing could be read in time.
    pub window: Option<Window>,
    /// What the walk over the newest records met.
    pub counts: Counts,
    by_pid: HashMap<u32, Process>,
    /// The oldest record that was looked at.
    from: Option<Moment>,
}

impl Survey {
    /// Looks at the newest records of `reader`'s ring, which is where it stands then, and for the last records of `pids`. The
    /// last second is the one before `now`, CLOCK_MONOTONIC nanoseconds, or the one before the newest record.
    ///
    /// # Errors
    /// The ring's file was cut short or cannot be read. Where the ring is damaged the survey ends, and tells what it has seen.
    pub fn take(reader: &mut Reader, now: Option<u64>, pids: &[u32]) -> Result<Self, ReadError> {
        let mut survey = Self::default();
        match survey.walk(reader, now, pids) {
            Err(error @ (ReadError::Truncated { .. } | ReadError::Unreadable { .. })) => Err(error),
            _ => Ok(survey),
        }
    }

    fn walk(&mut self, reader: &mut Reader, now: Option<u64>, pids: &[u32]) -> Result<(), ReadError> {
        // Whoever is inside an append is passed: what he writes is not there yet.
        reader.set_patience(Duration::ZERO);
        let bounds = reader.bounds()?;
        let (first, end) = (bounds.oldest_seq, bounds.next_seq);
        self.newest = newest(reader, end)?;
        let Some(newest) = self.newest else { return Ok(()) };
        let until = now.unwrap_or(newest.mono_ns);
        let start = end.saturating_sub(NEWEST).max(first);
        self.look(reader, start, end, until)?;
        self.oldest = oldest(reader)?;
        let since = Instant::now();
        let mut from = start;
        while from > first && since.elapsed() < FOR_THE_SILENT && !pids.iter().all(|pid| self.by_pid.contains_key(pid))
        {
            let to = from;
            from = from.saturating_sub(NEWEST / 4).max(first);
            each(reader, from, to, |record| {
                self.note(record);
            })?;
        }
        reader.seek(Seek::Seq(end))?;
        Ok(())
    }

    /// The newest records, from `start` to `end`.
    fn look(&mut self, reader: &mut Reader, start: u64, end: u64, until: u64) -> Result<(), ReadError> {
        let window_from = until.saturating_sub(WINDOW_NS);
        let (mut read, mut bytes, mut levels) = (0u64, 0u64, [0; 24]);
        let (mut first_ns, mut first_seq) = (None, None);
        let walked = each(reader, start, end, |record| {
            let process = self.note(record);
            first_ns.get_or_insert(record.mono_ns);
            if record.mono_ns >= window_from {
                process.records += 1;
                process.bytes += record.payload.len() as u64;
                first_seq.get_or_insert(record.seq);
                read += 1;
                bytes += record.payload.len() as u64;
                levels[usize::from(record.level.number()) - 1] += 1;
            }
        });
        self.counts = reader.counts();
        if let Some(first_ns) = first_ns {
            let reaches_back = first_ns <= window_from || start == 0 && self.counts.lost == 0;
            let ns = if reaches_back { WINDOW_NS } else { until.saturating_sub(first_ns) };
            // All that were reserved in this time, whatever became of them.
            let records = first_seq.map_or(0, |first| end.saturating_sub(first));
            let bytes = (u128::from(bytes) * u128::from(records)).checked_div(read.into()).unwrap_or(0) as u64;
            self.window = (ns != 0).then_some(Window { ns, records, bytes, levels });
        }
        walked
    }

    fn note(&mut self, record: &Record<'_>) -> &mut Process {
        let moment = Moment::from(record);
        self.from = Some(self.from.map_or(moment, |from| from.min(moment)));
        let unknown = || Process { last: moment, records: 0, bytes: 0, comm: Vec::new() };
        let process = self.by_pid.entry(record.pid).or_insert_with(unknown);
        process.last = moment.max(process.last);
        if record.flags.contains(Flags::FIELDS)
            && let Some(comm) = record.fields.into_iter().find_map(comm)
        {
            process.comm.clear();
            process.comm.extend_from_slice(comm);
        }
        process
    }

    /// All processes that were met, by pid.
    pub fn processes(&self) -> impl Iterator<Item = (u32, &Process)> {
        self.by_pid.iter().map(|(&pid, process)| (pid, process))
    }

    /// When the last record was written under `pid`. Records do not say in which pid namespace that is.
    pub fn last_write(&self, pid: u32) -> LastWrite {
        match (self.by_pid.get(&pid), self.from) {
            (Some(process), _) => LastWrite::At(process.last),
            (None, Some(from)) => LastWrite::NoneSince(from),
            (None, None) => LastWrite::Unknown,
        }
    }
}

fn comm<'a>(field: Field<'a>) -> Option<&'a [u8]> {
    match field {
        Field::Comm(comm) => Some(comm),
        _ => None,
    }
}

/// Hands the records from `start` to `end` to `each`.
fn each(reader: &mut Reader, start: u64, end: u64, mut each: impl FnMut(&Record<'_>)) -> Result<(), ReadError> {
    reader.seek(Seek::Seq(start))?;
    while reader.seq() < end {
        match reader.next() {
            Ok(Read::Record(record)) => each(&record),
            // Patience is over at once, so this is damage, or a ring that moves under every look.
            Ok(Read::NotYet { .. }) => break,
            Ok(_) | Err(ReadError::BadRecord { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The last record that is there before `end`.
fn newest(reader: &mut Reader, end: u64) -> Result<Option<Moment>, ReadError> {
    let mut found = None;
    for back in 1..=u64::from(TRIES).min(end) {
        each(reader, end - back, end, |record| found = Some(Moment::from(record)))?;
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}

/// The first record that is still there.
fn oldest(reader: &mut Reader) -> Result<Option<Moment>, ReadError> {
    reader.seek(Seek::Oldest)?;
    for _ in 0..TRIES {
        match reader.next() {
            Ok(Read::Record(record)) => return Ok(Some(Moment::from(&record))),
            Ok(Read::NotYet { .. }) => break,
            Ok(_) | Err(ReadError::BadRecord { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

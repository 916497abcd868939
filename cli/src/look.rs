//! One look at a ring, and the pace between two of them: what `stat` and `top` show.

use lapwing_reader_shim::Survey;
use lapwing_ring::{Identity, Life, ReadError, Reader, Stat, WriterStat};
use rustix::time::{ClockId, clock_gettime};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Can anybody still write to the ring?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Ok,
    Copy,
    OtherBoot,
    Saved,
}

impl Standing {
    pub fn of(identity: &Identity) -> Self {
        match identity {
            identity if identity.saved_ns.is_some() => Self::Saved,
            identity if identity.is_of_another_boot() => Self::OtherBoot,
            identity if identity.copied => Self::Copy,
            _ => Self::Ok,
        }
    }

    /// The word of `lapwing ls`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Copy => "copy",
            Self::OtherBoot => "another boot",
            Self::Saved => "saved",
        }
    }
}

/// Records and payload bytes a second, over so many seconds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate {
    pub seconds: f64,
    pub records: f64,
    pub bytes: f64,
}

pub struct Look {
    at: Instant,
    pub standing: Standing,
    pub stat: Stat,
    pub survey: Survey,
}

impl Look {
    /// Looks for the last records of those `writers` who are wanted.
    pub fn take(reader: &mut Reader, mut wanted: impl FnMut(&WriterStat) -> bool) -> Result<Self, ReadError> {
        let stat = reader.stat()?;
        let at = Instant::now();
        let standing = Standing::of(&stat.identity);
        // Where nobody writes any more, the last second is the last one of the log.
        let now = (standing == Standing::Ok).then(monotonic_ns);
        let silent = stat.writers.iter().filter(|writer| writer.records != 0 && wanted(writer));
        let pids: Vec<u32> = silent.map(|writer| writer.pid).collect();
        let survey = Survey::take(reader, now, &pids)?;
        Ok(Self { at, standing, stat, survey })
    }

    /// In the last second, or less where the newest records were written in less.
    pub fn rate(&self) -> Option<Rate> {
        let window = self.survey.window?;
        let per_second = |count: u64| count as f64 / window.seconds();
        Some(Rate { seconds: window.seconds(), records: per_second(window.records), bytes: per_second(window.bytes) })
    }

    /// How many records the ring can hold, if they are like those that it holds.
    fn capacity(&self) -> f64 {
        let stat = &self.stat;
        (stat.bounds.next_seq - stat.bounds.oldest_seq) as f64 / self.fill()
    }

    /// The share of the ring that is taken.
    pub fn fill(&self) -> f64 {
        self.stat.used as f64 / self.stat.identity.geometry.size() as f64
    }

    /// A record is overwritten so many seconds after it was written, at this rate.
    pub fn horizon(&self, rate: Rate) -> Option<f64> {
        (rate.records > 0.0 && self.stat.used != 0).then(|| self.capacity() / rate.records)
    }
}

fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What was written between two looks.
pub struct Pace {
    seconds: f64,
    pub records: u64,
    bytes: f64,
    /// By slot.
    writers: HashMap<usize, (u64, u64)>,
}

impl Pace {
    /// `None` where the two are not of the same ring, or not one after the other, or nobody can write to it.
    pub fn between(before: &Look, after: &Look) -> Option<Self> {
        let seconds = after.at.saturating_duration_since(before.at).as_secs_f64();
        let same_ring = before.stat.identity.ring_id == after.stat.identity.ring_id;
        if !same_ring || after.standing != Standing::Ok || seconds == 0.0 {
            return None;
        }
        let records = after.stat.bounds.next_seq.checked_sub(before.stat.bounds.next_seq)?;
        let known: HashMap<_, _> = before.stat.writers.iter().map(|w| (key(w), (w.records, w.bytes))).collect();
        let since = |writer: &WriterStat| {
            // Who was not there before has done all of it since.
            let (records, bytes) = known.get(&key(writer)).copied().unwrap_or_default();
            (writer.records.saturating_sub(records), writer.bytes.saturating_sub(bytes))
        };
        let writers: HashMap<usize, (u64, u64)> = after.stat.writers.iter().map(|w| (w.slot, since(w))).collect();
        let (told, mut bytes) = writers
            .values()
            .fold((0u64, 0.0), |sum, &(records, bytes)| (sum.0.saturating_add(records), sum.1 + bytes as f64));
        // Those who have left took their counters along. What they wrote was as long as what others wrote.
        if let (Some(others), Some(window)) = (records.checked_sub(told), after.survey.window)
            && window.records != 0
        {
            bytes += others as f64 * (window.bytes as f64 / window.records as f64);
        }
        Some(Self { seconds, records, bytes, writers })
    }

    pub fn rate(&self) -> Rate {
        let Self { seconds, bytes, .. } = *self;
        Rate { seconds, records: self.records as f64 / seconds, bytes: bytes / seconds }
    }

    /// Of one writer.
    pub fn rate_of(&self, writer: &WriterStat) -> Rate {
        let (records, bytes) = self.writers.get(&writer.slot).copied().unwrap_or_default();
        Rate { seconds: self.seconds, records: records as f64 / self.seconds, bytes: bytes as f64 / self.seconds }
    }
}

/// Tells the owners of a slot apart.
fn key(writer: &WriterStat) -> (usize, u32, u64) {
    (writer.slot, writer.pid, writer.attached_ns)
}

/// What is known of the writer's life, in a word.
pub fn verdict(writer: &WriterStat) -> &'static str {
    match writer.evidence.life() {
        Life::Alive => "alive",
        Life::Dead => "dead",
        Life::Unknown => "unknown",
    }
}

/// How long ago that was, by the clock on the wall.
pub fn age(real_ns: i64) -> Duration {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_nanos(real_ns.max(0) as u64))
}

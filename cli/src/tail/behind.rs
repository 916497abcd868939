//! Says on standard error that a reader is about to be lapped, while there is still time: how far it is behind, in records
//! and in seconds. A thread of its own says it, because who is too slow mostly waits for whoever reads his output.

use super::source::{Pace, Source};
use crate::failure::say;
use lapwing_ring::{Bounds, Reader};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Most runs are over by then.
const FIRST: Duration = Duration::from_millis(300);
const EVERY: Duration = Duration::from_millis(100);
/// Whether a reader gains on the writers shows over so many looks: whoever takes his output may take it in lumps.
const LOOKS: usize = 10;
/// No less than this tells anything.
const FEWEST: usize = 5;
/// What was said is not said again sooner, unless it got worse.
const AGAIN: Duration = Duration::from_secs(10);

/// How bad it is. Each is said once, and again only when it had been better for a while.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Danger {
    None,
    /// Three quarters of what the ring holds are still to be read, and it gets more.
    Near,
    /// Fifteen sixteenths.
    Nearer,
    /// It happened.
    Lapped,
}

/// What a look at a ring found.
#[derive(Clone, Copy, Debug)]
struct Look {
    bounds: Bounds,
    /// Where its reader stands.
    at: u64,
    /// The most records that it can hold.
    most: u64,
}

impl Look {
    fn behind(&self) -> u64 {
        self.bounds.next_seq.saturating_sub(self.at)
    }

    fn danger(&self, since: &Self) -> Danger {
        let Bounds { oldest_seq, next_seq } = self.bounds;
        let (came, went) = (next_seq.saturating_sub(since.bounds.next_seq), self.at.saturating_sub(since.at));
        // As long as nothing was overwritten nobody knows how many there is room for.
        let holds = if oldest_seq == 0 { self.most } else { next_seq - oldest_seq };
        let behind = self.behind();
        match () {
            () if behind == 0 => Danger::None,
            () if self.at < oldest_seq => Danger::Lapped,
            // Nobody comes, or the reader gains on them.
            () if came <= went => Danger::None,
            () if behind >= holds / 16 * 15 => Danger::Nearer,
            () if behind >= holds / 4 * 3 => Danger::Near,
            () => Danger::None,
        }
    }
}

/// Watches the readers of all rings until the process ends.
pub fn watch(sources: &[Source]) {
    let mut watched: Vec<Watched> = sources.iter().map(Watched::new).collect();
    let watch = move || {
        std::thread::sleep(FIRST);
        loop {
            watched.iter_mut().for_each(Watched::look);
            std::thread::sleep(EVERY);
        }
    };
    // Without it nothing but the warning is missing.
    let _ = std::thread::Builder::new().name("behind".to_owned()).spawn(watch);
}

struct Watched {
    path: PathBuf,
    pace: Arc<Pace>,
    /// Of our own, with the number of the ring it was opened for.
    reader: Option<(Reader, u64)>,
    looks: VecDeque<(Instant, Look)>,
    said: Danger,
    said_at: Instant,
}

impl Watched {
    fn new(source: &Source) -> Self {
        let (path, pace) = (source.path().to_owned(), Arc::clone(&source.pace));
        Self { path, pace, reader: None, looks: VecDeque::new(), said: Danger::None, said_at: Instant::now() }
    }

    fn look(&mut self) {
        let number = self.pace.ring_number.load(Relaxed);
        if self.reader.as_ref().is_none_or(|&(_, of)| of != number) {
            self.looks.clear();
            self.reader = Reader::open(&self.path).ok().map(|reader| (reader, number));
        }
        let Some((reader, _)) = &self.reader else { return };
        // The place first: a reader that seems further behind than it is only now.
        let at = self.pace.at.load(Relaxed);
        let Ok(bounds) = reader.bounds() else { return };
        let geometry = reader.identity().geometry;
        let most = u64::from(geometry.index_len()) * u64::from(geometry.page_count());
        let (now, look) = (Instant::now(), Look { bounds, at, most });
        if let Some(&(since, before)) = self.looks.front() {
            let rate = look.bounds.next_seq.saturating_sub(before.bounds.next_seq) as f64 / (now - since).as_secs_f64();
            let danger = look.danger(&before);
            if danger == Danger::Lapped || self.looks.len() >= FEWEST {
                self.tell(now, danger, &look, rate);
            }
        }
        self.looks.push_back((now, look));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
    }

    fn tell(&mut self, now: Instant, danger: Danger, look: &Look, rate: f64) {
        let is_old = now - self.said_at >= AGAIN;
        if danger < self.said && is_old {
            self.said = danger;
        }
        if danger <= self.said {
            return;
        }
        (self.said, self.said_at) = (danger, now);
        say(format_args!("{}: {}", self.path.display(), text(danger, look, rate)));
    }
}

fn text(danger: Danger, look: &Look, rate: f64) -> String {
    let (behind, oldest) = (look.behind(), look.bounds.oldest_seq);
    let seconds = |records: u64| if rate > 0.0 { format!("{:.1} s", records as f64 / rate) } else { "?".to_owned() };
    let lag = format!("{behind} records behind, {} at the present {rate:.0} records a second", seconds(behind));
    match danger {
        Danger::Lapped => {
            format!("this reader was overtaken and lost {} records so far; it is {lag}", oldest - look.at)
        }
        _ if oldest == 0 => format!("this reader is about to be overtaken and to lose records: it is {lag}"),
        _ => format!(
            "this reader is about to be overtaken and to lose records, in {}: it is {lag}",
            seconds(look.at - oldest)
        ),
    }
}

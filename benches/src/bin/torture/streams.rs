//! What every reader of a ring wrote down: each sequence exactly once and in order, each record as it was appended, each
//! gap for a reason.

use crate::check::Case;
use crate::evidence::{ReaderLog, Returned};
use crate::holes::Holes;
use crate::journal::{ABANDONED, FINISHED, LOST, MOVED, RECORD, STALLED, TIMES};

/// How long stores may wait in a processor's buffer, behind those of a long payload, nanoseconds: an append can have returned
/// by its own clock, and its commit not be seen elsewhere yet. Measured: 0.4 microseconds.
const STORES_WAIT: u64 = 20_000;

/// Checks every reader of the ring.
pub(crate) fn check(case: &mut Case<'_>, holes: &mut Holes) {
    let progress = Progress::new(case);
    let evidence = case.evidence;
    for reader in evidence.readers.iter().filter(|reader| reader.ring == case.ring.id) {
        Stream { case, holes, reader, seq: 0, counts: [0; 4] }.check(&progress);
    }
}

/// Where one reader is.
struct Stream<'s, 'a> {
    case: &'s mut Case<'a>,
    holes: &'s mut Holes,
    reader: &'s ReaderLog,
    /// The next sequence.
    seq: u64,
    /// Since it last moved.
    counts: [u64; 4],
}

impl Stream<'_, '_> {
    fn violation(&mut self, check: &'static str, text: &str) {
        let text = format!("{}: {text}", self.reader.name);
        self.case.violation(check, text);
    }

    fn check(mut self, progress: &Progress) {
        let mut entries = self.reader.entries().peekable();
        while let Some([seq, second, third, what]) = entries.next() {
            if what == MOVED {
                (self.seq, self.counts) = (seq, [0; 4]);
                continue;
            }
            if seq != self.seq {
                let text = format!("{seq} where {} was due", self.seq);
                self.violation("sequence +1", &text);
                return;
            }
            if what & 0xff == RECORD {
                self.record(seq, second, third, (what >> 8) as u32);
                self.case.tally.delivered += 1;
                self.seq += 1;
                self.counts[0] += 1;
                continue;
            }
            // Killed before it could write down when: all that follows is not there either.
            let Some([returned, since, ..]) = entries.next_if(|entry| entry[3] == TIMES) else { break };
            self.gap(seq, second, [since, third, returned], what, progress);
            self.seq = self.seq.saturating_add(second);
            self.counts[what as usize - 1] += second;
        }
        self.end();
    }

    fn record(&mut self, seq: u64, hash: u64, who: u64, len: u32) {
        let evidence = self.case.evidence;
        if let Some(append) = self.case.owner(seq) {
            let writer = &evidence.writers[append.writer as usize];
            if (append.hash, append.len, writer.who) != (hash, len, who) {
                let (pid, tid, show) = (who as u32, who >> 32, evidence.show(append));
                let text = format!("{seq}: pid {pid} tid {tid} length {len} hash {hash:x}\n    {show}");
                self.violation("a record as it was appended", &text);
            }
        } else if seq >= self.case.ring.next_seq {
            self.violation("a record beyond the end", &seq.to_string());
        } else if !self.holes.deliver(self.case, seq, who, len, hash, &self.reader.name) {
            let text = format!("{seq}: pid {} tid {} length {len} hash {hash:x}", who as u32, who >> 32);
            self.violation("a record that nobody appended", &text);
        }
    }

    /// `times`: when the reader first came to it, when it made the call that gave the gap, and when that returned.
    fn gap(&mut self, first: u64, count: u64, times: [u64; 3], what: u64, progress: &Progress) {
        let [since, called, returned] = times;
        let evidence = self.case.evidence;
        if count == 0 || first.saturating_add(count) > self.case.ring.next_seq {
            let text = format!("{count} from {first}, next is {}", self.case.ring.next_seq);
            self.violation("a gap beyond the end", &text);
            return;
        }
        if let Some(append) = self.case.owner(first + count - 1) {
            if append.begun > returned {
                let text = format!("{count} from {first} at {returned}: {}", evidence.show(append));
                self.violation("a gap before its time", &text);
            }
            if let Returned::Appended { ended, .. } = append.result
                && what == STALLED
                && ended + STORES_WAIT < called
            {
                let text = format!("{first} by a call at {called}: {}", evidence.show(append));
                self.violation("stalled, but appended", &text);
            }
        }
        match what {
            ABANDONED => self.holes.abandon(first, returned, &self.reader.name),
            STALLED => {
                self.case.tally.stalled += 1;
                if returned - since < self.reader.patience
                    && let Some(text) = progress.hasty(self.holes, first, returned)
                {
                    self.violation("stalled before patience ended", &text);
                }
            }
            LOST => {
                self.case.tally.lost += count;
                if let Some(text) = progress.needless(self.holes, first + count - 1, returned) {
                    self.violation("lost without need", &text);
                }
            }
            _ => {}
        }
    }

    fn end(&mut self) {
        if self.reader.ended == 0 {
            return;
        }
        let (reader, counts) = (self.reader, self.counts);
        if (reader.seq, reader.counts) != (self.seq, counts) {
            let text = format!("{counts:?} to {}, and it says {:?} to {}", self.seq, reader.counts, reader.seq);
            self.violation("a reader's own counts", &text);
        }
        if reader.ended == FINISHED && self.seq != self.case.ring.next_seq {
            let text = format!("ended at {} of {}", self.seq, self.case.ring.next_seq);
            self.violation("read to the end", &text);
        }
    }
}

/// How far writers had come by when, at most: what a ring has to take in before a record can be overwritten.
struct Progress {
    /// What all records in front of a sequence fill, at most, in millionths of a page that is closed as early as can be.
    filled: Vec<u64>,
    /// The newest sequence that had begun, by time.
    begun: Vec<(u64, u64)>,
    /// Pages that follow the one of a lost record, at least.
    pages: u64,
    /// Records that follow the one a reader gives up for being half a ring behind, at least.
    half: u64,
}

const PAGE: u64 = 1_000_000;

impl Progress {
    fn new(case: &Case<'_>) -> Self {
        let geometry = &case.ring.geometry;
        let index = geometry.index_len() as u64;
        let words = geometry.page_size() / 8 - 8 - index;
        let mut filled = Vec::with_capacity(case.owner.len() + 1);
        let mut begun = Vec::with_capacity(case.owner.len());
        let mut sum = 0;
        filled.push(0);
        for seq in 0..case.owner.len() as u64 {
            // Fields, an introduction and rounding come on top of what a journal knows.
            let bytes = case.owner(seq).map_or(geometry.max_body() as u64, |append| append.len as u64) + 140;
            sum += bytes / 8 * PAGE / (words / 2) + PAGE / index + 1;
            filled.push(sum);
            begun.extend(case.owner(seq).map(|append| (append.begun, seq)));
        }
        begun.sort_unstable();
        for i in 1..begun.len() {
            begun[i].1 = begun[i].1.max(begun[i - 1].1);
        }
        // A page for each writer that may hold one, those a jump leaves out, and the one being filled.
        let pages = geometry.page_count() as u64;
        let spared = case.ring.most_inside + pages / 4 + 2;
        let half = (pages / 2).saturating_sub(case.ring.most_inside + 2);
        Self { filled, begun, pages: pages.saturating_sub(spared), half }
    }

    /// The newest sequence that had begun at `when`, `seq` at least.
    fn newest(&self, seq: u64, when: u64) -> u64 {
        let before = self.begun.partition_point(|&(begun, _)| begun <= when);
        before.checked_sub(1).map_or(seq, |last| self.begun[last].1.max(seq))
    }

    /// Why `seq` cannot have been half a ring behind at `when`, if it cannot: a page has a record at least.
    fn hasty(&self, holes: &Holes, seq: u64, when: u64) -> Option<String> {
        let newest = self.newest(seq, when);
        let since = newest - seq + holes.later(newest, when);
        (since < self.half).then(|| format!("{seq} at {when}: {since} records of {} since, newest {newest}", self.half))
    }

    /// Why `last` cannot have been overwritten at `when`, if it cannot.
    fn needless(&self, holes: &Holes, last: u64, when: u64) -> Option<String> {
        let newest = self.newest(last, when);
        // Appends that did not return may have got sequences behind the newest.
        let since = self.filled[newest as usize + 1] - self.filled[last as usize + 1];
        let unknown = holes.later(newest, when) * PAGE * 2;
        let needed = self.pages * PAGE;
        (since + unknown < needed).then(|| format!("{last} at {when}: {since} of {needed} since, newest {newest}"))
    }
}

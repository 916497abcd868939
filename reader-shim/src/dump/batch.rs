//! Text on its way to the sink, and which sequences its lines stand for.

use serde::{Deserialize, Serialize};

/// Lines in a row: the first is for `first`, each that follows for the next sequence.
///
/// A line that tells a loss ends its run, unless a single record is lost: the next one begins behind all that is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) lines: u64,
}

/// More would not fit into a state's slot.
const MOST_RUNS: usize = 60;
const MOST_BYTES: usize = 64 << 10;

/// Which sequence comes next once `lines` lines of `runs` are out; `None` where that is all of them or more.
pub(crate) fn next_after(runs: &[Run], mut lines: u64) -> Option<u64> {
    for run in runs {
        if lines < run.lines {
            return Some(run.first.wrapping_add(lines));
        }
        lines -= run.lines;
    }
    None
}

/// A part of a batch, from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) len: usize,
    pub(crate) lines: u64,
}

/// Whole lines, or a single record of any bytes.
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    runs: Vec<Run>,
    /// The sequence behind everything that was taken in, wanted or not.
    next: u64,
    /// Its bytes are not lines.
    is_raw: bool,
}

impl Batch {
    pub(crate) fn new(is_raw: bool) -> Self {
        Self { bytes: Vec::new(), runs: Vec::new(), next: 0, is_raw }
    }

    /// Empty, before `seq`.
    pub(crate) fn start_at(&mut self, seq: u64) {
        self.bytes.clear();
        self.runs.clear();
        self.next = seq;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= MOST_BYTES || self.runs.len() >= MOST_RUNS || self.is_raw && !self.is_empty()
    }

    /// A line for the sequences from `first` to before `next` was appended to the bytes.
    pub(crate) fn line(&mut self, first: u64, next: u64) {
        self.next = next;
        match self.runs.last_mut() {
            Some(run) if run.first.wrapping_add(run.lines) == first => run.lines += 1,
            _ => self.runs.push(Run { first, lines: 1 }),
        }
    }

    /// All before `next` needs no line.
    pub(crate) fn pass(&mut self, next: u64) {
        self.next = next;
    }

    /// The first sequence that is not out yet.
    pub(crate) fn first(&self) -> u64 {
        self.runs.first().map_or(self.next, |run| run.first)
    }

    /// As many whole lines as `room` bytes hold, but at least one.
    pub(crate) fn part(&self, room: u64) -> Part {
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if self.is_raw || self.bytes.len() <= room {
            return Part { len: self.bytes.len(), lines: self.runs.iter().map(|run| run.lines).sum() };
        }
        let end_of_line = |bytes: &[u8]| bytes.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        let fitting = self.bytes[..room].iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
        let len = fitting.or_else(|| end_of_line(&self.bytes)).unwrap_or(self.bytes.len());
        Part { len, lines: self.lines_in(len) }
    }

    /// The bytes of the first line.
    pub(crate) fn first_line(&self) -> usize {
        self.part(0).len
    }

    /// The lines that end in the first `len` bytes.
    pub(crate) fn lines_in(&self, len: usize) -> u64 {
        whole(&self.bytes[..len], self.bytes.len(), self.is_raw).lines
    }

    /// The whole lines of what is out, when that is the first `len` bytes.
    pub(crate) fn whole_in(&self, len: usize) -> Part {
        whole(&self.bytes[..len], self.bytes.len(), self.is_raw)
    }

    /// The runs of the first `lines` lines, and what comes next behind them.
    pub(crate) fn runs_of(&self, mut lines: u64) -> (Vec<Run>, u64) {
        let next = next_after(&self.runs, lines).unwrap_or(self.next);
        let mut runs = Vec::new();
        for run in &self.runs {
            if lines == 0 {
                break;
            }
            let taken = run.lines.min(lines);
            runs.push(Run { lines: taken, ..*run });
            lines -= taken;
        }
        (runs, next)
    }

    /// `part` is out.
    pub(crate) fn drop_front(&mut self, part: Part) {
        self.bytes.drain(..part.len);
        let mut lines = part.lines;
        self.runs.retain_mut(|run| {
            let taken = run.lines.min(lines);
            lines -= taken;
            run.lines -= taken;
            run.first = run.first.wrapping_add(taken);
            run.lines > 0
        });
    }
}

/// What is whole of `written`, the beginning of a part of `len` bytes.
pub(crate) fn whole(written: &[u8], len: usize, is_raw: bool) -> Part {
    if is_raw {
        return if written.len() >= len { Part { len, lines: 1 } } else { Part { len: 0, lines: 0 } };
    }
    let len = written.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    Part { len, lines: written.iter().filter(|&&byte| byte == b'\n').count() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Items as a ring gives them: records, wanted or not, and losses.
    fn items() -> impl Strategy<Value = Vec<(u64, bool)>> {
        prop::collection::vec((prop_oneof![4 => Just(1u64), 1 => 1..50u64], prop::bool::weighted(0.8)), 1..60)
    }

    proptest! {
        #[test]
        fn wherever_a_batch_is_cut_what_comes_next_is_what_the_next_line_stands_for(
            items in items(), room in 0..700u64, more in 0..700usize
        ) {
            let mut batch = Batch::new(false);
            batch.start_at(7);
            let mut seq = 7;
            // The first sequence of each line, as its text.
            for (count, is_wanted) in items {
                if is_wanted || count > 1 {
                    batch.bytes.extend_from_slice(format!("{seq}\n").as_bytes());
                    batch.line(seq, seq + count);
                } else {
                    batch.pass(seq + count);
                }
                seq += count;
            }
            let firsts = |bytes: &[u8]| -> Vec<u64> {
                std::str::from_utf8(bytes).unwrap().lines().map(|line| line.parse().unwrap()).collect()
            };
            let all = firsts(&batch.bytes);
            let part = batch.part(room);
            prop_assert!(part.len as u64 <= room || part.lines <= 1);
            prop_assert_eq!(part.lines as usize, firsts(&batch.bytes[..part.len]).len());
            let (runs, next) = batch.runs_of(part.lines);
            prop_assert_eq!(next, all.get(part.lines as usize).copied().unwrap_or(seq));
            for lines in 0..part.lines {
                prop_assert_eq!(next_after(&runs, lines), Some(all[lines as usize]));
            }
            prop_assert_eq!(next_after(&runs, part.lines), None);
            // Cut anywhere: what is whole goes, the rest stays.
            let written = more.min(part.len);
            let whole = batch.whole_in(written);
            prop_assert!(whole.len <= written);
            batch.drop_front(whole);
            prop_assert_eq!(firsts(&batch.bytes), &all[whole.lines as usize..]);
            prop_assert_eq!(batch.first(), all.get(whole.lines as usize).copied().unwrap_or(seq));
        }
    }

    #[test]
    fn records_in_a_row_are_one_run_and_a_loss_ends_it() {
        let mut batch = Batch::new(false);
        for (first, next) in [(0, 1), (1, 2), (2, 10), (10, 11), (12, 13)] {
            batch.bytes.push(b'\n');
            batch.line(first, next);
        }
        let run = |first, lines| Run { first, lines };
        assert_eq!(batch.runs_of(5).0, [run(0, 3), run(10, 1), run(12, 1)]);
        assert_eq!(batch.runs_of(2).0, [run(0, 2)]);
    }

    #[test]
    fn bytes_that_are_no_lines_are_out_as_a_whole_or_not_at_all() {
        let mut batch = Batch::new(true);
        batch.bytes.extend_from_slice(b"a\nb");
        batch.line(5, 6);
        assert!(batch.is_full());
        assert_eq!(batch.part(1), Part { len: 3, lines: 1 });
        assert_eq!(batch.whole_in(2), Part { len: 0, lines: 0 });
        assert_eq!(batch.whole_in(3), Part { len: 3, lines: 1 });
    }
}

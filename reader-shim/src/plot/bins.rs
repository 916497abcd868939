//! Counts along the time, of records of which nobody knows beforehand when the first and the last was written.
//!
//! Bins begin with a microsecond each. Whenever there would be too many of them, they are joined to larger ones.

use std::collections::HashMap;

const US: i64 = 1_000;
const MS: i64 = 1_000_000;
const S: i64 = 1_000_000_000;
const MIN: i64 = 60 * S;
const H: i64 = 60 * MIN;
const D: i64 = 24 * H;

/// How long a bin is while records are taken; each is a multiple of the one before.
const FINE: [i64; 13] = [US, 10 * US, 100 * US, MS, 10 * MS, 100 * MS, S, 10 * S, MIN, 10 * MIN, H, D, 30 * D];
/// So many of them there may be from the first record to the last.
const MOST: i64 = 20_000;
/// How long a bin of a picture, or the distance of two ticks, may be.
pub(super) const NICE: [i64; 48] = [
    US,
    2 * US,
    5 * US,
    10 * US,
    20 * US,
    50 * US,
    100 * US,
    200 * US,
    500 * US,
    MS,
    2 * MS,
    5 * MS,
    10 * MS,
    20 * MS,
    50 * MS,
    100 * MS,
    200 * MS,
    500 * MS,
    S,
    2 * S,
    5 * S,
    10 * S,
    15 * S,
    30 * S,
    MIN,
    2 * MIN,
    5 * MIN,
    10 * MIN,
    15 * MIN,
    30 * MIN,
    H,
    2 * H,
    3 * H,
    6 * H,
    12 * H,
    D,
    2 * D,
    7 * D,
    14 * D,
    30 * D,
    60 * D,
    90 * D,
    180 * D,
    360 * D,
    720 * D,
    1440 * D,
    3600 * D,
    7200 * D,
];
/// What one record alone is shown in.
const ALONE: i64 = S;
/// Few records do not need more bins than that.
const FEW: usize = 24;

/// Counts along the time, a row for each of what is counted.
#[derive(Clone, Default)]
pub(super) struct Bins {
    /// Which of [`FINE`].
    size: usize,
    rows: Vec<Row>,
    /// Of the first and the last record.
    range: Option<(i64, i64)>,
}

#[derive(Clone, Default)]
struct Row {
    counts: HashMap<i64, u64>,
    /// The bin that was counted in last, and what is not among the counts yet: most records come soon after another.
    last: (i64, u64),
}

impl Row {
    fn add(&mut self, bin: i64, count: u64) {
        if self.last.0 != bin {
            self.settle();
            self.last.0 = bin;
        }
        self.last.1 = self.last.1.saturating_add(count);
    }

    fn settle(&mut self) {
        if self.last.1 > 0 {
            let counted = self.counts.entry(self.last.0).or_default();
            *counted = counted.saturating_add(std::mem::take(&mut self.last.1));
        }
    }
}

/// The bins of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    pub(super) start_ns: i64,
    pub(super) width_ns: i64,
    pub(super) bins: usize,
}

impl Bins {
    pub(super) fn add(&mut self, at_ns: i64, row: usize, count: u64) {
        let (first, last) = self.range.map_or((at_ns, at_ns), |(first, last)| (first.min(at_ns), last.max(at_ns)));
        if self.range != Some((first, last)) {
            self.range = Some((first, last));
            let bins = |size: i64| last.div_euclid(size) - first.div_euclid(size);
            while bins(FINE[self.size]) > MOST && self.size + 1 < FINE.len() {
                self.join();
            }
        }
        if row >= self.rows.len() {
            self.rows.resize_with(row + 1, Row::default);
        }
        self.rows[row].add(at_ns.div_euclid(FINE[self.size]), count);
    }

    fn join(&mut self) {
        let times = FINE[self.size + 1] / FINE[self.size];
        self.size += 1;
        for row in &mut self.rows {
            row.settle();
            let mut joined = Row::default();
            row.counts.drain().for_each(|(bin, count)| joined.add(bin.div_euclid(times), count));
            *row = joined;
        }
    }

    /// At most `columns` bins that hold everything.
    pub(super) fn frame(&self, records: u64, columns: usize) -> Frame {
        let Some((first, last)) = self.range else { return Frame { start_ns: 0, width_ns: S, bins: 0 } };
        let few = usize::try_from(records).map_or(usize::MAX, |records| records.saturating_mul(2).max(FEW));
        let columns = columns.min(few).max(2) as i64;
        if first == last {
            // In the middle.
            let width_ns = NICE.into_iter().find(|width| *width >= ALONE / columns).unwrap_or(ALONE);
            let start = first.div_euclid(width_ns).saturating_sub(columns / 2).saturating_mul(width_ns);
            return Frame { start_ns: start, width_ns, bins: columns as usize };
        }
        let fine = FINE[self.size];
        let bins = |width: i64| last.div_euclid(width) - first.div_euclid(width) + 1;
        let fits = |width: &i64| width % fine == 0 && bins(*width) <= columns;
        let width_ns = NICE.into_iter().find(fits).unwrap_or(NICE[NICE.len() - 1]);
        Frame { start_ns: first.div_euclid(width_ns).saturating_mul(width_ns), width_ns, bins: bins(width_ns) as usize }
    }

    pub(super) fn total(&self, row: usize) -> u64 {
        let of = |row: &Row| row.counts.values().fold(row.last.1, |sum, count| sum.saturating_add(*count));
        self.rows.get(row).map_or(0, of)
    }

    /// What was counted in row `row`, in the bins of `frame`.
    pub(super) fn row(&self, row: usize, frame: Frame) -> Vec<u64> {
        let mut counts = vec![0; frame.bins];
        self.add_row(row, frame, &mut counts);
        counts
    }

    /// Adds that to `counts`.
    pub(super) fn add_row(&self, row: usize, frame: Frame, counts: &mut [u64]) {
        let Some(row) = self.rows.get(row).filter(|_| frame.bins > 0) else { return };
        let last = Some(row.last).filter(|last| last.1 > 0);
        for (bin, count) in row.counts.iter().map(|(&bin, &count)| (bin, count)).chain(last) {
            let at = bin.saturating_mul(FINE[self.size]).div_euclid(frame.width_ns)
                - frame.start_ns.div_euclid(frame.width_ns);
            let place = usize::try_from(at).unwrap_or(0).min(frame.bins - 1);
            counts[place] = counts[place].saturating_add(count);
        }
    }
}

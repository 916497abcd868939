//! What a ring holds, as a picture: records per second of each process, levels, and losses along the time, as SVG or as text.
//!
//! [`Plot`] takes records and losses as a [`Follow`](crate::Follow) hands them out; [`Plot::chart`] makes bins of them, for one width of
//! paper; [`Chart::svg`] and [`Chart::text`] draw.

mod axis;
mod bins;
mod number;
mod paper;
mod svg;
mod text;

use crate::escape::push_escaped;
use crate::follow::Item;
use crate::loss::LossKind;
use bins::Bins;
use jiff::tz::TimeZone;
use lapwing_ring::Level;
use std::collections::HashMap;

/// What one area of the picture stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum By {
    /// A process, by its pid.
    #[default]
    Process,
    /// All processes of one name.
    Name,
}

/// Processes or names that get a colour of their own.
const TOP: usize = 7;
/// Processes or names that are told apart.
const REMEMBERED: usize = 1 << 16;
/// The rows that are counted: losses, then levels, then processes or names.
const KINDS: [LossKind; 3] = [LossKind::Lost, LossKind::Abandoned, LossKind::Stalled];
/// The worst first, each without its variants.
const LEVELS: [&str; 9] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "trace"];
const SOURCES: usize = KINDS.len() + LEVELS.len();

fn row_of_loss(kind: LossKind) -> usize {
    KINDS.iter().position(|of| *of == kind).unwrap_or(0)
}

fn row_of_level(level: Level) -> usize {
    let place = match level.number() {
        ..=4 => 8,
        5..=8 => 7,
        9 => 6,
        10..=12 => 5,
        13..=16 => 4,
        17 => 3,
        18 => 2,
        19..=20 => 1,
        _ => 0,
    };
    KINDS.len() + place
}

/// What was read of a ring, on its way to a picture.
#[derive(Clone)]
pub struct Plot {
    by: By,
    bins: Bins,
    /// The rows of processes, by pid or name.
    rows: HashMap<Vec<u8>, usize>,
    names: Vec<Source>,
    records: u64,
    /// The first sequence and the last.
    seqs: Option<(u64, u64)>,
    overwritten: u64,
    /// Losses behind the last record, which have no time yet.
    waiting: Vec<(LossKind, u64)>,
    last_ns: Option<i64>,
}

/// Who wrote: a process or all of one name.
#[derive(Clone)]
struct Source {
    name: Vec<u8>,
    pid: Option<u32>,
}

impl Plot {
    /// An empty one.
    pub fn new(by: By) -> Self {
        Self {
            by,
            bins: Bins::default(),
            rows: HashMap::new(),
            names: Vec::new(),
            records: 0,
            seqs: None,
            overwritten: 0,
            waiting: Vec::new(),
            last_ns: None,
        }
    }

    /// Takes the next record or loss.
    pub fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Record(record, who) => {
                let at = record.real_ns;
                for (kind, count) in std::mem::take(&mut self.waiting) {
                    self.bins.add(at, row_of_loss(kind), count);
                }
                let source = self.source(record.pid, who.comm);
                self.bins.add(at, SOURCES + source, 1);
                self.bins.add(at, row_of_level(record.level), 1);
                self.records += 1;
                self.seqs = Some((self.seqs.map_or(record.seq, |(first, _)| first), record.seq));
                self.last_ns = Some(at);
            }
            // Nobody knows when these were written.
            Item::Loss(loss) if loss.kind == LossKind::Lost && self.records == 0 && self.waiting.is_empty() => {
                self.overwritten = self.overwritten.saturating_add(loss.gap.count);
            }
            Item::Loss(loss) => self.waiting.push((loss.kind, loss.gap.count)),
            // Part of a loss too.
            Item::Damage(_) => {}
        }
    }

    fn source(&mut self, pid: u32, comm: &[u8]) -> usize {
        let key = match self.by {
            By::Process => &pid.to_le_bytes()[..],
            By::Name => comm,
        };
        let row = match self.rows.get(key) {
            Some(&row) => row,
            // Whoever comes after so many has the place of the last.
            None if self.names.len() >= REMEMBERED => return REMEMBERED - 1,
            None => {
                let row = self.names.len();
                self.rows.insert(key.to_vec(), row);
                self.names.push(Source { name: comm.to_vec(), pid: (self.by == By::Process).then_some(pid) });
                row
            }
        };
        // A process has the name that it had last: before its exec it was somebody else's copy.
        let known = &mut self.names[row].name;
        if known != comm && comm != b"?" {
            *known = comm.to_vec();
        }
        row
    }

    /// The picture with at most `columns` bins, of the ring `name`.
    pub fn chart(mut self, name: &str, columns: usize) -> Chart {
        let last = self.last_ns;
        for (kind, count) in std::mem::take(&mut self.waiting) {
            match last {
                Some(at) => self.bins.add(at, row_of_loss(kind), count),
                None => self.overwritten = self.overwritten.saturating_add(count),
            }
        }
        let frame = self.bins.frame(self.records, columns);
        let series = |row: usize, name: String| Series { name, counts: self.bins.row(row, frame) };
        let occurs = |series: &Series| series.peak() > 0;
        let losses =
            KINDS.into_iter().map(|kind| series(row_of_loss(kind), kind.name().to_owned())).filter(occurs).collect();
        let levels = LEVELS.iter().enumerate().map(|(i, name)| series(KINDS.len() + i, (*name).to_owned()));
        let levels = levels.filter(occurs).collect();
        let mut order: Vec<(u64, usize)> = (0..self.names.len()).map(|i| (self.bins.total(SOURCES + i), i)).collect();
        order.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| self.names[a.1].name.cmp(&self.names[b.1].name)));
        let writers = order.len();
        // One left over gets its own name.
        let rest = if writers > TOP + 1 { order.split_off(TOP) } else { Vec::new() };
        let mut sources: Vec<Series> =
            order.into_iter().map(|(_, i)| series(SOURCES + i, self.names[i].shown())).collect();
        if !rest.is_empty() {
            let mut others = Series { name: format!("{} others", rest.len()), counts: vec![0; frame.bins] };
            rest.iter().for_each(|&(_, i)| self.bins.add_row(SOURCES + i, frame, &mut others.counts));
            sources.push(others);
        }
        Chart {
            ring: shown(name.as_bytes()),
            by: self.by,
            zone: TimeZone::system(),
            start_ns: frame.start_ns,
            width_ns: frame.width_ns,
            bins: frame.bins,
            records: self.records,
            seqs: self.seqs,
            writers,
            has_others: !rest.is_empty(),
            sources,
            levels,
            losses,
            overwritten: self.overwritten,
        }
    }
}

impl Source {
    fn shown(&self) -> String {
        match self.pid {
            Some(pid) => format!("{}[{pid}]", shown(&self.name)),
            None => shown(&self.name),
        }
    }
}

/// Names come from others, so they are escaped.
fn shown(name: &[u8]) -> String {
    let mut out = Vec::new();
    push_escaped(&mut out, name);
    String::from_utf8_lossy(&out).replace('\t', " ")
}

/// One row of the picture: how many records in each bin.
struct Series {
    name: String,
    counts: Vec<u64>,
}

impl Series {
    fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    fn peak(&self) -> u64 {
        self.counts.iter().copied().max().unwrap_or(0)
    }
}

/// A picture that is ready to be drawn.
pub struct Chart {
    ring: String,
    by: By,
    zone: TimeZone,
    start_ns: i64,
    width_ns: i64,
    bins: usize,
    records: u64,
    seqs: Option<(u64, u64)>,
    /// Processes or names in all.
    writers: usize,
    /// The last of `sources` is all that have no colour of their own.
    has_others: bool,
    /// The one with most records first.
    sources: Vec<Series>,
    /// Those that occur, the worst first.
    levels: Vec<Series>,
    losses: Vec<Series>,
    /// Lost in front of the first record, nobody knows when.
    overwritten: u64,
}

impl Chart {
    /// The most bins that [`Chart::svg`] has room for.
    pub const SVG_COLUMNS: usize = svg::COLUMNS;

    /// The most bins that [`Chart::text`] has room for in lines of `width` characters.
    pub fn text_columns(width: usize) -> usize {
        text::columns(width)
    }

    fn end_ns(&self) -> i64 {
        self.start_ns.saturating_add(self.width_ns.saturating_mul(self.bins as i64))
    }

    fn span_ns(&self) -> i64 {
        self.end_ns().saturating_sub(self.start_ns)
    }

    /// Which part of its time has gone by at `at_ns`.
    fn place(&self, at_ns: i64) -> f64 {
        at_ns.saturating_sub(self.start_ns) as f64 / self.span_ns() as f64
    }

    /// Records in the chart's unit of time, of so many in one bin.
    fn rate(&self, count: u64) -> f64 {
        count as f64 * self.unit().0 as f64 / self.width_ns as f64
    }

    /// What rates are per: a second, or as long as it takes for more than one record where most are. In nanoseconds, its name
    /// and its symbol.
    fn unit(&self) -> (i64, &'static str, &'static str) {
        const S: i64 = 1_000_000_000;
        let units = [(S, "second", "s"), (60 * S, "minute", "min"), (3600 * S, "hour", "h")];
        let is_enough = |&(ns, ..): &(i64, _, _)| self.peak() as f64 * ns as f64 >= self.width_ns as f64;
        units.into_iter().find(is_enough).unwrap_or((86_400 * S, "day", "d"))
    }

    /// The most records of all processes in one bin.
    fn peak(&self) -> u64 {
        (0..self.bins).map(|bin| self.sources.iter().map(|series| series.counts[bin]).sum()).max().unwrap_or(0)
    }

    fn title(&self) -> String {
        let by = match self.by {
            By::Process => "process",
            By::Name => "name of the process",
        };
        format!("Records per {} by {by}", self.unit().1)
    }

    /// What is shown, in words.
    fn subtitle(&self) -> String {
        let Some((first, last)) = self.seqs else { return format!("{}: no records", self.ring) };
        let writers = match (self.writers, self.by) {
            (1, By::Process) => "1 process".to_owned(),
            (n, By::Process) => format!("{n} processes"),
            (1, By::Name) => "1 name".to_owned(),
            (n, By::Name) => format!("{n} names"),
        };
        let records = number::records(self.records);
        format!(
            "{}: {records} (sequences {first}..{last}) of {writers}, bins of {}",
            self.ring,
            axis::duration(self.width_ns)
        )
    }
}

#[cfg(test)]
mod tests;

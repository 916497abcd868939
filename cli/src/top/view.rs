//! What `lapwing top` shows, and what its keys change: rows of processes, their order, a filter. Nothing here draws.

use crate::look::{Look, Pace, Rate, verdict};
use crate::quantity::shown;
use clap::ValueEnum;
use lapwing_reader_shim::{LastWrite, Moment};
use lapwing_ring::{Bounds, WriterStat};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;

/// How many rates are remembered for the curve.
const REMEMBERED: usize = 120;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Sort {
    Pid,
    Comm,
    /// Records a second
    Rate,
    /// Bytes a second
    ByteRate,
    /// Records
    Total,
    Bytes,
    /// Last write
    Last,
    State,
}

impl Sort {
    /// In the order of the columns, with the key of each.
    pub const ALL: [(Self, char); 8] = [
        (Self::Pid, 'p'),
        (Self::Comm, 'c'),
        (Self::Rate, 'r'),
        (Self::ByteRate, 'b'),
        (Self::Total, 't'),
        (Self::Bytes, 'y'),
        (Self::Last, 'l'),
        (Self::State, 's'),
    ];
}

/// A process, with all its writer slots of one verdict; or one without any, whose records were read.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub pid: u32,
    pub comm: String,
    pub uid: u32,
    pub slots: usize,
    /// `None` at the first look.
    pub rate: Option<(f64, f64)>,
    /// Records and their bytes, where they are counted.
    pub total: Option<(u64, u64)>,
    pub last: Option<Moment>,
    pub state: &'static str,
}

impl Row {
    fn contains(&self, text: &str) -> bool {
        let has = |field: &str| field.to_lowercase().contains(text);
        has(&self.comm) || has(self.state) || has(&self.pid.to_string())
    }

    /// The order that puts first what one looks for: names and pids as they are counted, all else from the top.
    fn cmp(&self, other: &Self, sort: Sort) -> Ordering {
        let rate = |row: &Self| row.rate.unwrap_or_default();
        let total = |row: &Self| row.total.unwrap_or_default();
        match sort {
            Sort::Pid => self.pid.cmp(&other.pid),
            Sort::Comm => self.comm.cmp(&other.comm),
            Sort::Rate => rate(other).0.total_cmp(&rate(self).0),
            Sort::ByteRate => rate(other).1.total_cmp(&rate(self).1),
            Sort::Total => total(other).0.cmp(&total(self).0),
            Sort::Bytes => total(other).1.cmp(&total(self).1),
            Sort::Last => Reverse(self.last).cmp(&Reverse(other.last)),
            Sort::State => self.state.cmp(other.state),
        }
    }
}

/// What a key asks of the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    None,
    Quit,
    Suspend,
}

pub struct View {
    /// Escaped.
    pub path: String,
    pub look: Option<Look>,
    pub rate: Option<Rate>,
    /// Records that came since the look before, and how many of them were read here.
    pub came: Option<u64>,
    /// Records a second, the newest last.
    pub history: VecDeque<u64>,
    /// How far the ring is ahead of this reader.
    pub behind: u64,
    /// The first row that is shown.
    pub first: usize,
    pub sort: Sort,
    pub inverted: bool,
    pub filter: String,
    /// The filter is being typed.
    pub typing: bool,
    pub notice: Option<String>,
    paused: bool,
    rows: Vec<Row>,
    lasts: HashMap<u32, Moment>,
}

impl View {
    pub fn new(path: &Path, sort: Sort, filter: &str) -> Self {
        Self {
            path: shown(path.as_os_str().as_encoded_bytes()),
            look: None,
            rate: None,
            came: None,
            history: VecDeque::new(),
            behind: 0,
            first: 0,
            sort,
            inverted: false,
            filter: filter.to_owned(),
            typing: false,
            notice: None,
            paused: false,
            rows: Vec::new(),
            lasts: HashMap::new(),
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Shows `look` from now on.
    pub fn take(&mut self, look: Look) {
        let pace = self.look.as_ref().and_then(|before| Pace::between(before, &look));
        let ring_id = |look: &Look| look.stat.identity.ring_id;
        if self.look.as_ref().is_some_and(|before| ring_id(before) != ring_id(&look)) {
            self.lasts.clear();
            self.history.clear();
        }
        self.rate = pace.as_ref().map(Pace::rate).or_else(|| look.rate());
        self.came = pace.as_ref().map(|pace| pace.records);
        if let Some(rate) = self.rate {
            self.history.push_back(rate.records as u64);
        }
        if self.history.len() > REMEMBERED {
            self.history.pop_front();
        }
        for writer in &look.stat.writers {
            if let LastWrite::At(moment) = look.survey.last_write(writer.pid) {
                let last = self.lasts.entry(writer.pid).or_insert(moment);
                *last = moment.max(*last);
            }
        }
        // Writers come and go for as long as this runs.
        let writers: HashSet<u32> = look.stat.writers.iter().map(|writer| writer.pid).collect();
        self.lasts.retain(|pid, _| writers.contains(pid));
        self.rows = self.rows_of(&look.stat.writers, pace.as_ref());
        let others = others(&look, &self.rows);
        self.rows.extend(others);
        self.look = Some(look);
    }

    fn rows_of(&self, writers: &[WriterStat], pace: Option<&Pace>) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for writer in writers {
            let state = verdict(writer);
            let rate = pace.map(|pace| pace.rate_of(writer)).map(|rate| (rate.records, rate.bytes));
            let known = rows.iter_mut().find(|row| (row.pid, row.uid, row.state) == (writer.pid, writer.uid, state));
            let Some(row) = known else {
                rows.push(Row {
                    pid: writer.pid,
                    comm: shown(&writer.comm),
                    uid: writer.uid,
                    slots: 1,
                    rate,
                    total: Some((writer.records, writer.bytes)),
                    last: self.lasts.get(&writer.pid).copied(),
                    state,
                });
                continue;
            };
            row.slots += 1;
            if let Some(total) = &mut row.total {
                *total = (total.0.saturating_add(writer.records), total.1.saturating_add(writer.bytes));
            }
            if let (Some(sum), Some(rate)) = (&mut row.rate, rate) {
                *sum = (sum.0 + rate.0, sum.1 + rate.1);
            }
        }
        rows
    }

    /// The rows that the filter lets through, in order.
    pub fn rows(&self) -> Vec<&Row> {
        let text = self.filter.to_lowercase();
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| text.is_empty() || row.contains(&text)).collect();
        rows.sort_by(|a, b| {
            let order = a.cmp(b, self.sort);
            (if self.inverted { order.reverse() } else { order }).then(a.pid.cmp(&b.pid))
        });
        rows
    }

    /// All rows, shown or not.
    pub fn processes(&self) -> usize {
        self.rows.len()
    }

    /// `bounds` are the ring's now.
    pub fn passed(&mut self, bounds: Bounds) {
        let stood = self.look.as_ref().map_or(bounds.next_seq, |look| look.stat.bounds.next_seq);
        self.behind = bounds.next_seq.saturating_sub(stood);
    }

    pub fn key(&mut self, key: KeyEvent) -> Action {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c' | 'd') => Action::Quit,
                KeyCode::Char('z') => Action::Suspend,
                _ => Action::None,
            };
        }
        if self.typing {
            self.type_filter(key.code);
            return Action::None;
        }
        match key.code {
            KeyCode::Char('q') => return Action::Quit,
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('i') => self.inverted = !self.inverted,
            KeyCode::Char('/') => self.typing = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Down | KeyCode::Char('j') => self.first = self.first.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.first = self.first.saturating_sub(1),
            KeyCode::PageDown => self.first = self.first.saturating_add(10),
            KeyCode::PageUp => self.first = self.first.saturating_sub(10),
            KeyCode::Home => self.first = 0,
            KeyCode::End => self.first = usize::MAX,
            KeyCode::Char(c) => {
                if let Some((sort, _)) = Sort::ALL.into_iter().find(|&(_, key)| key == c) {
                    (self.sort, self.inverted, self.first) = (sort, false, 0);
                }
            }
            _ => {}
        }
        self.first = self.first.min(self.rows().len().saturating_sub(1));
        Action::None
    }

    fn type_filter(&mut self, code: KeyCode) {
        self.first = 0;
        match code {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
    }
}

/// Who has written lately and has no slot: it ended, or somebody writes for it.
fn others(look: &Look, rows: &[Row]) -> Vec<Row> {
    let Some(window) = look.survey.window else { return Vec::new() };
    // Not all that were reserved were read, and nobody knows whose the others were.
    let read: u64 = window.levels.iter().sum();
    let share = window.records as f64 / read.max(1) as f64 / window.seconds();
    let known: HashSet<u32> = rows.iter().map(|row| row.pid).collect();
    let lately = look.survey.processes().filter(|(pid, process)| process.records != 0 && !known.contains(pid));
    let others = lately.map(|(pid, process)| Row {
        pid,
        comm: if process.comm.is_empty() { "?".to_owned() } else { shown(&process.comm) },
        uid: 0,
        slots: 0,
        rate: Some((process.records as f64 * share, process.bytes as f64 * share)),
        total: None,
        last: Some(process.last),
        state: "no slot",
    });
    others.collect()
}

//! The picture as text for a terminal: blocks of eighths, with colours where they are wanted.

use super::axis::{about, span, ticks};
use super::number::{grouped, percent, short, tick_step};
use super::{Chart, Series};
use std::fmt::Write as _;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ROWS: usize = 14;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Room for the numbers of the scale.
const SCALE: usize = 7;
/// The least width that is drawn for.
const LEAST: usize = 60;
/// Of the 256 colours of terminals, those nearest to Okabe and Ito's.
const COLOURS: [u8; 8] = [32, 214, 36, 117, 175, 227, 66, 137];
const OTHERS: u8 = 248;
const LOSS: u8 = 196;
const PALE: u8 = 244;

/// So many bins a text of that width has.
pub(super) fn columns(width: usize) -> usize {
    width.max(LEAST) - SCALE - 2
}

impl Chart {
    /// The picture as lines of at most `width` characters.
    pub fn text(&self, width: usize, colours: bool) -> String {
        let wide = (columns(width) / self.bins.max(1)).max(1);
        let mut text = Text { chart: self, out: String::new(), width: width.max(LEAST), wide, colours };
        text.draw();
        text.out
    }
}

struct Text<'c> {
    chart: &'c Chart,
    out: String,
    width: usize,
    /// Characters of one bin.
    wide: usize,
    colours: bool,
}

impl Text<'_> {
    fn draw(&mut self) {
        let chart = self.chart;
        self.line(&chart.title());
        self.line(&chart.subtitle());
        if chart.bins == 0 {
            self.overwritten();
            return;
        }
        let (start, end) = (chart.start_ns, chart.end_ns());
        self.line(&format!("{}, {}", span(start, end, &chart.zone), about(chart.span_ns())));
        self.overwritten();
        self.out.push('\n');
        self.areas();
        self.time_axis();
        self.out.push('\n');
        let sources: Vec<(&Series, u8)> =
            chart.sources.iter().enumerate().map(|(i, series)| (series, self.colour(i))).collect();
        let losses = chart.losses.iter().map(|series| (series, LOSS));
        let levels = chart.levels.iter().map(|series| (series, level_colour(&series.name)));
        let rows: Vec<(&Series, u8)> = losses.chain(levels).collect();
        let longest = sources.iter().chain(&rows).map(|(series, _)| series.name.width()).max().unwrap_or(0);
        let names = longest.min((self.width / 3).max(10));
        self.table(&sources, names, "■ ");
        self.out.push('\n');
        self.table(&rows, names, "  ");
    }

    fn overwritten(&mut self) {
        if self.chart.overwritten > 0 {
            let text = format!("{} lost: overwritten before this begins", grouped(self.chart.overwritten));
            self.paint(LOSS, &cut(&text, self.width));
            self.out.push('\n');
        }
    }

    fn line(&mut self, text: &str) {
        self.out.push_str(&cut(text, self.width));
        self.out.push('\n');
    }

    fn paint(&mut self, colour: u8, text: &str) {
        match self.colours {
            // A String takes everything, here and below.
            true => drop(write!(self.out, "\x1b[38;5;{colour}m{text}\x1b[0m")),
            false => self.out.push_str(text),
        }
    }

    fn colour(&self, i: usize) -> u8 {
        match self.chart.has_others && i + 1 == self.chart.sources.len() {
            true => OTHERS,
            false => COLOURS[i % COLOURS.len()],
        }
    }

    fn areas(&mut self) {
        let chart = self.chart;
        let peak = chart.rate(chart.peak());
        let step = tick_step(peak.max(f64::MIN_POSITIVE), 5);
        let top = (peak / step).ceil().max(1.0) * step;
        // How high each area reaches in each bin, in eighths of a row; what is there at all has one.
        let mut reach: Vec<Vec<usize>> = Vec::new();
        let mut under = vec![0u64; chart.bins];
        for series in &chart.sources {
            under.iter_mut().zip(&series.counts).for_each(|(under, count)| *under += count);
            let eighths = under.iter().map(|&count| {
                let high = (chart.rate(count) / top * (ROWS * 8) as f64).round() as usize;
                high.max(usize::from(count > 0))
            });
            reach.push(eighths.collect());
        }
        for row in (0..ROWS).rev() {
            let tick = (1..=(top / step).round() as usize).map(|i| step * i as f64);
            let is_here = |rate: &f64| {
                let place = rate / top * ROWS as f64;
                (row as f64..row as f64 + 1.0).contains(&(place - 1e-9).max(0.0))
            };
            let label = tick.filter(is_here).map(short).next_back();
            let mark = if label.is_some() { '┤' } else { '│' };
            let _ = write!(self.out, "{:>SCALE$} ", label.unwrap_or_default());
            self.paint(PALE, &mark.to_string());
            for column in 0..chart.bins * self.wide {
                self.cell(&reach, row, column / self.wide);
            }
            let end = self.out.trim_end_matches(' ').len();
            self.out.truncate(end);
            self.out.push('\n');
        }
    }

    /// One character: what ends in it in front of what goes on.
    fn cell(&mut self, reach: &[Vec<usize>], row: usize, bin: usize) {
        let (low, high) = (row * 8, row * 8 + 8);
        let inside: Vec<usize> = (0..reach.len())
            .filter(|&i| {
                reach[i][bin] > low
                    && (i == 0 || reach[i - 1][bin] < high)
                    && (i == 0 || reach[i - 1][bin] < reach[i][bin])
            })
            .collect();
        let Some((&lowest, rest)) = inside.split_first() else { return self.out.push(' ') };
        let whole = EIGHTHS[inside.last().map_or(0, |&i| reach[i][bin].min(high) - low)];
        if !self.colours || rest.is_empty() {
            return self.paint(self.colour(lowest), &whole.to_string());
        }
        let part = EIGHTHS[reach[lowest][bin].min(high) - low];
        // Of those above it, the one with most room.
        let room = |i: &&usize| reach[**i][bin].min(high) - reach[**i - 1][bin].max(low);
        let above = rest.iter().max_by_key(room).copied().unwrap_or(lowest);
        let (front, behind) = (self.colour(lowest), self.colour(above));
        if reach[rest[rest.len() - 1]][bin] < high {
            // The paper shows through, so there is no room for a second colour: that of the larger.
            let larger = if room(&&above) > reach[lowest][bin] - low { behind } else { front };
            return self.paint(larger, &whole.to_string());
        }
        let _ = write!(self.out, "\x1b[38;5;{front};48;5;{behind}m{part}\x1b[0m");
    }

    fn time_axis(&mut self) {
        let chart = self.chart;
        let (start, end, columns) = (chart.start_ns, chart.end_ns(), chart.bins * self.wide);
        let place = |at: i64| (chart.place(at) * columns as f64).round() as usize;
        let mut line: Vec<char> = vec!['─'; columns + 1];
        line[0] = '└';
        let (mut labels, mut days) = (String::new(), String::new());
        for tick in ticks(start, end, columns / 14, &chart.zone) {
            let at = place(tick.at_ns).min(columns);
            if at > 0 {
                line[at] = '┬';
            }
            put(&mut labels, SCALE + 1 + at, &tick.label, self.width);
            if let Some(day) = tick.day {
                put(&mut days, SCALE + 1 + at, &day, self.width);
            }
        }
        let line: String = line.into_iter().collect();
        let _ = write!(self.out, "{:>SCALE$} ", format!("0/{}", chart.unit().2));
        self.paint(PALE, &line);
        self.out.push('\n');
        if !chart.losses.is_empty() {
            let is_lost = |bin: usize| chart.losses.iter().any(|series| series.counts[bin] > 0);
            let marks: String =
                (0..columns).map(|column| if is_lost(column / self.wide) { '▲' } else { ' ' }).collect();
            self.paint(LOSS, &format!("{:>SCALE$}  {}", "lost", marks.trim_end()));
            self.out.push('\n');
        }
        for text in [labels, days] {
            if !text.is_empty() {
                self.out.push_str(&text);
                self.out.push('\n');
            }
        }
    }

    /// A line for each row: its name, its numbers, and how it goes up and down.
    fn table(&mut self, rows: &[(&Series, u8)], names: usize, swatch: &str) {
        let unit = self.chart.unit().2;
        let numbers = rows.iter().map(|(series, _)| grouped(series.total()).len()).max().unwrap_or(0).max(11);
        let bars = self.width.saturating_sub(names + numbers + 20 + unit.len()).min(self.chart.bins * self.wide);
        for (series, colour) in rows {
            let name = cut(&series.name, names);
            let gap = names - name.width();
            self.paint(*colour, swatch);
            let total = series.total();
            let (share, peak) = match *colour {
                LOSS => (String::new(), String::new()),
                _ => {
                    let peak = short(self.chart.rate(series.peak()));
                    (percent(total, self.chart.records), format!("{peak}/{unit}"))
                }
            };
            let room = unit.len() + 7;
            let _ = write!(self.out, "{name}{:gap$} {:>numbers$} {share:>5} {peak:>room$}  ", "", grouped(total));
            let line = spark(&series.counts, bars);
            self.paint(*colour, line.trim_end());
            let end = self.out.trim_end_matches(' ').len();
            self.out.truncate(end);
            self.out.push('\n');
        }
    }
}

/// The counts as `width` blocks, each as high as the most in its bins.
fn spark(counts: &[u64], width: usize) -> String {
    let peak = counts.iter().copied().max().unwrap_or(0);
    let bins = (0..width).map(|i| (i * counts.len() / width.max(1), (i + 1) * counts.len() / width.max(1)));
    let most = bins.map(|(from, to)| counts[from..to.max(from + 1)].iter().copied().max().unwrap_or(0));
    most.map(|count| match count {
        0 => ' ',
        count => EIGHTHS[(count as f64 / peak as f64 * 8.0).round().clamp(1.0, 8.0) as usize],
    })
    .collect()
}

/// Puts `text` at its place around `middle`, if there is room for it behind what is there and before the end.
fn put(line: &mut String, middle: usize, text: &str, width: usize) {
    let (here, long) = (line.chars().count(), text.chars().count());
    let at = middle.saturating_sub(long / 2).min(width.saturating_sub(long));
    if at > here || line.is_empty() {
        let _ = write!(line, "{:gap$}{text}", "", gap = at - here);
    }
}

fn level_colour(name: &str) -> u8 {
    match name {
        "emerg" | "alert" | "crit" | "err" => 166,
        "warn" => 214,
        "notice" => 32,
        _ => PALE,
    }
}

/// The text, its end left away if it takes more than `room` columns.
fn cut(text: &str, room: usize) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for c in text.chars() {
        if kept.width() + c.width().unwrap_or(0) + 1 > room {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

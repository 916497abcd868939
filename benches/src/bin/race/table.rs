//! The medians as a table for people.

use crate::peer::Measure;
use crate::results::{FEWEST, FLOOR, Results};
use lapwing_benches::probe::{Class, FAR, NEAR};
use std::fmt;

/// The ring's name: the others' ratios are to it where no floor is.
pub const OURS: &str = "lapwing";

pub struct Table<'a>(pub &'a Results);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &measure in &self.0.measures() {
            if measure.is_shared() {
                for class in [Class::Near, Class::Between, Class::Far] {
                    self.shared(f, measure, class)?;
                }
            } else {
                self.alone(f, measure)?;
            }
        }
        if let Some(ns) = self.0.probe_ns() {
            writeln!(f, "a line from one processor to the other, median: {ns:.0} ns")?;
            writeln!(
                f,
                "  near: less than {NEAR:.0} ns before and after a run; far: {FAR:.0} and more; between: neither"
            )?;
        }
        for (name, why) in self.0.skipped() {
            writeln!(f, "skipped: {name}: {why}")?;
        }
        for note in self.0.notes() {
            writeln!(f, "note: {note}")?;
        }
        for ((name, measure, why), times) in self.0.failed() {
            writeln!(f, "failed: {name}, {measure}, {times} times: {why}")?;
        }
        Ok(())
    }
}

impl Table<'_> {
    /// What one processor does, against the floor.
    fn alone(&self, f: &mut fmt::Formatter<'_>, measure: Measure) -> fmt::Result {
        writeln!(f, "{}", title(measure))?;
        let floor = self.0.floor();
        let ratio = |ns: f64| floor.map_or_else(String::new, |floor| format!("{:.2}", ns / floor));
        writeln!(f, "  {:<20} {:>12} {:>10} {:>9} {:>5}", "", unit(measure), "x floor", "lost", "runs")?;
        if let Some(ns) = floor.filter(|_| measure == Measure::Append) {
            writeln!(f, "  {FLOOR:<20} {ns:>12.1} {:>10}", ratio(ns))?;
        }
        for &(name, about) in self.0.abouts() {
            if let Some((_, median)) = self.0.main(name, measure) {
                let (figure, ratio, lost) = (figure(measure, median.figure), ratio(median.figure), lost(median.lost));
                writeln!(f, "  {name:<20} {figure:>12} {ratio:>10} {lost:>9} {:>5}  {about}", median.runs)?;
            }
        }
        writeln!(f)
    }

    /// What takes two, in one class.
    fn shared(&self, f: &mut fmt::Formatter<'_>, measure: Measure, class: Class) -> fmt::Result {
        let rows: Vec<_> = self
            .0
            .abouts()
            .iter()
            .filter_map(|&(name, about)| Some((name, about, *self.0.classes(name, measure).get(&class)?)))
            .collect();
        if rows.is_empty() {
            return writeln!(f, "{}, {class}: class not seen\n", title(measure));
        }
        let ours = rows.iter().find(|(name, ..)| *name == OURS).map(|(.., median)| median.figure);
        writeln!(f, "{}, {class}", title(measure))?;
        let last = if measure == Measure::Latency { "90 %" } else { "lost" };
        writeln!(f, "  {:<20} {:>12} {:>10} {:>9} {:>5}", "", unit(measure), "x lapwing", last, "runs")?;
        for (name, about, median) in rows {
            if median.runs < FEWEST {
                writeln!(f, "  {name:<20} not seen often enough: {} of {FEWEST} runs", median.runs)?;
                continue;
            }
            let ratio = ours.map_or_else(String::new, |ours| format!("{:.2}", median.figure / ours));
            let last = median.late90.map_or_else(|| lost(median.lost), |ns| format!("{ns:.0}"));
            let figure = figure(measure, median.figure);
            writeln!(f, "  {name:<20} {figure:>12} {ratio:>10} {last:>9} {:>5}  {about}", median.runs)?;
        }
        writeln!(f)
    }
}

pub fn title(measure: Measure) -> String {
    match measure {
        Measure::Append => "append, one writer".into(),
        Measure::AppendMeta => "append with time, process, thread and level".into(),
        Measure::Writers(1) => "one writer, all its time".into(),
        Measure::Writers(count) => format!("{count} writers, a processor each, together"),
        Measure::Deliver => "one writer that does not wait, one reader".into(),
        Measure::Latency => "from append to read, 100,000 records a second, a reader that spins".into(),
    }
}

fn unit(measure: Measure) -> &'static str {
    match measure {
        Measure::Append | Measure::AppendMeta => "ns/record",
        Measure::Writers(_) | Measure::Deliver => "M records/s",
        Measure::Latency => "ns, median",
    }
}

/// Nothing where the channel does not count, or has nothing to lose.
fn lost(lost: Option<(u64, u64)>) -> String {
    match lost {
        Some((0, _)) => "0".into(),
        Some((lost, of)) => format!("{:.3} %", lost as f64 / of as f64 * 100.0),
        None => String::new(),
    }
}

pub fn figure(measure: Measure, value: f64) -> String {
    match measure {
        Measure::Append | Measure::AppendMeta => format!("{value:.1}"),
        Measure::Writers(_) | Measure::Deliver => format!("{:.2}", value / 1e6),
        Measure::Latency => format!("{value:.0}"),
    }
}

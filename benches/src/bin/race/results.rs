//! What the runs came to.

use crate::Result;
use crate::peer::{Entry, Measure};
use crate::roles::{BEGAN, DROPPED, ENDED, GOT, LATE_NS, LOST, READ_UNTIL, TOOK_NS, WROTE};
use crate::team::{Answers, Team};
use lapwing_benches::median::{median, quantile};
use lapwing_benches::probe::{Class, probe};
use std::collections::BTreeMap;

/// memcpy and compare-exchange, one after the other: the sum of two medians.
pub const FLOOR: &str = "floor";
/// What it is the sum of.
pub const FLOOR_PARTS: [&str; 2] = ["memcpy", "compare-exchange"];
/// A median of fewer runs is none.
pub const FEWEST: usize = 5;

/// The figures of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Nanoseconds a record; records a second; nanoseconds until half of the records were read: whatever is measured.
    pub figure: f64,
    /// Nanoseconds until nine of ten were read.
    pub late90: Option<f64>,
    /// Records that the reader did not get, or that the channel dropped before any could, of how many.
    pub lost: Option<(u64, u64)>,
}

/// One run.
pub struct Run {
    pub name: &'static str,
    pub measure: Measure,
    /// With one processor there are none.
    pub probes: Vec<f64>,
    pub figures: Result<Figures, String>,
}

impl Run {
    /// Runs it, with a probe before and after.
    pub fn of(team: &mut Team, entry: &Entry, measure: Measure, cpus: &[usize]) -> Self {
        let pair = measure.is_shared().then(|| [cpus[0], cpus[1]]);
        let before = pair.map(probe);
        let answers = team.run(entry, measure, cpus);
        let probes = before.into_iter().chain(pair.map(probe)).collect();
        let figures = answers.and_then(|answers| Ok(figures(measure, &answers)?)).map_err(|error| error.to_string());
        Self { name: entry.name, measure, probes, figures }
    }
}

/// What the answers of a run's processes come to.
fn figures(measure: Measure, answers: &Answers) -> Result<Figures, String> {
    let numbers = |word: &str| answers.get(word).map_or(&[][..], Vec::as_slice);
    let one = |word: &str| numbers(word).first().copied().ok_or_else(|| format!("nobody said {word}"));
    let most = |word: &str| numbers(word).iter().max().copied().ok_or_else(|| format!("nobody said {word}"));
    let wrote: u64 = numbers(WROTE).iter().sum();
    // Each says what all of the channel came to; a writer's last record is among them, but not among what was timed.
    let dropped = numbers(DROPPED).iter().max().map(|&dropped| (dropped.min(wrote), wrote));
    match measure {
        Measure::Append | Measure::AppendMeta => {
            Ok(Figures { figure: one(TOOK_NS)? as f64 / one(WROTE)? as f64, lost: dropped, late90: None })
        }
        Measure::Writers(_) => {
            let seconds = (most(ENDED)? - one(BEGAN)?) as f64 / 1e9;
            Ok(Figures { figure: wrote as f64 / seconds, lost: dropped, late90: None })
        }
        Measure::Deliver => {
            let (got, seconds) = (one(GOT)?, (one(READ_UNTIL)? - one(BEGAN)?) as f64 / 1e9);
            let lost = wrote.checked_sub(got).ok_or_else(|| format!("{got} records came of {wrote}"))?;
            // What it lost before the first record that counts is in it, too.
            if let Ok(said) = one(LOST)
                && said < lost
            {
                return Err(format!("{lost} records were lost, and the channel says {said}"));
            }
            Ok(Figures { figure: got as f64 / seconds, lost: Some((lost, wrote)), late90: None })
        }
        Measure::Latency => {
            let late: Vec<f64> = numbers(LATE_NS).iter().map(|&ns| ns as f64).collect();
            let figure = median(&late).ok_or("no record came")?;
            Ok(Figures { figure, late90: quantile(&late, 90), lost: None })
        }
    }
}

/// Medians of the runs of one peer, one measure and one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    pub runs: usize,
    pub figure: f64,
    pub late90: Option<f64>,
    /// Of all runs together.
    pub lost: Option<(u64, u64)>,
}

/// All runs.
#[derive(Default)]
pub struct Results {
    runs: Vec<Run>,
    abouts: Vec<(&'static str, &'static str)>,
    confined: Vec<&'static str>,
    skipped: Vec<(&'static str, String)>,
    notes: Vec<String>,
}

impl Results {
    pub fn add(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Who races, and what that is.
    pub fn enter(&mut self, name: &'static str, about: &'static str) {
        self.abouts.push((name, about));
    }

    /// Its records never leave the process.
    pub fn confine(&mut self, name: &'static str) {
        self.confined.push(name);
    }

    pub fn is_confined(&self, name: &str) -> bool {
        self.confined.contains(&name)
    }

    pub fn skip(&mut self, name: &'static str, why: String) {
        self.skipped.push((name, why));
    }

    pub fn note(&mut self, note: &str) {
        self.notes.push(note.into());
    }

    pub fn abouts(&self) -> &[(&'static str, &'static str)] {
        &self.abouts
    }

    pub fn skipped(&self) -> &[(&'static str, String)] {
        &self.skipped
    }

    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Runs that came to nothing, each failure of a peer once with how often it happened.
    pub fn failed(&self) -> BTreeMap<(&'static str, Measure, &str), usize> {
        let mut failed = BTreeMap::new();
        for run in &self.runs {
            if let Err(why) = &run.figures {
                *failed.entry((run.name, run.measure, why.as_str())).or_default() += 1;
            }
        }
        failed
    }

    /// The median probe, nanoseconds.
    pub fn probe_ns(&self) -> Option<f64> {
        median(&self.runs.iter().flat_map(|run| run.probes.iter().copied()).collect::<Vec<_>>())
    }

    /// The median probe of the runs in one class, nanoseconds.
    pub fn probe_in(&self, class: Class) -> Option<f64> {
        let runs = self.runs.iter().filter(|run| Class::of(&run.probes) == class);
        median(&runs.flat_map(|run| run.probes.iter().copied()).collect::<Vec<_>>())
    }

    /// What was measured, in order.
    pub fn measures(&self) -> Vec<Measure> {
        let mut measures: Vec<_> = self.runs.iter().map(|run| run.measure).collect();
        measures.sort_unstable();
        measures.dedup();
        measures
    }

    /// The medians by class. What one processor does has no class, but stands with the near ones.
    pub fn classes(&self, name: &str, measure: Measure) -> BTreeMap<Class, Median> {
        let mut classes: BTreeMap<Class, Vec<Figures>> = BTreeMap::new();
        for run in self.runs.iter().filter(|run| run.name == name && run.measure == measure) {
            if let Ok(figures) = run.figures {
                classes.entry(Class::of(&run.probes)).or_default().push(figures);
            }
        }
        classes.into_iter().filter_map(|(class, runs)| Some((class, of_runs(&runs)?))).collect()
    }

    /// The medians in the class that this peer had most runs in.
    pub fn main(&self, name: &str, measure: Measure) -> Option<(Class, Median)> {
        self.classes(name, measure).into_iter().max_by_key(|(_, median)| median.runs)
    }

    /// Whether some class has come up often enough, or none ever will since all runs fail.
    pub fn is_enough(&self, name: &str, measure: Measure) -> bool {
        !measure.is_shared() || self.main(name, measure).is_none_or(|(_, median)| median.runs >= FEWEST)
    }

    /// Nanoseconds of both parts of the floor, one after the other.
    pub fn floor(&self) -> Option<f64> {
        FLOOR_PARTS.iter().map(|part| Some(self.main(part, Measure::Append)?.1.figure)).sum()
    }
}

fn of_runs(runs: &[Figures]) -> Option<Median> {
    let all = |part: fn(&Figures) -> Option<f64>| median(&runs.iter().filter_map(part).collect::<Vec<_>>());
    let lost = runs.iter().filter_map(|run| run.lost).reduce(|one, other| (one.0 + other.0, one.1 + other.1));
    Some(Median { runs: runs.len(), figure: all(|run| Some(run.figure))?, late90: all(|run| run.late90), lost })
}

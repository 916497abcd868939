//! The race: the ring beside what people would use instead, in one run, each with 100 bytes a record.
//!
//! `race [--only NAME].. [--rounds N] [--json FILE] [--plot DIR]`. Every measurement is made by fresh processes; in each round
//! everybody takes a turn, and medians count. What needs two processors is told apart by what a cache line takes from one
//! to the other at the time. Peers from the crate registry are there with `--features peers`; what this machine lacks is
//! named. The processes are this program again, `race child ..`, and report through a ring.

#[cfg(test)]
mod carries;
mod child;
mod clock;
mod json;
mod object;
mod peer;
mod peers;
mod plot;
mod report;
mod results;
mod roles;
mod table;
mod team;

use clap::Parser;
use lapwing_benches::cores;
use peer::{Entry, Measure, Place};
use results::{Results, Run};
use std::io::IsTerminal;
use std::path::PathBuf;
use team::Team;

/// What fails says why.
type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// Rounds in which no class came up often enough are made up for, until there have been so many times as many.
const MOST_TIMES: u32 = 3;

/// Compares the ring with what people would use instead: what an append of 100 bytes costs, how many records two writers append
/// and a reader gets, and how late.
#[derive(Parser)]
#[command(
    after_help = "Examples:\n  race --only lapwing --only pipe --rounds 5\n  chrt -r 5 race --json race.json --plot docs/race\n\n\
                        In real time (chrt) other programs disturb it less. Exit status: 0 when all that was to be measured was."
)]
struct Arguments {
    /// These alone, instead of all; may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Write the medians to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the medians into this folder, an SVG file for each thing that is measured
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some("child") {
        return child::work(std::env::args().skip(2));
    }
    let arguments = Arguments::parse();
    let entries = chosen(&arguments.only)?;
    let cpus = cores::allowed();
    let place = Place::new()?;
    let folder = place.folder().to_owned();
    let mut team = Team::new(place);
    let mut results = Results::default();
    // What was set up ends before its folder goes.
    let (mut racing, mut settings) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry.missing().map_or_else(|| entry.set_up(&folder).map_err(|e| e.to_string()), Err) {
            Ok(setting) => {
                settings.push(setting);
                results.enter(entry.name, entry.about);
                if entry.one_process {
                    results.confine(entry.name);
                }
                racing.push(entry);
            }
            Err(why) => results.skip(entry.name, why),
        }
    }
    let measures = Measure::all(&cpus);
    if cpus.len() < 2 {
        results.note("one processor: nothing was measured that needs two");
    }
    let most = if (arguments.rounds as usize) < results::FEWEST { 1 } else { MOST_TIMES } * arguments.rounds;
    let shown = std::io::stderr().is_terminal();
    for round in 1..=most {
        for &measure in &measures {
            for entry in racing.iter().filter(|entry| entry.measures.iter().any(|kind| kind.covers(measure))) {
                if round > arguments.rounds && results.is_enough(entry.name, measure) {
                    continue;
                }
                if shown {
                    eprint!("\r\x1b[Kround {round}: {measure} {}", entry.name);
                }
                results.add(Run::of(&mut team, entry, measure, &cpus));
            }
        }
    }
    if shown {
        eprint!("\r\x1b[K");
    }
    print!("{}", table::Table(&results));
    if let Some(path) = &arguments.json {
        std::fs::write(path, json::text(&results)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(folder) = &arguments.plot {
        plot::write(&results, folder)?;
    }
    match results.failed().len() {
        0 => Ok(()),
        _ => Err("not all that was to be measured was, see above".into()),
    }
}

/// The entries that are to race.
fn chosen(only: &[String]) -> Result<Vec<Entry>> {
    let all = peers::all();
    let names: Vec<_> = all.iter().map(|entry| entry.name).collect();
    if let Some(unknown) = only.iter().find(|word| !names.contains(&word.as_str()) && *word != results::FLOOR) {
        return Err(format!("no {unknown} here; there are {} and {}", results::FLOOR, names.join(", ")).into());
    }
    let wanted = |entry: &Entry| {
        let named = |name: &str| only.iter().any(|word| word == name);
        only.is_empty() || named(entry.name) || named(results::FLOOR) && results::FLOOR_PARTS.contains(&entry.name)
    };
    Ok(all.into_iter().filter(wanted).collect())
}

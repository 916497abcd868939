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
mod interrupt;
mod json;
mod object;
mod peer;
mod peers;
mod place;
mod plot;
mod report;
mod results;
mod roles;
mod table;
mod team;

use clap::Parser;
use interrupt::Interrupt;
use lapwing_benches::cores;
use peer::{Entry, Measure};
use place::Place;
use results::{Results, Run};
use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
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

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("child") => child::work(std::env::args().skip(2)),
        _ => run(&Arguments::parse()),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("race: {error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// All of it, from what is to be measured to what has been.
fn run(arguments: &Arguments) -> Result<()> {
    let entries = chosen(&arguments.only)?;
    // What cannot be written is said now, not after minutes.
    let json = arguments.json.as_deref().map(|path| Ok::<_, String>((path, writable(path)?))).transpose()?;
    arguments.plot.as_deref().map(plot::prepare).transpose()?;
    let interrupt = Interrupt::new()?;
    let results = race(entries, arguments.rounds, &interrupt)?;
    if interrupt.is_there() {
        return Ok(interrupt.pass_on()?);
    }
    if let Some((path, file)) = json {
        replace(file, &json::text(&results)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if let Some(folder) = &arguments.plot {
        plot::write(&results, folder)?;
    }
    match std::io::stdout().write_all(table::Table(&results).to_string().as_bytes()) {
        // Who has read enough (`| head`) does not want the rest.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(format!("standard output: {error}").into()),
        _ => {}
    }
    match results.failed().len() {
        0 => Ok(()),
        _ => Err("not all that was to be measured was, see above".into()),
    }
}

/// Measures; what was set up for it has been taken down afterwards.
fn race(entries: Vec<Entry>, rounds: u32, interrupt: &Interrupt) -> Result<Results> {
    let cpus = cores::allowed();
    let place = Place::new()?;
    let folder = place.folder().to_owned();
    let mut results = Results::default();
    place.too_small().iter().for_each(|note| results.note(note));
    let mut team = Team::new(place, interrupt.clone());
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
    let most = if (rounds as usize) < results::FEWEST { rounds } else { rounds.saturating_mul(MOST_TIMES) };
    let shown = std::io::stderr().is_terminal();
    'rounds: for round in 1..=most {
        for &measure in &measures {
            for entry in racing.iter().filter(|entry| entry.measures.iter().any(|kind| kind.covers(measure))) {
                if interrupt.is_there() {
                    break 'rounds;
                }
                if round > rounds && results.is_enough(entry.name, measure) {
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
    Ok(results)
}

/// Opens a file that is to be replaced in the end, and leaves it as it is.
fn writable(path: &Path) -> Result<File, String> {
    let file = File::options().write(true).create(true).truncate(false).open(path);
    file.map_err(|error| format!("{}: {error}", path.display()))
}

fn replace(mut file: File, text: &str) -> std::io::Result<()> {
    if file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(text.as_bytes())
}

/// The entries that are to race.
fn chosen(only: &[String]) -> Result<Vec<Entry>> {
    let all = peers::all();
    let names: Vec<_> = all.iter().map(|entry| entry.name).collect();
    if let Some(unknown) = only.iter().find(|word| !names.contains(&word.as_str()) && *word != results::FLOOR) {
        return Err(format!("no {unknown} here; there are {}; {}", results::FLOOR, names.join("; ")).into());
    }
    let wanted = |entry: &Entry| {
        let named = |name: &str| only.iter().any(|word| word == name);
        only.is_empty() || named(entry.name) || named(results::FLOOR) && results::FLOOR_PARTS.contains(&entry.name)
    };
    Ok(all.into_iter().filter(wanted).collect())
}

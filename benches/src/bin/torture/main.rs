//! Torture: processes that write, fork, thread, stop and die at random, readers that come and go, rings removed and made
//! again under them; and a checker that holds everything delivered against everything appended.
//!
//! `cargo run --release -p lapwing-benches --bin torture -- --minutes 10 [--seed S]`. The seed decides what is done; when
//! exactly it happens is up to the machine. A violation leaves its journals behind, and the exit status is 1.

mod check;
mod dice;
mod director;
mod evidence;
mod holes;
mod journal;
mod os;
mod payload;
#[cfg(test)]
mod planted;
mod reader;
mod scenario;
mod streams;
mod summary;
mod trouble;
mod writer;

use director::Director;
use scenario::{Kind, Scenario, Style};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use summary::Summary;

const USAGE: &str = "torture [--minutes N | --seconds N] [--seed S] [--round N] [--round-seconds N] [--folder F] [--only mixed|storm|duel]";

/// Bytes of journals that a round may leave, where there is room for twice that.
const BUDGET: u64 = 1 << 29;

/// Violations of a round that are shown whole.
const SHOWN: usize = 12;

struct Options {
    seconds: f64,
    seed: u64,
    /// The first round.
    round: u64,
    round_seconds: f64,
    /// Where rings and journals lie: memory.
    folder: PathBuf,
    /// Rounds of this style alone.
    only: Option<Style>,
}

fn options(arguments: &[String]) -> Option<Options> {
    let (seed, folder) = (os::now(), PathBuf::from("/dev/shm"));
    let mut options = Options { seconds: 60.0, seed, round: 0, round_seconds: 6.0, folder, only: None };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        match name.as_str() {
            "--minutes" => options.seconds = value.parse::<f64>().ok()? * 60.0,
            "--seconds" => options.seconds = value.parse().ok()?,
            "--seed" => options.seed = value.parse().ok()?,
            "--round" => options.round = value.parse().ok()?,
            "--round-seconds" => options.round_seconds = value.parse().ok()?,
            "--only" => options.only = Some(Style::named(value)?),
            "--folder" => options.folder = PathBuf::from(value),
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((role, rest)) = arguments.split_first()
        && role == "--role"
    {
        return play(rest);
    }
    let Some(options) = options(&arguments) else {
        eprintln!("usage: {USAGE}");
        return ExitCode::from(2);
    };
    direct(&options)
}

/// A process of a round: the folder, its cell, its seed, the round's seed, the director.
fn play(arguments: &[String]) -> ExitCode {
    let [folder, rest @ ..] = arguments else { return ExitCode::from(2) };
    let numbers: Vec<u64> = rest.iter().filter_map(|text| text.parse().ok()).collect();
    let &[cell, seed, round, director] = numbers.as_slice() else { return ExitCode::from(2) };
    os::die_with(director as i32);
    let (folder, cell) = (Path::new(folder), cell as usize);
    let control = journal::Control::open(folder).expect("the director made it");
    let kind = Kind::of(control.cell(cell).kind);
    let control = trouble::install(control, cell, kind.is_some());
    match kind {
        Some(kind) => writer::main(folder, control, cell, kind, &Scenario::of(round), seed),
        None => reader::main(folder, control, cell, seed),
    }
    ExitCode::SUCCESS
}

fn direct(options: &Options) -> ExitCode {
    os::adopt_orphans();
    println!("seed {}", options.seed);
    let since = os::now();
    let elapsed = || (os::now() - since) as f64 / 1e9;
    let budget = BUDGET.min(os::free_bytes(&options.folder) / 2);
    let mut summary = Summary::default();
    let mut round = options.round;
    while elapsed() < options.seconds {
        let folder = options.folder.join(format!("lapwing-torture-{}-{round}", os::pid()));
        let scenario = Scenario::of(Scenario::seed(options.seed, round));
        if options.only.is_some_and(|only| only != scenario.style) {
            round += 1;
            continue;
        }
        if let Err(error) = std::fs::create_dir(&folder) {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
        let seconds = options.round_seconds.min(options.seconds - elapsed()).max(0.5);
        let found = match Director::new(&folder, &scenario, &mut summary) {
            Ok(director) => director.run(seconds, budget),
            Err(error) => {
                eprintln!("{}: {error}", folder.display());
                return ExitCode::FAILURE;
            }
        };
        summary.rounds += 1;
        if !found.is_empty() {
            summary.violations += found.len() as u64;
            println!("VIOLATION seed {} round {round}: {scenario}", options.seed);
            for violation in found.iter().take(SHOWN) {
                println!("  {}: {}", violation.check, violation.text);
            }
            println!("  {} in all; journals are in {}", found.len(), folder.display());
            println!("{:.0} s: {summary}", elapsed());
            return ExitCode::FAILURE;
        }
        let _ = std::fs::remove_dir_all(&folder);
        println!("{:4.0} s  round {round}: {scenario}", elapsed());
        println!("        so far {summary}");
        round += 1;
    }
    println!("seed {}: {summary}", options.seed);
    ExitCode::SUCCESS
}

//! The command: which cases and places, progress, and the summary.

use crate::books::mix;
use crate::cases::{CASES, Case};
use crate::operation::create;
use crate::scene::Folder;
use crate::trial::{Fate, Survey, trial};
use crate::watchdog;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Violations that are told in full, of one case and fate.
const TOLD: usize = 5;

struct Options {
    /// Most places of one case and fate.
    sample: usize,
    seed: u64,
    only: Option<String>,
    fate: Option<Fate>,
    at: Option<usize>,
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { sample: usize::MAX, seed: 1, only: None, fate: None, at: None };
    while let Some(arg) = args.next() {
        let value = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{arg} {value}: {error}"));
        match arg.as_str() {
            "--sample" => options.sample = number()?.max(1) as usize,
            "--seed" => options.seed = number()?,
            "--at" => options.at = Some(number()? as usize),
            "--fate" => {
                let fate = Fate::ALL.into_iter().find(|fate| fate.name() == value);
                options.fate = Some(fate.ok_or_else(|| format!("{arg} {value}: kill, hold or pause"))?);
            }
            "--only" => {
                if CASES.iter().all(|case| case.name != value) {
                    let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
                    return Err(format!("{arg} {value}: one of {}", names.join(", ")));
                }
                options.only = Some(value);
            }
            _ => return Err(format!("{arg}: there is no such option")),
        }
    }
    Ok(options)
}

/// What was tried, and what did not add up.
#[derive(Default)]
struct Tally {
    tried: usize,
    violations: usize,
}

pub fn run(args: impl Iterator<Item = String>) -> ExitCode {
    let options = match options(args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("steps: {error}");
            return ExitCode::from(2);
        }
    };
    let template = match Folder::new("template").map(|folder| (create().create(&folder.ring()), folder)) {
        Ok((Ok(()), folder)) => folder,
        Ok((Err(error), _)) => panic!("the ring of all trials: {error}"),
        Err(error) => panic!("a folder in /dev/shm: {error}"),
    };
    let since = Instant::now();
    let mut all = Tally::default();
    for case in CASES.iter().filter(|case| options.only.as_ref().is_none_or(|only| only == case.name)) {
        let tally = try_case(case, &options, &template.ring());
        all.tried += tally.tried;
        all.violations += tally.violations;
    }
    let seed = options.seed;
    println!("seed {seed}, {:.1} s", since.elapsed().as_secs_f64());
    println!("{} instructions tried, {} violations", all.tried, all.violations);
    if all.violations == 0 && all.tried > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn try_case(case: &Case, options: &Options, template: &Path) -> Tally {
    let mut tally = Tally::default();
    let since = Instant::now();
    let seed = options.seed;
    watchdog::watch(&format!("{}, seed {seed}, with nothing done to it", case.name));
    let survey = match Survey::of(case, options.sample, template, mix(seed)) {
        Ok(survey) => survey,
        Err(error) => {
            println!("VIOLATION: {}, seed {seed}, with nothing done to it: {error}", case.name);
            return Tally { tried: 1, violations: 1 };
        }
    };
    let kind = if case.every { "instructions" } else { "points" };
    let count = survey.places.len();
    let mut early = 0;
    for fate in Fate::ALL.into_iter().filter(|fate| options.fate.is_none_or(|only| only == *fate)) {
        let chosen = choose(count, options, fate);
        let mut progress = Progress::new(case.name, fate.name(), chosen.len());
        let mut told = 0;
        for (done, &k) in chosen.iter().enumerate() {
            progress.show(done);
            let place = &survey.places[k];
            let what = format!("{} {} --at {k} ({place}), seed {seed}", case.name, fate.name());
            watchdog::watch(&what);
            let Some(outcome) = trial(case, &survey, k, fate, template, mix(seed)) else {
                early += 1;
                continue;
            };
            tally.tried += 1;
            if let Err(error) = outcome.checked {
                tally.violations += 1;
                told += 1;
                if told <= TOLD {
                    println!("VIOLATION: {what}, {}\n    {error}", symbol(outcome.rip));
                    let (name, fate, sample) = (case.name, fate.name(), options.sample);
                    let sample = if sample == usize::MAX { String::new() } else { format!(" --sample {sample}") };
                    println!("    again: steps --only {name} --fate {fate} --at {k} --seed {seed}{sample}");
                }
            }
        }
        progress.show(chosen.len());
        if told > TOLD {
            println!("VIOLATION: {} {}: {} more", case.name, fate.name(), told - TOLD);
        }
    }
    let Tally { tried, violations } = tally;
    let early = if early > 0 { format!(", {early} ended before their place") } else { String::new() };
    let seconds = since.elapsed().as_secs_f64();
    println!(
        "{:<18} {count:>5} {kind:<12} {tried:>6} tried, {violations} violations{early}, {seconds:.1} s",
        case.name
    );
    tally
}

/// The places to try: all, the one asked for, or a sample spread evenly with a random start.
fn choose(count: usize, options: &Options, fate: Fate) -> Vec<usize> {
    if let Some(at) = options.at {
        return (at < count).then_some(at).into_iter().collect();
    }
    let wanted = options.sample.min(count);
    let shift = mix(options.seed ^ mix(count as u64 ^ (fate as u64) << 32)) as usize % count;
    (0..wanted).map(|i| (i * count / wanted + shift) % count).collect()
}

/// The function that an address lies in, as far as `addr2line` knows it.
fn symbol(rip: u64) -> String {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return format!("at {rip:#x}") };
    let mut bases: Vec<(u64, &str)> = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (Some((from, to)), Some(&path)) = (words[0].split_once('-'), words.get(5)) else { continue };
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap_or(0));
        let base = bases.iter().find(|(_, other)| *other == path).map_or(from, |(base, _)| *base);
        bases.push((base, path));
        if (from..to).contains(&rip) {
            let at = format!("{:#x}", rip - base);
            let command = Command::new("addr2line").args(["-f", "-C", "-s", "-e", path, &at]).output();
            let found = command.map(|output| String::from_utf8_lossy(&output.stdout).trim().replace('\n', ", "));
            return format!("at {path}+{at} {}", found.unwrap_or_default());
        }
    }
    format!("at {rip:#x}")
}

/// A line that tells how far one case and fate have come.
struct Progress {
    what: String,
    count: usize,
    shown: Instant,
}

impl Progress {
    fn new(case: &str, fate: &str, count: usize) -> Self {
        Self { what: format!("{case} {fate}"), count, shown: Instant::now() }
    }

    fn show(&mut self, done: usize) {
        let terminal = std::io::stderr().is_terminal();
        let pause = if terminal { Duration::from_millis(200) } else { Duration::from_secs(5) };
        if done < self.count && self.shown.elapsed() < pause {
            return;
        }
        self.shown = Instant::now();
        let line = format!("{}: {done}/{}", self.what, self.count);
        let _ = match (terminal, done < self.count) {
            (true, true) => write!(std::io::stderr(), "\r{line:<60}"),
            (true, false) => write!(std::io::stderr(), "\r{:<60}\r", ""),
            (false, _) => writeln!(std::io::stderr(), "{line}"),
        };
    }
}

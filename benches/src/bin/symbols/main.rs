//! What the kernel's symbols cost: loading them, keeping them, looking addresses up; beside the table that the OpenTelemetry
//! profiler keeps, typed again, and beside blazesym. Every measurement in a fresh process, one after the other in each round,
//! medians of the rounds.
//! Lookups are counted in processor time.
//!
//! `symbols [--rounds N] [--lookups N] [--folder FOLDER] [--only WORD]..`, by default 5 rounds, 1,000,000 lookups, all rows, two
//! captured kernels unpacked in /dev/shm; the running one where its addresses are shown (root). blazesym with
//! `cargo run --release -p lapwing-benches --features peers --bin symbols`.
//!
//! The other processes it starts are itself: `symbols measure ..`.

mod measure;
mod memory;
mod reference;
mod table;

#[cfg(feature = "peers")]
mod blazesym;

use lapwing_benches::Folder;
use lapwing_benches::captured::{self, Kernel};
use measure::{CONTESTANTS, Measured, REPORTED};
use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Counts what is allocated.
#[global_allocator]
static HEAP: memory::Counting = memory::Counting;

/// What is to be measured, and how.
struct Options {
    rounds: usize,
    lookups: usize,
    folder: PathBuf,
    only: Vec<String>,
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if arguments.first().map(String::as_str) == Some("measure") {
        return measure::work(&arguments[1..]);
    }
    let options = parse(&arguments);
    let folder = Folder::new_in(&options.folder, "symbols");
    let kernels = captured::kernels(folder.path());
    println!("median of {} rounds, {} lookups a row", options.rounds, options.lookups);
    for kernel in &kernels {
        compare(kernel, &options, folder.path());
    }
}

fn compare(kernel: &Kernel, options: &Options, folder: &Path) {
    let published = folder.join("published");
    let _ = std::fs::remove_file(&published);
    measure::publish(kernel, &published);
    let wanted = |name: &&&str| options.only.is_empty() || options.only.iter().any(|word| name.contains(word));
    let names: Vec<_> = CONTESTANTS.iter().filter(wanted).collect();
    let mut rows: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
    for _ in 0..options.rounds {
        for name in &names {
            rows.entry(name).or_default().push(run(name, kernel, &published, options.lookups));
        }
    }
    println!("\n{}, {} lines", kernel.name, kernel.lines);
    table::print(&names, &rows, &REPORTED);
}

/// One measurement in a process of its own.
fn run(name: &str, kernel: &Kernel, published: &Path, lookups: usize) -> Measured {
    let mut command = Command::new(env::current_exe().expect("where this program is"));
    command.args(["measure", name]).args([&kernel.kallsyms, &kernel.modules, &kernel.notes]);
    command.arg(published).arg(lookups.to_string());
    let output = command.stderr(std::process::Stdio::inherit()).output().expect("this program again");
    assert!(output.status.success(), "{name}: {}", output.status);
    Measured::read(&String::from_utf8_lossy(&output.stdout))
}

fn parse(arguments: &[String]) -> Options {
    let folder = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { env::temp_dir() };
    let mut options = Options { rounds: 5, lookups: 1_000_000, folder, only: Vec::new() };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { panic!("{} has no value", pair[0]) };
        match name.as_str() {
            "--rounds" => options.rounds = value.parse().expect("a number of rounds"),
            "--lookups" => options.lookups = value.parse().expect("a number of lookups"),
            "--folder" => options.folder = value.into(),
            "--only" => options.only.push(value.clone()),
            other => panic!("{other} is none of --rounds, --lookups, --folder and --only"),
        }
    }
    options
}

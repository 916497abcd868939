//! What reading costs: `lapwing tail` in every format over a full ring, beside the floors (memcpy, the library's reader alone,
//! text tools) and the peers (journalctl, dmesg). Everything in one run, interleaved, medians.
//!
//! `read [--size BYTES] [--rounds N] [--folder FOLDER] [--only WORD]..`, by default 1 GiB in /dev/shm, 5 rounds, all rows.
//! The other programs it starts are itself: `read fill ..` and `read floor ..`.

mod children;
mod fill;
mod floors;
mod journal;

use children::{Cost, Sink};
use lapwing_benches::Folder;
use lapwing_benches::texts::TEXT;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is to be measured, and how.
struct Options {
    size: u64,
    rounds: usize,
    folder: PathBuf,
    only: Vec<String>,
}

/// Records of the journal that journalctl reads: it takes a hundred times as long for each.
const JOURNAL_RECORDS: usize = 100_000;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("fill") => return fill::work(&arguments[1..]),
        Some("floor") => return floors::work(&arguments[1..]),
        _ => {}
    }
    let options = parse(&arguments);
    let folder = Folder::new_in(&options.folder, "read");
    let ring = folder.path().join("ring");
    let records = fill::fill(&ring, options.size);
    println!(
        "{} bytes of pages in {}, {records} records of {} bytes; one core, median of {} rounds",
        options.size,
        options.folder.display(),
        TEXT,
        options.rounds
    );
    let mut table = Table::default();
    floors(&mut table, &ring, records);
    tails(&mut table, &ring, records);
    let text = folder.path().join("text");
    children::run(tail(&ring, &["-o", "short"]), &Sink::File(&text));
    text_tools(&mut table, &text, records);
    peers(&mut table, &ring, folder.path());
    table.rows.retain(|row| options.only.is_empty() || options.only.iter().any(|word| row.name.contains(word)));
    table.run(options.rounds);
}

fn parse(arguments: &[String]) -> Options {
    let folder = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { env::temp_dir() };
    let mut options = Options { size: 1 << 30, rounds: 5, folder, only: Vec::new() };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { panic!("{} has no value", pair[0]) };
        match name.as_str() {
            "--size" => options.size = value.parse().expect("a size in bytes, a power of two"),
            "--rounds" => options.rounds = value.parse().expect("a number of rounds"),
            "--folder" => options.folder = value.into(),
            "--only" => options.only.push(value.clone()),
            other => panic!("{other} is none of --size, --rounds, --folder and --only"),
        }
    }
    options
}

/// `lapwing tail` of all records, pinned to one core.
fn tail(ring: &Path, arguments: &[&str]) -> Command {
    let lapwing = env::current_exe().expect("where this program is").with_file_name("lapwing");
    assert!(lapwing.is_file(), "{} is not there: cargo build --release -p lapwing", lapwing.display());
    let mut command = children::pinned(&lapwing);
    command.arg("tail").args(["-n", "all"]).args(arguments).arg("--ring").arg(ring);
    command
}

fn floors(table: &mut Table, ring: &Path, records: u64) {
    for (name, what) in [
        ("memcpy of as many bytes", "memcpy"),
        ("read(2) of the file", "file"),
        ("library, mapped", "mapped"),
        ("library, mapped, next()", "single"),
        ("library, copied", "copied"),
    ] {
        let (ring, what) = (ring.to_owned(), what.to_owned());
        table.add(name, records, move || floors::measure(&what, &ring));
    }
}

fn tails(table: &mut Table, ring: &Path, records: u64) {
    let to = |sink: Sink<'static>, arguments: &'static [&'static str]| {
        let ring = ring.to_owned();
        move || children::run(tail(&ring, arguments), &sink)
    };
    let formats: [(&str, &[&str]); 8] = [
        ("tail -o cat", &["-o", "cat"]),
        ("tail -o short", &["-o", "short"]),
        ("tail -o short-iso", &["-o", "short-iso"]),
        ("tail -o mono", &["-o", "mono"]),
        ("tail -o verbose", &["-o", "verbose"]),
        ("tail -o json", &["-o", "json"]),
        ("tail -o logfmt", &["-o", "logfmt"]),
        ("tail -o raw", &["-o", "raw"]),
    ];
    for (name, arguments) in formats {
        table.add(name, records, to(Sink::Null, arguments));
    }
    let piped: [(&str, &[&str]); 3] = [
        ("tail -o cat, to a pipe", &["-o", "cat"]),
        ("tail -o short, to a pipe", &["-o", "short"]),
        ("tail -o json, to a pipe", &["-o", "json"]),
    ];
    for (name, arguments) in piped {
        table.add(name, records, to(Sink::Pipe, arguments));
    }
    // None of these is in any text; the second begins like something that is, the third has no fixed text to look for.
    let filters: [(&str, &[&str]); 5] = [
        ("tail -g 'disk full'", &["-g", "disk full"]),
        ("tail -g 'time ?out'", &["-g", "time ?out"]),
        ("tail -g '[0-9]+ [a-z]+ failed$'", &["-g", "[0-9]+ [a-z]+ failed$"]),
        ("tail -p emerg", &["-p", "emerg"]),
        ("tail --pid 1", &["--pid", "1"]),
    ];
    for (name, arguments) in filters {
        table.add(name, records, to(Sink::Null, arguments));
    }
}

/// What others need for the same text in a file.
fn text_tools(table: &mut Table, text: &Path, records: u64) {
    let tools: [(&str, &[&str]); 4] = [
        ("cat of the short text", &["cat"]),
        ("wc -l of the short text", &["wc", "-l"]),
        ("grep -c 'disk full' of it", &["grep", "-c", "disk full"]),
        ("grep -Ec 'time ?out' of it", &["grep", "-Ec", "time ?out"]),
    ];
    for (name, words) in tools {
        let text = text.to_owned();
        table.add(name, records, move || {
            let mut command = children::pinned(Path::new(words[0]));
            command.args(&words[1..]).arg(&text).env("LC_ALL", "C");
            // Not to /dev/null, where grep ends at the first match.
            children::run(command, &Sink::Pipe)
        });
    }
}

fn peers(table: &mut Table, ring: &Path, folder: &Path) {
    match journal::of(ring, JOURNAL_RECORDS, folder) {
        Err(why) => println!("no journal: {why}"),
        Ok(journal) => {
            for format in ["json", "short", "cat"] {
                let journal = journal.clone();
                table.add(&format!("journalctl -o {format}"), JOURNAL_RECORDS as u64, move || {
                    let mut command = children::pinned(Path::new("journalctl"));
                    command.args(["-q", "--no-pager", "-o", format, "--file"]).arg(&journal);
                    children::run(command, &Sink::Null)
                });
            }
        }
    }
    let kernel = Command::new("dmesg").output().ok().filter(|output| output.status.success());
    match kernel.map_or(0, |output| output.stdout.iter().filter(|&&byte| byte == b'\n').count()) {
        0 => println!("no dmesg: it is not there, or shows nothing"),
        lines => {
            for (name, arguments) in [("dmesg, with its start", &[][..]), ("dmesg -J, with its start", &["-J"])] {
                table.add(name, lines as u64, move || {
                    let mut command = children::pinned(Path::new("dmesg"));
                    command.args(arguments);
                    children::run(command, &Sink::Null)
                });
            }
        }
    }
}

struct Row {
    name: String,
    records: u64,
    once: Box<dyn Fn() -> Cost>,
    costs: Vec<Cost>,
}

#[derive(Default)]
struct Table {
    rows: Vec<Row>,
}

impl Table {
    fn add(&mut self, name: &str, records: u64, once: impl Fn() -> Cost + 'static) {
        self.rows.push(Row { name: name.to_owned(), records, once: Box::new(once), costs: Vec::new() });
    }

    fn run(mut self, rounds: usize) {
        for _ in 0..rounds {
            for row in &mut self.rows {
                let cost = (row.once)();
                row.costs.push(cost);
            }
        }
        println!("{:34} {:>10} {:>10} {:>14}", "", "ns/record", "of that cpu", "records/s");
        for row in &self.rows {
            let [wall, cpu] = [|cost: &Cost| cost.wall, |cost: &Cost| cost.cpu]
                .map(|of| median(row.costs.iter().map(of).collect()) / row.records as f64 * 1e9);
            println!("{:34} {wall:10.1} {cpu:10.1} {:13.2} M", row.name, 1e3 / wall);
        }
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

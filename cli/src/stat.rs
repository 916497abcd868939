//! `lapwing stat`: what can be told of a ring without reading all its records, once or again and again.

mod prometheus;
mod report;
mod text;

use crate::args::RingArgs;
use crate::failure::{Failure, say};
use crate::look::{Look, Pace};
use crate::quantity::parse_span;
use crate::users;
use crate::watch::Watch;
use clap::Args;
use lapwing_reader_shim::to_json;
use lapwing_ring::{Purpose, Reader};
use report::Report;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Where records come too fast for a look at those of the last second, they are counted for so long.
const COUNTED_FOR: Duration = Duration::from_millis(50);

/// Show what a ring holds, how fast it is written to, and by whom
#[derive(Debug, Args)]
#[command(after_help = "\
The rate is that of the last second, or since the oldest of the newest 65536 records; in a copy and in a ring of another
boot, of the last second that was written. With --watch it is the rate since the line before.

With --watch: a line each second, or each SPAN (500ms, 2s, 1m); with --verbose the whole report; with --json an object a line.
--prometheus gives the text format 0.0.4, which node_exporter reads from a file:
  lapwing stat --prometheus > lapwing.prom.$$ && mv lapwing.prom.$$ lapwing.prom

Examples:
  lapwing stat
  lapwing stat --watch 5s
  lapwing stat --json | jq .rate.records_per_s
  lapwing stat --json --watch | jq '.writers[] | select(.verdict != \"dead\") | [.pid, .records_per_s]'")]
pub struct StatArgs {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Also what hardly ever matters, and how it is known which writer is alive
    #[arg(short, long, conflicts_with = "json")]
    pub verbose: bool,
    /// Again and again, until interrupted
    #[arg(short, long, value_name = "SPAN", num_args = 0..=1, default_missing_value = "1s", value_parser = parse_span)]
    pub watch: Option<Duration>,
    /// Metrics for Prometheus
    #[arg(long, conflicts_with_all = ["json", "verbose", "watch"])]
    pub prometheus: bool,
    #[command(flatten)]
    pub ring: RingArgs,
}

pub fn stat(args: &StatArgs) -> Result<ExitCode, Failure> {
    let mut reader = args.ring.location(Purpose::Read).open_reader()?;
    match args.watch {
        Some(every) => repeat(args, &mut reader, every),
        None => once(args, &mut reader),
    }
}

fn look(reader: &mut Reader) -> Result<Look, Failure> {
    Look::take(reader, |_| true).map_err(|source| Failure::Read { path: reader.path().to_owned(), source })
}

fn once(args: &StatArgs, reader: &mut Reader) -> Result<ExitCode, Failure> {
    let mut found = look(reader)?;
    let mut rate = found.rate();
    if rate.is_none() && found.stat.bounds.next_seq != 0 {
        std::thread::sleep(COUNTED_FOR);
        let later = look(reader)?;
        rate = Pace::between(&found, &later).map(|pace| pace.rate());
        found = later;
    }
    let report = Report::new(reader, &found, rate, None);
    let text = match args {
        StatArgs { prometheus: true, .. } => prometheus::metrics(reader.path(), &found),
        StatArgs { json: true, .. } => json(&report),
        _ => text::report(&report, readers(args, reader).as_deref()),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Under --verbose: those who read the ring, as far as we can see them.
fn readers(args: &StatArgs, reader: &Reader) -> Option<Vec<(u32, String)>> {
    let meta = args.verbose.then(|| reader.path().metadata().ok())?;
    Some(meta.map_or(Vec::new(), |meta| users::readers(reader.path(), &meta)))
}

fn json(report: &Report) -> String {
    String::from_utf8_lossy(&to_json(report)).into_owned() + "\n"
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Output)
}

/// Lines between two headings.
const HEADING_EVERY: u64 = 20;

fn repeat(args: &StatArgs, reader: &mut Reader, every: Duration) -> Result<ExitCode, Failure> {
    let location = args.ring.location(Purpose::Read);
    let mut watch = Watch::new(&location);
    let mut before: Option<Look> = None;
    let mut due = Instant::now();
    for line in 0u64.. {
        if let Some(successor) = watch.successor(reader) {
            *reader = successor;
            before = None;
            say(format_args!("{} was replaced; from here on it is the new ring", reader.path().display()));
        }
        let found = look(reader)?;
        let pace = before.as_ref().and_then(|before| Pace::between(before, &found));
        // The first line has nothing in front of it.
        let rate = pace.as_ref().map(Pace::rate).or_else(|| found.rate());
        let report = Report::new(reader, &found, rate, pace.as_ref());
        if args.json {
            print(&json(&report))?;
        } else if args.verbose {
            let gap = if line == 0 { "" } else { "\n" };
            print(&format!("{gap}{}", text::report(&report, readers(args, reader).as_deref())))?;
        } else {
            let heading = if line.is_multiple_of(HEADING_EVERY) { text::HEADING } else { "" };
            print(&format!("{heading}{}", text::line(&report)))?;
        }
        before = Some(found);
        due += every;
        // Who was stopped for a while does not make up for it.
        due = due.max(Instant::now());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(ExitCode::SUCCESS)
}

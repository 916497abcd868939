//! The command line of `lapwing dump`.

use crate::args::{Lines, RingArgs, format_parser, parse_age, parse_size};
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{ArgGroup, Args};
use lapwing_reader_shim::{DumpOptions, Filter, Format, LevelRange, Rotation, Sync};
use lapwing_ring::Bounds;
use regex::bytes::Regex;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Follow the ring into a slow device or into rotating files
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("rotation").multiple(true)))]
#[command(after_help = "\
Never slows a writer: what the device cannot carry is overwritten in the ring, and one line in its place says how many
records are lost. Begins with sequence 0, or where the dump before it ended: that is noted in FILE.state, so that after any
kill no line is missing, doubled or torn. Of a device nothing is noted unless --state says where.

SIGTERM and SIGINT write what is in the ring by then, and end; the second one ends at once. SIGHUP opens FILE again.

Rotated files are called FILE.TIME.SEQ: when they were begun, UTC, and with which sequence. SPANs and sizes are like 30s, 12h,
7d and 64K, 16M, 1G.

Examples:
  lapwing dump --to /dev/ttyS0
  lapwing dump --to /var/log/debug.log --rotate 64M --keep 10 --zstd
  lapwing dump --to errors.json -o json -p err --rotate-time 1d --fsync 5s
  lapwing dump --to /dev/pts/3 --rate 11520 -n 0")]
pub struct DumpArgs {
    /// A file, a terminal, a pipe or a character device
    #[arg(long, value_name = "FILE|TTY", value_parser = PathBufValueParser::new().try_map(check_to))]
    to: PathBuf,
    /// No more than so many bytes a second
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    rate: Option<u64>,
    /// Begin another file before this one is longer than SIZE
    #[arg(long, value_name = "SIZE", value_parser = parse_rate, group = "rotation")]
    rotate: Option<u64>,
    /// Begin another file when local time passes a multiple of SPAN: 1d is midnight
    #[arg(long, value_name = "SPAN", value_parser = parse_span, group = "rotation")]
    rotate_time: Option<Duration>,
    /// Keep the newest N rotated files, remove older ones
    #[arg(long, value_name = "N", requires = "rotation")]
    keep: Option<usize>,
    /// Compress rotated files
    #[arg(long, requires = "rotation")]
    zstd: bool,
    /// When to have the disk take it for good: never, rotate (then, and at the end), every SPAN, or before the next record
    #[arg(long, value_name = "never|rotate|SPAN|record", default_value = "rotate")]
    fsync: Fsync,
    /// Where to note how far it has come [default: FILE.state; nowhere of a device]
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Where nothing is noted yet, begin with the last N records, or with all that exist
    #[arg(short = 'n', long = "lines", value_name = "N|all")]
    lines: Option<Lines>,
    /// Only this level and worse, or only the levels from A to B
    #[arg(short = 'p', long = "level", value_name = "LEVEL|A..B")]
    levels: Option<LevelRange>,
    /// Only records whose text matches this regular expression
    #[arg(short = 'g', long = "grep", value_name = "REGEX")]
    pattern: Option<Regex>,
    /// Only records of this process
    #[arg(long)]
    pid: Option<u32>,
    /// Only records with this tag
    #[arg(short, long)]
    tag: Option<OsString>,
    /// How records are written; `cat` is escaped as for a terminal, so that a line stays a record
    #[arg(short, long, value_name = "FORMAT", default_value = "short", value_parser = format_parser())]
    output: Format,
    /// When told to end, take no longer than this
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = parse_age)]
    pub finish_within: Duration,
    #[command(flatten)]
    pub ring: RingArgs,
}

impl DumpArgs {
    pub fn options(&self) -> DumpOptions {
        DumpOptions {
            to: self.to.clone(),
            state: self.state.clone(),
            format: self.output,
            filter: Filter {
                levels: self.levels.clone(),
                pattern: self.pattern.clone(),
                pid: self.pid,
                tag: self.tag.as_ref().map(|tag| tag.as_bytes().to_vec()),
                query: None,
            },
            rate: self.rate,
            rotation: Rotation { size: self.rotate, span: self.rotate_time, keep: self.keep, compress: self.zstd },
            sync: self.fsync.0,
        }
    }

    /// Where to begin where nothing is noted yet.
    pub fn first(&self, bounds: Bounds) -> u64 {
        match self.lines {
            None => 0,
            Some(Lines::All) => bounds.oldest_seq,
            Some(Lines::Last(count)) => bounds.next_seq.saturating_sub(count as u64).max(bounds.oldest_seq),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Fsync(Sync);

impl FromStr for Fsync {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self(match text {
            "never" => Sync::Never,
            "rotate" => Sync::Rotate,
            "record" => Sync::Record,
            span => Sync::Every(parse_span(span).map_err(|_| "neither never, rotate, record nor a time like 5s")?),
        }))
    }
}

fn check_to(path: PathBuf) -> Result<PathBuf, &'static str> {
    match path.as_os_str().as_bytes() {
        b"-" => Err("`lapwing tail -f` writes to standard output; ./- is a file of that name"),
        _ => Ok(path),
    }
}

fn parse_rate(text: &str) -> Result<u64, String> {
    parse_size(text).and_then(|size| if size == 0 { Err("has to be more than 0".to_owned()) } else { Ok(size) })
}

fn parse_span(text: &str) -> Result<Duration, String> {
    let span = parse_age(text).map_err(|_| "not a time; times are like 30s, 15m, 12h or 7d".to_owned())?;
    if span.is_zero() { Err("has to be more than 0".to_owned()) } else { Ok(span) }
}

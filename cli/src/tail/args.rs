//! The command line of `lapwing tail`.

use super::color::Color;
use crate::args::{Lines, format_parser, ring_parser};
use crate::symbols::SymbolArgs;
use clap::Args;
use lapwing_reader_shim::{Format, LevelRange, Query, parse_time};
use regex::bytes::Regex;
use std::ffi::OsString;
use std::path::PathBuf;

/// Show records, oldest first
#[derive(Debug, Args)]
#[command(after_help = "\
Without -n or -S, everything from sequence 0 on is asked for, and what is overwritten already is shown as lost. With them,
what exists is. -f alone shows the last 10 and follows.

Formats: short, short-iso, mono, verbose, cat (text alone), json, logfmt, raw (bytes of the payload, nothing between).

Times: now, today, yesterday, tomorrow, 2026-11-21, '2026-11-21 05:53:42', 05:53, 'Nov 21 05:53:42' (as shown),
2026-11-21T05:53:42Z, @1795240422 (Unix time), '10 min ago', -1h, 'in 5 min', +5min. Local time, unless they say another.

Expressions: FIELD OPERATOR VALUE, joined by and, or, not and parentheses. Fields are level, pid, tid, uid, tag, comm, src,
text, and the names of fields that the program wrote (field.NAME where that is one of these). Operators are = != < <= > >=,
and ~ !~ for regular expressions. Values with blanks or signs in them stand in quotes. A field that a record does not have
equals nothing and matches nothing.

Several rings are merged by time; with -f, no record is held for more than 30 ms for those of the others.

Examples:
  lapwing tail -n 100 -p warn
  lapwing tail -f -n all -t db
  lapwing tail -p debug..notice -g '(?i)time ?out'
  lapwing tail -S '10 min ago' -U now
  lapwing tail -q 'level>=warn and (comm~\"ngin\" or tag=db) and not text~\"time ?out\"'
  lapwing tail -f --ring web --ring /run/lapwing/ring
  lapwing tail -f --symbolize -q src=kmsg
  lapwing tail --cursor-file seen -o json | ship-somewhere
  lapwing tail -o json --from-seq 5000 --fail-on-loss")]
#[command(mut_group("symbols", |group| group.multiple(true).requires("symbolize")))]
pub struct TailArgs {
    /// Go on with what is appended from now on, until interrupted or -U is past
    #[arg(short, long)]
    pub follow: bool,
    /// Show the last N records, or all that exist
    #[arg(short = 'n', long = "lines", value_name = "N|all")]
    pub lines: Option<Lines>,
    /// Newest first
    #[arg(short, long, conflicts_with = "follow")]
    pub reverse: bool,
    /// Begin with this sequence
    #[arg(long, value_name = "N")]
    pub from_seq: Option<u64>,
    /// Only what was written at this time or later
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true, value_parser = time)]
    pub since: Option<i64>,
    /// Only what was written at this time or earlier; ends -f
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true, value_parser = time)]
    pub until: Option<i64>,
    /// Only this level and worse, or only the levels from A to B
    #[arg(short = 'p', long = "level", value_name = "LEVEL|A..B")]
    pub levels: Option<LevelRange>,
    /// Only records whose text matches this regular expression
    #[arg(short = 'g', long = "grep", value_name = "REGEX")]
    pub pattern: Option<Regex>,
    /// Only records of this process
    #[arg(long)]
    pub pid: Option<u32>,
    /// Only records with this tag
    #[arg(short, long)]
    pub tag: Option<OsString>,
    /// Only records of which this is true
    #[arg(short = 'q', long, value_name = "EXPR")]
    pub query: Option<Query>,
    /// How records are written
    #[arg(short, long, value_name = "FORMAT", default_value = "short", value_parser = format_parser())]
    pub output: Format,
    /// Show the kernel's symbols in place of its addresses, as `lapwing sym` does; not in raw
    #[arg(long)]
    pub symbolize: bool,
    #[command(flatten)]
    pub symbols: SymbolArgs,
    /// Show levels in color; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// No pager. Otherwise $LAPWING_PAGER, $PAGER or less is started on a terminal, unless following
    #[arg(long)]
    pub no_pager: bool,
    /// Exit with 3 if any record was lost, abandoned or stalled
    #[arg(long)]
    pub fail_on_loss: bool,
    /// Go on behind the record that this file names, if there is such a file, and note there what was written
    #[arg(long, value_name = "FILE", conflicts_with = "reverse")]
    pub cursor_file: Option<PathBuf>,
    /// Wait for records without ever sleeping: the least delay, for a whole processor and slower writers
    #[arg(long)]
    pub spin: bool,
    /// The ring: a path, or a bare name beside the default ring. May be given several times
    #[arg(long = "ring", value_name = "RING", value_parser = ring_parser())]
    pub rings: Vec<OsString>,
}

fn time(text: &str) -> Result<i64, lapwing_reader_shim::UnknownTime> {
    parse_time(text)
}

//! The command line, and nothing but the command line: no file is looked at here.

use crate::dump::DumpArgs;
use crate::pages::PagesArgs;
use crate::plot::PlotArgs;
use crate::pump::{ExecArgs, PumpArgs};
use crate::run::RunArgs;
use crate::save::SaveArgs;
use crate::stat::StatArgs;
use crate::sym::SymArgs;
use crate::tail::TailArgs;
use crate::top::TopArgs;
use clap::builder::TypedValueParser;
use clap::builder::{OsStringValueParser, PossibleValuesParser};
use clap::{Args, Parser, Subcommand};
use lapwing_reader_shim::Format;
use lapwing_ring::{Level, Location, Purpose};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

const AFTER_HELP: &str = "\
The default ring: $LAPWING_RING, else /run/lapwing/ring if it exists and may be used, else
$XDG_RUNTIME_DIR/lapwing/ring, else /dev/shm/lapwing-$UID/ring. A bare name is a ring beside it.
Commands that write make a missing default ring; commands that read never make one.

Exit codes:
  0  ok, also when whoever reads the output leaves early
  1  an error, or a filter that matched nothing
  2  wrong usage
  3  records were lost, abandoned or stalled, under --fail-on-loss
  4  the ring is damaged

Examples:
  lapwing run make -j8
  lapwing log -p warn -t backup disk nearly full
  make 2>&1 | lapwing log -t make
  lapwing tail -f
  lapwing tail -p warn -o json";

const RUN_EXAMPLES: &str = "\
The program takes the place of this one, so its exit code is what comes back; 126 where it cannot be run, 127 where
there is none of that name.

Examples:
  lapwing run make -j8
  lapwing run --quiet -- ./server --verbose";

#[derive(Debug, Parser)]
#[command(name = "lapwing", version, about = "A system-wide debug log with no daemon", after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    Log(LogArgs),
    Tail(Box<TailArgs>),
    Dump(DumpArgs),
    Kmsg(KmsgArgs),
    Stat(StatArgs),
    Top(TopArgs),
    Create(CreateArgs),
    Rm(RmArgs),
    Check(CheckArgs),
    Save(SaveArgs),
    Plot(PlotArgs),
    Ls(LsArgs),
    Gc(GcArgs),
    Sym(Box<SymArgs>),
    Doctor(DoctorArgs),
    #[command(hide = true)]
    Pages(PagesArgs),
    #[command(hide = true)]
    Pump(PumpArgs),
    #[command(hide = true)]
    PumpExec(ExecArgs),
}

impl Command {
    /// Whoever cannot have its output has nothing of it; of the others the exit code or a file is what counts.
    pub fn is_for_its_output(&self) -> bool {
        match self {
            Self::Tail(_) | Self::Stat(_) | Self::Ls(_) => true,
            Self::Sym(args) => !args.publish,
            Self::Plot(args) => args.output.as_deref().is_none_or(|file| file == Path::new("-")),
            Self::Save(args) => args.file == Path::new("-"),
            _ => false,
        }
    }
}

/// Which ring.
#[derive(Debug, Args)]
pub struct RingArgs {
    /// The ring: a path, or a bare name beside the default ring
    #[arg(long, value_name = "RING", value_parser = ring_parser())]
    pub ring: Option<OsString>,
}

impl RingArgs {
    pub fn location(&self, purpose: Purpose) -> Location {
        Location::find(self.ring.as_deref(), purpose)
    }
}

/// Append one record, or each line of standard input
#[derive(Debug, Args)]
#[command(after_help = "\
A line of standard input may begin with a syslog priority, <0> (emerg) to <7> (debug), which is its level then. Lines that
are too long for a record go into several, marked `cont`.

Examples:
  lapwing log hello world
  lapwing log -p err -t db \"cannot open $file\"
  dmesg -w | lapwing log -t kernel")]
pub struct LogArgs {
    /// The level: trace, debug, info, notice, warn, err, crit, alert, emerg, or 1 to 24
    #[arg(short = 'p', long, value_name = "LEVEL", default_value = "info")]
    pub level: Level,
    /// What the record is about
    #[arg(short, long)]
    pub tag: Option<OsString>,
    #[command(flatten)]
    pub ring: RingArgs,
    /// The text; words are joined by a space. Without any, standard input is read
    pub text: Vec<OsString>,
}

/// Bring the kernel log into the ring
#[derive(Debug, Args)]
#[command(after_help = "\
Each record of the kernel becomes one record, with the kernel's level, sequence and time; what the kernel has overwritten
before it was read becomes a record that says how many are lost. How far it has come is noted beside the ring, in
RING.kmsg, so nothing comes twice. One at a time for each ring. Reading the kernel log takes root or CAP_SYSLOG where
kernel.dmesg_restrict is 1.

Examples:
  lapwing kmsg
  lapwing kmsg -f --ring /run/lapwing/ring
  lapwing tail -f -o verbose")]
pub struct KmsgArgs {
    /// Go on with what the kernel says from now on, until interrupted
    #[arg(short, long)]
    pub follow: bool,
    /// What to read it from: a device or a pipe that gives one record a read, as /dev/kmsg does
    #[arg(long, value_name = "PATH", default_value = "/dev/kmsg")]
    pub device: PathBuf,
    #[command(flatten)]
    pub ring: RingArgs,
}

/// A ring's name: not nothing, which a variable that is not set leaves.
pub fn ring_parser() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|name| match name.is_empty() {
        true => Err("a ring has a name; without --ring it is the default one"),
        false => Ok(name),
    })
}

pub fn format_parser() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.map(Format::name)).try_map(|name| name.parse::<Format>())
}

/// What `-n` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lines {
    Last(usize),
    All,
}

impl std::str::FromStr for Lines {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "all" => Ok(Self::All),
            _ => s.parse().map(Self::Last).map_err(|_| "neither a number nor `all`".to_owned()),
        }
    }
}

/// Make a ring
#[derive(Debug, Args)]
#[command(after_help = "\
Sizes are bytes, or have one of the suffixes K, M, G. All space is allocated at once.

Examples:
  lapwing create -s 64M big                      beside the default ring
  lapwing create --mode 0660 --group adm /run/lapwing/ring")]
pub struct CreateArgs {
    /// Bytes of all pages, a power of two from 64K up
    #[arg(short, long, default_value = "16M", value_parser = parse_size)]
    pub size: u64,
    /// Bytes of a page, a power of two from 4K to 64K [default: a sixteenth of the size, within these]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub page_size: Option<u64>,
    /// Permission bits, octal: who reads needs r, who writes needs rw
    #[arg(long, default_value = "0600", value_parser = parse_mode)]
    pub mode: u32,
    /// The group of the file, a name or a number
    #[arg(long)]
    pub group: Option<String>,
    /// The ring: a path, or a bare name beside the default ring
    #[arg(value_parser = ring_parser())]
    pub ring: OsString,
}

/// Remove a ring. Who has it open keeps it until they end
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing but a ring is removed. A ring that is cut short or of another format version is one.

Examples:
  lapwing rm big")]
pub struct RmArgs {
    /// The ring: a path, or a bare name beside the default ring
    #[arg(value_parser = ring_parser())]
    pub ring: OsString,
}

/// Look for damage in rings, and name it
#[derive(Debug, Args)]
#[command(after_help = "\
Rings are read, never written, and may be in use. Each thing that is wrong is a line: where it is, which record it is
about, what stands there, and what should. A record whose writer died or stopped in the middle is no damage.

Exit code: 0 no damage, 4 damage, 1 there is no ring, or it cannot be read.

Examples:
  lapwing check
  lapwing check --json ./copy | jq .findings")]
pub struct CheckArgs {
    /// One JSON object for each ring
    #[arg(long)]
    pub json: bool,
    /// The rings: paths, or bare names beside the default ring, which is meant without any
    #[arg(value_name = "RING", value_parser = ring_parser())]
    pub rings: Vec<OsString>,
}

/// List the rings of this host that we may see
#[derive(Debug, Args)]
#[command(after_help = "\
Looked for beside the default ring, and where the default rings of all users are. A writer counts as long as it is not
proven dead.

Examples:
  lapwing ls
  lapwing ls --json | jq -r .path")]
pub struct LsArgs {
    /// One JSON object for each ring
    #[arg(long)]
    pub json: bool,
}

/// Remove rings beside the default ring that nobody uses
#[derive(Debug, Args)]
#[command(after_help = "\
A ring is in use while a writer in its table is not proven dead, or a process has it open. Of the others are removed:
  - those of another boot, the default ring among them: nobody can write to them any more
  - those made an hour ago or longer, to which nothing was ever written
  - with --older-than, those whose last record is older
and what creators left behind that were killed. Nothing else is touched: no ring with records of this boot, no file that is
no ring, no link. What happens to each ring is said, with the reason. To keep the records of another boot, copy the file
away first.

Examples:
  lapwing gc --dry-run
  lapwing gc --older-than 7d")]
pub struct GcArgs {
    /// Say what would be removed, and remove nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Also rings whose last record is older than this: a number with s, m, h or d behind it
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    pub older_than: Option<Duration>,
}

/// Say why nothing is captured, and what to do
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at the ring, the library that `run` preloads, the environment, and CMD, if one is given. One line for each finding: ok,
note, or WRONG with what to do. To find out, it claims a writer slot for a moment, and captures a line into a ring of its
own; it writes no record and makes no ring that stays.

Exit code: 0 nothing is wrong, 1 something is.

Examples:
  lapwing doctor
  lapwing doctor -- ./server --verbose
  lapwing doctor --json | jq '.findings[] | select(.state == \"wrong\")'")]
pub struct DoctorArgs {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub ring: RingArgs,
    /// The program that is to be captured; its arguments do not matter
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

pub fn parse_age(text: &str) -> Result<Duration, String> {
    let seconds = match text.char_indices().last() {
        Some((i, 's')) => (i, 1),
        Some((i, 'm')) => (i, 60),
        Some((i, 'h')) => (i, 3600),
        Some((i, 'd')) => (i, 86_400),
        _ => (0, 0),
    };
    let number: Option<u64> = text[..seconds.0].parse().ok();
    let age = number.and_then(|number| number.checked_mul(seconds.1));
    age.map(Duration::from_secs).ok_or_else(|| "not an age; ages are like 90s, 30m, 12h or 7d".to_owned())
}

pub fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, shift) = match text.char_indices().last() {
        Some((i, 'k' | 'K')) => (&text[..i], 10),
        Some((i, 'm' | 'M')) => (&text[..i], 20),
        Some((i, 'g' | 'G')) => (&text[..i], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.parse().map_err(|_| "not a size; sizes are like 65536, 128K, 16M or 1G".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_owned())
}

pub fn parse_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(mode),
        _ => Err("not permission bits; they are octal, like 0660".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_and_modes_are_what_hands_type() {
        assert_eq!(parse_size("128K"), Ok(128 << 10));
        assert_eq!(parse_size("65536"), Ok(65536));
        assert_eq!(parse_size("1g"), Ok(1 << 30));
        for bad in ["", "K", "1.5M", "-1", "16MB", "1T", "99999999999999G", "é"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!((parse_mode("0660"), parse_mode("644")), (Ok(0o660), Ok(0o644)));
        assert_eq!(
            (parse_age("90s"), parse_age("7d")),
            (Ok(Duration::from_secs(90)), Ok(Duration::from_secs(604_800)))
        );
        assert!(["", "d", "7", "-1d", "1.5h", "99999999999999999d"].iter().all(|bad| parse_age(bad).is_err()));
        assert!(parse_mode("8").is_err() && parse_mode("4755").is_err());
    }
}

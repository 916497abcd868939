//! `lapwing run`: starts a program in place of this one, with the library preloaded that captures its output, or with
//! the pump behind it.

#![forbid(unsafe_code)]

use crate::failure::{Failure, say};
use crate::inherited;
use crate::pump;
use clap::{Args, ValueEnum};
use lapwing_ring::{Location, Log, Purpose};
use lapwing_writer_shim::environment::{self, Environment};
use lapwing_writer_shim::program::{self, Obstacle};
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where to find the library, if not beside this program.
const LIBRARY_VARIABLE: &str = "LAPWING_PRELOAD";
pub const LIBRARY: &str = "liblapwing_preload.so";
pub const LD_PRELOAD: &str = "LD_PRELOAD";

/// As env(1): the program was found and cannot be run; the program was not found.
pub const CANNOT_RUN: u8 = 126;
pub const NOT_FOUND: u8 = 127;

/// Run a program; what it prints, and what it logs by syslog(3) or to the journal, goes into the ring too
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// How its output is captured
    #[arg(long, value_enum, default_value_t = Capture::Auto)]
    capture: Capture,
    /// What the pump puts in place of both streams, and with it `--capture pump` [default: what fits]
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    pub pump: Option<Pump>,
    /// What is captured goes into the ring only
    #[arg(short, long)]
    pub quiet: bool,
    /// When standard output leaves the program's buffer, if it is no terminal
    #[arg(long, value_enum, default_value_t = Buffer::Line)]
    buffer: Buffer,
    /// A path, or a name beside the default ring
    #[arg(long, value_name = "RING", value_parser = crate::args::ring_parser())]
    ring: Option<OsString>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Capture {
    /// By the best way there is
    Auto,
    /// By a preloaded library
    Preload,
    /// By a process that its output goes through
    Pump,
    /// Not at all
    Off,
}

/// What a program that is captured by the pump writes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Pump {
    /// Can be opened by name, as /dev/stdout; nobody says which process wrote what
    Pipe,
    /// The kernel says which process wrote what
    Socket,
    /// A terminal
    Pty,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Buffer {
    /// At every line, so that a program which dies has said what it printed
    Line,
    /// As the program has it
    Keep,
}

/// How the program is captured.
enum Way {
    Off,
    /// Not at all, and without our library.
    Bare,
    Preload(OsString),
    Pump {
        preload: Preload,
        spares_terminals: bool,
    },
}

/// What becomes of LD_PRELOAD for a program that is not captured by it.
enum Preload {
    /// It stays what it is.
    Kept,
    /// This is its value, for what the program starts.
    Set(OsString),
    /// Our library, which a run that we are in may have put there, goes: the program's loader would end it for that.
    WithoutOurs,
}

type Variables = Vec<(&'static str, Option<OsString>)>;

/// Executes `lapwing run`. Comes back only if the program could not be started.
pub fn run(args: &RunArgs) -> ExitCode {
    let (name, arguments) = args.command.split_first().expect("clap requires a command");
    let (started, variables) = match prepare(args, name) {
        Ok(prepared) => prepared,
        Err(failure) => return say_doctor(failure),
    };
    let error = inherited::exec(Command::new(name).args(arguments), variables);
    if let Some(started) = started {
        started.undo();
    }
    say(format_args!("{}: {error}", name.display()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN })
}

/// Says why, and who knows more.
fn say_doctor(failure: Failure) -> ExitCode {
    let code = failure.say();
    say("`lapwing doctor` looks for what is wrong, and says what to do");
    ExitCode::from(code)
}

/// Sets the descriptors, and gives the variables, that bring the program's output into the ring; variables without a value
/// have to go.
fn prepare(args: &RunArgs, name: &OsStr) -> Result<(Option<pump::Started>, Variables), Failure> {
    let way = way(args, name)?;
    if matches!(way, Way::Off) {
        return Ok((None, Vec::new()));
    }
    let location = Location::find(args.ring.as_deref(), Purpose::Write);
    location.ensure()?;
    // Whoever cannot write to it should hear so now: the library will not say a word.
    let log = Log::open(location.path())?;
    // Of those that ran before us. What cannot be appended now is there for the next.
    let _ = log.append_last_words();
    let ring = std::path::absolute(location.path())
        .map_err(|error| Failure::Capture(format!("the current folder: {error}")))?;

    // Seen before the pump takes their place: it has what goes to its transports, and the library the rest.
    let streams = inherited::streams();
    let started = match way {
        Way::Pump { spares_terminals, .. } => Some(pump::start(&ring, args, &streams, spares_terminals)?),
        Way::Preload(_) | Way::Bare | Way::Off => None,
    };
    let preload = match way {
        Way::Preload(preload) | Way::Pump { preload: Preload::Set(preload), .. } => preload,
        Way::Bare | Way::Pump { preload: Preload::WithoutOurs, .. } => {
            return Ok((started, vec![(LD_PRELOAD, without_library(env::var_os(LD_PRELOAD)))]));
        }
        Way::Pump { preload: Preload::Kept, .. } | Way::Off => return Ok((started, Vec::new())),
    };
    let buffer = match args.buffer {
        Buffer::Line => environment::Buffer::Line,
        Buffer::Keep => environment::Buffer::Keep,
    };
    // The pump has what its program's children print, too.
    let in_front = if started.is_some() { None } else { env::current_exe().ok() };
    let mut variables = vec![(LD_PRELOAD, Some(preload)), (environment::PUMP, in_front.map(PathBuf::into_os_string))];
    variables.extend(Environment { ring, streams, quiet: args.quiet, buffer }.variables());
    Ok((started, variables))
}

/// The way that is asked for, or the best there is.
fn way(args: &RunArgs, name: &OsStr) -> Result<Way, Failure> {
    let preload = || with_library(env::var_os(LD_PRELOAD), &library()?);
    let path = env::var_os("PATH").unwrap_or_default();
    let obstacle = || program::find(name, &path).and_then(|file| program::obstacle(&file));
    if args.pump.is_some() && !matches!(args.capture, Capture::Auto | Capture::Pump) {
        let why = "--pump is for --capture auto and --capture pump\n";
        clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, why).exit();
    }
    match args.capture {
        Capture::Off => Ok(Way::Off),
        Capture::Pump => Ok(Way::Pump { preload: left_alone(obstacle()), spares_terminals: false }),
        Capture::Preload => {
            if let Some(obstacle) = obstacle() {
                say(format_args!("{}: {obstacle}, so what it prints itself will not be in the ring", name.display()));
                if obstacle.minds_a_library() {
                    return Ok(Way::Bare);
                }
            }
            preload().map(Way::Preload).map_err(Failure::Capture)
        }
        Capture::Auto => {
            let (preload, obstacle) = (preload(), obstacle());
            let is_free = args.pump.is_none();
            let spares_terminals = is_free && obstacle.is_some_and(Obstacle::is_privileged);
            Ok(match (preload, obstacle) {
                (Ok(preload), None) if is_free => Way::Preload(preload),
                // The end of a namespace's first process is everybody's end, the pump's too, with what it has in hand.
                (Ok(preload), Some(obstacle)) if is_first() && is_free && !obstacle.minds_a_library() => {
                    Way::Preload(preload)
                }
                _ if is_first() && is_free => Way::Bare,
                (Ok(preload), Some(obstacle)) if is_free && !obstacle.minds_a_library() => {
                    Way::Pump { preload: Preload::Set(preload), spares_terminals }
                }
                (_, obstacle) => Way::Pump { preload: left_alone(obstacle), spares_terminals },
            })
        }
    }
}

/// Are we the first process of a pid namespace?
pub fn is_first() -> bool {
    std::process::id() == 1
}

fn left_alone(obstacle: Option<Obstacle>) -> Preload {
    if obstacle.is_some_and(Obstacle::minds_a_library) { Preload::WithoutOurs } else { Preload::Kept }
}

/// The library: the one that is named, else in the place where cargo builds it, else where packages put it.
pub fn library() -> Result<PathBuf, String> {
    let named = env::var_os(LIBRARY_VARIABLE).filter(|name| !name.is_empty()).map(PathBuf::from);
    let places = match named {
        Some(file) => vec![std::path::absolute(&file).unwrap_or(file)],
        None => {
            let program = env::current_exe().map_err(|error| format!("where this program is: {error}"))?;
            let folder = program.parent().unwrap_or(Path::new("/"));
            let up = folder.parent().unwrap_or(Path::new("/"));
            vec![folder.join("deps").join(LIBRARY), up.join("lib/lapwing").join(LIBRARY)]
        }
    };
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        return Ok(found.clone());
    }
    let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
    Err(format!(
        "no library to capture with, looked for {}; name it in ${LIBRARY_VARIABLE}, or run without capture by --capture off",
        looked.join(" and ")
    ))
}

/// The loader takes these for the end of a name in LD_PRELOAD, and knows no way to quote them.
pub fn is_separator(byte: &u8) -> bool {
    *byte == b':' || byte.is_ascii_whitespace()
}

/// The value of LD_PRELOAD without our library, wherever it lies: a run that we are in may have put it there. `None` if
/// nothing is left.
pub fn without_library(value: Option<OsString>) -> Option<OsString> {
    let value = value?;
    let is_ours =
        |name: &&[u8]| name.is_empty() || name.rsplit(|&byte| byte == b'/').next() == Some(LIBRARY.as_bytes());
    let others: Vec<_> = value.as_bytes().split(is_separator).filter(|name| !is_ours(name)).collect();
    (!others.is_empty()).then(|| OsString::from_vec(others.join(&b':')))
}

/// The value of LD_PRELOAD with our library at its end, once.
pub fn with_library(value: Option<OsString>, library: &Path) -> Result<OsString, String> {
    if library.as_os_str().as_bytes().iter().any(is_separator) {
        return Err(format!("{}: a preloaded library cannot have a space or a colon in its path", library.display()));
    }
    let Some(mut value) = value.filter(|value| !value.is_empty()) else { return Ok(library.into()) };
    if !value.as_bytes().split(is_separator).any(|known| known == library.as_os_str().as_bytes()) {
        value.push(":");
        value.push(library);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_added_behind_others_and_only_once() {
        let ours = Path::new("/l/ours.so");
        let with = |value: Option<&str>| with_library(value.map(OsString::from), ours).unwrap();
        assert_eq!(with(None), "/l/ours.so");
        assert_eq!(with(Some("")), "/l/ours.so");
        assert_eq!(with(Some("a.so b.so")), "a.so b.so:/l/ours.so");
        assert_eq!(with(Some("a.so:/l/ours.so b.so")), "a.so:/l/ours.so b.so");
        assert_eq!(with(Some("/l/ours.so.1")), "/l/ours.so.1:/l/ours.so");
        assert!(with_library(None, Path::new("/my libraries/ours.so")).is_err());
        let without = |value: Option<&str>| without_library(value.map(OsString::from));
        assert_eq!((without(None), without(Some("/l/liblapwing_preload.so :"))), (None, None));
        assert_eq!(without(Some("a.so:/l/liblapwing_preload.so b.so")), Some("a.so:b.so".into()));
    }
}

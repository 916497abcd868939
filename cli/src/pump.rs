//! Starts the pump of `lapwing run`, is the pump (`lapwing pump`), and stands in front of programs that captured ones start
//! (`lapwing pump-exec`); the last two nobody types.

#![forbid(unsafe_code)]

use crate::failure::{Failure, say};
use crate::inherited;
use crate::run::{self, RunArgs};
use clap::Args;
use lapwing_ring::Source;
use lapwing_writer_shim::environment::{Environment, Stream, Streams};
use lapwing_writer_shim::identity::FileId;
use lapwing_writer_shim::program::{self, Obstacle};
use lapwing_writer_shim::pump::{self, Job, Program, Tap, Transport};
use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

pub use lapwing_writer_shim::pump::Started;

/// What the pump is told.
#[derive(Args, Clone, Debug)]
pub struct PumpArgs {
    #[arg(long)]
    ring: PathBuf,
    #[arg(long)]
    quiet: bool,
    #[arg(long)]
    pid: u32,
    #[arg(long)]
    uid: u32,
    #[arg(long)]
    comm: OsString,
    #[arg(long)]
    out: Option<Tap>,
    #[arg(long)]
    err: Option<Tap>,
}

/// The pump's whole life.
pub fn serve(args: PumpArgs) -> ! {
    let PumpArgs { ring, quiet, pid, uid, comm, out, err } = args;
    let program = Program { pid, uid, comm: comm.into_vec() };
    pump::serve(&Job { ring, quiet, program, taps: [out, err] })
}

/// Puts the pump between the program that this process becomes and its output.
pub fn start(ring: &Path, args: &RunArgs, streams: &Streams, spares_terminals: bool) -> Result<Started, Failure> {
    let variables: Vec<_> = env::vars_os().map(|(_, value)| value).collect();
    let words = || args.command.iter().chain(&variables).map(OsStr::new);
    let tap = |fd, source, id: Option<FileId>| {
        id?;
        let transport = match args.pump {
            None => pump::transport_for(fd, words()),
            Some(run::Pump::Pipe) => Transport::Pipe,
            Some(run::Pump::Socket) => Transport::Socket,
            Some(run::Pump::Pty) => Transport::Pty,
        };
        (!spares_terminals || transport != Transport::Pty).then_some(Tap { transport, source })
    };
    let (out, err) = (tap(1, Source::Stdout, streams.out), tap(2, Source::Stderr, streams.err));
    let joined = is_joined(args.quiet, out, err);
    let program = Program::this(&args.command[0]);
    launch(ring, args.quiet, program, [out, if joined { None } else { err }], joined)
}

/// What the preloaded library starts in place of a program that it cannot be loaded into.
#[derive(Args, Clone, Debug)]
pub struct ExecArgs {
    /// Its path, its name for itself, and its arguments
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, allow_hyphen_values = true)]
    program: Vec<OsString>,
}

/// Puts the pump behind a program, as far as its output is one of the captured streams, and becomes it. Where anything is
/// missing it is started all the same.
pub fn exec(args: &ExecArgs) -> ExitCode {
    let [path, name, arguments @ ..] = args.program.as_slice() else { return ExitCode::from(run::CANNOT_RUN) };
    let obstacle = program::obstacle(Path::new(path));
    let started = put_behind(path, &args.program, obstacle.is_some_and(Obstacle::is_privileged));
    // Its loader would end it for our library, which is there for us.
    let others = || (run::LD_PRELOAD, run::without_library(env::var_os(run::LD_PRELOAD)));
    let variables = obstacle.is_some_and(Obstacle::minds_a_library).then(others);
    let error = inherited::exec(Command::new(path).arg0(name).args(arguments), variables);
    if let Some(started) = started {
        started.undo();
    }
    say(format_args!("{}: {error}", path.display()));
    ExitCode::from(if error.kind() == io::ErrorKind::NotFound { run::NOT_FOUND } else { run::CANNOT_RUN })
}

fn put_behind(path: &OsStr, words: &[OsString], is_privileged: bool) -> Option<Started> {
    let captured = Environment::read(|name| env::var_os(name)).filter(|_| !run::is_first())?;
    let variables: Vec<_> = env::vars_os().map(|(_, value)| value).collect();
    let ours = inherited::streams();
    let [out, err] = [(1, ours.out), (2, ours.err)].map(|(fd, id)| {
        let source = match captured.streams.find(fd, id?)? {
            Stream::Out => Source::Stdout,
            Stream::Err => Source::Stderr,
        };
        let transport = pump::transport_for(fd, words.iter().chain(&variables).map(OsStr::new));
        (!is_privileged || transport != Transport::Pty).then_some(Tap { transport, source })
    });
    out.or(err)?;
    let joined = is_joined(captured.quiet, out, err);
    let program = Program::this(path);
    launch(&captured.ring, captured.quiet, program, [out, if joined { None } else { err }], joined).ok()
}

/// Has one transport to serve for both? In the ring alone nobody sees an order between the two.
fn is_joined(quiet: bool, out: Option<Tap>, err: Option<Tap>) -> bool {
    let are_two = out.is_some() && err.is_some();
    are_two && pump::is_one_stream() && (!quiet || out.is_some_and(|tap| tap.transport == Transport::Pty))
}

fn launch(
    ring: &Path,
    quiet: bool,
    program: Program,
    taps: [Option<Tap>; 2],
    joined: bool,
) -> Result<Started, Failure> {
    // Whatever this file is called by now, or if it is gone.
    let mut command = Command::new("/proc/self/exe");
    // What the program is told must not make a difference to us, nor its arguments to pkill -f.
    command.env_clear().arg0("lapwing-pump").arg("pump").arg("--ring").arg(ring);
    command.args(["--pid", &program.pid.to_string(), "--uid", &program.uid.to_string()]);
    // As one word: a name may begin with a dash.
    command.arg(OsString::from_vec([b"--comm=", program.comm.as_slice()].concat()));
    if quiet {
        command.arg("--quiet");
    }
    for (name, tap) in ["--out", "--err"].into_iter().zip(taps) {
        if let Some(tap) = tap {
            command.args([name, &tap.to_string()]);
        }
    }
    let job = Job { ring: ring.to_owned(), quiet, program, taps };
    pump::start(&job, joined, &mut command).map_err(|error| Failure::Capture(error.to_string()))
}

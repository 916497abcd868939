//! Runs a case under strace and `lapwing run`, and gathers the three sides: what strace saw, what arrived, what the
//! ring has.

use crate::case::{Case, Target};
use crate::programs;
use crate::trace::{self, Names, Written};
use lapwing_ring::{Create, Flags, Log, Read as Step, Reader, Source};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

/// A record as far as it is compared.
pub struct Record {
    pub pid: u32,
    pub source: Source,
    /// The text, with the newline that it had.
    pub bytes: Vec<u8>,
}

pub struct Run {
    pub written: Vec<Written>,
    pub records: Vec<Record>,
    /// What came out at the other ends, if there are such: of standard output and of standard error, or of both as one.
    pub arrived: Vec<(Vec<Source>, Vec<u8>)>,
    pub has_stacks: bool,
}

const BOTH: [Source; 2] = [Source::Stdout, Source::Stderr];

/// The streams that a program gets, and what reads them.
struct Streams {
    out: OwnedFd,
    err: OwnedFd,
    readers: Vec<(Vec<Source>, Reading)>,
}

enum Reading {
    Now(thread::JoinHandle<Vec<u8>>),
    Afterwards(std::path::PathBuf),
}

impl Streams {
    fn open(target: Target, folder: &Path) -> Self {
        let mut readers = Vec::new();
        let mut each = |source: Source| -> OwnedFd {
            let (writer, reading) = match target {
                Target::Pipe => {
                    let (reader, writer) = std::io::pipe().unwrap();
                    (writer.into(), read_all(reader))
                }
                Target::Socket => {
                    let (reader, writer) = UnixStream::pair().unwrap();
                    (writer.into(), read_all(reader))
                }
                _ => {
                    let path = folder.join(source.name());
                    (File::create(&path).unwrap().into(), Reading::Afterwards(path))
                }
            };
            readers.push((vec![source], reading));
            writer
        };
        let [out, err] = match target {
            Target::Pipe | Target::Socket | Target::File => BOTH.map(&mut each),
            Target::Null => {
                let null = OwnedFd::from(OpenOptions::new().write(true).open("/dev/null").unwrap());
                [null.try_clone().unwrap(), null]
            }
            Target::Terminal => {
                let (master, terminal) = terminal();
                readers.push((BOTH.to_vec(), read_all(master)));
                [terminal.try_clone().unwrap(), terminal]
            }
        };
        Self { out, err, readers }
    }

    fn names(&self) -> Names {
        let name = |fd: &OwnedFd| {
            let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
            link.to_str().unwrap().to_owned()
        };
        Names { out: vec![name(&self.out)], err: vec![name(&self.err)] }
    }
}

fn read_all(mut from: impl Read + Send + 'static) -> Reading {
    Reading::Now(thread::spawn(move || {
        let mut all = Vec::new();
        match from.read_to_end(&mut all) {
            Ok(_) => all,
            // What a terminal says when nobody has it open any more.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => all,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => all,
            Err(error) => panic!("{error}"),
        }
    }))
}

/// A terminal that passes bytes on as they are.
fn terminal() -> (File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let terminal = rustix::fs::open(name.as_c_str(), flags, rustix::fs::Mode::empty()).unwrap();
    let mut modes = tcgetattr(&terminal).unwrap();
    modes.output_modes -= OutputModes::OPOST;
    tcsetattr(&terminal, OptionalActions::Now, &modes).unwrap();
    (master.into(), terminal)
}

/// May strace trace anything? Some containers forbid it.
pub fn may_trace() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| traces("-f"))
}

/// Can this strace show stacks?
fn shows_stacks() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| traces("-k"))
}

fn traces(option: &str) -> bool {
    let tried = Command::new("strace").args([option, "-o", "/dev/null", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Runs a case whose programs are all there.
pub fn run(case: &Case, url: &str) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let (dir, ring, log) = (folder.path().join("dir"), folder.path().join("ring"), folder.path().join("trace"));
    std::fs::create_dir(&dir).unwrap();
    Create::new().size(16 << 20).create(&ring).unwrap();
    let place = |text: &str| {
        let text = text.replace("{dir}", dir.to_str().unwrap()).replace("{url}", url);
        text.replace("{bin}", programs::folder().to_str().unwrap()).replace("{python}", programs::python())
    };
    if !case.prepare.is_empty() {
        let done = quiet(Command::new("sh").args(["-ec", &place(case.prepare)]), &dir).output().unwrap();
        assert!(done.status.success(), "{} {}: {}", case.name, case.what, String::from_utf8_lossy(&done.stderr));
    }

    // The pump writes for others: its stacks say nothing about them.
    let has_stacks = shows_stacks() && !case.is_pumped;
    let streams = Streams::open(case.target, folder.path());
    let names = streams.names();
    let mut strace = Command::new("timeout");
    strace.args(["-k", "5", "120", "strace", "-f", "-qq", "-y", "-v", "-xx", "-s"]);
    strace.args([&trace::LONGEST.to_string(), "-e", "signal=none", "-e", &format!("trace={}", trace::TRACED)]);
    strace.args(has_stacks.then_some("-k")).arg("-o").arg(&log);
    // Faster by far, but a program that runs as somebody else does not become that under it.
    strace.args((!case.needs.contains(&programs::ROOT)).then_some("--seccomp-bpf")).arg("--");
    strace.arg(env!("CARGO_BIN_EXE_lapwing")).arg("run").args(case.options).arg("--ring").arg(&ring).arg("--");
    strace.args(case.command.iter().chain((!case.script.is_empty()).then_some(&case.script)).map(|word| place(word)));
    quiet(&mut strace, &dir).stdout(streams.out).stderr(streams.err);
    let status = strace.status().unwrap();
    // They hold the streams open.
    drop(strace);
    assert_ne!(status.code(), Some(124), "{} {}: takes too long", case.name, case.what);

    let arrived = streams.readers.into_iter().map(|(sources, reading)| {
        let bytes = match reading {
            Reading::Now(reader) => reader.join().unwrap(),
            Reading::Afterwards(path) => std::fs::read(path).unwrap(),
        };
        (sources, bytes)
    });
    let arrived = arrived.collect();
    let trace = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
    let mut written = trace::read(&trace, names, case.copied);
    if case.is_merged() {
        written.iter_mut().for_each(|call| call.source = Source::Stdout);
    }
    Run { written, records: records(&ring), arrived, has_stacks }
}

/// In a folder, with an environment in which programs say the same everywhere.
fn quiet<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    let variables =
        ["LD_PRELOAD", "LAPWING_STREAM", "LAPWING_PRELOAD", "LAPWING_RING", "LAPWING_QUIET", "LAPWING_BUFFER"];
    for variable in
        variables.into_iter().chain(["MAKEFLAGS", "MAKELEVEL", "RUST_BACKTRACE", "LS_COLORS", "POSIXLY_CORRECT"])
    {
        command.env_remove(variable);
    }
    command.env("LC_ALL", "C.UTF-8").env("HOME", folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_PAGER", "cat");
    for role in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{role}_NAME"), "A").env(format!("GIT_{role}_EMAIL"), "a@example.org");
    }
    command.current_dir(folder).stdin(Stdio::null())
}

fn records(ring: &Path) -> Vec<Record> {
    // As `lapwing tail` begins: what those who are dead had not finished.
    Log::open(ring).unwrap().append_last_words().unwrap();
    let mut reader = Reader::open(ring).unwrap();
    let mut records = Vec::new();
    loop {
        match reader.next().unwrap() {
            Step::Record(record) => {
                if !BOTH.contains(&record.source) {
                    continue;
                }
                let mut bytes = record.payload.to_vec();
                if !record.flags.contains(Flags::CONT) && !record.flags.contains(Flags::PARTIAL) {
                    bytes.push(b'\n');
                }
                records.push(Record { pid: record.pid, source: record.source, bytes });
            }
            Step::NotYet { in_flight: false } => return records,
            other => panic!("behind {} records: {other:?}", records.len()),
        }
    }
}

//! A ring, a standard output of any sort, and a program that says what its calls gave: the same with and without capture.
#![allow(dead_code, reason = "each test program uses a part of it")]

use lapwing_ring::{Create, Level, Read as Step, Reader, Source};
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// What standard output is open on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Out {
    Pipe,
    File,
    Socket,
}

/// What came of a run.
#[derive(Debug)]
pub struct Done {
    pub out: String,
    /// Standard error, where the programs of these tests say what their calls gave.
    pub err: String,
    pub status: ExitStatus,
}

/// What a reader found of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub source: Source,
    pub level: Level,
    pub pid: u32,
    pub text: String,
}

pub struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        Self::with_ring(8 << 20)
    }

    pub fn with_ring(size: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Create::new().size(size).create(&folder.path().join("ring")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `lapwing run OPTIONS -- COMMAND`, or just the command.
    pub fn command(&self, options: Option<&[&str]>, command: &[&str]) -> Command {
        let mut line = match options {
            Some(options) => {
                let mut lapwing = Command::new(env!("CARGO_BIN_EXE_lapwing"));
                lapwing.arg("run").args(options).arg("--ring").arg(self.path("ring")).arg("--").args(command);
                lapwing
            }
            None => {
                let mut plain = Command::new(command[0]);
                plain.args(&command[1..]);
                plain
            }
        };
        line.env_remove("LD_PRELOAD").env_remove("LAPWING_STREAM").env_remove("LAPWING_PRELOAD");
        line.env_remove("LAPWING_PROPAGATE").current_dir(self.folder.path()).stdin(Stdio::null());
        line
    }

    /// Runs it to its end with such a standard output, and a pipe for standard error.
    pub fn run(&self, out: Out, mut command: Command) -> Done {
        let (mut reader, writer): (Box<dyn Read + Send>, OwnedFd) = match out {
            Out::Pipe => {
                let (reader, writer) = std::io::pipe().unwrap();
                (Box::new(reader), writer.into())
            }
            Out::Socket => {
                let (reader, writer) = UnixStream::pair().unwrap();
                (Box::new(reader), writer.into())
            }
            Out::File => {
                let file = File::options().read(true).write(true).create(true).truncate(true).open(self.path("out"));
                let file = file.unwrap();
                (Box::new(File::open(self.path("out")).unwrap()), file.into())
            }
        };
        command.stdout(writer).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        drop(command);
        let (mut text, is_file) = (Vec::new(), out == Out::File);
        let output = std::thread::scope(|scope| {
            let read = (!is_file).then(|| scope.spawn(|| reader.read_to_end(&mut text).unwrap()));
            let output = child.wait_with_output().unwrap();
            read.map(|read| read.join().unwrap());
            output
        });
        if is_file {
            let mut file = File::open(self.path("out")).unwrap();
            file.rewind().unwrap();
            file.read_to_end(&mut text).unwrap();
        }
        Done { out: lossy(&text), err: lossy(&output.stderr), status: output.status }
    }

    /// Runs it captured, standard output a pipe.
    pub fn captured(&self, command: &[&str]) -> Done {
        self.run(Out::Pipe, self.command(Some(&[]), command))
    }

    /// All records, from the first one on; none may be missing.
    pub fn records(&self) -> Vec<Seen> {
        let mut reader = Reader::open(&self.path("ring")).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next().unwrap() {
                Step::Record(record) => {
                    assert_eq!(record.seq, records.len() as u64);
                    let (source, level, pid) = (record.source, record.level, record.pid);
                    records.push(Seen { source, level, pid, text: lossy(record.payload) });
                }
                Step::NotYet { in_flight: false } => return records,
                other => panic!("behind {} records: {other:?}", records.len()),
            }
        }
    }

    /// The texts of one source, in order.
    pub fn texts(&self, source: Source) -> Vec<String> {
        self.records().into_iter().filter(|record| record.source == source).map(|record| record.text).collect()
    }
}

pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

/// A program that not every machine has. Says so when it is missing.
pub fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

/// A C program of this folder, compiled.
pub fn program(name: &str) -> String {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("reach-{name}"));
    let mine = binary.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/reach/{name}.c"));
    let options = ["-O1", "-w", "-pthread", "-fstack-protector-all", "-o"];
    let cc = Command::new("cc").args(options).arg(&mine).arg(source).output().unwrap();
    assert!(cc.status.success(), "{}", lossy(&cc.stderr));
    std::fs::rename(&mine, &binary).unwrap();
    binary.to_str().unwrap().to_owned()
}

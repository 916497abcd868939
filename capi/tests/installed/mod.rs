//! A folder with a ring and with the library, installed as `capi/install` does it; and what came into the ring.
#![allow(dead_code, reason = "each test program uses a part of it")]

use lapwing_ring::{Create, Field, Flags, Level, Read, Reader, Source};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

pub const CAPI: &str = env!("CARGO_MANIFEST_DIR");
pub const STRICT: [&str; 5] = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-pthread"];

pub struct Installed {
    folder: TempDir,
}

/// A record, by value.
#[derive(Clone, PartialEq, Debug)]
pub struct Appended {
    pub seq: u64,
    pub pid: u32,
    pub level: Level,
    pub flags: Flags,
    pub tag: Option<String>,
    pub text: Vec<u8>,
}

impl Appended {
    pub fn text(&self) -> &str {
        str::from_utf8(&self.text).unwrap()
    }
}

/// The libraries lie in the folder of this very test.
pub fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

impl Installed {
    pub fn new() -> Self {
        let installed = Self::without_library();
        let script = Path::new(CAPI).join("install");
        succeed(Command::new(script).arg("--from").arg(built()).arg(installed.prefix()));
        installed
    }

    pub fn without_library() -> Self {
        let installed = Self { folder: TempDir::new().unwrap() };
        Create::new().size(1 << 20).create(&installed.ring()).unwrap();
        installed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn ring(&self) -> PathBuf {
        self.path("ring")
    }

    pub fn prefix(&self) -> PathBuf {
        self.path("prefix")
    }

    pub fn library(&self) -> PathBuf {
        self.prefix().join("lib/liblapwing.so")
    }

    /// Compiles a C program, strictly; `arguments` name its source, relative to capi/, and what to link.
    pub fn compile(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let program = self.path(name);
        let mut cc = Command::new("cc");
        cc.current_dir(CAPI).arg("-std=c99").args(STRICT).arg("-o").arg(&program);
        succeed(cc.args(arguments).arg(format!("-I{}/include", self.prefix().display())));
        program
    }

    /// Runs a program with the ring as its argument; gives its output.
    pub fn run(&self, program: &Path) -> String {
        let mut command = Command::new(program);
        command.arg(self.ring()).env("LD_LIBRARY_PATH", self.prefix().join("lib"));
        String::from_utf8(succeed(&mut command).stdout).unwrap()
    }

    /// Every record of the ring; nothing may be missing, and all came through the library.
    pub fn records(&self) -> Vec<Appended> {
        let mut reader = Reader::open(&self.ring()).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next().unwrap() {
                Read::Record(record) => {
                    assert_eq!((record.seq, record.source), (records.len() as u64, Source::Api));
                    let tag = record.fields.into_iter().find_map(|field| match field {
                        Field::Tag(tag) => Some(String::from_utf8_lossy(tag).into_owned()),
                        _ => None,
                    });
                    let text = record.payload.to_vec();
                    // Whether a record has fields is the ring's affair: some introduce their writer.
                    let flags = if record.flags.contains(Flags::CONT) { Flags::CONT } else { Flags::NONE };
                    records.push(Appended { seq: record.seq, pid: record.pid, level: record.level, flags, tag, text });
                }
                Read::NotYet { .. } => return records,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Runs what has to succeed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    output
}

/// Is the program there? If not, says that a test is skipped.
pub fn found(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: {program} is missing");
    }
    found
}

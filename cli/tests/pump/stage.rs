//! What the tests of the pump stand on: a ring of their own, `lapwing run` into it, and a program to run.
#![allow(dead_code)]

use lapwing_ring::{Create, Field, Flags, Read as Step, Reader, Source};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Long enough for a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a reader found of one record.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub pid: u32,
    pub comm: Option<String>,
    pub uid: Option<u32>,
    pub source: Source,
    pub flags: Flags,
    pub text: Vec<u8>,
}

impl Seen {
    pub fn has(&self, flag: Flags) -> bool {
        self.flags.contains(flag)
    }

    pub fn text(&self) -> String {
        text(&self.text)
    }
}

pub struct Ring {
    pub folder: tempfile::TempDir,
}

impl Ring {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Create::new().size(32 << 20).create(&folder.path().join("ring")).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("ring")
    }

    /// `lapwing run OPTIONS -- COMMAND`, with this ring.
    pub fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let mut lapwing = Command::new(env!("CARGO_BIN_EXE_lapwing"));
        lapwing.arg("run").args(options).arg("--ring").arg(self.path()).arg("--").args(command);
        clean(&mut lapwing);
        lapwing
    }

    /// The program under the pump. Returns when its output has come to its end, and so is in the ring.
    pub fn pump(&self, options: &[&str], command: &[&str]) -> Output {
        self.command(&[&["--capture", "pump"], options].concat(), command).output().unwrap()
    }

    /// All records, from the first one on; none may be missing.
    pub fn records(&self) -> Vec<Seen> {
        let mut reader = Reader::open(&self.path()).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next().unwrap() {
                Step::Record(record) => {
                    assert_eq!(record.seq, records.len() as u64);
                    let mut seen = Seen {
                        pid: record.pid,
                        comm: None,
                        uid: None,
                        source: record.source,
                        flags: record.flags,
                        text: record.payload.to_vec(),
                    };
                    for field in record.fields {
                        match field {
                            Field::Comm(comm) => seen.comm = Some(text(comm)),
                            Field::Uid(uid) => seen.uid = Some(uid),
                            _ => {}
                        }
                    }
                    records.push(seen);
                }
                Step::NotYet { in_flight: false } => return records,
                // Perhaps of a dead writer; that takes the reader a while to find out.
                Step::NotYet { in_flight: true } => std::thread::sleep(Duration::from_millis(5)),
                // Its writer was killed in the middle of it; that costs a sequence, and has one here.
                Step::Abandoned(gap) => records.extend((0..gap.count).map(|_| Seen {
                    pid: 0,
                    comm: None,
                    uid: None,
                    source: Source::Api,
                    flags: Flags::NONE,
                    text: b"abandoned".to_vec(),
                })),
                other => panic!("behind {} records: {other:?}", records.len()),
            }
        }
    }

    /// The texts of one source, in order.
    pub fn texts(&self, source: Source) -> Vec<String> {
        self.records().into_iter().filter(|record| record.source == source).map(|record| record.text()).collect()
    }

    /// Waits until the ring holds so many records, and gives them.
    pub fn wait_for(&self, count: usize) -> Vec<Seen> {
        wait_until(&format!("{count} records"), || Some(self.records()).filter(|records| records.len() >= count))
    }
}

/// Nothing of another run.
pub fn clean(command: &mut Command) {
    for name in ["LD_PRELOAD", "LAPWING_STREAM", "LAPWING_PRELOAD", "LAPWING_RING", "LAPWING_QUIET"] {
        command.env_remove(name);
    }
}

pub fn wait_until<T>(what: &str, mut is_there: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = is_there() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "{what} in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
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

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `program.c`, compiled once by `cc` with these options; `None` where that cannot be done.
fn compile(name: &str, compiler: &str, options: &[&str]) -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join(format!("{name}-{}.c", std::process::id()));
    let binary = folder.join(name);
    let mine = binary.with_extension(std::process::id().to_string());
    std::fs::write(&source, include_str!("program.c")).unwrap();
    let cc = Command::new(compiler).args(["-O1", "-w", "-o"]).arg(&mine).arg(&source).args(options).output();
    std::fs::remove_file(&source).unwrap();
    if !cc.is_ok_and(|cc| cc.status.success()) {
        println!("skipped: {compiler} {options:?} compiles nothing here");
        return None;
    }
    std::fs::rename(&mine, &binary).unwrap();
    Some(binary.to_str().unwrap().to_owned())
}

/// The program, as any other.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("pumped", "cc", &[]).expect("a C compiler"))
}

/// The program without a dynamic loader, in the ways this machine can make it.
pub fn static_programs() -> Vec<String> {
    static PROGRAMS: OnceLock<Vec<String>> = OnceLock::new();
    let all = || {
        let glibc = compile("pumped-static", "cc", &["-static"]);
        let musl = compile("pumped-musl", "musl-gcc", &["-static"]);
        glibc.into_iter().chain(musl).collect()
    };
    PROGRAMS.get_or_init(all).clone()
}

/// The pump and the guard that were started for a program.
pub fn behind(pid: u32, name: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let arguments: Vec<_> = read("cmdline").split(|&byte| byte == 0).map(text).collect();
        let is_ours = arguments.windows(2).any(|pair| pair[0] == "--pid" && pair[1] == pid.to_string());
        if is_ours && text(&read("comm")).trim() == name {
            found.push(id);
        }
    }
    found
}

/// Sends a signal by kill(1).
pub fn signal(name: &str, pid: i32) {
    Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap();
}

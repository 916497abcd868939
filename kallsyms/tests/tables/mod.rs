//! Tables that say which they are, and other processes that publish and read them.
#![allow(dead_code, reason = "each test program uses a part of it")]

use lapwing_kallsyms::shared::{Attached, Options, PublishError, publish};
use lapwing_kallsyms::{Snapshot, Sources, Symbolizer};
use std::env;
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use tempfile::TempDir;

pub const FOR_ALL: Options = Options { mode: 0o644, group: None };

/// How many different tables there are: number N is the same as number N + KINDS.
pub const KINDS: u64 = 8;
/// So many that a table has two pages.
const FUNCTIONS: u64 = 500;
const BASE: u64 = 0xffff_ffff_8100_0000;

/// Made once; in a player read from what its starter has made.
static TABLES: LazyLock<Vec<Snapshot>> = LazyLock::new(|| {
    let made = env::var_os(TABLES_AT).map(PathBuf::from);
    let table = |number| match &made {
        Some(folder) => Attached::open_of_any_boot(&folder.join(number_name(number))).unwrap().snapshot(),
        None => make(number),
    };
    (0..KINDS).map(table).collect()
});

fn number_name(number: u64) -> String {
    format!("table-{number}")
}

fn make(number: u64) -> Snapshot {
    let start = BASE + (number << 24);
    let mut lines = format!("{start:x} T _text\n");
    for function in 0..FUNCTIONS {
        writeln!(lines, "{:x} t function_{function}_of_{number}", start + 16 + (function << 12)).unwrap();
    }
    writeln!(lines, "{:x} T _etext", start + (FUNCTIONS << 12)).unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    let sources = Sources { kallsyms: file.path().into(), modules: None, notes: None };
    Symbolizer::load_from(sources).unwrap().snapshot()
}

/// Table `number`: every name and every address in it says so.
pub fn table(number: u64) -> &'static Snapshot {
    &TABLES[(number % KINDS) as usize]
}

/// Which table it is, if all that is looked at is of one.
pub fn number(snapshot: &Snapshot) -> u64 {
    let start = snapshot.module_named("vmlinux").unwrap().start();
    let number = (start - BASE) >> 24;
    for function in (0..FUNCTIONS).step_by(37) {
        let symbol = snapshot.lookup(start + 20 + (function << 12)).unwrap();
        assert_eq!(symbol.to_string(), format!("function_{function}_of_{number}+0x4"));
    }
    number
}

pub fn publish_number(path: &Path, number: u64) -> Result<u64, PublishError> {
    publish(path, table(number), &Options::default())
}

pub fn attached_number(path: &Path) -> u64 {
    number(&Attached::open_of_any_boot(path).unwrap().snapshot())
}

/// What is in a folder.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A process of this test program that runs the ignored test `role` on the table at a path. Killed when this goes.
pub struct Player {
    child: Child,
    said: BufReader<ChildStdout>,
    #[allow(dead_code, reason = "goes when the player goes")]
    tables: TempDir,
}

const PATH: &str = "LAPWING_TEST_TABLE";
const NUMBERS: &str = "LAPWING_TEST_NUMBERS";
const TABLES_AT: &str = "LAPWING_TEST_TABLES";

impl Player {
    pub fn start(role: &str, path: &Path, numbers: &[u64]) -> Self {
        Self::of(Command::new(env::current_exe().unwrap()), role, path, numbers)
    }

    /// Started by another program, which is given the command line.
    pub fn of(mut command: Command, role: &str, path: &Path, numbers: &[u64]) -> Self {
        command.args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"]);
        let tables = tempfile::tempdir().unwrap();
        fs::set_permissions(tables.path(), Permissions::from_mode(0o755)).unwrap();
        for number in 0..KINDS {
            publish(&tables.path().join(number_name(number)), table(number), &FOR_ALL).unwrap();
        }
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        command.env(PATH, path).env(NUMBERS, numbers.join(" ")).env(TABLES_AT, tables.path());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said, tables }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// The next number that it says; `None` when it has ended.
    pub fn hear(&mut self) -> Option<u64> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.said.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // A number whose line end is missing may be cut short.
            if let Some((_, number)) = line.strip_suffix('\n').and_then(|line| line.split_once("says ")) {
                return Some(number.parse().unwrap());
            }
        }
    }

    /// All that it says until it ends, as it should.
    pub fn hear_all(mut self) -> Vec<u64> {
        let all = std::iter::from_fn(|| self.hear()).collect();
        assert!(self.child.wait().unwrap().success());
        all
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a player: the table's path, and the numbers it was given. `None` in a run of all ignored tests.
pub fn part() -> Option<(PathBuf, Vec<u64>)> {
    let numbers = env::var(NUMBERS).ok()?;
    // Before its part begins.
    LazyLock::force(&TABLES);
    Some((env::var_os(PATH)?.into(), numbers.split_whitespace().map(|number| number.parse().unwrap()).collect()))
}

/// In a player.
pub fn say(number: u64) {
    println!("says {number}");
}

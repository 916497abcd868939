//! Tables that say which they are, and other processes that publish and read them.
#![allow(dead_code, reason = "each test program uses a part of it")]

use lapwing_kallsyms::shared::standin::{self, Snapshot};
use lapwing_kallsyms::shared::{Attached, Options, PublishError, publish};
use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

pub const FOR_ALL: Options = Options { mode: 0o644, group: None };

/// Table `number`: it says so in every part of it, on several pages.
pub fn table(number: u64) -> Vec<u8> {
    standin::image(standin::boot_id(), &number.to_le_bytes().repeat(1500))
}

/// Which table it is, if all of it is of one.
pub fn number(snapshot: &Snapshot) -> u64 {
    let (words, rest) = snapshot.content().as_chunks::<8>();
    assert_eq!((words.len(), rest.len()), (1500, 0));
    assert!(words.iter().all(|word| *word == words[0]), "parts of two tables");
    u64::from_le_bytes(words[0])
}

pub fn publish_number(path: &Path, number: u64) -> Result<u64, PublishError> {
    publish(path, &table(number), &Options::default())
}

pub fn attached_number(path: &Path) -> u64 {
    number(&Attached::open(path).unwrap().snapshot())
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
}

const PATH: &str = "LAPWING_TEST_TABLE";
const NUMBERS: &str = "LAPWING_TEST_NUMBERS";

impl Player {
    pub fn start(role: &str, path: &Path, numbers: &[u64]) -> Self {
        Self::of(Command::new(env::current_exe().unwrap()), role, path, numbers)
    }

    /// Started by another program, which is given the command line.
    pub fn of(mut command: Command, role: &str, path: &Path, numbers: &[u64]) -> Self {
        command.args(["--exact", role, "--ignored", "--nocapture", "--test-threads=1"]);
        let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
        let mut child = command.env(PATH, path).env(NUMBERS, numbers.join(" ")).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
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
    Some((env::var_os(PATH)?.into(), numbers.split_whitespace().map(|number| number.parse().unwrap()).collect()))
}

/// In a player.
pub fn say(number: u64) {
    println!("says {number}");
}

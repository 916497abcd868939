//! The goals for the speed of the ring, each measured beside its yardstick in the same run: appends, readers, starts.
//!
//! `goals [--only WORD].. [--rounds N]`: only what has WORD in its name; at least N rounds of what takes two cores or
//! fresh processes (7), and a hundred times as many of short loops. Other processes are this program, and say what they
//! measured through a ring.

mod appends;
mod board;
mod desk;
mod drains;
mod pairs;
mod starts;
mod work;

use board::Board;
use std::env;

/// What is to be measured, and how often.
pub(crate) struct Options {
    only: Vec<String>,
    pub(crate) rounds: usize,
}

impl Options {
    fn of(mut arguments: impl Iterator<Item = String>) -> Self {
        let mut options = Self { only: Vec::new(), rounds: 7 };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().unwrap_or_else(|| panic!("{argument} needs a value"));
            match argument.as_str() {
                "--only" => options.only.push(value()),
                "--rounds" => options.rounds = value().parse().expect("a number of rounds"),
                other => panic!("{other}: goals [--only WORD].. [--rounds N]"),
            }
        }
        options
    }

    /// Is anything of this to be measured? `name` is that of a group of lines.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }
}

/// Measures a group of lines.
type Measure = fn(&mut Board, &Options);

/// Groups of lines, by the names that `--only` knows.
const GROUPS: [(&str, Measure); 9] = [
    ("append", appends::plain),
    ("sizes", appends::sizes),
    ("idle writers", appends::idle_writers),
    ("stopped readers", appends::stopped_readers),
    ("large ring", appends::large_ring),
    ("following, delivered, latency", pairs::all),
    ("attach, first append", starts::all),
    ("drain", drains::small),
    ("drain of a large ring", drains::large),
];

fn main() {
    let mut arguments = env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|first| first == "work") {
        return work::begin(&arguments.skip(1).collect::<Vec<_>>());
    }
    let options = Options::of(arguments);
    let mut board = Board::default();
    for (name, measure) in GROUPS {
        if options.wants(name) {
            measure(&mut board, &options);
        }
    }
    board.print();
}

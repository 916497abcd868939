//! The goals for the speed of the ring, each measured beside its yardstick in the same run: appends, readers, starts.
//!
//! Other processes are this program, `goals work ..`, and say what they measured through a ring.

mod appends;
mod board;
mod desk;
mod drains;
mod pairs;
mod starts;
mod work;

use board::Board;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use std::env;

/// Measures what an append, a reader and a start should cost, each beside its yardstick, and says which goals are met.
#[derive(Parser)]
#[command(
    name = "goals",
    after_help = "Examples:\n  goals --only append\n  chrt -r 5 goals --only following --rounds 9\n\n\
                  In real time (chrt) other programs disturb it less. A missed goal does not change the exit status."
)]
pub(crate) struct Options {
    /// Only what has WORD in its name; may be repeated
    #[arg(long, value_name = "WORD")]
    only: Vec<String>,
    /// Rounds of what takes two processors or fresh processes; of short loops there are fifty times as many
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

impl Options {
    pub(crate) fn rounds(&self) -> usize {
        self.rounds as usize
    }

    /// Is anything of this to be measured? `name` is that of a group of lines.
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }

    /// A word that no group has in its name.
    fn unknown(&self) -> Option<&str> {
        self.only.iter().map(String::as_str).find(|word| !GROUPS.iter().any(|(name, _)| name.contains(word)))
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
    let options = Options::parse();
    if let Some(word) = options.unknown() {
        let names = GROUPS.map(|(name, _)| name).join("; ");
        Options::command().error(ErrorKind::InvalidValue, format!("nothing has {word} in its name: {names}")).exit();
    }
    let mut board = Board::default();
    for (name, measure) in GROUPS {
        if options.wants(name) {
            measure(&mut board, &options);
        }
    }
    board.print();
}

//! What the preloaded library costs: a line that is captured, a write that is not, and starting a program. Everything in one
//! run, interleaved, medians. `shim [start] [ROUNDS]`, `start` for the last of these alone; `shim worker WHAT` is what it
//! measures.

mod start;

use lapwing_benches::shim::{self, FEW, LINE, Output, SOME, WRITES, Worker};
use std::env;

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [word, what] = &arguments[..]
        && word == "worker"
    {
        return shim::work(what);
    }
    let is_start = arguments.first().is_some_and(|word| word == "start");
    let rounds = arguments.get(usize::from(is_start));
    let rounds = rounds.map_or(500, |rounds| rounds.parse().expect("a number of rounds"));
    let ring = lapwing_benches::Ring::new("shim");
    if is_start {
        return start::measure(rounds, &ring);
    }
    println!(
        "ns per operation, median of {rounds} rounds of {WRITES}, to a pipe {SOME}, to another output {FEW}; a line of {} bytes",
        LINE.len()
    );
    let mut table = Table::default();

    let pipe = || Output::pipe();
    let append = table.add("append to the ring", Worker::start("append", pipe(), &ring, None));
    let quiet = table.add("a captured line, --quiet", Worker::start("write", pipe(), &ring, Some(true)));
    table.beside(append, quiet);
    let forgetful = lapwing_benches::Ring::new("shim-forgetful");
    forgetful.forget_lines();
    let once = table.add("in two writes, no lines kept", Worker::start("halves", pipe(), &forgetful, Some(true)));
    let kept = table.add("in two writes", Worker::start("halves", pipe(), &ring, Some(true)));
    table.beside(once, kept);
    for (name, output) in
        [("a pipe", Output::pipe()), ("a socket", Output::socket()), ("a terminal", Output::terminal())]
    {
        let plain = table.add(&format!("a line to {name}"), Worker::start("write", output.clone(), &ring, None));
        if name == "a pipe" {
            let by_itself = Worker::start("write-and-append", output.clone(), &ring, None);
            let by_itself = table.add("a line to a pipe, and an append", by_itself);
            table.beside(plain, by_itself);
        }
        let tee = table.add(&format!("a line to {name}, captured"), Worker::start("write", output, &ring, Some(false)));
        table.beside(plain, tee);
    }
    let plain = table.add("another descriptor", Worker::start("other", pipe(), &ring, None));
    for (name, quiet) in [("another descriptor, library", false), ("another descriptor, --quiet", true)] {
        let with = table.add(name, Worker::start("other", pipe(), &ring, Some(quiet)));
        table.beside(plain, with);
    }
    table.run(rounds);
    start::measure(rounds, &ring);
}

/// The workers, what each has measured, and which are to be compared.
#[derive(Default)]
struct Table {
    rows: Vec<(String, Worker, Vec<f64>)>,
    pairs: Vec<(usize, usize)>,
}

impl Table {
    fn add(&mut self, name: &str, worker: Worker) -> usize {
        self.rows.push((name.to_owned(), worker, Vec::new()));
        self.rows.len() - 1
    }

    fn beside(&mut self, without: usize, with: usize) {
        self.pairs.push((without, with));
    }

    fn run(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for (_, worker, figures) in &mut self.rows {
                figures.push(worker.round());
            }
        }
        let differences: Vec<_> = self.pairs.iter().map(|&(without, with)| self.difference(without, with)).collect();
        for (at, (name, _, figures)) in self.rows.iter_mut().enumerate() {
            let more = self.pairs.iter().zip(&differences).find(|((_, with), _)| *with == at);
            let more = more.map_or(String::new(), |(_, more)| format!("{more:+10.1}"));
            println!("{name:36} {:9.1}{more}", median(figures));
        }
    }

    /// The median of what the same round took longer: whatever else the machine was doing, it did to both.
    fn difference(&self, without: usize, with: usize) -> f64 {
        let (without, with) = (&self.rows[without].2, &self.rows[with].2);
        median(&mut without.iter().zip(with).map(|(without, with)| with - without).collect::<Vec<_>>())
    }
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

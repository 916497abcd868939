//! One measurement: a table is loaded, kept, and asked. In a process that does nothing else.

#![forbid(unsafe_code)]

use crate::memory::{self, Memory};
use crate::reference::Reference;
use lapwing_benches::addresses;
use lapwing_benches::captured::Kernel;
use lapwing_kallsyms::shared::{self, Attached};
use lapwing_kallsyms::{NameBuffer, Snapshot, Sources, Symbolizer};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// Who is measured.
pub const CONTESTANTS: [&str; if cfg!(feature = "peers") { 5 } else { 4 }] = {
    let all = [LAPWING, ONE_THREAD, ATTACHED, LAYOUT, BLAZESYM];
    *all.first_chunk().expect("five")
};
const LAPWING: &str = "lapwing";
const ONE_THREAD: &str = "lapwing, one thread";
const ATTACHED: &str = "lapwing, attached";
const LAYOUT: &str = "OTel's layout";
const BLAZESYM: &str = "blazesym";

/// What is reported: what it is called where it is measured, what it is, and the goal.
pub const REPORTED: [(&str, &str, &str); 14] = [
    ("load", "load, ms", "38; one thread: 45"),
    ("load_processor", "processor time of it, of all threads, ms", ""),
    ("symbols", "symbols kept", ""),
    ("heap", "heap, bytes a symbol", "7; without __pfx_: 13"),
    ("resident", "resident growth, bytes a symbol", ""),
    ("anonymous", "of that of no file, KiB", "attached: 0"),
    ("heap_peak", "most of the heap while loading, KiB", ""),
    ("resident_peak", "resident growth while loading, KiB", "2048"),
    ("random", "random address, ns", "35"),
    ("random_name", "with its name, ns", "80"),
    ("sequential", "one behind the other, ns", ""),
    ("sequential_name", "with names, ns", ""),
    ("batch_name", "64 random at once, with names, ns each", ""),
    ("size", "bytes of the table", ""),
];

/// Averages by their names.
#[derive(Default)]
pub struct Measured(pub BTreeMap<String, f64>);

impl Measured {
    pub fn read(text: &str) -> Self {
        let pair = |line: &str| line.split_once(' ').map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        Self(text.lines().filter_map(pair).flatten().collect())
    }

    fn say(name: &str, value: f64) {
        println!("{name} {value}");
    }
}

/// What is asked.
struct Questions {
    addresses: Vec<u64>,
    lookups: usize,
}

pub fn work(arguments: &[String]) {
    let [who, kallsyms, modules, notes, published, lookups] = arguments else { panic!("six arguments") };
    let kallsyms = Path::new(kallsyms);
    let sources = sources(kallsyms, modules.as_ref(), notes.as_ref());
    let questions = || Questions { addresses: addresses::text(kallsyms), lookups: lookups.parse().expect("a number") };
    if who == ONE_THREAD {
        stay_on_one_processor();
    }
    let before = memory::now();
    let start = Instant::now();
    match who.as_str() {
        LAPWING | ONE_THREAD => {
            let symbolizer = Symbolizer::load_from(sources).expect("the kernel's symbols");
            loaded(start);
            ours(&symbolizer.snapshot(), before, questions);
        }
        ATTACHED => {
            let attached = Attached::open(Path::new(published)).expect("the published table");
            loaded(start);
            ours(&attached.snapshot(), before, questions);
        }
        LAYOUT => {
            let table = Reference::load(kallsyms);
            loaded(start);
            keep(before, table.symbols());
            let questions = questions();
            questions.ask("", |address| table.lookup(address).map_or(0, |(offset, _)| offset as usize));
            questions.ask("_name", |address| table.lookup(address).map_or(0, |(_, name)| black_box(name).len()));
        }
        #[cfg(feature = "peers")]
        BLAZESYM => {
            let table = crate::blazesym::Blazesym::load(kallsyms, u64::MAX);
            loaded(start);
            let after = memory::now();
            let lines = std::fs::read(kallsyms).expect("the kernel's symbols").split(|&byte| byte == b'\n').count() - 1;
            keep_of(before, after, lines);
            let questions = Questions { lookups: questions().lookups / 10, ..questions() };
            questions.ask("_name", |address| table.lookup(address).map_or(0, |(offset, name)| offset as usize + name));
            questions.ask_batches(|addresses| table.lookup_all(addresses));
        }
        other => panic!("{other} is nobody"),
    }
}

fn sources(kallsyms: &Path, modules: &Path, notes: &Path) -> Sources {
    Sources { kallsyms: kallsyms.into(), modules: Some(modules.into()), notes: Some(notes.into()) }
}

/// Makes the table that others attach.
pub fn publish(kernel: &Kernel, path: &Path) {
    let table =
        Symbolizer::load_from(sources(&kernel.kallsyms, &kernel.modules, &kernel.notes)).expect("the kernel's symbols");
    shared::publish(path, &table.snapshot(), &shared::Options::default()).expect("room for the table");
}

fn ours(table: &Snapshot, before: Memory, questions: impl FnOnce() -> Questions) {
    keep(before, table.modules().map(|module| module.len()).sum());
    Measured::say("size", table.size() as f64);
    let questions = questions();
    questions.ask("", |address| table.lookup(address).map_or(0, |found| found.offset() as usize + found.id() as usize));
    let mut name = NameBuffer::default();
    questions.ask("_name", |address| match table.lookup(address) {
        Ok(found) => black_box(found.name_into(&mut name)).len(),
        Err(_) => 0,
    });
    let mut found = Vec::new();
    questions.ask_batches(|addresses| {
        table.lookup_all(addresses, &mut found);
        found.drain(..).flatten().map(|found| found.name_into(&mut name).len()).sum()
    });
}

fn keep(before: Memory, symbols: usize) {
    keep_of(before, memory::now(), symbols);
}

fn keep_of(before: Memory, after: Memory, symbols: usize) {
    let grown = |before: usize, after: usize| after.saturating_sub(before) as f64;
    let each = |bytes: f64| bytes / symbols as f64;
    Measured::say("symbols", symbols as f64);
    Measured::say("heap", each(grown(before.heap, after.heap)));
    Measured::say("resident", each(grown(before.resident, after.resident)));
    Measured::say("anonymous", grown(before.anonymous, after.anonymous) / 1024.0);
    Measured::say("heap_peak", grown(before.heap, after.heap_peak) / 1024.0);
    Measured::say("resident_peak", grown(before.resident, after.resident_peak) / 1024.0);
}

impl Questions {
    fn ask(&self, kind: &str, mut lookup: impl FnMut(u64) -> usize) {
        for (order, random) in [("random", true), ("sequential", false)] {
            let queries = addresses::queries(&self.addresses, self.lookups, random);
            let start = processor_time(ClockId::ThreadCPUTime);
            let sum: usize = queries.iter().map(|&address| lookup(address)).sum();
            let took = processor_time(ClockId::ThreadCPUTime) - start;
            assert!(black_box(sum) > 0, "nothing was found");
            Measured::say(&format!("{order}{kind}"), took.as_nanos() as f64 / queries.len() as f64);
        }
    }

    fn ask_batches(&self, mut lookup: impl FnMut(&[u64]) -> usize) {
        let queries = addresses::queries(&self.addresses, self.lookups, true);
        let start = processor_time(ClockId::ThreadCPUTime);
        let sum: usize = queries.chunks(64).map(&mut lookup).sum();
        let took = processor_time(ClockId::ThreadCPUTime) - start;
        assert!(black_box(sum) > 0, "nothing was found");
        Measured::say("batch_name", took.as_nanos() as f64 / queries.len() as f64);
    }
}

fn loaded(start: Instant) {
    Measured::say("load", start.elapsed().as_secs_f64() * 1e3);
    Measured::say("load_processor", processor_time(ClockId::ProcessCPUTime).as_secs_f64() * 1e3);
}

/// What this thread or this process has had of processors: others that want them too do not matter so much.
fn processor_time(whose: ClockId) -> Duration {
    clock_gettime(whose).try_into().expect("a time that is not negative")
}

/// So that nothing is read ahead by another thread.
fn stay_on_one_processor() {
    let mut only = rustix::thread::CpuSet::new();
    let allowed = rustix::thread::sched_getaffinity(None).expect("our processors");
    let first = (0..rustix::thread::CpuSet::MAX_CPU).find(|&number| allowed.is_set(number));
    only.set(first.expect("a processor"));
    rustix::thread::sched_setaffinity(None, &only).expect("one of our processors");
}

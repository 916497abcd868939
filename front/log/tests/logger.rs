//! One logger of this process: what a call costs in allocations, and values that do more than they should.
#![allow(unsafe_code)]

use lapwing_log::{Logger, Sink};
use lapwing_ring::{Create, Read, Reader};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt;
use std::path::PathBuf;

/// The system's allocator, and how often each thread asked it.
struct Counting;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is the system's allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's; it came from there.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn logger() -> (tempfile::TempDir, PathBuf, Logger) {
    log::set_max_level(log::LevelFilter::Trace);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(1 << 20).create(&path).unwrap();
    let logger = Logger::new(Sink::open_at(&path).unwrap());
    (folder, path, logger)
}

fn texts(path: &std::path::Path) -> Vec<String> {
    let mut reader = Reader::open(path).unwrap();
    let mut texts = Vec::new();
    loop {
        match reader.next().unwrap() {
            Read::Record(record) => texts.push(String::from_utf8(record.payload.to_vec()).unwrap()),
            Read::NotYet { in_flight: false } => return texts,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_record_of_a_kilobyte_with_its_fields_takes_no_allocation() {
    let (_folder, path, logger) = logger();
    let text = "x".repeat(800);
    let call = || log::info!(logger: logger, number = 7, name = "sda", list:? = [1, 2]; "{text} {}", 1);
    call();
    let before = COUNT.get();
    for _ in 0..100 {
        call();
    }
    assert_eq!(COUNT.get() - before, 0);
    let longer = "y".repeat(2000);
    log::info!(logger: logger, "{longer}");
    assert!(COUNT.get() > before, "the count counts");
    assert_eq!(texts(&path).len(), 102);
}

struct LogsItself<'a>(&'a Logger);

impl fmt::Display for LogsItself<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        log::info!(logger: self.0, "inner");
        f.write_str("outer")
    }
}

struct Fails;

impl fmt::Display for Fails {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Err(fmt::Error)
    }
}

struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a value of the program's own")
    }
}

#[test]
fn a_value_may_log_fail_or_panic_and_the_logger_goes_on() {
    let (_folder, path, logger) = logger();
    log::info!(logger: logger, "{}", LogsItself(&logger));
    log::info!(logger: logger, bad:% = Fails; "before {Fails} behind");
    let panicked = std::panic::catch_unwind(|| log::info!(logger: logger, "{Panics}"));
    assert!(panicked.is_err());
    log::info!(logger: logger, "behind");
    assert_eq!(texts(&path), ["inner", "outer", "before ", "behind"]);
    assert_eq!(logger.refused(), 0);
}

#[test]
fn there_is_one_logger_in_a_program_and_no_ring_is_an_error() {
    let (folder, path, _logger) = logger();
    let missing = lapwing_log::init_at(folder.path().join("none"));
    assert!(matches!(missing, Err(lapwing_log::InitError::Ring(_))), "{missing:?}");
    lapwing_log::init_at(&path).unwrap();
    assert_eq!(log::max_level(), log::LevelFilter::Debug);
    log::warn!("by the facade");
    assert_eq!(texts(&path), ["by the facade"]);
    let second = lapwing_log::init_at(&path);
    assert!(matches!(second, Err(lapwing_log::InitError::Taken(_))), "{second:?}");
    log::set_max_level(log::LevelFilter::Trace);
}

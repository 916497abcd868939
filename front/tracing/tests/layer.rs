//! A layer among others: what a record costs in allocations, what comes by way of the `log` facade, what filters leave.
#![allow(unsafe_code)]

use lapwing_ring::{Create, Field, Read, Reader, Value};
use lapwing_tracing::{RingLayer, Sink};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use tracing::subscriber::with_default;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

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

fn ring() -> (tempfile::TempDir, PathBuf, RingLayer) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(1 << 20).create(&path).unwrap();
    let layer = RingLayer::new(Sink::open_at(&path).unwrap());
    (folder, path, layer)
}

/// Tag, text and fields of each record, but for `file` and `line` where they are this file's.
fn records(path: &Path) -> Vec<String> {
    let mut reader = Reader::open(path).unwrap();
    let mut seen = Vec::new();
    loop {
        let record = match reader.next().unwrap() {
            Read::Record(record) => record,
            Read::NotYet { in_flight: false } => return seen,
            other => panic!("{other:?}"),
        };
        let mut line = String::new();
        for field in record.fields {
            match field {
                Field::Tag(tag) => line += &format!("{}:", tag.escape_ascii()),
                Field::KeyValue(b"file" | b"line", _) => {}
                Field::KeyValue(key, Value::Text(text)) => {
                    line += &format!(" {}={}", key.escape_ascii(), text.escape_ascii());
                }
                Field::KeyValue(key, value) => line += &format!(" {}={value:?}", key.escape_ascii()),
                _ => {}
            }
        }
        seen.push(format!("{line} {}", record.payload.escape_ascii()));
    }
}

#[test]
fn a_record_inside_two_spans_takes_no_allocation() {
    let (_folder, path, layer) = ring();
    with_default(tracing_subscriber::registry().with(layer), || {
        let _outer = tracing::info_span!("outer", id = 7, list = ?[1, 2]).entered();
        let _inner = tracing::info_span!("inner", name = "sda").entered();
        let call = || tracing::info!(number = 1, text = %"t", "almost {}", "full");
        call();
        let before = COUNT.get();
        for _ in 0..100 {
            call();
        }
        assert_eq!(COUNT.get() - before, 0);
        let _third = tracing::info_span!("third").entered();
        assert!(COUNT.get() > before, "the count counts, and a span is an allocation");
    });
    let seen = records(&path);
    assert_eq!(seen.len(), 101);
    assert_eq!(seen[100], "layer: number=Int(1) text=t span=outer:inner name=sda id=Int(7) list=[1, 2] almost full");
}

#[test]
fn what_the_log_facade_logs_has_its_own_target_and_place() {
    let (_folder, path, layer) = ring();
    tracing_log::LogTracer::init().unwrap();
    with_default(tracing_subscriber::registry().with(layer), || {
        let _span = tracing::info_span!("span").entered();
        log::warn!(target: "disk", "almost full");
        log::warn!("plain");
    });
    assert_eq!(records(&path), ["disk: module=layer span=span almost full", "layer: span=span plain"]);
}

#[test]
fn two_layers_share_spans_and_a_filter_hides_them_from_one() {
    let (_folder, path, layer) = ring();
    let (_other_folder, other_path, other) = ring();
    let subscriber = tracing_subscriber::registry().with(layer).with(other.with_filter(LevelFilter::INFO));
    with_default(subscriber, || {
        let _outer = tracing::info_span!("outer", id = 7).entered();
        let _inner = tracing::debug_span!("inner", table = "t").entered();
        tracing::info!("both");
        tracing::debug!("one");
    });
    assert_eq!(
        records(&path),
        ["layer: span=outer:inner table=t id=Int(7) both", "layer: span=outer:inner table=t id=Int(7) one"]
    );
    assert_eq!(records(&other_path), ["layer: span=outer id=Int(7) both"]);
}

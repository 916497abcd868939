//! Appends.

use crate::{Case, TIMES, lapwing_counted};
use lapwing_benches::{Opener, PAYLOADS, Ring, begins_page};
use lapwing_ring::{Body, Draft, Level, Log, Reader, Seek, Writer};
use std::hint::black_box;
use std::path::Path;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in PAYLOADS {
        let payload = vec![b'x'; len];
        let mut add = |name: &str, run: fn(&Ring, &[u8])| {
            let payload = payload.clone();
            let run = move || run(&Ring::new("instructions"), &payload);
            cases.push(Case::new(&format!("append/{name}/{len}"), TIMES, run));
        };
        add("writer", |ring, payload| writer(ring, payload, Body::BEST, true));
        add("writer-no-ticks", |ring, payload| writer(ring, payload, Body::BEST, false));
        add("writer-words", |ring, payload| writer(ring, payload, Body::Words, true));
        add("writer-two-slices", two_slices);
        add("log", |ring, payload| log(ring, payload, true));
        add("log-no-ticks", |ring, payload| log(ring, payload, false));
        add("log-other-thread", |ring, payload| {
            std::thread::scope(|scope| scope.spawn(|| log(ring, payload, true)).join().unwrap());
        });
        add("first-on-a-page", first_on_a_page);
        add("opens-a-page", opens_a_page);
    }
    cases
}

fn writer(ring: &Ring, payload: &[u8], body: Body, ticking: bool) {
    let mut writer = Writer::open(ring.path()).unwrap();
    writer.set_modes(body, ticking);
    on_one_page(ring.path(), || writer.append(Level::INFO, black_box(payload)).unwrap());
}

fn two_slices(ring: &Ring, payload: &[u8]) {
    let mut writer = Writer::open(ring.path()).unwrap();
    let (front, end) = payload.split_at(payload.len() / 2);
    on_one_page(ring.path(), || writer.append_slices(&Draft::new(Level::INFO), black_box(&[front, end])).unwrap());
}

fn log(ring: &Ring, payload: &[u8], ticking: bool) {
    let mut log = Log::open(ring.path()).unwrap();
    log.set_modes(Body::BEST, ticking);
    on_one_page(ring.path(), || log.append(Level::INFO, black_box(payload)).unwrap());
}

/// Counts appends of which none is the first on its page.
fn on_one_page(ring: &Path, mut append: impl FnMut() -> u64) {
    let mut reader = Reader::open(ring).unwrap();
    reader.seek(Seek::Newest).unwrap();
    // The first one is the writer's first in any case.
    let seq = append();
    assert!(begins_page(&mut reader, seq));
    loop {
        let seq = append();
        if begins_page(&mut reader, seq) {
            break;
        }
    }
    let mut last = 0;
    for _ in 0..TIMES {
        lapwing_counted(&mut || last = append());
    }
    for seq in last + 1 - TIMES as u64..=last {
        assert!(!begins_page(&mut reader, seq), "all on one page");
    }
}

/// Counts appends that say who writes, to a page that another writer has opened.
fn first_on_a_page(ring: &Ring, payload: &[u8]) {
    let mut opener = Opener::new(ring, payload.len());
    let mut writer = Writer::open(ring.path()).unwrap();
    for _ in 0..TIMES {
        // One more, for it opens the page.
        opener.fill();
        opener.append();
        assert!(opener.has_opened());
        let mut reader = Reader::open(ring.path()).unwrap();
        reader.seek(Seek::Newest).unwrap();
        let mut seq = 0;
        lapwing_counted(&mut || seq = writer.append(Level::INFO, black_box(payload)).unwrap());
        assert!(begins_page(&mut reader, seq));
        opener.find_page();
    }
}

/// Counts appends that open a page.
fn opens_a_page(ring: &Ring, payload: &[u8]) {
    let mut opener = Opener::new(ring, payload.len());
    for _ in 0..TIMES {
        opener.fill();
        lapwing_counted(&mut || opener.append());
        assert!(opener.has_opened());
    }
}

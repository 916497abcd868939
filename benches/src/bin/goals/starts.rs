//! Attaching and the first append, each time in a process that has done neither before.
#![allow(unsafe_code)]

use crate::Options;
use crate::board::{Board, Goal, Line};
use crate::desk::{Desk, Place, settle};
use lapwing_benches::Ring;
use lapwing_benches::median::median;
use lapwing_ring::{Level, Log, Reader, Writer};
use memmap2::MmapMut;
use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

/// HEAD's, the writer's slot's, the ring's page's with its index, and the one on which the record lies.
const TOUCHED: usize = 4;

pub(crate) fn all(board: &mut Board, options: &Options) {
    let mut desk = Desk::new();
    let ring = Ring::new("goals-starts");
    let path = ring.path().to_str().expect("a name");
    let whats = ["floor", "writer", "log", "reader"];
    let mut figures = whats.map(|_| [const { Vec::new() }; 2]);
    for _ in 0..options.rounds().max(5) * 5 {
        for (what, figures) in whats.iter().zip(&mut figures) {
            let worker = desk.start(0, "start", &[path, what]);
            let said = desk.figures(&worker, "us");
            worker.join();
            for (figures, figure) in figures.iter_mut().zip(said) {
                figures.push(figure);
            }
        }
    }
    let [floor, writer, log, reader] = figures.map(|both| both.map(|us| median(&us).expect("a start")));
    for (who, [attach, first]) in [("Writer", writer), ("Log", log), ("Reader", reader)] {
        let mut add = |what, figure, name, much, goal| {
            let (what, goal) = (format!("{what}, {who}"), Goal::AtMost(goal));
            board.add(Line { what, figure, unit: "us", yardstick: Some((name, much)), goal });
        };
        add("attach", attach, "open and mmap", floor[0], 100.0);
        if who != "Reader" {
            add("first append", first, "first touch of 4 pages of memory", floor[1], 20.0);
        }
    }
}

/// Attaches and appends, before anything else that this process does, and says then how long that took.
pub(crate) fn start(core: &str, desk: &str, ring: &str, what: &str) {
    settle(core);
    let path = Path::new(ring);
    let since = Instant::now();
    let us = |since: Instant| since.elapsed().as_secs_f64() * 1e6;
    let figures = match what {
        "floor" => {
            let file = File::options().read(true).write(true).open(path).expect("the ring");
            // SAFETY: nobody cuts the file off, and nothing is done to its bytes but one load of each.
            let map = unsafe { MmapMut::map_mut(&file) }.expect("the ring");
            let attached = us(since);
            let since = Instant::now();
            // Far enough from each other that the kernel maps none for its neighbour.
            for place in 0..TOUCHED {
                let at = map.as_ptr().wrapping_add(place * map.len() / TOUCHED);
                // SAFETY: within the mapping; others may store there, so it is a volatile load.
                black_box(unsafe { at.read_volatile() });
            }
            [attached, us(since)]
        }
        "writer" => {
            let mut writer = Writer::open(path).expect("the ring");
            let attached = us(since);
            let since = Instant::now();
            writer.append(Level::INFO, &[b'x'; 100]).expect("a record");
            [attached, us(since)]
        }
        "log" => {
            let log = Log::open(path).expect("the ring");
            let attached = us(since);
            let since = Instant::now();
            log.append(Level::INFO, &[b'x'; 100]).expect("a record");
            [attached, us(since)]
        }
        _ => {
            let mut reader = Reader::open(path).expect("the ring");
            let attached = us(since);
            let since = Instant::now();
            black_box(reader.next().expect("the ring"));
            [attached, us(since)]
        }
    };
    let place = Place::take(core, desk);
    place.ready();
    place.say("us", &figures);
}

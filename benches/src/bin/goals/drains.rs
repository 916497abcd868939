//! A full ring, read from one end to the other by the library, on one processor.

use crate::Options;
use crate::board::{Board, Goal, Line};
use lapwing_benches::Ring;
use lapwing_benches::median::median;
use lapwing_ring::{Level, Read, Reader, Seek};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;

const LARGE: usize = 1 << 30;

/// Bytes that are copied at a time, into the same place.
const PIECE: usize = 64 << 10;

pub(crate) fn small(board: &mut Board, options: &Options) {
    drain(board, options.rounds().max(5) * 5, "16 MiB", lapwing_benches::SIZE);
}

pub(crate) fn large(board: &mut Board, options: &Options) {
    drain(board, options.rounds().max(5), "1 GiB", LARGE);
}

fn drain(board: &mut Board, rounds: usize, name: &str, size: usize) {
    let ring = Ring::sized("goals-drain", size);
    let mut writer = ring.writer();
    for _ in 0..size / 120 {
        writer.append(Level::INFO, &[b'x'; 100]).expect("a record");
    }
    let from = vec![1u8; size];
    let mut again = Reader::open(ring.path()).expect("the ring");
    let mut figures = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        let mut anew = Reader::open(ring.path()).expect("the ring");
        figures[0].push(by_batch(&mut anew));
        figures[1].push(by_batch(&mut again));
        figures[2].push(by_next(&mut again));
        figures[3].push(copy(&from) / (size as f64 / 128.0));
    }
    let [anew, again, single, copied] = figures.map(|ns| 1e3 / median(&ns).expect("a drain"));
    for (how, figure, goal) in [
        ("mapped just now", anew, Goal::AtLeast(60.0)),
        ("read before", again, Goal::AtLeast(60.0)),
        ("read before, next() alone", single, Goal::None),
    ] {
        board.add(Line {
            what: format!("drain of {name}, {how}"),
            figure,
            unit: "M/s",
            yardstick: Some(("memcpy of 128 bytes a record", copied)),
            goal,
        });
    }
}

/// ns a record.
fn by_batch(reader: &mut Reader) -> f64 {
    let (mut bytes, mut records) = (0, 0u64);
    let since = Instant::now();
    reader.seek(Seek::Oldest).expect("the ring");
    let each = |read: Read<'_>| {
        if let Read::Record(record) = read {
            bytes += black_box(record.payload).len();
            records += 1;
        }
        ControlFlow::Continue(())
    };
    reader.batch(usize::MAX, each).expect("a ring without damage");
    assert!(bytes > 0, "there was something to read");
    since.elapsed().as_secs_f64() * 1e9 / records as f64
}

/// As [`by_batch`], with a call for each record.
fn by_next(reader: &mut Reader) -> f64 {
    let (mut bytes, mut records) = (0, 0u64);
    let since = Instant::now();
    reader.seek(Seek::Oldest).expect("the ring");
    loop {
        match reader.next().expect("a ring without damage") {
            Read::Record(record) => (bytes, records) = (bytes + black_box(record.payload).len(), records + 1),
            Read::NotYet { .. } => break,
            _ => {}
        }
    }
    assert!(bytes > 0, "there was something to read");
    since.elapsed().as_secs_f64() * 1e9 / records as f64
}

/// ns for all of it.
fn copy(from: &[u8]) -> f64 {
    let mut to = vec![0u8; PIECE];
    let since = Instant::now();
    for piece in from.chunks_exact(PIECE) {
        to.copy_from_slice(piece);
        black_box(to.as_mut_ptr());
    }
    since.elapsed().as_secs_f64() * 1e9
}

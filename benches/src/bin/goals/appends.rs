//! One writer in loops: what an append costs, and what it should not cost.

use crate::Options;
use crate::board::{Board, Goal, Line};
use crate::desk::Desk;
use lapwing_benches::rounds::{Candidate, take_turns};
use lapwing_benches::{Buffer, Ring, SIZE, Word};
use lapwing_ring::{Body, Level, Writer};

/// 64 times as large as the others.
const LARGE: usize = 64 * SIZE;

fn turns(options: &Options) -> usize {
    options.rounds().max(5) * 50
}

fn append(writer: &mut Writer, bytes: &[u8]) {
    writer.append(Level::INFO, bytes).expect("a record");
}

fn line(what: &str, figure: f64, yardstick: (&'static str, f64), goal: Goal) -> Line {
    Line { what: what.to_owned(), figure, unit: "ns", yardstick: Some(yardstick), goal }
}

pub(crate) fn plain(board: &mut Board, options: &Options) {
    let ring = Ring::new("goals-append");
    let [mut whole, mut tickless] = [(); 2].map(|()| ring.writer());
    tickless.set_modes(Body::BEST, false);
    let (mut buffer, word) = (Buffer::default(), Word::default());
    let mut turn = [
        Candidate::new("memcpy", |bytes| buffer.copy(bytes)),
        Candidate::new("compare-exchange", |_| assert!(word.compare_exchange())),
        Candidate::new("no ticks", |bytes| append(&mut tickless, bytes)),
        Candidate::new("whole", |bytes| append(&mut whole, bytes)),
    ];
    take_turns(&mut turn, turns(options), &[b'x'; 100]);
    let [copy, exchange, tickless, whole] = turn.each_ref().map(Candidate::median);
    let floor = ("memcpy + compare-exchange", copy + exchange);
    board.add(line("append of 100 bytes, no ticks", tickless, floor, Goal::Times(1.5)));
    board.add(line("append of 100 bytes, all", whole, floor, Goal::Times(2.5)));
}

pub(crate) fn sizes(board: &mut Board, options: &Options) {
    for (len, name) in [(16, "16 bytes"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB")] {
        let ring = Ring::new("goals-sizes");
        let [mut empty, mut whole] = [(); 2].map(|()| ring.writer());
        let mut buffer = Buffer::default();
        let mut turn = [
            Candidate::new("memcpy", |bytes| buffer.copy(bytes)),
            Candidate::new("empty", |_| append(&mut empty, &[])),
            Candidate::new("whole", |bytes| append(&mut whole, bytes)),
        ];
        take_turns(&mut turn, turns(options) / 5, &vec![b'x'; len]);
        let [copy, empty, whole] = turn.each_ref().map(Candidate::median);
        let most = ("2 memcpy + an empty append", 2.0 * copy + empty);
        board.add(line(&format!("append of {name}"), whole, most, Goal::Times(1.0)));
    }
}

pub(crate) fn idle_writers(board: &mut Board, options: &Options) {
    let rings = ["goals-0", "goals-1", "goals-10", "goals-100"].map(Ring::new);
    let _idle: Vec<Writer> = [0, 1, 10, 100]
        .iter()
        .zip(&rings)
        .flat_map(|(&count, ring)| (0..count).map(|_| Writer::open(ring.path()).expect("a slot")))
        .collect();
    let [mut none, mut one, mut ten, mut hundred] = rings.each_ref().map(Ring::writer);
    let mut turn = [
        Candidate::new("none", |bytes| append(&mut none, bytes)),
        Candidate::new("1 idle writer", |bytes| append(&mut one, bytes)),
        Candidate::new("10 idle writers", |bytes| append(&mut ten, bytes)),
        Candidate::new("100 idle writers", |bytes| append(&mut hundred, bytes)),
    ];
    take_turns(&mut turn, turns(options), &[b'x'; 100]);
    for other in &turn[1..] {
        let what = format!("append beside {}", other.name);
        board.add(line(&what, other.median(), ("alone", turn[0].median()), Goal::Times(1.1)));
    }
}

pub(crate) fn stopped_readers(board: &mut Board, options: &Options) {
    let mut desk = Desk::new();
    let rings = ["goals-alone", "goals-stopped", "goals-slow"].map(Ring::new);
    let [mut alone, mut stopped, mut slow] = rings.each_ref().map(Ring::writer);
    let mut readers = Vec::new();
    for (ring, millis) in [(&rings[1], "0"), (&rings[2], "200")] {
        let path = ring.path().to_str().expect("a name");
        readers.extend((0..100).map(|_| desk.start(1, "loiter", &[path, millis])));
    }
    let mut turn = [
        Candidate::new("without reader", |bytes| append(&mut alone, bytes)),
        Candidate::new("100 stopped readers", |bytes| append(&mut stopped, bytes)),
        Candidate::new("100 slow readers", |bytes| append(&mut slow, bytes)),
    ];
    take_turns(&mut turn, turns(options), &[b'x'; 100]);
    for other in &turn[1..] {
        let what = format!("append with {}", other.name);
        board.add(line(&what, other.median(), ("without reader", turn[0].median()), Goal::Times(1.05)));
    }
}

pub(crate) fn large_ring(board: &mut Board, options: &Options) {
    let (small, large) = (Ring::new("goals-small"), Ring::sized("goals-large", LARGE));
    let (mut in_small, mut in_large) = (small.writer(), large.writer());
    let (mut near, mut far) = (Buffer::default(), Buffer::sized(LARGE));
    let mut turn = [
        Candidate::new("memcpy, 16 MiB", |bytes| near.copy(bytes)),
        Candidate::new("memcpy, 1 GiB", |bytes| far.copy(bytes)),
        Candidate::new("16 MiB", |bytes| append(&mut in_small, bytes)),
        Candidate::new("1 GiB", |bytes| append(&mut in_large, bytes)),
    ];
    take_turns(&mut turn, turns(options), &[b'x'; 100]);
    let [near, far, small, large] = turn.each_ref().map(Candidate::median);
    board.add(line("append to a ring of 1 GiB", large, ("to one of 16 MiB", small), Goal::Times(1.1)));
    board.add(line("memcpy into 1 GiB", far, ("into 16 MiB", near), Goal::None));
}

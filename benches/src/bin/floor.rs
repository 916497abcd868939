//! Append against its floor: memcpy of the same bytes plus one uncontended compare-exchange.
//!
//! Short rounds of every candidate take turns, and the median round of each counts: what else the machine does in
//! between hits all of them alike. `floor [ROUNDS]`.

use lapwing_benches::rounds::{Candidate, ROUND, take_turns};
use lapwing_benches::{Buffer, PAYLOADS, Ring, Word, ticks};
use lapwing_ring::{Body, Level};
use std::hint::black_box;

fn main() {
    let rounds = std::env::args().nth(1).map_or(2000, |n| n.parse().expect("a number of rounds"));
    let ring = Ring::new("floor");
    println!("ns per operation, median of {rounds} rounds of {ROUND}");
    println!("ratio: to memcpy + compare-exchange; overlapped: to both in one loop, where the processor overlaps them");
    println!("{:>8}  {:<24} {:>8} {:>7} {:>10}", "payload", "what", "ns", "ratio", "overlapped");
    for len in PAYLOADS {
        let payload = vec![b'x'; len];
        let [mut words, mut wide, mut tickless] = [(); 3].map(|()| ring.writer());
        words.set_modes(Body::Words, true);
        wide.set_modes(Body::Wide, true);
        tickless.set_modes(Body::Wide, false);
        let log = ring.log();
        let (mut alone, mut both) = (Buffer::default(), Buffer::default());
        let (word, other) = (Word::default(), Word::default());
        let mut candidates = [
            Candidate::new("memcpy", |bytes| alone.copy(bytes)),
            Candidate::new("compare-exchange", |_| assert!(word.compare_exchange())),
            Candidate::new("both in one loop", |bytes| {
                assert!(other.compare_exchange());
                both.copy(bytes);
            }),
            Candidate::new("rdtsc", |_| {
                black_box(ticks());
            }),
            Candidate::new("append, wide", |bytes| {
                wide.append(Level::INFO, bytes).unwrap();
            }),
            Candidate::new("append, wide, no ticks", |bytes| {
                tickless.append(Level::INFO, bytes).unwrap();
            }),
            Candidate::new("append, words", |bytes| {
                words.append(Level::INFO, bytes).unwrap();
            }),
            Candidate::new("append, Log", |bytes| {
                log.append(Level::INFO, bytes).unwrap();
            }),
        ];
        take_turns(&mut candidates, rounds, &payload);
        let medians = candidates.each_ref().map(|candidate| (candidate.name, candidate.median()));
        let floor = medians[0].1 + medians[1].1;
        let overlapped = medians[2].1;
        for (name, ns) in medians.into_iter().chain([("memcpy + compare-exchange", floor)]) {
            println!("{len:>8}  {name:<24} {ns:>8.2} {:>7.2} {:>10.2}", ns / floor, ns / overlapped);
        }
    }
}

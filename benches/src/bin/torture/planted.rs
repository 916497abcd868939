//! Does the checker find what it is for? A small honest round, written by hand into real journals, and one lie at a time.

use crate::check::{RingFacts, check};
use crate::dice::mix;
use crate::evidence::{Death, Evidence};
use crate::journal::{
    ABANDONED, Control, FINISHED, LOST, MOVED, READERS_END, RECORD, ReaderJournal, STALLED, TIMES, WriterJournal,
};
use crate::os;
use lapwing_ring::Geometry;
use std::collections::HashMap;
use std::path::PathBuf;

const RING: [u64; 2] = [7, 8];
const LEN: usize = 10;

struct Round {
    folder: PathBuf,
    control: Control,
    writers: [WriterJournal; 2],
    reader: ReaderJournal,
    /// Where the reader is, and what it counted.
    seq: u64,
    counts: [u64; 4],
    facts: RingFacts,
    deaths: HashMap<usize, Death>,
}

impl Round {
    /// Two writers that append 0 to 3 in turn, and a reader that gets them.
    fn honest(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("lapwing-planted-{}-{name}", os::pid()));
        std::fs::create_dir(&folder).unwrap();
        let control = Control::create(&folder).unwrap();
        let writers = [0, 1].map(|cell| WriterJournal::create(&control, &folder, cell, RING, 1000));
        let mut reader = ReaderJournal::create(&control.new_journal(&folder), 2, RING, 1_000_000_000);
        reader.push(0, 0, 0, MOVED);
        let facts = RingFacts {
            id: RING,
            geometry: Geometry::new(64 << 10, None).unwrap(),
            next_seq: 4,
            refused: [0; 4],
            never_refuses: true,
            most_inside: 2,
        };
        let deaths = HashMap::new();
        let mut round = Self { folder, control, writers, reader, seq: 0, counts: [0; 4], facts, deaths };
        for seq in 0..4 {
            round.append(seq as usize % 2, seq);
            round.read(seq);
        }
        round
    }

    fn append(&mut self, writer: usize, seq: u64) {
        self.begin(writer, seq);
        self.writers[writer].end(Ok(seq));
    }

    fn begin(&mut self, writer: usize, seq: u64) -> u64 {
        self.writers[writer].begin(LEN, mix(seq))
    }

    fn read(&mut self, seq: u64) {
        self.read_as(seq, mix(seq));
    }

    fn read_as(&mut self, seq: u64, hash: u64) {
        let who = os::pid() as u64 | (os::tid() as u64) << 32;
        self.reader.push(seq, hash, who, RECORD | (LEN as u64) << 8);
        self.seq = seq + 1;
        self.counts[0] += 1;
    }

    /// A gap, after two seconds.
    fn gap(&mut self, what: u64, first: u64, count: u64) {
        self.gap_after(2_000_000_000, what, first, count);
    }

    fn gap_after(&mut self, waited: u64, what: u64, first: u64, count: u64) {
        let now = os::now();
        self.reader.push(first, count, now, what);
        self.reader.push(now, now - waited, 0, TIMES);
        self.seq = first + count;
        self.counts[what as usize - 1] += count;
    }

    fn dies(&mut self, writer: usize) {
        self.deaths.insert(writer, Death { since: os::now(), over: os::now() });
    }

    /// The checks that find something.
    fn verdict(self) -> Vec<&'static str> {
        self.control.set_phase(READERS_END);
        self.reader.close(FINISHED, self.seq, self.counts);
        let evidence = Evidence::load(&self.folder, &self.control, self.deaths).unwrap();
        let (found, tally) = check(&evidence, &self.facts);
        std::fs::remove_dir_all(&self.folder).unwrap();
        assert!(tally.delivered >= 4, "{tally:?}");
        found.into_iter().map(|violation| violation.check).collect()
    }
}

/// What the checker says of an honest round after which `plant` went on.
fn found(name: &str, plant: impl FnOnce(&mut Round)) -> Vec<&'static str> {
    let mut round = Round::honest(name);
    plant(&mut round);
    round.verdict()
}

#[test]
fn an_honest_round_is_clean() {
    assert_eq!(found("honest", |_| ()), [""; 0]);
}

#[test]
fn a_record_of_a_killed_writer_may_be_there_or_not() {
    let committed = found("killed-behind-its-commit", |round| {
        round.begin(0, 4);
        round.facts.next_seq = 5;
        round.read(4);
        round.dies(0);
    });
    assert_eq!(committed, [""; 0]);
    let abandoned = found("killed-before-its-commit", |round| {
        round.begin(0, 4);
        round.facts.next_seq = 5;
        round.dies(0);
        round.gap(ABANDONED, 4, 1);
    });
    assert_eq!(abandoned, [""; 0]);
    let never = found("killed-before-its-reservation", |round| {
        round.begin(0, 4);
        round.dies(0);
    });
    assert_eq!(never, [""; 0]);
}

#[test]
fn a_stalled_record_may_come_late() {
    let stalled = found("stalled", |round| {
        round.begin(0, 4);
        round.facts.next_seq = 5;
        round.gap(STALLED, 4, 1);
        round.writers[0].end(Ok(4));
    });
    assert_eq!(stalled, [""; 0]);
}

#[test]
fn every_lie_is_found_by_its_check() {
    type Plant = fn(&mut Round);
    let lies: &[(&str, Plant)] = &[
        ("real-time order", |round| {
            round.facts.next_seq = 6;
            round.append(0, 5);
            round.append(1, 4);
            round.read(4);
            round.read(5);
        }),
        ("per-writer order", |round| {
            round.facts.next_seq = 6;
            round.append(0, 5);
            round.append(0, 4);
            round.read(4);
            round.read(5);
        }),
        ("a sequence used twice", |round| round.append(0, 3)),
        ("a sequence beyond the end", |round| round.append(0, 4)),
        ("a sequence that no append owns", |round| {
            round.facts.next_seq = 5;
            round.gap(STALLED, 4, 1);
        }),
        ("an append that never returned", |round| {
            round.begin(0, 4);
        }),
        ("refused without cause", |round| {
            round.begin(0, 4);
            round.writers[0].end(Err(2));
            round.facts.refused[2] = 1;
        }),
        ("refused and not counted", |round| {
            round.writers[0].begin(1001, 0);
            round.writers[0].end(Err(0));
        }),
        ("sequence +1", |round| round.read(5)),
        ("sequence +1", |round| round.read(3)),
        ("a record as it was appended", |round| {
            round.facts.next_seq = 5;
            round.append(0, 4);
            round.read_as(4, 0);
        }),
        ("a record that nobody appended", |round| {
            round.begin(0, 4);
            round.dies(0);
            round.facts.next_seq = 5;
            round.read_as(4, 0);
        }),
        ("a record beyond the end", |round| round.read(4)),
        ("a gap beyond the end", |round| round.gap(LOST, 4, 1)),
        ("a gap before its time", |round| {
            round.facts.next_seq = 5;
            round.gap(STALLED, 4, 1);
            round.append(0, 4);
        }),
        ("stalled, but appended", |round| {
            round.facts.next_seq = 5;
            round.append(0, 4);
            // What returned this moment need not be seen yet.
            std::thread::sleep(std::time::Duration::from_millis(1));
            round.gap(STALLED, 4, 1);
        }),
        ("stalled before patience ended", |round| {
            round.facts.geometry = Geometry::new(4 << 20, None).unwrap();
            round.begin(0, 4);
            round.facts.next_seq = 5;
            round.gap_after(900_000_000, STALLED, 4, 1);
            round.writers[0].end(Ok(4));
        }),
        ("lost without need", |round| {
            round.facts.next_seq = 5;
            round.append(0, 4);
            round.gap(LOST, 4, 1);
        }),
        ("abandoned, but appended", |round| {
            round.facts.next_seq = 5;
            round.append(0, 4);
            round.gap(ABANDONED, 4, 1);
        }),
        ("abandoned, but delivered", |round| {
            round.begin(0, 4);
            round.dies(0);
            round.facts.next_seq = 5;
            round.read(4);
            round.reader.push(4, 0, 0, MOVED);
            round.counts = [0; 4];
            round.gap(ABANDONED, 4, 1);
        }),
        ("abandoned without a kill", |round| {
            round.begin(0, 4);
            round.facts.next_seq = 5;
            round.gap(ABANDONED, 4, 1);
            // Too late.
            round.dies(0);
        }),
        ("a reader's own counts", |round| round.counts[1] += 1),
        ("read to the end", |round| {
            round.facts.next_seq = 5;
            round.append(0, 4);
        }),
    ];
    for (i, &(check, plant)) in lies.iter().enumerate() {
        let found = found(&format!("lie{i}"), plant);
        assert!(found.contains(&check), "{check}: {found:?}");
    }
}

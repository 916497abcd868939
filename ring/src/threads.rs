//! Do threads that write and read one ring at once agree? Over heap words, so that Miri and ThreadSanitizer see every access.

#![forbid(unsafe_code)]

use crate::copy::Body;
use crate::evidence::Evidence;
use crate::heap::HeapRing;
use crate::layout::Geometry;
use crate::level::Level;
use crate::reader::{Cursor, Patience, Read};
use crate::word::OwnerWord;
use crate::writer::Draft;

const WRITERS: u32 = 2;
const READERS: usize = 2;
const RECORDS: u64 = if cfg!(miri) { 60 } else { 20_000 };

/// The payload of record `n` of `writer`: both, and as many bytes more as fit often enough.
fn text(writer: u32, n: u64) -> Vec<u8> {
    let mut text = n.to_le_bytes().to_vec();
    text.push(writer as u8);
    text.extend(std::iter::repeat_n(n as u8, (n % 23) as usize));
    text
}

fn read(ring: &crate::ring::Ring<'_>) {
    let end = RECORDS * u64::from(WRITERS);
    let mut cursor = Cursor::at(0);
    // Nobody here is ever stopped for long enough to give a record up.
    cursor.patience = Patience { scan_after: u64::MAX, give_up_after: u64::MAX };
    let mut buf = vec![0; 64];
    let mut last = [None; WRITERS as usize];
    while cursor.seq() < end {
        match cursor.next(ring, &mut buf).unwrap() {
            Read::Record(record) => {
                let (&count, rest) = record.payload.split_first_chunk().unwrap();
                let (n, writer) = (u64::from_le_bytes(count), rest[0]);
                assert_eq!(record.payload, text(u32::from(writer), n));
                assert_eq!(record.pid, u32::from(writer) + 1);
                assert!(last[writer as usize].replace(n).is_none_or(|before| before < n), "in its writer's order");
            }
            Read::Lost(_) => {}
            Read::NotYet { .. } => std::thread::yield_now(),
            gap => panic!("nobody dies here: {gap:?}"),
        }
    }
    let counts = cursor.counts;
    assert_eq!((counts.read + counts.lost, counts.abandoned, counts.stalled), (end, 0, 0));
}

#[test]
fn every_reader_accounts_for_every_record_of_threads_that_write_at_once() {
    let bodies = if Body::BEST == Body::Words { &[Body::Words][..] } else { &[Body::Words, Body::Wide] };
    for &body in bodies {
        let heap = HeapRing::new(Geometry::tiny(8, 6, 60, WRITERS), (1 << 37) - 3, 0);
        let alive = |_: &_, _, _| Evidence::Running.into();
        let ring = heap.ring(body, &alive);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    let mut hold = ring.claim(|_| Some(OwnerWord::new(writer + 1, 0, 0, 1))).unwrap();
                    for n in 0..RECORDS {
                        let who = (writer + 1, 7);
                        ring.append(&mut hold, who, &Draft::new(Level::INFO), &[&text(writer, n)]).unwrap();
                    }
                    ring.release(hold);
                });
            }
            for _ in 0..READERS {
                scope.spawn(move || read(&ring));
            }
        });
        assert_eq!(ring.bounds().unwrap().next_seq, RECORDS * u64::from(WRITERS));
    }
}

//! Without races, is it right? Writer and readers against a reference of VecDeques, over tiny and public geometries, with
//! epochs that start just before each place where a tag wraps.

#![forbid(unsafe_code)]

use crate::copy::Body;
use crate::error::AppendError;
use crate::evidence::Evidence;
use crate::heap::HeapRing;
use crate::layout::{Geometry, record_words};
use crate::level::Level;
use crate::reader::{Cursor, Read, Seek};
use crate::record::{Field, Flags, Source};
use crate::ring::Ring;
use crate::word::OwnerWord;
use crate::writer::{Draft, Hold};
use proptest::prelude::*;
use std::collections::VecDeque;

/// What the ring should hold: whole pages, the oldest dropped when there would be more than `pages`.
struct Reference {
    geometry: Geometry,
    pages: VecDeque<VecDeque<(u64, Vec<u8>)>>,
    words: u32,
    next_seq: u64,
}

impl Reference {
    fn append(&mut self, payload: Vec<u8>, body: usize) {
        let words = record_words(body);
        let page = self.pages.back().unwrap();
        if page.len() as u32 == self.geometry.index_len() || self.words + words > self.geometry.data_words() {
            self.pages.push_back(VecDeque::new());
            self.words = 0;
            if self.pages.len() > self.geometry.page_count() as usize {
                self.pages.pop_front();
            }
        }
        self.pages.back_mut().unwrap().push_back((self.next_seq, payload));
        self.words += words;
        self.next_seq += 1;
    }

    fn oldest(&self) -> u64 {
        self.pages.iter().flatten().next().map_or(self.next_seq, |(seq, _)| *seq)
    }

    fn payload(&self, seq: u64) -> &[u8] {
        let (found, payload) = &self.pages.iter().flatten().nth((seq - self.oldest()) as usize).unwrap();
        assert_eq!(*found, seq);
        payload
    }
}

/// A reader under test, and where the reference says it is.
struct Follower {
    cursor: Cursor,
    start: u64,
    seq: u64,
}

#[derive(Clone, Debug)]
enum Op {
    Append { len: u16, tagged: bool },
    Read { reader: usize, steps: u8 },
    Join { reader: usize, seek: u8, back: u16 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (any::<u16>(), any::<bool>()).prop_map(|(len, tagged)| Op::Append { len, tagged }),
        3 => (0usize..3, any::<u8>()).prop_map(|(reader, steps)| Op::Read { reader, steps }),
        1 => (0usize..3, 0u8..3, any::<u16>()).prop_map(|(reader, seek, back)| Op::Join { reader, seek, back }),
    ]
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let tiny = (1u32..5, 1u32..6, 6u32..40);
    prop_oneof![
        4 => tiny.prop_map(|(pages, index, data)| Geometry::tiny(1 << pages, index, data, 2)),
        1 => Just(Geometry::new(64 << 10, None).unwrap()),
    ]
}

fn first_epoch() -> impl Strategy<Value = u64> {
    const WRAPS: [u64; 6] = [0, 1 << 37, 5 << 37, 1 << 48, 3 << 48, 1 << 62];
    (prop::sample::select(&WRAPS[..]), 0u64..6).prop_map(|(wrap, before)| (wrap - before.min(wrap)).max(1))
}

fn read(ring: &Ring<'_>, follower: &mut Follower, reference: &Reference, buf: &mut [u64]) -> bool {
    let before = follower.seq;
    let margin = ring.geometry.page_count() as usize / 4;
    match follower.cursor.next(ring, buf).unwrap() {
        Read::Record(record) => {
            assert_eq!(record.seq, before);
            assert_eq!(record.payload, reference.payload(before));
            assert_eq!((record.pid, record.tid, record.level, record.source), (7, 8, Level::WARN, Source::Log));
            assert_eq!(record.fields.count(), if record.flags.contains(Flags::FIELDS) { 2 } else { 0 });
            follower.seq += 1;
        }
        Read::Lost(gap) => {
            assert_eq!(gap.first, before);
            assert!(before < reference.oldest(), "only what is overwritten is lost");
            follower.seq += gap.count;
            let bases: Vec<u64> = reference.pages.iter().filter_map(|page| Some(page.front()?.0)).collect();
            let landed = bases.iter().position(|&base| base == follower.seq);
            assert!(landed.is_some_and(|page| page <= margin), "landed at {}, pages at {bases:?}", follower.seq);
        }
        Read::NotYet { in_flight } => {
            assert!(!in_flight && before == reference.next_seq, "the end is the end, {before}");
            return false;
        }
        other => panic!("nobody died or stalled: {other:?}"),
    }
    assert_eq!(follower.cursor.seq(), follower.seq);
    let counts = follower.cursor.counts;
    assert_eq!(counts.read + counts.lost, follower.seq - follower.start);
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 3 } else { 600 }, ..ProptestConfig::default() })]
    #[test]
    fn writer_and_readers_agree_with_the_reference(
        geometry in geometry(),
        first_epoch in first_epoch(),
        first_seq in prop::sample::select(&[0, 1, (1 << 32) - 3, (1 << 63) - 2][..]),
        wide: bool,
        announced in prop::sample::select(&[0u64, (1 << 15) - 2][..]),
        ops in prop::collection::vec(op(), 1..if cfg!(miri) { 30 } else { 300 }),
    ) {
        let heap = HeapRing::new(geometry, first_epoch, first_seq);
        let body = if wide { Body::Wide } else { Body::Words };
        let alive = |_: &_, _, _| Evidence::Running.into();
        let ring = heap.ring(body, &alive);
        let owner = OwnerWord::new(7, 0, 0, 1);
        // An idle slot whose counter is about to wrap.
        ring.slots[0].announce.store(bytemuck::cast(announced << 49), atomic::Ordering::Relaxed);
        let mut hold = Hold { introduced: Hold::NEVER, ..ring.claim(|_| Some(owner)).unwrap() };
        let mut reference =
            Reference { geometry, pages: VecDeque::from([VecDeque::new()]), words: 0, next_seq: first_seq };
        let follower = || Follower { cursor: Cursor::at(first_seq), start: first_seq, seq: first_seq };
        let mut followers = [follower(), follower(), follower()];
        followers[2].cursor.set_eager(&ring, true);
        let mut buf = vec![0; 4096];
        let max = geometry.max_body();

        for op in ops {
            match op {
                Op::Append { len, tagged } => {
                    // Every fourth record is as long as one may be; a few are too long by one.
                    let fields = [Field::Tag(b"t"), Field::Uid(9)];
                    let fields = if tagged { &fields[..] } else { &[] };
                    let fields_len = if tagged { 2 + 4 + 7 } else { 0 };
                    let len = match len % 8 {
                        0 | 1 => max.saturating_sub(fields_len),
                        2 => max + 1,
                        _ => len as usize % (max + 1),
                    };
                    let payload: Vec<u8> = (0..len).map(|i| (reference.next_seq as usize + i) as u8).collect();
                    let (a, b) = payload.split_at(len / 3);
                    let draft = Draft { level: Level::WARN, source: Source::Log, flags: Flags::NONE, fields };
                    let result = ring.append(&mut hold, (7, 8), &draft, &[a, b]);
                    if len + fields_len > max {
                        prop_assert_eq!(result, Err(AppendError::TooLarge { len: len + fields_len, limit: max }));
                    } else {
                        prop_assert_eq!(result, Ok(reference.next_seq));
                        reference.append(payload, len + fields_len);
                    }
                }
                Op::Read { reader, steps } => {
                    for _ in 0..steps {
                        if !read(&ring, &mut followers[reader], &reference, &mut buf) {
                            break;
                        }
                    }
                }
                Op::Join { reader, seek, back } => {
                    let follower = &mut followers[reader];
                    let back = reference.next_seq - (back as u64).min(reference.next_seq - first_seq);
                    let (to, expected) = match seek {
                        0 => (Seek::Oldest, reference.oldest()),
                        1 => (Seek::Newest, reference.next_seq),
                        _ => (Seek::Seq(back), back),
                    };
                    let seq = follower.cursor.seek(&ring, to).unwrap();
                    prop_assert_eq!(seq, expected);
                    (follower.start, follower.seq) = (seq, seq);
                }
            }
            let bounds = ring.bounds().unwrap();
            prop_assert_eq!((bounds.oldest_seq, bounds.next_seq), (reference.oldest(), reference.next_seq));
        }
        for follower in &mut followers {
            while read(&ring, follower, &reference, &mut buf) {}
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "arithmetic, and slow there")]
fn a_ring_of_128_kib_holds_more_than_971_records_of_100_bytes() {
    let geometry = Geometry::new(128 << 10, None).unwrap();
    let heap = HeapRing::new(geometry, 1, 0);
    let alive = |_: &_, _, _| Evidence::Running.into();
    let ring = heap.ring(Body::BEST, &alive);
    let mut hold = ring.claim(|_| Some(OwnerWord::new(7, 0, 0, 1))).unwrap();
    let mut held = Vec::new();
    for seq in 0..5000u64 {
        ring.append(&mut hold, (7, 7), &Draft::new(Level::INFO), &[&[b'x'; 100]]).unwrap();
        held.push(seq + 1 - ring.bounds().unwrap().oldest_seq);
    }
    // All of it is in use just before a page turns, all but a page just after.
    assert_eq!(held.iter().max(), Some(&1008));
    assert_eq!(held[1008..].iter().min(), Some(&946));
}

#[test]
fn a_caller_cannot_forge_fields_by_their_flag() {
    let heap = HeapRing::new(Geometry::tiny(2, 3, 30, 1), 1, 0);
    let alive = |_: &_, _, _| Evidence::Running.into();
    let ring = heap.ring(Body::BEST, &alive);
    let mut hold = Hold { introduced: Hold::NEVER, ..ring.claim(|_| Some(OwnerWord::new(7, 0, 0, 1))).unwrap() };
    let draft = Draft { flags: Flags::FIELDS | Flags::CONT, ..Draft::new(Level::INFO) };
    ring.append(&mut hold, (7, 7), &draft, &[b"\x01\0text"]).unwrap();
    let mut buf = [0; 64];
    let Ok(Read::Record(record)) = Cursor::at(0).next(&ring, &mut buf) else { panic!("a record") };
    assert_eq!((record.payload, record.flags, record.fields.count()), (&b"\x01\0text"[..], Flags::CONT, 0));
}

#[test]
fn who_spins_is_stirred_by_the_next_page_but_not_where_a_record_in_flight_is_in_front_of_it() {
    let geometry = Geometry::tiny(4, 3, 60, 2);
    let heap = HeapRing::new(geometry, 1, 0);
    let alive = |_: &_, _, _| Evidence::Running.into();
    let ring = heap.ring(Body::BEST, &alive);
    let claim = |pid| Hold { introduced: Hold::NEVER, ..ring.claim(|_| Some(OwnerWord::new(pid, 0, 0, 1))).unwrap() };
    let (mut one, mut other) = (claim(7), claim(8));
    let draft = Draft::new(Level::INFO);
    let append = |hold: &mut Hold| ring.append(hold, (7, 7), &draft, &[b"four"]).unwrap();
    let mut cursor = Cursor::at(0);
    cursor.set_eager(&ring, true);
    let mut buf = [0; 64];
    let mut next = |cursor: &mut Cursor| match cursor.next(&ring, &mut buf).unwrap() {
        Read::Record(record) => Ok(record.seq),
        Read::NotYet { in_flight } => Err(in_flight),
        read => panic!("{read:?}"),
    };

    for seq in 0..3 {
        append(&mut one);
        assert!(cursor.stirs(&ring));
        assert_eq!(next(&mut cursor), Ok(seq));
        assert_eq!((next(&mut cursor), cursor.stirs(&ring)), (Err(false), false));
    }
    append(&mut one);
    assert!(cursor.stirs(&ring), "it is on the next page");
    assert_eq!(next(&mut cursor), Ok(3));

    let place = ring.reserve(&mut other, 4, false, &mut None, &mut 0).unwrap();
    append(&mut one);
    append(&mut one);
    assert_eq!((next(&mut cursor), cursor.stirs(&ring)), (Err(true), false));
    ring.fill(place, 0, 4, (8, 8), &[], &draft, &[b"late"]);
    ring.commit(&mut other, place, 4);
    assert!(cursor.stirs(&ring));
    assert_eq!([(); 4].map(|()| next(&mut cursor)), [Ok(4), Ok(5), Ok(6), Err(false)]);
}

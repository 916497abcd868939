//! What does a ring whose words lie do to those who read and write it? Words of valid rings are changed to values that the
//! protocol could mean; every read has to end in a record, a gap, nothing or a typed error, and every append in a sequence
//! or a typed error, within a number of steps that follows from the geometry. Guard pages catch who leaves the ring.
//!
//! The same cases in every run. HOSTILE_CASES sets how many, HOSTILE_SEED others, HOSTILE_CASE repeats one.
#![allow(unsafe_code, clippy::disallowed_types, reason = "the test's own counters")]

use crate::clock::Clock;
use crate::copy::Body;
use crate::error::{AppendError, ReadError};
use crate::evidence::Evidence;
use crate::guarded::{Guarded, Touching};
use crate::layout::{Geometry, HEADER_LEN, PAGE_HEADER_WORDS, SLOT_LEN, record_words};
use crate::level::Level;
use crate::reader::{Cursor, Patience, Read, Seek};
use crate::record::{Field, Value};
use crate::ring::Ring;
use crate::word::OwnerWord;
use crate::writer::{Draft, Hold};
use atomic::Ordering::Relaxed;
use rng::Rng;
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[path = "../tests/rng/mod.rs"]
#[allow(dead_code, reason = "the test programs use the rest")]
mod rng;

const SEED: u64 = 0x6c61_7077_696e_6721;
const CASES: u64 = 200_000;
const IMAGES: u64 = 20;
/// So many cases in a row change the same word of their images: enough that each image has it changed, and all together
/// enough for every word of the largest.
const TURN: u64 = 2 * IMAGES;

/// What is appended, as far as it is needed.
static TEXT: [u8; 4096] = [b'q'; 4096];

const HEAD: usize = 1024 / 8;
const SLOTS_HIGH: usize = 384 / 8;
const SLOTS: usize = HEADER_LEN / 8;
const SLOT_WORDS: usize = SLOT_LEN / 8;
/// What epochs and sequences a ring may begin with: ordinary ones, and such that a tag or the number itself ends soon.
const FIRST: [(u64, u64); 5] = [
    (1, 0),
    ((1 << 37) - 2, (1 << 32) - 3),
    ((1 << 48) - 3, 1 << 63),
    ((u64::MAX >> 1) - 3, u64::MAX - 20),
    ((u64::MAX >> 1) - 40, u64::MAX - 200),
];

/// A valid ring and where to change it.
struct Image {
    geometry: Geometry,
    words: Vec<u64>,
    epoch: u64,
}

/// One case: where it is written what was changed, to be told when it fails.
struct Case {
    seed: u64,
    number: u64,
    changes: RefCell<Vec<(usize, u64)>>,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, number, changes } = self;
            eprintln!("HOSTILE_SEED={seed} HOSTILE_CASE={number}: word, value: {:x?}", changes.borrow());
        }
    }
}

/// What runs now, for those who can ask nobody: the signal handler and the watchman.
static NOW: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

fn say_where() {
    let [seed, number] = [0, 1].map(|i| NOW[i].load(Ordering::Relaxed));
    let mut line = *b"\nhostile rings: HOSTILE_SEED=.................... HOSTILE_CASE=....................\n";
    for (end, mut n) in [(49, seed), (83, number)] {
        for byte in line[end - 20..end].iter_mut().rev() {
            *byte = b'0' + (n % 10) as u8;
            n /= 10;
        }
    }
    // SAFETY: writes bytes of our own to an open descriptor.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

extern "C" fn fault(signal: libc::c_int) {
    say_where();
    // SAFETY: back to what a fault does to anybody; it comes again when we return.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn geometries() -> [Geometry; 4] {
    [
        Geometry::tiny(4, 3, 24, 4),
        Geometry::tiny(8, 4, 41, 3),
        Geometry::tiny(4, 1, 12, 1),
        Geometry::from_stored(4096, 4, 5, 32).unwrap(),
    ]
}

/// Rings of every fill: none, part of a page, part of a lap, laps; some with records abandoned, some with a closed HEAD.
fn images() -> Vec<Image> {
    let alive = |_: &_, _, _| Evidence::Running.into();
    let mut images = Vec::new();
    for (shape, geometry) in geometries().into_iter().enumerate() {
        for (variant, &(first_epoch, first_seq)) in FIRST.iter().enumerate() {
            let memory = Guarded::new(geometry, Touching::End);
            let ring = memory.ring(Clock::MONOTONIC, Body::Words, &alive);
            let page = ring.page(first_epoch);
            page.epoch().store(first_epoch, Relaxed);
            page.base_seq().store(first_seq, Relaxed);
            ring.header.head.store(crate::word::HeadWord::open(first_epoch), Relaxed);
            let per_page = geometry.index_len() as usize;
            let lap = per_page * geometry.page_count() as usize;
            let fill = [2, lap / 2, lap + 1, 2 * lap - 1, 0][(shape + variant) % 5];
            let mut holds: Vec<Hold> = (1..=geometry.slot_count())
                .map(|i| ring.claim(|_| Some(OwnerWord::new(i, 0, 0, 9))).unwrap())
                .collect();
            let writers = holds.len();
            for i in 0..fill {
                let hold = &mut holds[i % writers];
                let fields = [Field::Tag(b"tag"), Field::KeyValue(b"k", Value::Int(-1))];
                let fields = if i % 5 == 1 { &fields[..] } else { &[] };
                let text = vec![b'a' + (i % 26) as u8; i * 7 % (geometry.max_body() - 25).min(200)];
                // Page numbers may end here.
                if ring.append(hold, (7, 8), &Draft { fields, ..Draft::new(Level::WARN) }, &[&text]).is_err() {
                    break;
                }
                if i % 11 == 10 && i + 1 < fill {
                    // Reserved and never committed; its slot goes on announcing until it is used again.
                    let _ = ring.reserve(hold, 20, false, &mut None, &mut 0);
                }
            }
            if variant % 2 == 1 {
                let head = ring.header.head.load(Relaxed).close();
                ring.header.head.store(if shape % 2 == 0 { head } else { head.decide(2) }, Relaxed);
            }
            let epoch = ring.head().map_or(first_epoch, |head| head.epoch);
            for hold in holds.into_iter().skip(variant) {
                ring.release(hold);
            }
            let words = memory.words().iter().map(|word| word.load(Relaxed)).collect();
            images.push(Image { geometry, words, epoch });
        }
    }
    images
}

impl Image {
    fn page(&self, epoch: u64) -> usize {
        self.geometry.pages_offset() as usize / 8 + self.geometry.physical(epoch) * self.geometry.page_words()
    }

    /// A word that means something.
    fn place(&self, rng: &mut Rng) -> usize {
        let page = self.page(rng.next());
        let index = page + PAGE_HEADER_WORDS;
        let data = index + self.geometry.index_len() as usize;
        match rng.below(12) {
            0..3 => HEAD,
            3 => SLOTS_HIGH,
            4 | 5 => SLOTS + SLOT_WORDS * rng.below(self.geometry.slot_count() as u64) as usize + rng.below(9) as usize,
            6 | 7 => page + rng.below(4) as usize,
            8 | 9 => index + rng.below(self.geometry.index_len() as u64) as usize,
            10 => {
                // The second word of a record: its length, level, source and flags.
                let entry = self.words[index + rng.below(self.geometry.index_len() as u64) as usize];
                data + (entry as u16).min(self.geometry.data_words() as u16 - 1) as usize
            }
            _ => data + rng.below(self.geometry.data_words() as u64) as usize,
        }
    }

    /// A number that lies at the end of something.
    fn edge(&self, rng: &mut Rng) -> u64 {
        let g = &self.geometry;
        let edges = [
            0,
            g.page_count() as u64,
            g.index_len() as u64,
            g.data_words() as u64,
            g.max_body() as u64,
            record_words(g.max_body()) as u64,
            1023,
            0x7fff,
            0xffff,
            1 << 37,
            1 << 48,
            1 << 63,
            u64::MAX >> 1,
            u64::MAX,
        ];
        edges[rng.below(edges.len() as u64) as usize].wrapping_add(rng.below(4)).wrapping_sub(2)
    }

    /// A value to lie with: `old` a little changed, some other word of the ring, or what the protocol could put somewhere.
    fn lie(&self, old: u64, rng: &mut Rng) -> u64 {
        let near = |rng: &mut Rng| {
            let pages = self.geometry.page_count() as u64;
            let distance = [0, 1, 2, pages - 1, pages, pages + 1, 3 * pages, 1 << 37, 1 << 48][rng.below(9) as usize];
            if rng.below(2) == 0 { self.epoch.wrapping_add(distance) } else { self.epoch.wrapping_sub(distance) }
        };
        match rng.below(14) {
            0 => rng.next(),
            1 => old ^ 1 << rng.below(64),
            2 => old.wrapping_add(rng.below(5)).wrapping_sub(2),
            3 => [0, u64::MAX, 1 << 63, u64::MAX >> 1][rng.below(4) as usize],
            4 => self.words[rng.below(self.words.len() as u64) as usize],
            5 | 6 => {
                let (epoch, closed, count, low) = (near(rng), rng.below(2), self.edge(rng), self.edge(rng));
                epoch << 27 | closed << 26 | (count & 1023) << 16 | low & 0xffff
            }
            7 => near(rng) << 16 | self.edge(rng) & 0xffff,
            8 => rng.next() << 49 | 1 << 48 | near(rng) & 0xffff_ffff_ffff,
            9 => near(rng),
            10 => self.edge(rng),
            11 => (rng.below(8) << 42) | (rng.next() & 0x3f_ffff_ffff),
            12 => old & !0xffff | self.edge(rng) & 0xffff,
            _ => {
                old & !(0xffff_ffff)
                    | rng.next() & 0xff00_0000
                    | rng.below(16) << 20
                    | rng.below(32) << 15
                    | self.edge(rng) & 0x7fff
            }
        }
    }

    fn change(&self, case: &Case, ring: &Guarded, place: usize, rng: &mut Rng) {
        let cell = &ring.words()[place];
        let value = self.lie(cell.load(Relaxed), rng);
        case.changes.borrow_mut().push((place, value));
        cell.store(value, Relaxed);
    }
}

/// Reads to the end, an error, or a record in flight whose writer may live. `meddle` is called in between, and tells whether
/// it changed the ring.
fn read_all(ring: &Ring<'_>, cursor: &mut Cursor, buf: &mut [u64], mut meddle: impl FnMut() -> bool) {
    // A ring at rest has this many things to tell: each record of each page, a gap in front of each page, and its end.
    let lap = (ring.geometry.page_count() * (ring.geometry.index_len() + 1) + 2) as usize;
    let mut left = lap;
    loop {
        left = left.checked_sub(1).expect("a ring has an end");
        let (seq, before) = (cursor.seq(), cursor.counts);
        let moved = match cursor.next(ring, buf) {
            Ok(Read::Record(record)) => {
                assert_eq!(record.seq, seq);
                let body = record.payload.len() + record.fields.count();
                assert!(body <= 0x7fff && std::hint::black_box(record.payload.to_vec()).len() <= body);
                assert!(before.read + 1 == cursor.counts.read);
                1
            }
            Ok(Read::Lost(gap) | Read::Abandoned(gap) | Read::Stalled(gap)) => {
                assert!(gap.first == seq && gap.count > 0 && gap.last() >= seq);
                gap.count
            }
            Ok(Read::NotYet { in_flight }) => {
                assert!(!in_flight || cursor.patience.give_up_after != 0, "a ring at rest hides nothing for ever");
                return;
            }
            Err(ReadError::BadRecord { seq: bad }) => {
                assert!(bad == seq && cursor.counts.lost == before.lost.saturating_add(1));
                1
            }
            Err(ReadError::Damaged { .. }) => return,
            Err(other) => panic!("nobody touches the file: {other}"),
        };
        assert_eq!(cursor.seq(), seq.wrapping_add(moved));
        if meddle() {
            left += lap;
        }
    }
}

fn run(case: &Case, image: &Image, memories: &mut [Guarded; 2], buf: &mut [u64]) {
    let rng = &mut Rng::new(case.seed ^ case.number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    rng.next();
    let memory = &mut memories[rng.below(2) as usize];
    memory.restore(&image.words);
    let memory = &*memory;
    let turn = (case.number / TURN) as usize % image.words.len();
    image.change(case, memory, if (case.number / IMAGES).is_multiple_of(2) { turn } else { image.place(rng) }, rng);
    for _ in 0..rng.below(4) {
        image.change(case, memory, image.place(rng), rng);
    }

    let (judged, dead) = (AtomicU64::new(0), rng.next());
    let judge = |_: &_, _, owner: OwnerWord| {
        judged.fetch_add(1, Ordering::Relaxed);
        let dead = dead >> (owner.pid() % 64) & 1 == 1;
        if dead { Evidence::Exited } else { Evidence::Running }.into()
    };
    let clock = Clock::from_stored(0, if case.number.is_multiple_of(2) { 1 << 32 } else { u64::MAX }).unwrap();
    let body = if rng.below(2) == 0 { Body::Words } else { Body::Wide };
    let ring = memory.ring(clock, body, &judge);
    let slots = image.geometry.slot_count() as u64;
    // No more verdicts than this in one turn of the page, and twice as many in a claim.
    let verdicts = (slots + 1) * slots;

    let mut read = |rng: &mut Rng| {
        let mut cursor = Cursor::at(0);
        let give_up_after = if rng.below(4) == 0 { u64::MAX } else { 0 };
        cursor.patience = Patience { scan_after: 0, give_up_after };
        cursor.set_eager(&ring, rng.below(2) == 0);
        let base = image.words[image.page(image.epoch) + 1];
        let to = match rng.below(6) {
            0 => Some(Seek::Oldest),
            1 => Some(Seek::Newest),
            2 => Some(Seek::Seq(rng.next())),
            3 => Some(Seek::Seq(base.wrapping_add(rng.below(40)).wrapping_sub(20))),
            4 => Some(Seek::Seq(base)),
            _ => None,
        };
        if to.is_none_or(|to| cursor.seek(&ring, to).is_ok()) {
            let mut meddler = Rng::new(rng.next());
            read_all(&ring, &mut cursor, buf, || {
                let now = meddler.below(32) == 0;
                if now {
                    image.change(case, memory, image.place(&mut meddler), &mut meddler);
                }
                now
            });
        }
        if let Some(bounds) = ring.bounds() {
            assert!(bounds.oldest_seq <= bounds.next_seq, "{bounds:?}");
        }
    };
    for _ in 0..2 {
        read(rng);
    }

    judged.store(0, Ordering::Relaxed);
    let hold = ring.claim(|_| Some(OwnerWord::new(6, 0, 0, 9)));
    assert!(judged.load(Ordering::Relaxed) <= 2 * verdicts);
    if let Ok(mut hold) = hold {
        for i in 0..rng.below(2 * image.geometry.index_len().min(6) as u64 + 2) {
            let len = match rng.below(4) {
                0 => image.geometry.max_body() + rng.below(2) as usize,
                _ => rng.below(image.geometry.max_body() as u64) as usize,
            };
            judged.store(0, Ordering::Relaxed);
            let appended = ring.append(&mut hold, (7, 8), &Draft::new(Level::INFO), &[&TEXT[..len]]);
            assert!(judged.load(Ordering::Relaxed) <= 2 * verdicts, "one append turns one page");
            match appended {
                Err(AppendError::TooLarge { len, limit }) => assert!(len > limit),
                Err(AppendError::AllPagesPinned { .. } | AppendError::Damaged) => {
                    assert!(hold.announced.is_idle(), "who is refused holds no page");
                }
                Err(other) => panic!("no error of an append to a claimed slot: {other}"),
                Ok(_) => assert!(hold.announced.is_idle()),
            }
            if i % 4 == 3 && rng.below(4) == 0 {
                image.change(case, memory, image.place(rng), rng);
            }
        }
        ring.release(hold);
    }
    read(rng);
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_the_words_say_every_read_and_every_append_ends_within_its_bound() {
    let seed = variable("HOSTILE_SEED").unwrap_or(SEED);
    let cases = variable("HOSTILE_CASES").unwrap_or(CASES);
    let cases = variable("HOSTILE_CASE").map_or(0..cases, |case| case..case + 1);
    let images = images();
    assert!(images.len() as u64 == IMAGES && images.iter().all(|image| image.words.len() as u64 <= CASES / TURN));
    let mut memories: Vec<[Guarded; 2]> = images
        .iter()
        .map(|image| [Touching::Start, Touching::End].map(|end| Guarded::new(image.geometry, end)))
        .collect();
    let mut buf = vec![0; record_words(0x7fff) as usize];
    NOW[0].store(seed, Ordering::Relaxed);
    let handler = fault as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes async-signal-safe calls alone.
    let before = unsafe { libc::signal(libc::SIGSEGV, handler as libc::sighandler_t) };
    std::thread::scope(|scope| {
        let (ended, end) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let mut last = (u64::MAX, Instant::now());
            while end.recv_timeout(Duration::from_secs(1)) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                let number = NOW[1].load(Ordering::Relaxed);
                if number != last.0 {
                    last = (number, Instant::now());
                } else if last.1.elapsed() > Duration::from_secs(60) {
                    say_where();
                    eprintln!("hostile rings: this case has no end");
                    std::process::abort();
                }
            }
        });
        let _ended = ended;
        for number in cases {
            NOW[1].store(number, Ordering::Relaxed);
            let case = Case { seed, number, changes: RefCell::default() };
            let which = (number % IMAGES) as usize;
            run(&case, &images[which], &mut memories[which], &mut buf);
        }
    });
    // SAFETY: what was there before.
    unsafe { libc::signal(libc::SIGSEGV, before) };
}

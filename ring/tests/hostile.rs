//! What does a damaged or hostile file do to those who have it open? Random words of a ring are changed, also while it is
//! read and written: every step has to end in a record, a gap, nothing, or a typed error, and soon.
//!
//! HOSTILE_CASES sets how many files (4000), HOSTILE_SEED repeats one run.
#![allow(unsafe_code)]

mod rng;

use lapwing_ring::{Create, Draft, Field, Level, Read, ReadError, Reader, Seek, Value, Writer};
use rng::Rng;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const SLOTS: u64 = 4096;
const PAGES: u64 = 12288;
const PAGE: u64 = 4096;
const HEAD: u64 = 1024;

struct TestRing(PathBuf, File);

impl TestRing {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-hostile-{}-{name}", std::process::id()));
        Create::new().size(64 << 10).create(&path).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self(path, file)
    }

    fn get(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.1.read_exact_at(&mut bytes, offset).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn put(&self, offset: u64, word: u64) {
        self.1.write_all_at(&word.to_le_bytes(), offset).unwrap();
    }

    /// Changes one word that the protocol uses.
    fn damage(&self, rng: &mut Rng, image: &[u8]) -> (u64, u64) {
        let page = PAGES + PAGE * rng.below(16);
        let offset = match rng.below(8) {
            0 | 1 => HEAD,
            2 => 384,
            3 => 512 + 8 * rng.below(4),
            4 => SLOTS + 128 * rng.below(4) + 8 * rng.below(9),
            5 => page + 8 * rng.below(4),
            6 => page + 64 + 8 * rng.below(32),
            _ => page + 64 + 256 + 8 * rng.below(472),
        };
        let old = self.get(offset);
        let new = match rng.below(8) {
            0 => rng.next(),
            1 => old ^ 1 << rng.below(64),
            2 => old.wrapping_add(rng.below(40)).wrapping_sub(20),
            3 => 0,
            4 => u64::MAX,
            5 => {
                let from = 8 * rng.below(image.len() as u64 / 8) as usize;
                u64::from_le_bytes(image[from..from + 8].try_into().unwrap())
            }
            6 => old & !0xffff | rng.below(65536),
            _ => old ^ rng.below(65536) << rng.below(49),
        };
        self.put(offset, new);
        (offset, new)
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Rings of several fills, with and without their writer.
fn images() -> Vec<Vec<u8>> {
    let mut images = Vec::new();
    for fill in [0, 3, 40, 400, 4000] {
        let ring = TestRing::new("image");
        let mut writer = Writer::open(&ring.0).unwrap();
        for i in 0..fill {
            let fields = [Field::Tag(b"tag"), Field::KeyValue(b"k", Value::Int(i))];
            let fields = if i % 7 == 0 { &fields[..] } else { &[] };
            writer
                .append_slices(&Draft { fields, ..Draft::new(Level::INFO) }, &[&vec![b'a'; i as usize % 300]])
                .unwrap();
        }
        images.push(std::fs::read(&ring.0).unwrap());
        drop(writer);
        images.push(std::fs::read(&ring.0).unwrap());
    }
    images
}

/// Reads until there is nothing, an error, or nothing but waiting.
fn read(reader: &mut Reader) {
    let (mut steps, mut waits) = (0, 0);
    while waits < 4 {
        steps += 1;
        assert!(steps < 20_000, "a ring of 64 KiB has no end");
        match reader.next() {
            Ok(Read::Record(record)) => assert!(record.fields.count() <= 32768 && record.payload.len() <= 32768),
            Ok(Read::NotYet { in_flight: false }) | Err(_) => return,
            Ok(Read::NotYet { in_flight: true }) => waits += 1,
            Ok(_) => {}
        }
    }
}

#[test]
fn whatever_the_words_say_every_step_ends_soon_in_a_result() {
    let cases = std::env::var("HOSTILE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(4000);
    let mut rng = Rng::seeded_by("HOSTILE_SEED");
    let images = images();
    let ring = TestRing::new("words");
    for case in 0..cases {
        let image = &images[rng.below(images.len() as u64) as usize];
        ring.1.write_all_at(image, 0).unwrap();
        let mut changes: Vec<_> = (0..=rng.below(4)).map(|_| ring.damage(&mut rng, image)).collect();
        let since = Instant::now();
        let mut reader = Reader::open(&ring.0).unwrap();
        reader.set_patience(Duration::from_nanos(rng.below(3)));
        for round in 0..3 {
            let to = match rng.below(5) {
                0 => Seek::Oldest,
                1 => Seek::Newest,
                2 => Seek::Seq(rng.next()),
                3 => Seek::Seq(rng.below(5000)),
                _ => Seek::Seq(0),
            };
            // An error is as good as a place.
            let _ = reader.seek(to);
            read(&mut reader);
            if round == 1 {
                changes.push(ring.damage(&mut rng, image));
            }
        }
        let _ = (reader.bounds(), reader.stat());
        if case % 2 == 0
            && let Ok(mut writer) = Writer::open(&ring.0)
        {
            for i in 0..rng.below(60) {
                let _ = writer.append(Level::INFO, &vec![b'q'; i as usize * 37 % 900]);
                if i == 30 {
                    changes.push(ring.damage(&mut rng, image));
                }
            }
        }
        assert!(since.elapsed() < Duration::from_secs(2), "case {case} took {:?}: {changes:x?}", since.elapsed());
    }
}

#[test]
fn ends_of_the_log_that_contradict_each_other_are_damage() {
    let ring = TestRing::new("ends");
    let mut writer = Writer::open(&ring.0).unwrap();
    for _ in 0..100 {
        writer.append(Level::INFO, &[b'x'; 100]).unwrap();
    }
    let reader = Reader::open(&ring.0).unwrap();
    assert_eq!(reader.bounds().unwrap().next_seq, 100);
    // The first page's base.
    ring.put(PAGES + PAGE + 8, 101);
    assert!(matches!(reader.bounds(), Err(ReadError::Damaged { .. })));
    assert!(matches!(reader.stat(), Err(ReadError::Damaged { .. })));
}

#[test]
fn a_step_beyond_the_ring_is_damage() {
    let ring = TestRing::new("step");
    let mut writer = Writer::open(&ring.0).unwrap();
    for _ in 0..40 {
        writer.append(Level::INFO, &[b'x'; 100]).unwrap();
    }
    // Closed, with a decided step of 65535 pages.
    ring.put(HEAD, ring.get(HEAD) & !0xffff | 1 << 26 | 0xffff);
    let mut reader = Reader::open(&ring.0).unwrap();
    assert!(matches!(reader.next(), Err(ReadError::Damaged { .. })));
    assert_eq!(writer.append(Level::INFO, b"x"), Err(lapwing_ring::AppendError::Damaged));
}

#[test]
fn a_hole_without_a_writer_is_abandoned_at_once_when_patience_is_zero() {
    let ring = TestRing::new("hole");
    let mut writer = Writer::open(&ring.0).unwrap();
    assert_eq!([b"0", b"1"].map(|text| writer.append(Level::INFO, text)), [Ok(0), Ok(1)]);
    // The first page is number 1; its first entry was never committed.
    ring.put(PAGES + PAGE + 64, 0);
    let mut reader = Reader::open(&ring.0).unwrap();
    reader.set_patience(Duration::ZERO);
    assert!(matches!(reader.next(), Ok(Read::Abandoned(gap)) if (gap.first, gap.count) == (0, 1)));
    assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.seq == 1));
}

#[test]
fn a_name_that_changes_while_its_owner_introduces_itself_harms_nobody() {
    let ring = TestRing::new("name");
    let mut writer = Writer::open(&ring.0).unwrap();
    let until = Instant::now() + Duration::from_millis(500);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut name = 0;
            while Instant::now() < until {
                name ^= 0x6161_6161_6161_6161;
                ring.put(SLOTS + 32, name);
            }
        });
        while Instant::now() < until {
            writer.append(Level::INFO, &[b'z'; 1700]).unwrap();
        }
    });
    let mut reader = Reader::open(&ring.0).unwrap();
    reader.seek(Seek::Oldest).unwrap();
    while let Read::Record(record) = reader.next().unwrap() {
        assert_eq!(record.payload, [b'z'; 1700]);
    }
}

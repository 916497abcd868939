//! What does a damaged or hostile file do to those who have it open? Words of a ring are changed, also by another process
//! while it is read and written: every step has to end in a record, a gap, nothing, or a typed error, and soon.
//! ring/src/hostile.rs asks the same of every word, without files, processes and their verdicts.
//!
//! HOSTILE_FILES sets how many files (1000), HOSTILE_SEED repeats one run.
#![allow(unsafe_code, clippy::disallowed_types, reason = "the test's own counters")]

mod rng;

use lapwing_ring::{
    Access, Body, Create, Draft, Error, Field, Level, Log, Read, ReadError, Reader, Seek, Value, Writer, identify_path,
};
use rng::Rng;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
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
        let offset = place(rng);
        let new = lie(self.get(offset), rng, image);
        self.put(offset, new);
        (offset, new)
    }
}

/// Where a word lies that the protocol uses.
fn place(rng: &mut Rng) -> u64 {
    let page = PAGES + PAGE * rng.below(16);
    match rng.below(8) {
        0 | 1 => HEAD,
        2 => [144, 384][rng.below(2) as usize],
        3 => 512 + 8 * rng.below(4),
        4 => SLOTS + 128 * rng.below(4) + 8 * rng.below(10),
        5 => page + 8 * rng.below(4),
        6 => page + 64 + 8 * rng.below(32),
        _ => page + 64 + 256 + 8 * rng.below(472),
    }
}

/// What to put where `old` is.
fn lie(old: u64, rng: &mut Rng, image: &[u8]) -> u64 {
    match rng.below(8) {
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
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Rings of several fills, with and without their writer. `test` asks for them.
fn images(test: &str) -> Vec<Vec<u8>> {
    let mut images = Vec::new();
    for fill in [0, 3, 40, 400, 4000] {
        let ring = TestRing::new(&format!("{test}-image"));
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
        // Written into another file, they are no copies of a ring but rings.
        images.iter_mut().for_each(|image| image[120..136].fill(0));
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
            Ok(Read::NotYet { in_flight: true }) => waits += 1,
            Err(ReadError::BadRecord { .. }) => {}
            Ok(Read::NotYet { in_flight: false }) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Whatever the ring, a snapshot of it is a sound one.
fn save(reader: &Reader, file: &Path) {
    let Ok(snapshot) = reader.snapshot(|_, _| {}) else { return };
    snapshot.save(file, true, |_, _| {}).unwrap();
    let bounds = snapshot.bounds();
    // Where sequences end, a damaged ring can go around.
    let Some(held) = bounds.next_seq.checked_sub(bounds.oldest_seq) else { return };
    let mut saved = Reader::open(file).unwrap();
    assert_eq!(saved.bounds().unwrap(), bounds);
    saved.seek(Seek::Oldest).unwrap();
    while !matches!(saved.next().unwrap(), Read::NotYet { in_flight: false }) {}
    let (counts, expected) = (saved.counts(), snapshot.counts());
    assert_eq!(counts, expected);
    assert_eq!(counts.read + counts.lost + counts.abandoned + counts.stalled, held);
    let _ = saved.stat().unwrap();
}

#[test]
fn whatever_the_words_say_every_step_ends_soon_in_a_result() {
    let cases = std::env::var("HOSTILE_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let mut rng = Rng::seeded_by("HOSTILE_SEED");
    let images = images("words");
    let (ring, saved) = (TestRing::new("words"), TestRing::new("saved"));
    // Only a ring that was saved may be replaced.
    std::fs::remove_file(&saved.0).unwrap();
    for case in 0..cases {
        let image = &images[rng.below(images.len() as u64) as usize];
        ring.1.write_all_at(image, 0).unwrap();
        let mut changes: Vec<_> = (0..=rng.below(4)).map(|_| ring.damage(&mut rng, image)).collect();
        let since = Instant::now();
        let access = [Access::Mapped, Access::Copied][case % 2];
        let mut reader = Reader::open_with(&ring.0, access).unwrap();
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
        if case % 3 == 0 {
            save(&reader, &saved.0);
        }
        if case % 4 < 2
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
fn a_header_that_lies_is_refused_or_describes_a_ring_that_can_be_read() {
    let mut rng = Rng::new(1);
    let images = images("header");
    let ring = TestRing::new("header");
    let (mut opened, mut refused) = (0, 0);
    for case in 0..20_000 {
        let image = &images[case % images.len()];
        ring.1.write_all_at(&image[..1032], 0).unwrap();
        let changes: Vec<_> = (0..=rng.below(3))
            .map(|_| {
                let offset = 8 * rng.below(16);
                let old = ring.get(offset);
                // Sizes are powers of two, so that is what a likely lie is.
                let new = match rng.below(3) {
                    0 => 1 << rng.below(64),
                    1 => [0, 1, 64, 128, 2048, 4096][rng.below(6) as usize],
                    _ => lie(old, &mut rng, image),
                };
                ring.put(offset, new);
                (offset, new)
            })
            .collect();
        let identity = identify_path(&ring.0);
        let reader = Reader::open_with(&ring.0, [Access::Mapped, Access::Copied][case / 2 % 2]);
        assert_eq!(identity.is_ok(), reader.is_ok(), "{changes:x?}");
        match reader {
            Ok(mut reader) => {
                opened += 1;
                assert!(
                    identity.as_ref().unwrap().geometry.file_len(identity.as_ref().unwrap().lines)
                        <= image.len() as u64,
                    "{changes:x?}"
                );
                reader.set_patience(Duration::ZERO);
                read(&mut reader);
                let _ = reader.stat();
            }
            Err(Error::Os { source, .. }) => panic!("{changes:x?} came as far as the kernel: {source}"),
            Err(_) => refused += 1,
        }
    }
    assert!(opened > 2000 && refused > 2000, "{opened} opened, {refused} refused");
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

const MEDDLER: &str = "HOSTILE_MEDDLER";

/// Not a test of its own: another process that changes a mapped ring until it is killed.
#[test]
fn meddler() {
    let Ok(role) = std::env::var(MEDDLER) else { return };
    let (seed, path) = role.split_once(' ').unwrap();
    let mut rng = Rng::new(seed.parse().unwrap());
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let image = std::fs::read(path).unwrap();
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a fresh mapping of the whole file.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), image.len(), access, shared, file.as_raw_fd(), 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: the mapping above, page-aligned and never unmapped; everybody accesses it by atomic words.
    let words = unsafe { std::slice::from_raw_parts(at.cast::<AtomicU64>(), image.len() / 8) };
    loop {
        // Now and then all is well again, or nobody would get far.
        for (cell, word) in words.iter().zip(image.as_chunks().0).skip(SLOTS as usize / 8) {
            cell.store(u64::from_le_bytes(*word), Relaxed);
        }
        words[HEAD as usize / 8].store(u64::from_le_bytes(image[HEAD as usize..][..8].try_into().unwrap()), Relaxed);
        words[48].store(4, Relaxed);
        for _ in 0..rng.below(200) {
            let cell = &words[place(&mut rng) as usize / 8];
            cell.store(lie(cell.load(Relaxed), &mut rng, &image), Relaxed);
            for _ in 0..rng.below(2000) {
                std::hint::spin_loop();
            }
        }
    }
}

/// Ends the program if nothing counts `steps` up for a minute.
fn watch(steps: &AtomicU64, done: &AtomicBool) {
    let (mut last, mut since) = (steps.load(Relaxed), Instant::now());
    while !done.load(Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
        let now = steps.load(Relaxed);
        if now != last {
            (last, since) = (now, Instant::now());
        } else if since.elapsed() > Duration::from_secs(60) {
            eprintln!("a step has no end");
            std::process::abort();
        }
    }
}

#[test]
fn while_another_process_changes_the_ring_every_step_still_ends() {
    let mut rng = Rng::seeded_by("HOSTILE_SEED");
    let ring = TestRing::new("meddled");
    let mut writer = Writer::open(&ring.0).unwrap();
    for i in 0..700 {
        writer.append(Level::INFO, &vec![b'a'; i * 13 % 300]).unwrap();
    }
    drop(writer);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["meddler", "--exact", "--nocapture"])
        .env(MEDDLER, format!("{} {}", rng.next(), ring.0.display()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(3);
    let [reads, errors, appends, refusals] = [const { AtomicU64::new(0) }; 4];
    let (read_steps, append_steps, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| watch(&read_steps, &done));
        scope.spawn(|| watch(&append_steps, &done));
        scope.spawn(|| {
            while Instant::now() < until {
                let Ok(log) = Log::open(&ring.0) else { continue };
                for i in 0..500 {
                    let appended = log.append(Level::INFO, &vec![b'b'; i * 29 % 900]);
                    (if appended.is_ok() { &appends } else { &refusals }).fetch_add(1, Relaxed);
                    append_steps.fetch_add(1, Relaxed);
                }
            }
        });
        let read = |access, body| follow(&ring.0, until, access, body, [&reads, &errors, &read_steps]);
        let others = [(Access::Mapped, Body::Wide), (Access::Copied, Body::Words)]
            .map(|(access, body)| scope.spawn(move || read(access, body)));
        read(Access::Mapped, Body::Words);
        for other in others {
            other.join().unwrap();
        }
        done.store(true, Relaxed);
    });
    assert_eq!(child.try_wait().unwrap(), None, "it meddled to the end");
    child.kill().unwrap();
    child.wait().unwrap();
    let counts = [reads, errors, appends, refusals].map(|count| count.into_inner());
    println!("{counts:?} records, errors, appends, refusals");
    assert!(counts.iter().all(|&count| count > 0), "each happens: {counts:?}");
}

/// Reads from anywhere, again and again, what another process changes meanwhile.
fn follow(path: &Path, until: Instant, access: Access, body: Body, [reads, errors, steps]: [&AtomicU64; 3]) {
    let mut reader = Reader::open_with(path, access).unwrap();
    reader.set_copy_body(body);
    for round in 0u64.. {
        reader.set_patience(Duration::from_nanos(round % 3));
        let to = [Seek::Seq(0), Seek::Oldest, Seek::Newest, Seek::Seq(600), Seek::Seq(round << 40)];
        let sought = reader.seek(to[round as usize % 5]);
        steps.fetch_add(1, Relaxed);
        if sought.is_err() {
            errors.fetch_add(1, Relaxed);
        }
        for _ in 0..2000 {
            let next = reader.next();
            steps.fetch_add(1, Relaxed);
            match next {
                Ok(Read::Record(record)) => {
                    assert!(record.payload.len() + record.fields.count() <= 0x7fff);
                    reads.fetch_add(1, Relaxed);
                }
                Ok(Read::NotYet { .. }) => break,
                Ok(_) | Err(ReadError::BadRecord { .. }) => {}
                Err(_) => {
                    errors.fetch_add(1, Relaxed);
                    break;
                }
            }
        }
        let _ = (reader.bounds(), reader.stat());
        steps.fetch_add(1, Relaxed);
        if Instant::now() > until {
            return;
        }
    }
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

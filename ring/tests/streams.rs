//! Readers of records that come as fast as they can: they keep a distance, or spin, and get all of them or count what they lost.

use lapwing_ring::{Create, Level, Read, Reader, Writer};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RECORDS: u64 = 100_000;

struct TestRing(PathBuf);

impl TestRing {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lapwing-streams-{name}-{}", std::process::id()));
        Create::new().size(1 << 20).create(&path).unwrap();
        Self(path)
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn write(ring: &Path) {
    let mut writer = Writer::open(ring).unwrap();
    for n in 0..RECORDS {
        assert_eq!(writer.append(Level::INFO, &n.to_le_bytes()), Ok(n));
    }
}

/// Checks that a record is what was written under its sequence.
fn check(read: Read<'_>) -> ControlFlow<()> {
    match read {
        Read::Record(record) => assert_eq!(record.payload, record.seq.to_le_bytes()),
        Read::Lost(_) => {}
        other => panic!("{other:?}: the writer neither died nor stopped"),
    }
    ControlFlow::Continue(())
}

/// Follows a writer to its last record by `turn`, which reads what there is; then read and lost are all there were.
fn follow(name: &str, spin: bool, mut turn: impl FnMut(&mut Reader)) {
    let ring = TestRing::new(name);
    let mut reader = Reader::open(&ring.0).unwrap();
    reader.set_spin(spin);
    reader.set_patience(Duration::from_secs(60));
    std::thread::scope(|scope| {
        scope.spawn(|| write(&ring.0));
        let until = Instant::now() + Duration::from_secs(60);
        while reader.seq() < RECORDS {
            assert!(Instant::now() < until, "stands at {}", reader.seq());
            turn(&mut reader);
        }
    });
    let counts = reader.counts();
    assert_eq!(counts.read + counts.lost, RECORDS);
    assert!(counts.read > 0);
    assert!(matches!(reader.next(), Ok(Read::NotYet { in_flight: false })));
}

#[test]
fn a_stream_is_followed_to_its_end() {
    follow("paused", false, |reader| {
        reader.batch(usize::MAX, check).unwrap();
        reader.pause();
    });
}

#[test]
fn a_stream_is_followed_to_its_end_by_who_asks_head_only_after_a_pause_in_vain() {
    follow("spun", true, |reader| {
        let mut is_any = false;
        while let Some(record) = reader.next_record() {
            is_any = true;
            let _ = check(Read::Record(record));
        }
        if !is_any {
            let read = reader.next().unwrap();
            is_any = !matches!(read, Read::NotYet { .. });
            if is_any {
                let _ = check(read);
            }
        }
        if !is_any {
            reader.pause();
        }
    });
}

#[test]
fn nothing_to_read_means_that_all_was_read_that_was_appended_before() {
    let ring = TestRing::new("own");
    let (mut writer, mut reader) = (Writer::open(&ring.0).unwrap(), Reader::open(&ring.0).unwrap());
    for spin in [false, true] {
        reader.set_spin(spin);
        // Bursts on both sides of what counts as a stream, and over the ends of pages.
        for burst in (0..40).chain([300]) {
            for _ in 0..burst {
                writer.append(Level::INFO, b"one").unwrap();
            }
            assert_eq!(reader.batch(usize::MAX, |_| ControlFlow::Continue(())), Ok(burst));
            reader.pause_at_most(Duration::from_micros(1));
        }
    }
}

//! Does a reader tell C every record and every loss?
#![allow(unsafe_code)]

mod rings;

use lapwing::lapwing_error::LAPWING_E_INVALID;
use lapwing::lapwing_gap_kind::*;
use lapwing::*;
use lapwing_ring::{Draft, Field, Flags, Level, Log, Source};
use libc::c_int;
use rings::reader::{ACCESS, Found, NOT_YET, Open, RECORD, bytes};
use rings::ring;
use std::fs;
use std::ptr::null_mut;
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[test]
fn every_field_of_a_record_comes_through() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    let log = Log::open(&path).unwrap();
    let fields = [Field::Tag(b"di\0sk"), Field::KeyValue(b"key", lapwing_ring::Value::Int(7))];
    let draft = Draft {
        source: Source::Syslog,
        flags: Flags::CONT | Flags::PARTIAL,
        fields: &fields,
        ..Draft::new(Level::ALERT)
    };
    log.append_slices(&draft, &[b"one\0two\xff"]).unwrap();
    log.append(Level::TRACE, b"").unwrap();
    let now = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: room for the time.
        unsafe { libc::clock_gettime(clock, &mut time) };
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    };
    for access in ACCESS {
        let reader = Open::new(&path, access).unwrap();
        let (code, record) = reader.record();
        assert_eq!((code, record.size, record.sequence, record.rolled_out), (RECORD, 88, 0, 0));
        // SAFETY: no preconditions.
        let tid = unsafe { libc::gettid() };
        assert_eq!((record.pid, record.tid, record.uid), (std::process::id(), tid as u32, rings::euid()));
        assert_eq!((record.level, record.source, record.flags), (19, 4, 2 | 4));
        assert_eq!(
            (bytes(record.data, record.length), bytes(record.tag, record.tag_length)),
            (b"one\0two\xff".into(), b"di\0sk".into())
        );
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        let told = bytes(record.comm, record.comm_length);
        // A thread's name in part, for it is the thread's that opened the ring.
        assert!(!told.is_empty() && told.len() < 16 && told != b"?", "{comm} {told:?}");
        let second = 60_000_000_000;
        assert!((0..second).contains(&(now(libc::CLOCK_REALTIME) - record.real_ns)));
        assert!((0..second).contains(&(now(libc::CLOCK_MONOTONIC) - record.mono_ns as i64)));
        let (code, record) = reader.record();
        assert_eq!((code, record.level, record.source, record.flags), (RECORD, 1, 0, 0));
        assert_eq!((bytes(record.data, record.length), bytes(record.tag, record.tag_length)), (vec![], vec![]));
        assert_eq!(bytes(record.comm, record.comm_length), told, "the process introduced itself before");
        assert_eq!(reader.record().0, NOT_YET);
    }
}

#[test]
fn sequences_gaps_and_counts_tell_the_same_loss() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ring");
    rings::with_every_gap(&path);
    for access in ACCESS {
        let reader = Open::new(&path, access).unwrap();
        let (oldest, next) = reader.bounds();
        assert!(oldest > 1000 && next == 3002);
        let all = reader.rest();
        assert_eq!(all[0], Found::Gap { first: 0, count: oldest, kind: LAPWING_LOST as u32 });
        assert_eq!(all[all.len() - 2], Found::Gap { first: 3000, count: 1, kind: LAPWING_ABANDONED as u32 });
        assert_eq!(reader.counts(), (3001 - oldest, oldest, 1, 0));

        // Nobody asks for gaps: the first record tells, and the one behind the dead.
        reader.seek(lapwing_seek::LAPWING_SEQUENCE, 5);
        assert_eq!(reader.counts(), (0, 0, 0, 0));
        let (code, record) = reader.record();
        assert_eq!((code, record.sequence, record.rolled_out), (RECORD, oldest, oldest - 5));
        let mut last = record;
        loop {
            match reader.record() {
                (RECORD, record) => {
                    assert_eq!(record.rolled_out, (record.sequence == 3001) as u64);
                    last = record;
                }
                (NOT_YET, _) if reader.seq() == next => break,
                (NOT_YET, _) => assert_eq!(reader.wait(20_000), 1),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(last.sequence, 3001);
        assert_eq!(reader.counts(), (3001 - oldest, oldest - 5, 1, 0));
    }
}

#[test]
fn a_writer_that_stands_in_an_append_is_stalled_after_a_second() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    rings::append(&path, 0..1);
    let pid = rings::stop_inside(&path);
    let reader = Open::copied(&path);
    assert!(matches!(reader.next(), Found::Record { seq: 0, .. }));
    assert_eq!(reader.next(), Found::NotYet);
    let since = Instant::now();
    assert_eq!(reader.wait(20_000), 1);
    assert!((500..20_000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    assert_eq!(reader.next(), Found::Gap { first: 1, count: 1, kind: LAPWING_STALLED as u32 });
    assert_eq!((reader.counts(), reader.seq()), ((1, 0, 0, 1), 2));
    rings::kill(pid);
}

#[test]
fn a_damaged_record_is_a_gap_and_reading_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    rings::append(&path, 0..3);
    let mut file = fs::read(&path).unwrap();
    let text = file.windows(8).position(|window| window == b"record 1").unwrap();
    // The second half of the record's header, but for the thread: level and source that do not exist.
    file[text - 12..text - 8].fill(0xff);
    fs::write(&path, file).unwrap();
    let reader = Open::copied(&path);
    assert!(matches!(reader.next(), Found::Record { seq: 0, .. }));
    assert_eq!(reader.next(), Found::Gap { first: 1, count: 1, kind: LAPWING_DAMAGED as u32 });
    assert!(matches!(reader.next(), Found::Record { seq: 2, rolled_out: 1, .. }));
    assert_eq!(reader.counts(), (2, 1, 0, 0));
}

#[test]
fn a_reader_that_is_lapped_all_the_time_knows_what_it_missed() {
    for access in ACCESS {
        let folder = TempDir::new().unwrap();
        let path = ring(&folder);
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || rings::append(&path, 0..300_000))
        };
        let reader = Open::new(&path, access).unwrap();
        let since = Instant::now();
        let mut laps = 0;
        while !writer.is_finished() {
            laps += reader.rest().iter().filter(|found| matches!(found, Found::Gap { .. })).count();
            std::thread::sleep(Duration::from_micros(300));
            assert!(since.elapsed() < Duration::from_secs(60));
        }
        writer.join().unwrap();
        reader.rest();
        let (read, lost, abandoned, stalled) = reader.counts();
        assert_eq!((read + lost, abandoned, stalled), (300_000, 0, 0));
        assert!(laps > 3, "{laps} {read}");
    }
}

#[test]
fn it_goes_where_it_is_told() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    rings::append(&path, 0..3000);
    let reader = Open::copied(&path);
    let (oldest, next) = reader.bounds();
    assert_eq!((reader.seq(), next), (0, 3000));
    assert_eq!(reader.seek(lapwing_seek::LAPWING_OLDEST, 77), oldest);
    assert_eq!(reader.next(), Found::Record { seq: oldest, rolled_out: 0, text: format!("record {oldest}") });
    assert_eq!(reader.seek(lapwing_seek::LAPWING_SEQUENCE, 2990), 2990);
    assert_eq!(reader.rest().len(), 10);
    assert_eq!(reader.seek(lapwing_seek::LAPWING_END, 77), 3000);
    assert_eq!((reader.next(), reader.seq()), (Found::NotYet, 3000));
    assert_eq!(reader.seek(lapwing_seek::LAPWING_SEQUENCE, u64::MAX), 3000, "beyond the newest");
    // Who wrote is known wherever it begins.
    let comm = |reader: &Open| {
        let (code, record) = reader.record();
        assert_eq!(code, RECORD);
        bytes(record.comm, record.comm_length)
    };
    for place in [oldest, oldest + 1, 2990, 2999] {
        reader.seek(lapwing_seek::LAPWING_SEQUENCE, place);
        assert_ne!(comm(&reader), b"?", "{place}");
    }
    reader.seek(lapwing_seek::LAPWING_SEQUENCE, 5);
    for to in [-1, 3, c_int::MAX] {
        // SAFETY: open.
        assert_eq!(unsafe { lapwing_reader_seek(reader.0, to, 0, null_mut()) }, LAPWING_E_INVALID as c_int);
    }
    assert_eq!(reader.seq(), 5, "what is refused moves nothing");
}

#[test]
fn a_copy_of_a_file_can_be_read_when_all_its_writers_are_gone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ring");
    rings::with_every_gap(&path);
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    assert_eq!(Open::copied(&copy).rest(), Open::copied(&path).rest());
}

//! Do the functions of readers refuse what they have to refuse, say why, and leave the rest alone? Called as C calls them.
#![allow(unsafe_code)]

mod rings;

use lapwing::lapwing_error::*;
use lapwing::lapwing_gap_kind::*;
use lapwing::*;
use lapwing_ring::{Level, Writer};
use libc::c_int;
use rings::reader::{ACCESS, Found, GAP, Open, RECORD, untouched};
use rings::ring;
use std::ffi::CString;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::ptr::{null, null_mut};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const INVALID: c_int = LAPWING_E_INVALID as c_int;

/// A struct of `size` bytes with the record or gap in front, and bytes behind it that nobody may touch.
fn next_sized(reader: &Open, record_size: usize, gap_size: usize) -> (c_int, Vec<u8>, Vec<u8>) {
    let mut room = [[0x7f7f_7f7f_7f7f_7f7fu64; 600]; 2];
    let [record, gap] = &mut room;
    let (record, gap) = (record.as_mut_ptr(), gap.as_mut_ptr());
    // SAFETY: open, and more room than any of the sizes.
    let code = unsafe { lapwing_reader_next(reader.0, record.cast(), record_size, gap.cast(), gap_size) };
    let bytes = |words: &[u64; 600]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let [record, gap] = &room;
    (code, bytes(record), bytes(gap))
}

#[test]
fn older_and_newer_callers_get_what_they_know_and_not_a_byte_more() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("ring");
    rings::with_every_gap(&path);
    let reader = Open::copied(&path);
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    // Too short, too long, and nothing is passed.
    for (record_size, gap_size) in [(0, 24), (55, 24), (4097, 24), (usize::MAX, 24), (88, 0), (88, 23), (88, 5000)] {
        let (code, record, gap) = next_sized(&reader, record_size, gap_size);
        assert_eq!((code, reader.seq()), (INVALID, 0), "{record_size} {gap_size}");
        assert!(record.iter().chain(&gap).all(|&byte| byte == 0x7f));
    }
    for gap_size in [24, 32, 100] {
        reader.seek(lapwing_seek::LAPWING_SEQUENCE, 0);
        let (code, record, gap) = next_sized(&reader, 88, gap_size);
        assert_eq!((code, number(&gap, 0), number(&gap, 16), number(&gap, 20)), (GAP, 0, LAPWING_LOST as u32, 24));
        assert!(gap[24..gap_size].iter().all(|&byte| byte == 0) && gap[gap_size..].iter().all(|&byte| byte == 0x7f));
        assert!(record.iter().all(|&byte| byte == 0x7f));
    }
    for size in [56, 64, 80, 88, 96, 200, 4096] {
        let oldest = reader.seek(lapwing_seek::LAPWING_OLDEST, 0);
        let (code, record, gap) = next_sized(&reader, size, 24);
        assert_eq!(
            (code, number(&record, 0), number(&record, 36)),
            (RECORD, oldest as u32, "record 2222".len() as u32)
        );
        assert_eq!(number(&record, 48) as usize, size.min(88), "so much of it is filled");
        assert!(record[88.min(size)..size].iter().all(|&byte| byte == 0), "{size}");
        assert!(record[size..].iter().all(|&byte| byte == 0x7f), "{size}");
        assert!(gap.iter().all(|&byte| byte == 0x7f));
        if size >= 88 {
            assert_eq!((number(&record, 84), number(&record, 56)), (0, 0), "no tag, nothing rolled out");
        }
    }
    let mut counts = [0x7fu8; 64];
    for (size, code) in [(31, INVALID), (32, 0), (48, 0), (4097, INVALID)] {
        // SAFETY: open, room for 64 bytes, of which a larger size is refused.
        assert_eq!(unsafe { lapwing_reader_counts(reader.0, counts.as_mut_ptr().cast(), size) }, code);
    }
    assert_eq!(number(&counts, 0), 1);
    assert!(counts[32..48].iter().all(|&byte| byte == 0) && counts[48..].iter().all(|&byte| byte == 0x7f));
}

#[test]
#[allow(clippy::multiple_unsafe_ops_per_block, reason = "tables")]
fn null_is_an_error_or_nothing() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    rings::append(&path, 0..1);
    let reader = Open::copied(&path);
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    let mut room = null_mut();
    let (mut record, mut gap): (lapwing_record_t, lapwing_gap_t) = (untouched(), untouched());
    // SAFETY: NULL is what the functions say they refuse, or take for nothing; the rest is there.
    let codes = unsafe {
        [
            lapwing_reader_open(name.as_ptr(), 0, null_mut(), null_mut(), 0),
            lapwing_reader_open(name.as_ptr(), 2, &mut room, null_mut(), 0),
            lapwing_reader_open(name.as_ptr(), -1, &mut room, null_mut(), 0),
            lapwing_reader_next(null_mut(), &mut record, 88, &mut gap, 24),
            lapwing_reader_next(reader.0, null_mut(), 88, &mut gap, 24),
            lapwing_reader_wait(null_mut(), 0),
            lapwing_reader_fd(null_mut()),
            lapwing_reader_seek(null_mut(), 0, 0, null_mut()),
            lapwing_reader_bounds(null_mut(), null_mut(), null_mut()),
            lapwing_reader_counts(null_mut(), &mut untouched(), 32),
            lapwing_reader_counts(reader.0, null_mut(), 32),
        ]
    };
    assert_eq!(codes, [INVALID; 11]);
    assert!(room.is_null() && reader.seq() == 0);
    // SAFETY: as above.
    let codes = unsafe {
        [
            lapwing_reader_bounds(reader.0, null_mut(), null_mut()),
            lapwing_reader_seek(reader.0, 0, 0, null_mut()),
            lapwing_reader_next(reader.0, &mut record, 88, null_mut(), 77),
        ]
    };
    assert_eq!(codes, [0, 0, RECORD]);
    // SAFETY: NULL is no reader.
    assert_eq!(unsafe { lapwing_reader_seq(null()) }, 0);
    // SAFETY: as above.
    unsafe { lapwing_reader_close(null_mut()) };
}

#[test]
fn what_cannot_be_read_has_a_code_and_a_reason() {
    let folder = TempDir::new().unwrap();
    for (path, code, reason) in rings::put_unreadable(folder.path()) {
        for access in ACCESS {
            let (found, why) = Open::new(&path, access).err().unwrap_or_else(|| panic!("{path:?} was opened"));
            assert_eq!(found, code as c_int, "{why}");
            assert!(why.contains(reason) && why.contains(path.to_str().unwrap()), "{code:?}: {why}");
        }
    }
    assert!(!folder.path().join("none").exists(), "readers make no ring");
}

#[test]
fn a_file_that_is_cut_short_is_an_error_and_not_the_end() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    rings::append(&path, 0..100);
    let reader = Open::copied(&path);
    assert!(matches!(reader.next(), Found::Record { .. }));
    assert!(reader.fd() >= 0);
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let truncated = LAPWING_E_TRUNCATED as c_int;
    while let Found::Record { .. } = reader.next() {}
    assert_eq!(reader.next(), Found::Error(truncated));
    assert_eq!((reader.wait(1000), reader.wait(-1)), (truncated, truncated));
    // SAFETY: open.
    assert_eq!(unsafe { lapwing_reader_bounds(reader.0, null_mut(), null_mut()) }, truncated);
}

#[test]
fn errno_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    // SAFETY: the address of this thread's errno.
    let errno = unsafe { libc::__errno_location() };
    let kept = |what: &str| {
        // SAFETY: the thread's own.
        assert_eq!(unsafe { errno.replace(4711) }, 4711, "{what}");
    };
    // SAFETY: as above.
    unsafe { errno.write(4711) };
    let reader = Open::copied(&path);
    kept("open");
    assert_eq!(reader.next(), Found::NotYet);
    kept("next");
    reader.wait(20);
    kept("wait");
    reader.fd();
    kept("fd");
    reader.next();
    kept("next with a descriptor");
    reader.seek(lapwing_seek::LAPWING_END, 0);
    kept("seek");
    drop(reader);
    kept("close");
    assert!(Open::new(&folder.path().join("none"), lapwing_access::LAPWING_COPIED).is_err());
    kept("open what is not there");
}

#[test]
fn waiting_ends_with_a_record_or_with_time() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    let reader = Open::copied(&path);
    let since = Instant::now();
    assert_eq!((reader.wait(0), reader.wait(100)), (0, 0));
    assert!((100..20_000).contains(&since.elapsed().as_millis()));
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            rings::append(&path, 0..2);
        })
    };
    assert_eq!((reader.wait(-1), reader.seq(), reader.counts().0), (1, 0, 0));
    assert_eq!(reader.wait(0), 1, "it is there until it is taken");
    writer.join().unwrap();
    assert_eq!((reader.rest().len(), reader.wait(0)), (2, 0));
}

#[test]
fn its_descriptor_is_readable_until_there_is_nothing_more() {
    for access in ACCESS {
        let folder = TempDir::new().unwrap();
        let path = ring(&folder);
        let mut writer = Writer::open(&path).unwrap();
        let reader = Open::new(&path, access).unwrap();
        assert!(!reader.readable(0));
        assert_eq!(reader.fd(), reader.fd(), "one for each reader");
        for n in 0..2 {
            writer.append(Level::INFO, format!("record {n}").as_bytes()).unwrap();
        }
        assert!(reader.readable(5000));
        assert!(matches!(reader.next(), Found::Record { .. }) && reader.readable(0));
        assert!(matches!(reader.next(), Found::Record { .. }) && reader.readable(0));
        assert_eq!(reader.next(), Found::NotYet);
        assert!(!reader.readable(50));
        writer.append(Level::INFO, b"record 2").unwrap();
        assert!(reader.readable(5000));
        assert!(matches!(reader.next(), Found::Record { .. }) && reader.readable(0));
        assert_eq!((reader.wait(0), reader.readable(0)), (0, false), "waiting in vain says so too");
        reader.seek(lapwing_seek::LAPWING_SEQUENCE, 2);
        assert!(reader.readable(5000));
        assert_eq!((reader.rest().len(), reader.readable(50)), (1, false));
        reader.seek(lapwing_seek::LAPWING_END, 0);
        assert!(!reader.readable(20));
    }
}

#[test]
fn a_forked_child_goes_on_alone() {
    let folder = TempDir::new().unwrap();
    let path = ring(&folder);
    for access in ACCESS {
        let begin = Open::copied(&path).bounds().1;
        rings::append(&path, begin..begin + 2);
        let reader = Open::new(&path, access).unwrap();
        reader.seek(lapwing_seek::LAPWING_SEQUENCE, begin);
        assert!(matches!(reader.next(), Found::Record { .. }) && reader.readable(1000));
        // SAFETY: the child uses what is its own, and leaves by _exit.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // A failed assertion of the child's must not unwind into the test program.
            let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                assert!(matches!(reader.next(), Found::Record { rolled_out: 0, .. }));
                assert_eq!(reader.next(), Found::NotYet);
                assert!(!reader.readable(20));
                rings::append(&path, begin + 2..begin + 3);
                assert!(reader.readable(5000));
                assert_eq!(reader.rest().len(), 1);
                // SAFETY: open, and not used again here: the child leaves by _exit.
                unsafe { lapwing_reader_close(reader.0) };
            }));
            // SAFETY: ends the child.
            unsafe { libc::_exit(passed.is_ok() as c_int) };
        }
        let mut status = 0;
        // SAFETY: a child of ours, room for its status.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 1 << 8);
        assert!(reader.readable(0), "the child took nothing away");
        assert_eq!(reader.rest().len(), 2);
        assert!(!reader.readable(0));
    }
}

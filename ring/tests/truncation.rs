//! What becomes of those who have a ring open when its file is cut short, or belongs to somebody who could do that? A reader
//! that copies and a guarded mapping get an error; nobody dies of SIGBUS.
#![allow(unsafe_code)]

use lapwing_ring::{Access, AppendError, Create, Level, Log, Read, ReadError, Reader, Seek, Writer, guard_mappings};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ROLE: &str = "TRUNCATION_ROLE";

struct TestRing(PathBuf);

impl TestRing {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-truncation-{}-{name}", std::process::id()));
        Create::new().size(64 << 10).create(&path).unwrap();
        Self(path)
    }

    fn with_records(name: &str, count: usize) -> Self {
        let ring = Self::new(name);
        let mut writer = Writer::open(&ring.0).unwrap();
        for i in 0..count {
            writer.append(Level::INFO, format!("record {i}").as_bytes()).unwrap();
        }
        ring
    }

    fn cut(&self, len: u64) {
        File::options().write(true).open(&self.0).unwrap().set_len(len).unwrap();
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The process that this test binary becomes when a role is set: handlers of signals are a process's own.
#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    let path = Path::new(words[1]);
    // Some of these end by SIGBUS on purpose.
    // SAFETY: a valid limit.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
    match words[0] {
        "unguarded" => read_on_after_a_cut(path, 0),
        "guarded" => {
            guard_mappings().unwrap();
            read_on_after_a_cut(path, words[2].parse().unwrap());
        }
        "sleeper" => sleep_after_a_cut(path),
        "writer" => append_after_a_cut(path, words[2].parse().unwrap()),
        "chain" => pass_on_what_is_not_ours(path),
        "default" => die_of_what_is_not_ours(path),
        "sent" => {
            // In place of the handler that Rust installs to tell a stack overflow.
            // SAFETY: the default action.
            unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
            guard_mappings().unwrap();
            // SAFETY: a signal to ourselves.
            unsafe { libc::raise(libc::SIGBUS) };
        }
        "later" => {
            guard_mappings().unwrap();
            pass_on_what_is_not_ours(path);
        }
        _ => panic!("{role}"),
    }
    println!("\nsaid done");
}

fn act(role: &str, ring: &Path, len: u64) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{role} {} {len}", ring.display())).output().unwrap()
}

fn assert_done(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("said done"), "{:?} {text}{error}", output.status);
}

/// What is touched first is the bell, which is mapped by itself.
fn sleep_after_a_cut(path: &Path) {
    guard_mappings().unwrap();
    let mut reader = Reader::open(path).unwrap();
    reader.seek(Seek::Newest).unwrap();
    assert!(!reader.wait(std::time::Duration::from_millis(50)).unwrap());
    let mut bell = [0; 8];
    File::open(path).unwrap().read_exact_at(&mut bell, 1152).unwrap();
    assert_eq!(u64::from_le_bytes(bell), 1, "it has slept by the bell");
    File::options().write(true).open(path).unwrap().set_len(0).unwrap();
    (0..3).for_each(|_| reader.pause());
    assert_eq!(reader.next(), Err(ReadError::Truncated { seq: 1 }));
}

/// Records 1 and on, until there is an error; how many were read, record 0 among them.
fn read_to_the_error(reader: &mut Reader) -> (u64, ReadError) {
    for read in 1.. {
        if read % 2 == 0
            && let Some(record) = reader.next_record()
        {
            assert_eq!(record.payload, format!("record {read}").as_bytes());
            continue;
        }
        match reader.next() {
            Ok(Read::Record(record)) => assert_eq!(record.payload, format!("record {read}").as_bytes()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (read, error),
        }
    }
    unreachable!("a ring has an end");
}

fn read_on_after_a_cut(path: &Path, len: u64) {
    let mut reader = Reader::open_with(path, Access::Mapped).unwrap();
    assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.payload == b"record 0"));
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
    let (read, error) = read_to_the_error(&mut reader);
    if len.is_multiple_of(4096) {
        assert_eq!(error, ReadError::Truncated { seq: read });
    } else {
        // The kernel keeps the last page it has a part of, and fills it up with zeros.
        assert!(matches!(error, ReadError::Truncated { .. } | ReadError::BadRecord { .. }), "{error}");
        return;
    }
    assert_eq!(reader.next(), Err(error), "and so it stays");
    assert!(reader.seek(Seek::Oldest).is_err() && reader.bounds().is_err() && reader.stat().is_err());
}

fn append_after_a_cut(path: &Path, len: u64) {
    guard_mappings().unwrap();
    let (log, mut writer) = (Log::open(path).unwrap(), Writer::open(path).unwrap());
    log.append(Level::INFO, b"before").unwrap();
    writer.append(Level::INFO, b"before").unwrap();
    assert!(!log.is_truncated());
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
    // What is in progress when it shows is lost with the file; then there is no ring any more.
    let results: Vec<_> = (0..100).map(|_| log.append(Level::INFO, &[b'a'; 1500])).collect();
    assert_eq!(results.last(), Some(&Err(AppendError::Damaged)));
    assert!(log.is_truncated());
    let results: Vec<_> = (0..100).map(|_| writer.append(Level::INFO, &[b'a'; 1500])).collect();
    assert_eq!(results.last(), Some(&Err(AppendError::Damaged)));
    assert!(writer.is_truncated());
}

/// A mapped file of our own, cut short.
fn touch_what_is_gone(path: &Path) {
    let file = File::options().read(true).write(true).create(true).truncate(true).open(path).unwrap();
    file.set_len(4096).unwrap();
    // SAFETY: a fresh mapping, no address asked for.
    let at = unsafe {
        use std::os::fd::AsRawFd;
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    assert_ne!(at, libc::MAP_FAILED);
    file.set_len(0).unwrap();
    // SAFETY: mapped for ever; the test is what happens when it is read.
    unsafe { at.cast::<u8>().read_volatile() };
}

extern "C" fn say_and_end(_: libc::c_int) {
    let text = b"\nsaid done\n";
    // SAFETY: a buffer with its length.
    unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) };
}

fn pass_on_what_is_not_ours(path: &Path) {
    let handler = say_and_end as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes async-signal-safe calls alone.
    unsafe { libc::signal(libc::SIGBUS, handler as libc::sighandler_t) };
    guard_mappings().unwrap();
    guard_mappings().unwrap();
    touch_what_is_gone(path);
    panic!("SIGBUS was swallowed");
}

fn die_of_what_is_not_ours(path: &Path) {
    guard_mappings().unwrap();
    touch_what_is_gone(path);
    panic!("SIGBUS was swallowed");
}

#[test]
fn without_a_guard_a_mapped_file_that_is_cut_short_kills_as_documented() {
    let ring = TestRing::with_records("unguarded", 100);
    let output = act("unguarded", &ring.0, 0);
    assert_eq!(output.status.signal(), Some(libc::SIGBUS));
}

#[test]
fn a_guarded_reader_gets_an_error_wherever_the_file_is_cut() {
    // Empty, within the header, the writer table, the page that is read, behind it.
    for len in [0, 1, 4096, 8192, 12288, 12288 + 4096 + 100, 12288 + 8192, 12288 + 12288] {
        let ring = TestRing::with_records("guarded", 400);
        assert_done(&act("guarded", &ring.0, len));
    }
}

#[test]
fn a_guarded_reader_that_sleeps_gets_an_error_when_the_file_is_cut() {
    let ring = TestRing::with_records("sleeper", 1);
    assert_done(&act("sleeper", &ring.0, 0));
}

#[test]
fn a_guarded_writer_gets_an_error_wherever_the_file_is_cut() {
    for len in [0, 4096, 12288, 12288 + 8192, 12288 + 32768] {
        let ring = TestRing::new("writer");
        assert_done(&act("writer", &ring.0, len));
    }
}

#[test]
fn other_peoples_bus_errors_go_where_they_went_before() {
    let file = TestRing::new("chain");
    assert_done(&act("chain", &file.0, 0));
    assert_done(&act("later", &file.0, 0));
    assert_eq!(act("default", &file.0, 0).status.signal(), Some(libc::SIGBUS), "nobody was there to have it");
    assert_eq!(act("sent", &file.0, 0).status.signal(), Some(libc::SIGBUS), "who is sent one dies of it");
}

#[test]
fn a_copying_reader_gets_an_error_wherever_the_file_is_cut() {
    for len in [0, 1, 4095, 4096, 8192, 12288, 12288 + 4096 + 100, 12288 + 8192, 12288 + 12288] {
        let ring = TestRing::with_records("copied", 400);
        let mut reader = Reader::open_with(&ring.0, Access::Copied).unwrap();
        assert!(matches!(reader.next(), Ok(Read::Record(record)) if record.payload == b"record 0"));
        ring.cut(len);
        let (read, error) = read_to_the_error(&mut reader);
        assert_eq!(error, ReadError::Truncated { seq: read }, "cut to {len}");
        assert!(read >= 20, "what was copied before is still good");
        assert_eq!(reader.next(), Err(error));
        assert_eq!(reader.counts().read, read);
    }
}

#[test]
fn a_file_cut_short_and_grown_again_is_damaged_not_endless() {
    for access in [Access::Mapped, Access::Copied] {
        let ring = TestRing::with_records("regrown", 400);
        let mut reader = Reader::open_with(&ring.0, access).unwrap();
        assert!(matches!(reader.next(), Ok(Read::Record(_))));
        let len = fs::metadata(&ring.0).unwrap().len();
        ring.cut(0);
        ring.cut(len);
        let mut read = 1;
        let error = loop {
            match reader.next() {
                Ok(Read::Record(_)) => read += 1,
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
            assert!(read < 400);
        };
        assert!(matches!(error, ReadError::Damaged { .. }), "{error}");
        assert!(matches!(reader.seek(Seek::Oldest), Err(ReadError::Damaged { .. })));
    }
}

#[test]
fn a_sparse_ring_reads_as_damage_where_it_has_holes() {
    for access in [Access::Mapped, Access::Copied] {
        let ring = TestRing::with_records("sparse", 400);
        let file = File::options().write(true).open(&ring.0).unwrap();
        use std::os::fd::AsRawFd;
        let flags = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // Pages 3 to 5; the first in use is page 1, and they hold 32 records each.
        // SAFETY: an open descriptor and numbers.
        let punched = unsafe { libc::fallocate(file.as_raw_fd(), flags, 12288 + 3 * 4096, 3 * 4096) };
        assert_eq!(punched, 0);
        let mut reader = Reader::open_with(&ring.0, access).unwrap();
        reader.set_patience(std::time::Duration::ZERO);
        let mut read = 0;
        let error = loop {
            match reader.next() {
                Ok(Read::Record(record)) => {
                    assert_eq!(record.payload, format!("record {}", record.seq).as_bytes());
                    read += 1;
                }
                Ok(_) => assert!(reader.seq() < 400),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ReadError::Damaged { .. }), "{access:?}: {error}");
        assert_eq!(read, 64, "{access:?}");
    }
}

#[test]
fn a_ring_of_another_user_is_copied_and_one_of_ours_or_roots_is_mapped() {
    let ring = TestRing::with_records("owner", 3);
    assert_eq!(Reader::open(&ring.0).unwrap().access(), Access::Mapped);
    if std::os::unix::fs::chown(&ring.0, Some(12345), None).is_err() {
        println!("skipped: only root can give a file away");
        return;
    }
    let mut reader = Reader::open(&ring.0).unwrap();
    assert_eq!(reader.access(), Access::Copied);
    for i in 0..3 {
        assert!(
            matches!(reader.next(), Ok(Read::Record(record)) if record.payload == format!("record {i}").as_bytes())
        );
    }
    assert_eq!(reader.next(), Ok(Read::NotYet { in_flight: false }));
    assert_eq!(Reader::open_with(&ring.0, Access::Mapped).unwrap().access(), Access::Mapped);
}

#[test]
fn a_copying_reader_follows_writers_and_counts_what_it_lost() {
    let ring = TestRing::new("follow");
    let mut writer = Writer::open(&ring.0).unwrap();
    let mut reader = Reader::open_with(&ring.0, Access::Copied).unwrap();
    let mut expected = 0;
    // As many records as the reader comes too late for: none, some, several laps.
    for burst in [1, 1, 40, 300, 3000, 2, 700] {
        for _ in 0..burst {
            writer.append(Level::INFO, b"x").unwrap();
        }
        expected += burst;
        while reader.seq() < expected {
            assert!(!matches!(reader.next().unwrap(), Read::NotYet { .. }));
        }
        assert_eq!(reader.next(), Ok(Read::NotYet { in_flight: false }));
        let counts = reader.counts();
        assert_eq!((counts.read + counts.lost, counts.abandoned + counts.stalled), (expected, 0));
    }
    assert!(reader.counts().lost > 1000 && reader.counts().read > 1000);
    assert_eq!(reader.stat().unwrap().writers.len(), 1);
}

//! The bell: who sleeps by it is woken, who may not write the file does without it, and whatever it says, the log is the
//! same and nobody is kept busy.
#![allow(unsafe_code, clippy::disallowed_types, reason = "the test's own flags, and what a stranger does to a ring")]

use lapwing_ring::{Create, Level, Read, Reader, Seek, Writer};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const ROLE: &str = "BELL_ROLE";
/// Where the word is, docs/FORMAT.md.
const BELL: u64 = 1152;
const SOON: Duration = Duration::from_secs(20);

struct TestRing(PathBuf);

impl TestRing {
    /// In memory, as only such rings have readers that sleep by the bell.
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-bell-{}-{name}", std::process::id()));
        Create::new().size(64 << 10).create(&path).unwrap();
        Self(path)
    }

    fn bell(&self) -> u64 {
        let mut word = [0; 8];
        File::open(&self.0).unwrap().read_exact_at(&mut word, BELL).unwrap();
        u64::from_le_bytes(word)
    }

    fn set_bell(&self, value: u64) {
        File::options().write(true).open(&self.0).unwrap().write_all_at(&value.to_le_bytes(), BELL).unwrap();
    }

    fn wait_for_bell(&self) {
        let since = Instant::now();
        while self.bell() != 1 {
            assert!(since.elapsed() < SOON, "nobody sleeps");
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn reader(&self) -> Reader {
        let mut reader = Reader::open(&self.0).unwrap();
        reader.seek(Seek::Newest).unwrap();
        reader
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Waits for the next record and gives its payload.
fn next(reader: &mut Reader) -> Vec<u8> {
    assert!(reader.wait(SOON).unwrap(), "no record came");
    match reader.next().unwrap() {
        Read::Record(record) => record.payload.to_vec(),
        other => panic!("{other:?}"),
    }
}

/// The process that this test program becomes when a role is set: follows the ring, and says what it reads.
#[test]
fn actor() {
    let Ok(ring) = std::env::var(ROLE) else { return };
    let mut reader = Reader::open(Path::new(&ring)).unwrap();
    println!("\nreads");
    println!("\nread {}", String::from_utf8(next(&mut reader)).unwrap());
}

#[test]
fn who_sleeps_is_woken_by_the_next_record() {
    let ring = TestRing::new("woken");
    let mut writer = Writer::open(&ring.0).unwrap();
    writer.append(Level::INFO, b"before anybody sleeps").unwrap();
    let mut reader = ring.reader();
    let mut fastest = Duration::MAX;
    for round in 0..20u32 {
        std::thread::scope(|scope| {
            let woken = scope.spawn(|| (next(&mut reader), Instant::now()));
            ring.wait_for_bell();
            std::thread::sleep(Duration::from_millis(1));
            let since = Instant::now();
            writer.append(Level::INFO, &round.to_le_bytes()).unwrap();
            let (payload, at) = woken.join().unwrap();
            assert_eq!(payload, round.to_le_bytes());
            fastest = fastest.min(at - since);
        });
        assert_eq!(ring.bell(), 0, "the writer rang");
    }
    println!("the fastest of 20: {fastest:?}");
    // Each record comes a millisecond into a sleep of ten, so who is not woken is later than that each time.
    assert!(fastest < Duration::from_millis(5), "{fastest:?}");
}

#[test]
fn a_hundred_that_sleep_are_all_woken_by_one_record() {
    let ring = TestRing::new("hundred");
    let mut writer = Writer::open(&ring.0).unwrap();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..100)
            .map(|_| {
                let mut reader = ring.reader();
                scope.spawn(move || (next(&mut reader), reader.counts()))
            })
            .collect();
        ring.wait_for_bell();
        std::thread::sleep(Duration::from_millis(100));
        writer.append(Level::INFO, b"for all").unwrap();
        for reader in readers {
            let (payload, counts) = reader.join().unwrap();
            assert_eq!((payload.as_slice(), counts.read, counts.lost), (&b"for all"[..], 1, 0));
        }
    });
}

#[test]
fn a_descriptor_wakes_who_polls_and_its_thread_ends_at_once() {
    let ring = TestRing::new("watch");
    let mut writer = Writer::open(&ring.0).unwrap();
    let reader = ring.reader();
    let watch = reader.watch().unwrap();
    ring.wait_for_bell();
    writer.append(Level::INFO, b"text").unwrap();
    use std::os::fd::AsFd;
    let mut poll = libc::pollfd { fd: watch.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor to ask about.
    assert_eq!(unsafe { libc::poll(&mut poll, 1, SOON.as_millis() as i32) }, 1);
    assert_eq!(ring.bell(), 0, "its thread was woken, and sleeps while the descriptor is readable");
    drop(watch);

    // Whoever drops it wakes its thread, as others who sleep.
    let reader = ring.reader();
    let watch = reader.watch().unwrap();
    ring.wait_for_bell();
    drop(watch);
    assert_eq!(ring.bell(), 0);
}

#[test]
fn who_may_only_read_follows_and_changes_nothing() {
    let ring = TestRing::new("read-only");
    let mut writer = Writer::open(&ring.0).unwrap();
    fs::set_permissions(&ring.0, fs::Permissions::from_mode(0o444)).unwrap();
    let before = fs::read(&ring.0).unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]).env(ROLE, &ring.0).stdout(Stdio::piped());
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } == 0 {
        // Root may write everything.
        command.uid(65534).gid(65534);
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "reads"));
    // Long enough for its pauses to come to where others sleep by the bell.
    std::thread::sleep(Duration::from_millis(300));
    assert!(fs::read(&ring.0).unwrap() == before, "it wrote to the ring");
    writer.append(Level::INFO, b"without a bell").unwrap();
    assert!(lines.any(|line| line == "read without a bell"));
    assert!(child.wait().unwrap().success());
    assert_eq!(ring.bell(), 0);
}

fn is_tmpfs(path: &Path) -> bool {
    let said = Command::new("stat").args(["-f", "-c", "%T"]).arg(path).output().unwrap();
    said.stdout == b"tmpfs\n"
}

#[test]
fn a_ring_on_a_disk_and_a_copy_stay_as_they_are() {
    let folder = std::env::temp_dir().join(format!("lapwing-bell-{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    let ring = TestRing::new("original");
    Writer::open(&ring.0).unwrap().append(Level::INFO, b"text").unwrap();
    let copy = TestRing(PathBuf::from(format!("{}-copy", ring.0.display())));
    fs::copy(&ring.0, &copy.0).unwrap();
    let disk = folder.join("ring");
    Create::new().size(64 << 10).create(&disk).unwrap();
    // The folder of temporary files may lie in memory; then only the copy shows something.
    let is_disk = !is_tmpfs(&folder);
    for path in [Some(&copy.0), is_disk.then_some(&disk)].into_iter().flatten() {
        let before = fs::read(path).unwrap();
        let mut reader = Reader::open(path).unwrap();
        reader.seek(Seek::Newest).unwrap();
        assert!(!reader.wait(Duration::from_millis(100)).unwrap());
        assert!(fs::read(path).unwrap() == before, "{}", path.display());
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn whatever_the_bell_says_an_append_rings_it_and_the_log_is_the_same() {
    let ring = TestRing::new("values");
    let mut writer = Writer::open(&ring.0).unwrap();
    let mut reader = ring.reader();
    for (seq, value) in [1, 2, u64::MAX, 1 << 32, 1 << 63 | 1, 0xdead_beef, 0].into_iter().enumerate() {
        ring.set_bell(value);
        assert_eq!(writer.append(Level::INFO, &value.to_le_bytes()), Ok(seq as u64));
        assert_eq!(ring.bell(), 0, "{value:#x}");
        ring.set_bell(value);
        assert_eq!(next(&mut reader), value.to_le_bytes());
        assert!(!reader.wait(Duration::from_millis(30)).unwrap());
        assert_eq!(ring.bell(), 1, "it sleeps all the same");
    }
}

/// The page of the bell, as somebody has it who may write the ring.
fn page(ring: &TestRing) -> &'static AtomicU64 {
    let file = File::options().read(true).write(true).open(&ring.0).unwrap();
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a fresh mapping, no address asked for.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, file.as_raw_fd(), 0) };
    assert_ne!(base, libc::MAP_FAILED);
    // SAFETY: within the page.
    let word = unsafe { base.cast::<AtomicU64>().add(BELL as usize / 8) };
    // SAFETY: aligned, never unmapped, and everybody looks at it as an atomic.
    unsafe { &*word }
}

#[test]
fn who_is_woken_for_nothing_all_the_time_is_not_kept_busy() {
    let ring = TestRing::new("hostile");
    let mut writer = Writer::open(&ring.0).unwrap();
    let (bell, is_over) = (page(&ring), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                bell.store(0, Relaxed);
                // SAFETY: an aligned address that stays mapped.
                unsafe { libc::syscall(libc::SYS_futex, std::ptr::from_ref(bell), libc::FUTEX_WAKE, i32::MAX) };
            }
        });
        let mut reader = ring.reader();
        let (since, mut pauses) = (Instant::now(), 0u32);
        while since.elapsed() < Duration::from_secs(1) {
            assert!(matches!(reader.next().unwrap(), Read::NotYet { in_flight: false }));
            reader.pause();
            pauses += 1;
        }
        println!("{pauses} pauses in a second");
        writer.append(Level::INFO, b"at last").unwrap();
        assert_eq!(next(&mut reader), b"at last");
        is_over.store(true, Relaxed);
        // By pauses alone there are 170 and the short ones at the beginning.
        assert!(pauses < 1000, "{pauses}");
    });
}

#[test]
fn a_bell_that_is_always_set_costs_writers_system_calls_and_no_more() {
    let ring = TestRing::new("always");
    let mut writer = Writer::open(&ring.0).unwrap();
    let (bell, is_over) = (page(&ring), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                bell.store(1, Relaxed);
            }
        });
        let mut reader = ring.reader();
        for seq in 0..10_000u64 {
            assert_eq!(writer.append(Level::INFO, &seq.to_le_bytes()), Ok(seq));
            if seq % 16 == 0 {
                while !matches!(reader.next().unwrap(), Read::NotYet { .. }) {}
            }
        }
        while !matches!(reader.next().unwrap(), Read::NotYet { .. }) {}
        let counts = reader.counts();
        assert_eq!((counts.read + counts.lost, counts.abandoned, counts.stalled), (10_000, 0, 0));
        is_over.store(true, Relaxed);
    });
}

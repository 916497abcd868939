//! Does anything wait, order or give up by the clock on the wall? Here it jumps by years all the time: this program has a
//! clock_gettime of its own, which the library calls like everybody.
#![allow(unsafe_code, clippy::disallowed_types, reason = "the test's own flags")]

mod folder;

use folder::{Folder, small};
use lapwing_ring::{Level, Read, Reader, Writer};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

static OFFSET: AtomicI64 = AtomicI64::new(0);
static ASKED: AtomicU64 = AtomicU64::new(0);

/// # Safety
/// `time` is null or can be written, as clock_gettime(2) has it.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the kernel checks what it is given.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if clock == libc::CLOCK_REALTIME && result == 0 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the kernel has just written it.
        unsafe { (*time).tv_sec += OFFSET.load(Ordering::Relaxed) };
    }
    result as libc::c_int
}

/// Ends the jumping, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_clock_that_jumps_changes_no_order_no_sequence_and_no_patience() {
    const YEAR: i64 = 365 * 86_400;
    let folder = Folder::new("clock");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for year in [-20, 30, 0, 10, -40].into_iter().cycle().take_while(|_| !stop.load(Ordering::Relaxed)) {
                OFFSET.store(year * YEAR, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let _stop = Stop(&stop);
        let mut writer = Writer::open(&path).unwrap();
        let mut reader = Reader::open(&path).unwrap();
        let (mut last, mut earliest, mut latest, mut seq) = (0, i64::MAX, i64::MIN, 0u64);
        // Until it has jumped while pages were opened.
        while seq < 5000 || latest - earliest < YEAR * 1_000_000_000 {
            assert_eq!(writer.append(Level::INFO, &seq.to_le_bytes()), Ok(seq));
            let Ok(Read::Record(record)) = reader.next() else { panic!("at {seq}") };
            assert_eq!((record.seq, record.payload), (seq, &seq.to_le_bytes()[..]));
            // Each page has an offset of its own, so it may be off by a little from the one before it.
            const MINUTE: u64 = 60_000_000_000;
            assert!(record.mono_ns.abs_diff(last) < MINUTE || last == 0, "time jumped at {seq}");
            last = record.mono_ns;
            (earliest, latest) = (earliest.min(record.real_ns), latest.max(record.real_ns));
            seq += 1;
        }

        // A record in flight, its writer alive: the entry of the next record is never stored.
        let head = std::fs::read(&path).unwrap()[1024..1032].try_into().map(u64::from_le_bytes).unwrap();
        let (page, index) = (head >> 27, head >> 16 & 0x3ff);
        writer.append(Level::INFO, b"never committed").unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&0u64.to_le_bytes(), 12288 + page % 16 * 4096 + 64 + 8 * index).unwrap();
        file.write_all_at(&(1 << 48 | page).to_le_bytes(), 4096 + 8).unwrap();
        let (patience, since) = (Duration::from_millis(300), Instant::now());
        reader.set_patience(patience);
        loop {
            match reader.next().unwrap() {
                Read::NotYet { in_flight: true } => reader.pause(),
                Read::Stalled(gap) => break assert_eq!((gap.first, gap.count), (seq, 1)),
                other => panic!("{other:?}"),
            }
            assert!(since.elapsed() < Duration::from_secs(20), "patience has no end");
        }
        assert!(since.elapsed() >= patience, "patience ended early");
    });
    assert!(ASKED.load(Ordering::Relaxed) > 0, "the library asked this clock");
}

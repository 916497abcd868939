//! Can a payload pass for the protocol's own words? Records full of index entries, record headers, page headers and HEADs of the
//! very next pages and sequences, at every alignment, for laps; between them writers die with such bytes half stored. What
//! is read has to be what was appended.
#![allow(unsafe_code)]

use lapwing_ring::{Create, Draft, Level, Read, Reader, Seek, Writer};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const VICTIM: &str = "FORGERY_VICTIM";
const HEAD: u64 = 1024;

struct TestRing(PathBuf);

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Words that would mean something if anybody took them for his own: for the page that is open in `file` and those that
/// come next. All of them behind `shift` bytes.
fn forged(file: &File, next_seq: u64, shift: usize) -> Vec<u8> {
    let mut head = [0; 8];
    file.read_exact_at(&mut head, HEAD).unwrap();
    let head = u64::from_le_bytes(head);
    let (epoch, count, offset) = (head >> 27, head >> 16 & 1023, head & 0xffff);
    // A record of eight bytes, level INFO: its header takes two and a half words.
    let meta = 8 | 9 << 15 | 4242u64 << 32;
    let mut words = Vec::new();
    for page in [epoch, epoch + 1, epoch + 15, epoch + 16, epoch + 17] {
        words.extend([page << 16 | 1, page << 16 | (offset + 1), page << 16 | (offset + 4)]);
        words.extend([page, next_seq, page << 27 | 1 << 26 | count << 16 | 1, page << 27 | 32 << 16 | 472]);
        words.extend([1, meta, u64::from_le_bytes(*b"tid!FORG"), u64::from_le_bytes(*b"ED!!FORG")]);
    }
    let mut bytes = vec![b'.'; shift];
    bytes.extend(words.into_iter().flat_map(u64::to_le_bytes));
    bytes
}

/// Memory that cannot be read.
fn faulting() -> &'static [u8] {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh anonymous mapping without access.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_NONE, flags, -1, 0) };
    assert_ne!(at, libc::MAP_FAILED);
    // SAFETY: mapped for ever; reading it kills, which is what it is for.
    unsafe { std::slice::from_raw_parts(at.cast(), 16) }
}

/// Not a test of its own: another process that stores forged words into its record, and dies before the commit.
#[test]
fn victim() {
    let Ok(role) = std::env::var(VICTIM) else { return };
    let (shift, path) = role.split_once(' ').unwrap();
    let mut writer = Writer::open(Path::new(path)).unwrap();
    let bytes = forged(&File::open(path).unwrap(), 0, shift.parse().unwrap());
    let _ = writer.append_slices(&Draft::new(Level::INFO), &[&bytes, faulting()]);
    unreachable!("it died");
}

/// What became of each sequence: the bytes that were appended, or nothing.
type Appended = Vec<Option<Vec<u8>>>;

/// Reads to the end, and counts what is there against what was appended.
fn read(reader: &mut Reader, appended: &Appended) {
    loop {
        match reader.next().unwrap() {
            Read::Record(record) => {
                let expected = appended[record.seq as usize].as_deref();
                assert_eq!(Some(record.payload), expected, "sequence {}", record.seq);
                assert_eq!((record.pid, record.level), (std::process::id(), Level::WARN));
            }
            Read::Abandoned(gap) => assert_eq!(appended[gap.first as usize], None),
            Read::Lost(_) => {}
            Read::Stalled(gap) => panic!("nobody was stopped: {gap:?}"),
            Read::NotYet { in_flight: true } => reader.pause(),
            Read::NotYet { in_flight: false } => break,
        }
    }
    assert_eq!(reader.seq(), appended.len() as u64);
}

#[test]
fn words_of_the_protocol_as_payload_are_payload_at_every_alignment() {
    for shift in 0..8 {
        let ring = TestRing(PathBuf::from(format!("/dev/shm/lapwing-forgery-{}-{shift}", std::process::id())));
        Create::new().size(64 << 10).create(&ring.0).unwrap();
        let file = File::open(&ring.0).unwrap();
        let mut writer = Writer::open(&ring.0).unwrap();
        let [mut follower, mut late] = [0; 2].map(|_| Reader::open(&ring.0).unwrap());
        let mut appended = Appended::new();
        let mut deaths = 0;
        // Six records fill a page, so this is ten laps.
        for n in 0..960 {
            let bytes = forged(&file, appended.len() as u64, (shift + n / 16) % 8);
            let seq = writer.append_slices(&Draft::new(Level::WARN), &[&bytes]).unwrap();
            assert_eq!(seq, appended.len() as u64);
            appended.push(Some(bytes));
            if n % 97 == 50 {
                let mut child = Command::new(std::env::current_exe().unwrap());
                child.args(["victim", "--exact"]).env(VICTIM, format!("{} {}", n % 8, ring.0.display()));
                let status = child.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
                assert!(!status.success(), "it died of its payload");
                appended.push(None);
                deaths += 1;
                // Once with its record at the end of the log, before anybody goes on.
                read(&mut follower, &appended);
            }
            if n % 40 == 0 {
                read(&mut follower, &appended);
            }
        }
        read(&mut follower, &appended);
        read(&mut late, &appended);
        let (all, counts) = (appended.len() as u64, follower.counts());
        assert_eq!((counts.read + counts.abandoned, counts.abandoned, counts.lost), (all, deaths, 0));
        let counts = late.counts();
        assert!(counts.lost > all / 2 && counts.read + counts.lost + counts.abandoned == all, "{counts:?}");
        for seq in (all - 60..all).step_by(7) {
            late.seek(Seek::Seq(seq)).unwrap();
            read(&mut late, &appended);
        }
    }
}

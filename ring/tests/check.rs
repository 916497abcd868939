//! Does `check` name what is wrong, and nothing else: not where a writer died or stopped, and not while writers write?
#![allow(unsafe_code, clippy::disallowed_types, reason = "a child that faults; the test's own flag")]

mod folder;
#[allow(dead_code, reason = "other tests use the rest")]
mod rng;

use folder::{Folder, small};
use lapwing_ring::{Checked, Draft, Error, Expected, Field, Finding, Level, Read, Reader, Tally, Value, Writer, check};
use rng::Rng;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const ROLE: &str = "CHECK_ROLE";
const SLOTS: u64 = 4096;
const PAGES: u64 = 12288;
const PAGE: u64 = 4096;
const INDEX: u64 = 64;
const DATA: u64 = INDEX + 32 * 8;
const LINES: u64 = PAGES + 16 * PAGE;
const HEAD: u64 = 1024;

/// A ring, and its file to be damaged.
struct TestRing(Folder, File);

impl TestRing {
    fn new(name: &str, records: usize) -> Self {
        let folder = Folder::new(&format!("check-{name}"));
        let path = folder.join("ring");
        small().create(&path).unwrap();
        let mut writer = Writer::open(&path).unwrap();
        append(&mut writer, records);
        drop(writer);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        Self(folder, file)
    }

    fn path(&self) -> PathBuf {
        self.0.join("ring")
    }

    fn get(&self, at: u64) -> u64 {
        let mut bytes = [0; 8];
        self.1.read_exact_at(&mut bytes, at).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn put(&self, at: u64, word: u64) {
        self.1.write_all_at(&word.to_le_bytes(), at).unwrap();
    }

    fn check(&self) -> Checked {
        check(&self.path()).unwrap()
    }

    /// Stores `word` at `at`, which has to come out as this one finding; then takes it back.
    fn plant(&self, at: u64, word: u64, finding: Finding) -> Tally {
        let before = self.get(at);
        assert_ne!(before, word, "nothing was planted: {finding:?}");
        self.put(at, word);
        let checked = self.check();
        self.put(at, before);
        assert_eq!(checked.findings, [finding], "{word:#x} at {at}");
        assert_eq!(checked.found, 1);
        checked.tally.unwrap_or_default()
    }
}

fn append(writer: &mut Writer, records: usize) {
    for i in 0..records {
        let fields = [Field::Tag(b"tag"), Field::KeyValue(b"k", Value::Int(i as i64))];
        let fields = if i % 7 == 3 { &fields[..] } else { &[] };
        let draft = Draft { fields, ..Draft::new(Level::INFO) };
        writer.append_slices(&draft, &[&b"abcdefgh".repeat(32)[..i * 5 % 256]]).unwrap();
    }
}

fn finding(offset: u64, seq: Option<u64>, what: &'static str, found: u64, expected: Expected) -> Finding {
    Finding { offset, seq, what, found, expected }
}

/// The page of `epoch` in the file.
fn page(epoch: u64) -> u64 {
    PAGES + epoch % 16 * PAGE
}

#[test]
fn rings_of_every_fill_are_clean_and_every_sequence_is_accounted_for() {
    for records in [0, 1, 3, 31, 32, 33, 100, 400, 1000, 5000] {
        let ring = TestRing::new("fill", records);
        for writer in [None, Some(Writer::open(&ring.path()).unwrap())] {
            let checked = ring.check();
            assert_eq!(checked.findings, [], "{records} records, {}", writer.is_some());
            let tally = checked.tally.unwrap();
            let bounds = lapwing_ring::Reader::open(&ring.path()).unwrap().bounds().unwrap();
            assert_eq!((tally.next_seq(), tally.overwritten), (records as u64, bounds.oldest_seq));
            assert_eq!((tally.uncommitted, tally.damaged, checked.uncommitted.len()), (0, 0, 0));
        }
    }
}

#[test]
fn damage_to_head_is_named() {
    let ring = TestRing::new("head", 700);
    let head = ring.get(HEAD);
    let (epoch, count, next) = (head >> 27, head >> 16 & 0x3ff, head & 0xffff);
    assert!(epoch > 16 && count > 2 && head >> 26 & 1 == 0);
    let with = |tag: u64, count: u64, low: u64| tag << 27 | count << 16 | low;
    let plant = |word, what, found, expected| ring.plant(HEAD, word, finding(HEAD, None, what, found, expected));
    for tag in [0, 1, epoch - 1, epoch + 1, epoch + 16, epoch ^ 1 << 36] {
        let tally = plant(with(tag, count, next), "the page in HEAD", tag, Expected::Exactly(epoch));
        assert_eq!((tally.next_seq(), tally.damaged), (700, 0), "what the pages hold is as readable as before");
    }
    plant(with(epoch, count - 1, next), "the count in HEAD", count - 1, Expected::AtLeast(count));
    plant(with(epoch, count + 1, next), "the count in HEAD", count + 1, Expected::Exactly(count));
    plant(with(epoch, 33, next), "the count in HEAD", 33, Expected::AtMost(32));
    plant(with(epoch, count, next + 1), "the next free word in HEAD", next + 1, Expected::Exactly(next));
    let low = Expected::Between(3 * count, 472);
    plant(with(epoch, count, 473), "the next free word in HEAD", 473, low);
    plant(with(epoch, count, 0), "the next free word in HEAD", 0, low);
    // Closed, with a step beyond the ring; and closed while it is empty.
    plant(head & !0xffff | 1 << 26 | 16, "the step in HEAD", 16, Expected::AtMost(15));
    let empty = TestRing::new("empty", 0);
    empty.plant(HEAD, 1 << 27 | 1 << 26, finding(HEAD, None, "the count in HEAD", 0, Expected::AtLeast(1)));
    // Closed and undecided, closed and decided: a writer may stop there.
    for word in [head & !0xffff | 1 << 26, head & !0xffff | 1 << 26 | 1, head & !0xffff | 1 << 26 | 5] {
        ring.put(HEAD, word);
        assert_eq!(ring.check().findings, [], "{word:#x}");
    }
}

#[test]
fn damage_to_a_pages_own_words_is_named() {
    let ring = TestRing::new("pages", 2000);
    let newest = ring.get(HEAD) >> 27;
    let middle = newest - 7;
    let epoch =
        |at: u64, found, expected| finding(at, None, "the number of a page", found, Expected::Exactly(expected));
    for wrong in [0, 1, middle - 16, middle + 1, middle + 16, middle ^ 1 << 40, u64::MAX] {
        let tally = ring.plant(page(middle), wrong, epoch(page(middle), wrong, middle));
        assert_eq!(tally.next_seq(), 2000, "{wrong}");
        assert!((1..33).contains(&tally.damaged), "{wrong}: {tally:?}");
    }
    let base = |epoch: u64| ring.get(page(epoch) + 8);
    for wrong in [0, base(middle - 1), base(middle + 1), base(middle) + 1000, u64::MAX] {
        let expected = Expected::Between(base(middle - 1) + 1, base(middle + 1) - 1);
        let what = "the first sequence of a page";
        let tally = ring.plant(page(middle) + 8, wrong, finding(page(middle) + 8, None, what, wrong, expected));
        assert_eq!(
            (tally.next_seq(), tally.damaged),
            (2000, base(middle + 1) - base(middle - 1) - base_held(&ring, middle))
        );
    }
    // A little off: the page in front then has too few records, or this one.
    let seq = base(middle);
    let last = page(middle - 1) + INDEX + 8 * (seq - base(middle - 1) - 1);
    let behind = Expected::Rule("no record behind the last one of its page");
    let what = "an index entry";
    ring.plant(page(middle) + 8, seq - 1, finding(last, Some(seq - 1), what, ring.get(last), behind));
    // The clock's words may be anything, and so may words that the format reserves.
    for word in [16, 24, 32, 56] {
        ring.put(page(middle) + word, 0x1234_5678);
    }
    assert_eq!(ring.check().findings, []);
}

/// Records that the page in front of `epoch` seems to hold, by its index.
fn base_held(ring: &TestRing, epoch: u64) -> u64 {
    (0..32).filter(|i| ring.get(page(epoch - 1) + INDEX + 8 * i) >> 16 == epoch - 1).count() as u64
}

#[test]
fn damage_to_index_entries_is_named() {
    let ring = TestRing::new("entries", 700);
    let newest = ring.get(HEAD) >> 27;
    for epoch in [newest - 7, newest] {
        let entry = |i: u64| page(epoch) + INDEX + 8 * i;
        let seq = |i: u64| Some(ring.get(page(epoch) + 8) + i);
        let offset = |i: u64| (ring.get(entry(i)) & 0xffff) - 1;
        let what = "the offset of a record";
        for i in [1, 4] {
            let right = Expected::Exactly(offset(i));
            let elsewhere = [471, 500, 65534, offset(i) + 1, offset(i) - 1, offset(i + 1), offset(i - 1), 0];
            for wrong in elsewhere {
                let tally =
                    ring.plant(entry(i), epoch << 16 | (wrong + 1), finding(entry(i), seq(i), what, wrong, right));
                assert_eq!((tally.next_seq(), tally.damaged), (700, 1), "beyond the page, overlapping, out of order");
            }
        }
        // Tags that nothing in this place can have had.
        let rule = Expected::Rule("0, or an entry of this page or of an earlier one in its place");
        for wrong in [epoch + 16, epoch + 1, epoch - 1, epoch ^ 1 << 47] {
            let bits = wrong << 16 | 1;
            ring.plant(entry(2), bits, finding(entry(2), seq(2), "an index entry", bits, rule));
        }
        ring.plant(entry(2), epoch << 16, finding(entry(2), seq(2), "an index entry", epoch << 16, rule));
    }
    let entry = page(newest) + INDEX + 8 * 31;
    let rule = Expected::Rule("0, or an entry of this page or of an earlier one in its place");
    ring.plant(entry, 7, finding(entry, None, "an index entry", 7, rule));
    // Behind the last record of a page that is done, and of the open one.
    let records = |epoch: u64| ring.get(page(epoch + 1) + 8) - ring.get(page(epoch) + 8);
    let done = (newest - 9..newest).find(|&epoch| records(epoch) < 32).unwrap();
    let held = records(done);
    let (at, bits) = (page(done) + INDEX + 8 * held, done << 16 | 1);
    let behind = Expected::Rule("no record behind the last one of its page");
    let seq = Some(ring.get(page(done + 1) + 8));
    ring.plant(at, bits, finding(at, seq, "an index entry", bits, behind));
    let count = ring.get(HEAD) >> 16 & 0x3ff;
    let at = page(newest) + INDEX + 8 * count;
    ring.plant(at, newest << 16 | 1, finding(HEAD, None, "the count in HEAD", count, Expected::AtLeast(count + 1)));
}

#[test]
fn damage_to_records_is_named() {
    let ring = TestRing::new("records", 700);
    let newest = ring.get(HEAD) >> 27;
    let epoch = newest - 7;
    let base = ring.get(page(epoch) + 8);
    let record = |i: u64| page(epoch) + DATA + 8 * ((ring.get(page(epoch) + INDEX + 8 * i) & 0xffff) - 1);
    // A record without fields whose body does not end with a word, and one with fields.
    let is_plain = |i: &u64| (base + i) % 7 != 3 && (base + i) * 5 % 64 % 8 == 2;
    let i = (2..20).find(is_plain).unwrap();
    let (at, seq) = (record(i), Some(base + i));
    let meta = ring.get(at + 8);
    let len = meta & 0x7fff;
    let (what, words) = ("the length of a record", (record(i + 1) - at) / 8);
    let fitting = Expected::Between(words * 8 - 27, words * 8 - 20);
    for wrong in [0, len + 8, len - 8, 1868, 1869, 0x7fff] {
        let tally = ring.plant(at + 8, meta & !0x7fff | wrong, finding(at + 8, seq, what, wrong, fitting));
        assert_eq!((tally.next_seq(), tally.damaged), (700, 1), "{wrong}");
    }
    // Too short within its last word: what is behind the body is text, and has to be zeros.
    let text = finding(at + 20 + len - 1, seq, "a byte behind a record", b'b' as u64, Expected::Exactly(0));
    ring.plant(at + 8, meta & !0x7fff | (len - 1), text);
    let level = |word: u64| (word >> 15 & 0x1ff, Expected::Rule("a level of 1 to 24 and a known source"));
    for wrong in [meta & !(31 << 15), meta | 31 << 15, meta | 15 << 20, meta & !(15 << 20) | 7 << 20] {
        let (found, expected) = level(wrong);
        ring.plant(at + 8, wrong, finding(at + 8, seq, "the level and source of a record", found, expected));
    }
    let flags = finding(at + 8, seq, "the flags of a record", 0x80, Expected::Rule("flags that have a name"));
    ring.plant(at + 8, meta | 0x80 << 24, flags);
    let ids = Expected::Between(1, 1 << 22);
    for pid in [0, 1 << 31] {
        let word = meta & 0xffff_ffff | pid << 32;
        ring.plant(at + 8, word, finding(at + 12, seq, "the pid of a record", pid, ids));
        let word = ring.get(at + 16) >> 32 << 32 | pid;
        ring.plant(at + 16, word, finding(at + 16, seq, "the thread of a record", pid, ids));
    }
    // Fields: the length of all, the length of one, data that its kind cannot have.
    let i = (2..20).find(|i| (base + i) % 7 == 3).unwrap();
    let (at, seq) = (record(i), Some(base + i));
    let len = ring.get(at + 8) & 0x7fff;
    let (word, field) = (ring.get(at + 16), ring.get(at + 24));
    assert_eq!((word >> 48 & 0xff, field & 0xffff_ffff), (1, 0x6761_7400), "the tag comes first");
    let all = finding(at + 20, seq, "the length of a record's fields", 0xffff, Expected::AtMost(len - 2));
    ring.plant(at + 16, word | 0xffff << 32, all);
    let rule = Expected::Rule("a field that ends where the fields do, with data of its kind");
    let one = |kind| finding(at + 22, seq, "a field of the kind", kind, rule);
    ring.plant(at + 16, word | 0xff << 56, one(1));
    ring.plant(at + 16, word & !(0xff << 48) | 3 << 48, one(3));
    // The text itself may be anything.
    let long = (2..20).find(|i| is_plain(i) && ring.get(record(*i) + 8) & 0x7fff > 12).unwrap();
    ring.put(record(long) + 24, u64::MAX);
    assert_eq!(ring.check().findings, []);
}

#[test]
fn damage_to_the_header_and_the_writer_table_is_named() {
    let ring = TestRing::new("header", 100);
    let writer = Writer::open(&ring.path()).unwrap();
    let plant = |at, found, what, expected| ring.plant(at, found, finding(at, None, what, found, expected));
    plant(16, 8192, "the header's length", Expected::Exactly(4096));
    plant(48, 64, "a writer slot's length", Expected::Exactly(128));
    plant(96, 3, "the clock", Expected::AtMost(2));
    plant(104, 0, "the length of a tick", Expected::AtLeast(1));
    for page_size in [0, 2048, 5000, u64::MAX] {
        plant(24, page_size, "the page size", Expected::Rule("a power of two from 4096 to 65536"));
    }
    for pages in [0, 15, u64::MAX] {
        plant(32, pages, "the number of pages", Expected::Rule("a power of two from 4 to 65536"));
    }
    plant(40, 1025, "the number of writer slots", Expected::Rule("1 to 1024"));
    plant(56, 31, "the length of a page's index", Expected::Exactly(32));
    plant(384, 65, "the number of slots that were ever owned", Expected::AtMost(64));
    plant(512 + 24, 9, "a pair of namespaces", Expected::Rule("0 behind the first free word"));
    let owner = Expected::Rule("0, or a pid and a pair of namespaces in the header");
    for word in [1, 5 << 36 | 1 << 42, 62 << 36 | 1 << 42] {
        plant(SLOTS, word, "the owner of a writer slot", owner);
    }
    plant(SLOTS + 56, 1 << 40, "the uid of a writer", Expected::AtMost(u32::MAX as u64));
    plant(136, 1025, "the number of unfinished lines", Expected::AtMost(1024));
    plant(LINES + 64, 64 << 54 | 1 << 32, "the holder of a line", Expected::Rule("0, or a writer slot and its owner"));
    plant(LINES + 64 + 16, 2049, "the length of a line", Expected::AtMost(2048));
    plant(SLOTS + 8, 77, "an announcement", Expected::Rule("a counter alone while it is idle"));
    plant(SLOTS + 8, 1 << 48 | 1 << 30, "an announcement", Expected::Rule("a page that exists"));
    plant(SLOTS + 10 * 128 + 16, 3, "a word of a writer slot", Expected::Rule("0 in a slot that was never owned"));
    // Somebody stopped on a page of long ago, in a namespace that nobody knows: as it may be.
    ring.put(SLOTS + 8, 1 << 48 | 1);
    ring.put(SLOTS, 63 << 36 | 1 << 42);
    assert_eq!(ring.check().findings, []);
    drop(writer);
    // Several at once come out in the order of their offsets.
    for at in [16, 48, 104] {
        ring.put(at, 0);
    }
    let checked = ring.check();
    assert_eq!(checked.findings.iter().map(|finding| finding.offset).collect::<Vec<_>>(), [16, 48, 104]);
    assert!(checked.identity.is_none() && checked.tally.is_some_and(|tally| tally.readable == 100));
}

#[test]
fn a_file_that_is_cut_short_is_checked_as_far_as_it_goes_and_what_is_no_ring_is_an_error() {
    let ring = TestRing::new("cut", 5000);
    let whole = ring.check().tally.unwrap();
    let mut tally = whole;
    for len in [LINES + 4096, LINES, PAGES + 10 * PAGE + 100] {
        assert_eq!(tally, whole, "what is behind the pages holds no records");
        ring.1.set_len(len).unwrap();
        let checked = ring.check();
        let cut = finding(len, None, "the end of the file", len, Expected::AtLeast(LINES + 4096 + 8 * 2048));
        assert_eq!(checked.findings, [cut]);
        tally = checked.tally.unwrap();
    }
    assert!(tally.readable > whole.readable / 3 && tally.readable < whole.readable, "{tally:?}");
    for len in [PAGES, 4096] {
        ring.1.set_len(len).unwrap();
        assert_eq!(ring.check().findings[0].what, "the end of the file");
    }
    ring.1.set_len(4095).unwrap();
    assert!(matches!(check(&ring.path()), Err(Error::Truncated { .. })));
    ring.put(0, 1);
    assert!(matches!(check(&ring.path()), Err(Error::NotARing { .. })));
    assert!(matches!(check(&ring.0.0), Err(Error::NotARegularFile { .. })));
}

#[test]
fn what_is_listed_is_bounded_and_the_rest_is_counted() {
    let ring = TestRing::new("many", 5000);
    let mut noise = 0x9e37_79b9_7f4a_7c15u64;
    for at in (PAGES..PAGES + 16 * PAGE).step_by(8) {
        noise = noise.rotate_left(17).wrapping_mul(0xd134_2543_de82_ef95);
        if at % PAGE >= 16 {
            ring.put(at, noise);
        }
    }
    let checked = ring.check();
    assert_eq!(checked.findings.len(), 100);
    assert!(checked.found > 300, "{}", checked.found);
    assert_eq!(checked.tally.unwrap().readable, 0);
}

/// CHECK_CASES sets how many files for each of eight threads (30), HOSTILE_SEED repeats one run.
#[test]
fn whatever_the_words_say_a_check_ends_soon_and_finds_what_a_reader_finds() {
    let cases = std::env::var("CHECK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(30);
    let mut seeds = Rng::seeded_by("HOSTILE_SEED");
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let seed = seeds.next();
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                let ring = TestRing::new(&format!("hostile-{thread}"), [0, 3, 40, 700, 4000][thread as usize % 5]);
                let image = fs::read(ring.path()).unwrap();
                for case in 0..cases {
                    ring.1.write_all_at(&image, 0).unwrap();
                    let changes: Vec<_> = (0..=rng.below(5)).map(|_| damage(&ring, &mut rng, &image)).collect();
                    let since = Instant::now();
                    let checked = ring.check();
                    assert!(since.elapsed() < Duration::from_secs(20), "case {case}: {changes:x?}");
                    assert!(checked.findings.len() <= 100 && checked.found >= checked.findings.len() as u64);
                    // A reader that meets a damaged record has to find it among what was found.
                    let Ok(mut reader) = Reader::open(&ring.path()) else { continue };
                    reader.set_patience(Duration::ZERO);
                    for _ in 0..20_000 {
                        match reader.next() {
                            Ok(Read::NotYet { .. }) => break,
                            Ok(_) => {}
                            Err(error) => {
                                assert!(checked.found > 0, "thread {thread}, case {case}: {error}: {changes:x?}");
                                break;
                            }
                        }
                    }
                }
            });
        }
    });
}

/// Changes one word that the protocol uses.
fn damage(ring: &TestRing, rng: &mut Rng, image: &[u8]) -> (u64, u64) {
    let page = PAGES + PAGE * rng.below(16);
    let at = match rng.below(7) {
        0 => HEAD,
        1 => 384,
        2 => SLOTS + 128 * rng.below(4) + 8 * rng.below(9),
        3 | 4 => page + 8 * rng.below(2),
        5 => page + INDEX + 8 * rng.below(32),
        _ => page + DATA + 8 * rng.below(472),
    };
    let old = ring.get(at);
    let new = match rng.below(7) {
        0 => rng.next(),
        1 => old ^ 1 << rng.below(64),
        2 => old.wrapping_add(rng.below(40)).wrapping_sub(20),
        3 => 0,
        4 => u64::MAX - rng.below(3),
        5 => {
            let from = 8 * rng.below(image.len() as u64 / 8) as usize;
            u64::from_le_bytes(image[from..from + 8].try_into().unwrap())
        }
        _ => old & !0xffff | rng.below(65536),
    };
    ring.put(at, new);
    (at, new)
}

#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, ring) = role.split_once(' ').unwrap();
    let mut writer = Writer::open(Path::new(ring)).unwrap();
    if role == "die" {
        // SAFETY: a fresh anonymous mapping without access.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        // SAFETY: mapped for ever; the test is what happens when it is read.
        let faulting = unsafe { std::slice::from_raw_parts(at.cast(), 100) };
        let _ = writer.append(Level::INFO, faulting);
    }
    loop {
        append(&mut writer, 1000);
    }
}

/// A writer that appends until it is killed, or dies inside its first append.
fn start(role: &str, ring: &TestRing) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{role} {}", ring.path().display())).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn what_a_dead_writer_left_is_no_damage() {
    let ring = TestRing::new("hole", 40);
    assert!(!start("die", &ring).wait().unwrap().success());
    let mut writer = Writer::open(&ring.path()).unwrap();
    append(&mut writer, 3);
    let checked = ring.check();
    assert_eq!(checked.findings, []);
    assert_eq!(checked.tally.unwrap(), Tally { overwritten: 0, readable: 43, uncommitted: 1, damaged: 0 });
    let [hole] = checked.uncommitted[..] else { panic!("{:?}", checked.uncommitted) };
    assert_eq!((hole.gap.first, hole.gap.count, hole.in_flight), (40, 1, false));
}

/// Until each thread of the process is stopped, or dead.
fn wait_until_stopped(pid: u32) {
    let since = Instant::now();
    let is_done = |stat: String| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['T', 'Z', 'X']));
    let threads = || fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    while !threads().all(|thread| fs::read_to_string(thread.join("stat")).map_or(true, is_done)) {
        assert!(since.elapsed() < Duration::from_secs(20), "{pid} goes on");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn wherever_a_writer_is_killed_the_ring_is_clean() {
    let ring = TestRing::new("killed", 0);
    for round in 0..40u64 {
        let mut writers: Vec<Child> = (0..2).map(|_| start("write", &ring)).collect();
        std::thread::sleep(Duration::from_micros(20_000 + round * 377));
        // All but dead: stopped, then looked at, then killed.
        for signal in ["STOP", "KILL"] {
            for writer in &writers {
                let killed = Command::new("kill").args([&format!("-{signal}"), &writer.id().to_string()]).status();
                assert!(killed.unwrap().success());
            }
            writers.iter().for_each(|writer| wait_until_stopped(writer.id()));
            let checked = ring.check();
            assert_eq!(checked.findings, [], "round {round}, after SIG{signal}");
            let bounds = lapwing_ring::Reader::open(&ring.path()).unwrap().bounds().unwrap();
            assert_eq!(checked.tally.unwrap().next_seq(), bounds.next_seq);
            assert!(checked.tally.unwrap().uncommitted <= 2 * (round + 1));
        }
        for writer in &mut writers {
            writer.wait().unwrap();
        }
    }
}

#[test]
fn a_ring_that_is_being_written_raises_no_alarm_and_damage_in_it_is_still_found() {
    let ring = TestRing::new("live", 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for pause in [Duration::ZERO, Duration::from_micros(300)] {
            let (stop, path) = (&stop, ring.path());
            scope.spawn(move || {
                let mut writer = Writer::open(&path).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    append(&mut writer, 10);
                    std::thread::sleep(pause);
                }
            });
        }
        let (until, mut checks, mut last) = (Instant::now() + Duration::from_secs(2), 0, 0);
        let mut failure = None;
        while (Instant::now() < until || checks < 25) && failure.is_none() {
            let checked = ring.check();
            let next = checked.tally.unwrap().next_seq();
            if !checked.findings.is_empty() || next < last {
                failure = Some(format!("{:?} {next} {last}", checked.findings));
            }
            (checks, last) = (checks + 1, next);
        }
        ring.put(104, 0);
        let found = ring.check().findings;
        stop.store(true, Ordering::Relaxed);
        assert_eq!(failure, None, "after {checks} checks");
        assert_eq!(found, [finding(104, None, "the length of a tick", 0, Expected::AtLeast(1))]);
    });
    ring.put(104, 1);
    assert_eq!(ring.check().findings, []);
}

//! Does it matter at which label a process dies or stops? A child, this test program run again, kills or stops itself in
//! front of the access that a label names; the others go around the ring three times, and then the books must balance.
#![allow(unsafe_code)]

use crate::create::Create;
use crate::liveness::owner_word;
use crate::map::Mapping;
use crate::process::ForkPage;
use crate::{Access, Kept, Log, Reader, Source, Writer};
use atomic::Ordering::Relaxed;
use books::{Follower, Others, level, payload};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

#[path = "../tests/books/mod.rs"]
mod books;

const ROLE: &str = "DEATHS_ROLE";
/// The child in the books, and the writer that died before it.
const CHILD: u32 = 9;
const DEAD: u32 = 8;

/// What this thread does when it comes to a label for the nth time.
#[derive(Clone, Copy)]
struct Armed {
    label: &'static str,
    visits: u32,
    signal: libc::c_int,
}

thread_local!(static ARMED: Cell<Option<Armed>> = const { Cell::new(None) });

/// Called in front of every access that has a label.
pub(crate) fn pass(label: &'static str) {
    let Some(armed) = ARMED.get() else { return };
    if armed.label == label {
        let visits = armed.visits - 1;
        ARMED.set((visits > 0).then_some(Armed { visits, ..armed }));
        if visits == 0 {
            // SAFETY: a signal to ourselves.
            unsafe { libc::raise(armed.signal) };
        }
    }
}

fn still_armed() -> bool {
    ARMED.get().is_some()
}

/// How a child comes to its label.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// Attaches, appends over pages that others fill too, and gives its slot back, again and again.
    Write,
    /// The same through a pool.
    Pool,
    /// Wakes a sleeper at every record.
    Wake,
    /// Attaches where a slot belongs to somebody dead.
    TakeOver,
    /// Turns the page where the next one is held by somebody dead.
    Free,
    /// Turns a page that was turned a lap ago.
    Late,
    /// Keeps each line in the ring before it appends it.
    Line,
    /// Reads and appends the last words of somebody dead.
    Find,
    /// Reads on, from sequence 0, past a record that nobody commits.
    Read,
    /// The same, without mapping the file.
    Copy,
    /// Reads a ring of its own that is cut short.
    Cut,
}

impl Way {
    fn reads(self) -> bool {
        matches!(self, Self::Read | Self::Copy | Self::Cut)
    }
}

/// Every label of docs/PROTOCOL.md, the ways that lead there, and at which visits the child stops or dies.
const LABELS: &[(&str, Way, &[u32])] = &[
    ("append:head", Way::Write, &[1, 2, 37]),
    ("append:announce", Way::Write, &[1, 2, 37]),
    ("append:reserve", Way::Write, &[1, 2, 37]),
    ("append:fill", Way::Write, &[1, 2, 37]),
    ("append:commit", Way::Write, &[1, 2, 37]),
    ("append:idle", Way::Write, &[1, 2, 37]),
    ("head:miss", Way::Late, &[1]),
    ("advance:decide", Way::Write, &[1, 2]),
    ("advance:pin", Way::Write, &[1, 2, 5]),
    ("advance:free", Way::Free, &[1]),
    ("advance:announce", Way::Write, &[1, 2]),
    ("advance:recheck", Way::Write, &[1, 2]),
    ("advance:base", Way::Write, &[1, 2]),
    ("advance:open", Way::Write, &[1, 2]),
    ("advance:idle", Way::Write, &[1, 2]),
    ("claim:owner", Way::Write, &[1, 2]),
    ("claim:owner", Way::TakeOver, &[1]),
    ("claim:idle", Way::Write, &[1, 2]),
    ("claim:idle", Way::TakeOver, &[1]),
    ("release:owner", Way::Write, &[1, 2]),
    ("bell:ring", Way::Wake, &[1, 2, 37]),
    ("bell:set", Way::Read, &[1, 2]),
    ("pool:borrow", Way::Pool, &[1, 2, 37]),
    ("pool:return", Way::Pool, &[1, 2, 37]),
    ("line:claim", Way::Line, &[1, 2]),
    ("line:anew", Way::Line, &[1, 2]),
    ("line:text", Way::Line, &[1, 2, 3, 37]),
    ("line:free", Way::Line, &[1, 2, 37]),
    ("line:owner", Way::Find, &[1, 2]),
    ("line:free", Way::Find, &[1]),
    ("line:holder", Way::Find, &[1, 9]),
    ("line:look", Way::Find, &[1]),
    ("read:head", Way::Read, &[1, 5]),
    ("read:base", Way::Read, &[1, 2]),
    ("read:entry", Way::Read, &[1, 20]),
    ("read:record", Way::Read, &[1, 20]),
    ("hole:announce", Way::Read, &[1]),
    ("hole:entry", Way::Read, &[1]),
    ("fetch:index", Way::Copy, &[1, 5]),
    ("fetch:records", Way::Copy, &[1, 5]),
    ("guard:enter", Way::Write, &[1, 2]),
    ("guard:find", Way::Cut, &[1]),
];

/// The process that this program becomes when a role is set: way, label, visit and signal, and the ring.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.splitn(5, ' ').collect();
    let [way, label, visits, signal, ring] = words[..] else { panic!("{role}") };
    // A test that fails must not leave stopped processes behind.
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let label = LABELS.iter().map(|(name, ..)| *name).find(|name| *name == label).unwrap();
    ARMED.set(Some(Armed { label, visits: visits.parse().unwrap(), signal: signal.parse().unwrap() }));
    let ring = Path::new(ring);
    match way {
        "Dead" => append(&mut Writer::open(ring).unwrap(), DEAD, 0),
        "Write" | "TakeOver" => rounds(|counter| {
            let mut writer = Writer::open(ring).unwrap();
            (0..40).for_each(|i| append(&mut writer, CHILD, counter + i));
        }),
        "Wake" => rounds(|counter| {
            let mut writer = Writer::open(ring).unwrap();
            let (map, _) = Mapping::open_to_write(ring).unwrap();
            for counter in counter..counter + 40 {
                map.ring().header.bell.store(crate::bell::SET, Relaxed);
                append(&mut writer, CHILD, counter);
            }
        }),
        "Pool" => rounds(|counter| {
            let log = Log::open(ring).unwrap();
            for counter in counter..counter + 40 {
                log.append(level(CHILD), &payload(CHILD, counter, 50)).unwrap();
            }
        }),
        "Words" => {
            let (log, text) = (Log::open(ring).unwrap(), payload(DEAD, 0, 50));
            assert!(log.keep(&mut Kept::NOWHERE.clone(), level(DEAD), Source::Api, &text));
            // SAFETY: a signal to ourselves.
            unsafe { libc::raise(libc::SIGKILL) };
        }
        "Line" => rounds(|counter| {
            let (log, mut kept) = (Log::open(ring).unwrap(), Kept::NOWHERE);
            for counter in counter..counter + 40 {
                let text = payload(CHILD, counter, 50);
                assert!(log.keep(&mut kept, level(CHILD), Source::Api, &text[..30]));
                assert!(log.keep(&mut kept, level(CHILD), Source::Api, &text));
                log.append(level(CHILD), &text).unwrap();
                log.let_go(&mut kept);
            }
        }),
        "Find" => {
            assert_eq!(Reader::open(ring).unwrap().last_words().unwrap().len(), 1);
            assert_eq!(Log::open(ring).unwrap().append_last_words(), Ok(1));
        }
        "Free" => {
            let mut writer = Writer::open(ring).unwrap();
            die_inside_append(ring);
            rounds(|counter| (0..40).for_each(|i| append(&mut writer, CHILD, counter + i)));
        }
        "Late" => late(ring),
        "Cut" => cut_short(&ring.with_extension("cut")),
        "Read" | "Copy" => {
            let mut reader = Follower::open("the child", ring, Duration::ZERO).unwrap();
            if way == "Copy" {
                reader.reader = Reader::open_with(ring, Access::Copied).unwrap();
                reader.reader.set_patience(Duration::ZERO);
            }
            reader.may_lose = true;
            let mut books = books::Books::new();
            while reader.read_on(&mut books).unwrap() || still_armed() {
                reader.reader.pause();
            }
            reader.settle(&mut books).unwrap();
        }
        // Stands before a record in flight, and has all the patience there is.
        "Await" => {
            let mut reader = Follower::open("the child", ring, Duration::from_secs(3600)).unwrap();
            reader.reader.set_spin(true);
            let mut books = books::Books::new();
            while reader.read_on(&mut books).unwrap() {
                reader.reader.pause();
            }
            assert_eq!(reader.reader.counts().abandoned, 0, "it was committed before its writer left");
        }
        _ => panic!("{role}"),
    }
    // Without the test runner's own closing words; and only behind the label.
    std::process::exit(if still_armed() { 3 } else { 0 });
}

fn append(writer: &mut Writer, id: u32, counter: u32) {
    writer.append(level(id), &payload(id, counter, 50)).unwrap();
}

/// Rounds of 40 records until one of them has come to the label.
fn rounds(mut round: impl FnMut(u32)) {
    for i in 0..50 {
        round(i * 40);
        if !still_armed() {
            break;
        }
    }
}

/// Looks at HEAD while its page is being turned, and goes on when the ring has been around once.
fn late(ring: &Path) {
    let mut other = Writer::open(ring).unwrap();
    let (map, _) = Mapping::open_to_write(ring).unwrap();
    let process = ForkPage::get().unwrap().process();
    let mut hold = map.ring().claim(|_| Some(owner_word(map.ring().header, &process))).unwrap();
    let seen = map.ring().header.head.load(Relaxed).close();
    (0..40 * 20).for_each(|i| append(&mut other, CHILD, i));
    assert_eq!(map.ring().advance(&mut hold, seen), Ok(()), "somebody else turned it");
    map.ring().release(hold);
}

/// Has a guarded mapping of a ring whose file goes away.
fn cut_short(ring: &Path) {
    crate::guard_mappings().unwrap();
    Create::new().size(64 << 10).create(ring).unwrap();
    let mut reader = Reader::open(ring).unwrap();
    std::fs::File::options().write(true).open(ring).unwrap().set_len(0).unwrap();
    std::fs::remove_file(ring).unwrap();
    assert!(matches!(reader.next(), Err(crate::ReadError::Truncated { seq: 0 })));
}

/// A child that is killed when it goes out of scope, unless it is over.
struct Started {
    child: Child,
    over: bool,
}

impl Started {
    fn new(role: &str, signal: libc::c_int, ring: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "deaths::child", "--nocapture", "--test-threads=1", "-q"]);
        command.env(ROLE, format!("{role} {signal} {}", ring.display())).stdout(Stdio::null());
        Self { child: command.spawn().unwrap(), over: false }
    }

    /// How it ends or stops; others do `meanwhile` until then.
    fn wait(&mut self, mut meanwhile: impl FnMut()) -> ExitStatus {
        let since = Instant::now();
        loop {
            let mut status = 0;
            // SAFETY: our own child, which was not waited for; room for its status.
            let found = unsafe { libc::waitpid(self.child.id() as i32, &mut status, libc::WNOHANG | libc::WUNTRACED) };
            if found != 0 {
                let status = ExitStatus::from_raw(status);
                self.over = status.stopped_signal().is_none();
                return status;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "the child neither ends nor stops");
            meanwhile();
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    fn go_on(&self) {
        // SAFETY: our own child, which was not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGCONT) };
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.over {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A writer that dies inside its first append.
fn die_inside_append(ring: &Path) {
    let status = Started::new("Dead append:commit 1", libc::SIGKILL, ring).wait(|| ());
    assert_eq!(status.signal(), Some(libc::SIGKILL));
}

/// A ring of one test's own, removed at the end.
struct TestRing(PathBuf);

impl TestRing {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-deaths-{}-{name}", std::process::id()));
        Create::new().size(64 << 10).monotonic_clock().create(&path).unwrap();
        Self(path)
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// One child that comes to its label, and everybody else.
fn trial(label: &str, way: Way, visits: u32, signal: libc::c_int) {
    let name = label.replace(':', "-");
    let ring = TestRing::new(&format!("{name}-{way:?}-{visits}-{signal}"));
    let mut others = Others::new(visits.into());
    others.join(&ring.0).unwrap();
    others.appends(10).unwrap();
    let dead = matches!(way, Way::TakeOver | Way::Free | Way::Read | Way::Copy | Way::Find);
    if way == Way::Find {
        let status = Started::new("Words pool:return 99", libc::SIGKILL, &ring.0).wait(|| ());
        assert_eq!(status.signal(), Some(libc::SIGKILL));
    } else if dead && way != Way::Free {
        die_inside_append(&ring.0);
        others.a_moment().unwrap();
    }
    // Who would turn the child's pages must not come in between; and without them nobody keeps up with it.
    let alone = matches!(way, Way::Free | Way::Late);
    if alone {
        others.may_lose();
    }
    let mut child = Started::new(&format!("{way:?} {label} {visits}"), signal, &ring.0);
    others.books.expect_pid(CHILD, child.child.id());
    // Nobody reads meanwhile: who has no patience would count what the child is just writing.
    let mut left = if alone { 0 } else { 100 };
    let status = child.wait(|| {
        if left > 0 && others.view().slots_high() > 2 {
            left -= 1;
            others.append(30).unwrap();
        }
    });
    others.a_moment().unwrap();
    let writes = u64::from(!way.reads());
    let dead = u64::from(dead);
    if signal == libc::SIGKILL {
        assert_eq!(status.signal(), Some(libc::SIGKILL), "it died at its label: {status}");
        others.laps(3, 0).unwrap();
        others.latecomers(&ring.0).unwrap();
        others.balance(&ring.0, dead + writes, 0).unwrap();
        return last_words(&ring.0, label, way);
    }
    assert_eq!(status.stopped_signal(), Some(libc::SIGSTOP), "it stopped at its label: {status}");
    others.laps(3, writes as usize).unwrap();
    child.go_on();
    let status = child.wait(|| ());
    assert_eq!(status.code(), Some(0), "it went on to its end: {status}");
    others.laps(3, 0).unwrap();
    others.latecomers(&ring.0).unwrap();
    others.balance(&ring.0, dead, writes).unwrap();
    assert_eq!(Log::open(&ring.0).unwrap().append_last_words(), Ok(0), "nothing is left of who went on to his end");
}

/// What the dead leave behind is found once: nothing, or the beginning of a line, and all of what was finished.
fn last_words(ring: &Path, label: &str, way: Way) {
    let words = Reader::open(ring).unwrap().last_words().unwrap();
    match (way, &words[..]) {
        // At the first visits nothing is kept yet, and a line is empty before its place is free.
        (Way::Line, []) => {}
        (Way::Line, [one]) => {
            assert_eq!(label, "line:text", "nothing but part of a line is kept there");
            let counter = u32::from_le_bytes(one.text[4..8].try_into().unwrap());
            let text = payload(CHILD, counter, 50);
            assert!(one.text == text[..30], "{one:?}");
            assert_eq!((one.level, one.source), (level(CHILD), Source::Api));
        }
        (Way::Find, [one]) if label != "line:free" => {
            assert_eq!(one.text, payload(DEAD, 0, 50), "whoever looks next finds it again")
        }
        (_, words) => assert_eq!(words, [], "{label} by {way:?}"),
    }
    let log = Log::open(ring).unwrap();
    assert_eq!((log.append_last_words(), log.append_last_words()), (Ok(words.len()), Ok(0)));
}

fn all(signal: libc::c_int, reads: bool) {
    for &(label, way, visits) in LABELS.iter().filter(|(_, way, _)| way.reads() == reads) {
        for &visit in visits {
            println!("{label} by {way:?}, visit {visit}");
            trial(label, way, visit, signal);
        }
    }
}

#[test]
fn a_writer_may_be_killed_at_every_label() {
    all(libc::SIGKILL, false);
}

#[test]
fn a_writer_may_be_stopped_at_every_label() {
    all(libc::SIGSTOP, false);
}

#[test]
fn a_reader_may_be_killed_or_stopped_at_every_label() {
    all(libc::SIGKILL, true);
    all(libc::SIGSTOP, true);
}

#[test]
fn a_reader_looks_again_at_a_record_whose_writer_has_left() {
    let ring = TestRing::new("looks-again");
    let mut writer = Started::new("Write append:commit 3", libc::SIGSTOP, &ring.0);
    assert_eq!(writer.wait(|| ()).stopped_signal(), Some(libc::SIGSTOP));
    // More visits than two records take: it has seen that the third is not committed.
    let mut reader = Started::new("Await read:head 60", libc::SIGSTOP, &ring.0);
    assert_eq!(reader.wait(|| ()).stopped_signal(), Some(libc::SIGSTOP));
    writer.go_on();
    assert_eq!(writer.wait(|| ()).code(), Some(0));
    reader.go_on();
    assert_eq!(reader.wait(|| ()).code(), Some(0));
}

#[test]
fn a_sleeper_gets_the_record_of_a_writer_that_was_killed_before_it_rang() {
    let ring = TestRing::new("not-rung");
    let mut reader = Reader::open(&ring.0).unwrap();
    let (map, _) = Mapping::open_to_write(&ring.0).unwrap();
    let mut writer = None;
    std::thread::scope(|scope| {
        let found = scope.spawn(|| reader.wait(Duration::from_secs(20)).unwrap());
        while map.ring().header.bell.load(Relaxed) != crate::bell::SET {
            std::thread::yield_now();
        }
        let status = writer.insert(Started::new("Wake bell:ring 1", libc::SIGKILL, &ring.0)).wait(|| ());
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert!(found.join().unwrap(), "nobody woke it");
    });
    assert_eq!(map.ring().header.bell.load(Relaxed), crate::bell::SET, "nobody rang");
    assert!(matches!(reader.next(), Ok(crate::Read::Record(_))));
}

#[test]
fn every_label_of_the_protocol_is_a_place_to_die() {
    let text = include_str!("../../docs/PROTOCOL.md");
    let rows = text.lines().skip_while(|line| !line.starts_with("| label | order")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let documented: BTreeSet<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    assert!(documented.len() > 20, "the table was found");
    assert_eq!(LABELS.iter().map(|(label, ..)| *label).collect::<BTreeSet<_>>(), documented);
}

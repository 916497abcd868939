//! What fork, exec, signals and threads do to slots: every record has the pid and tid of who wrote it, nobody shares a slot,
//! and none leaks.
#![allow(unsafe_code, clippy::disallowed_types, reason = "the test's own counters")]

use lapwing_ring::{Access, AppendError, Create, Error, Level, Log, Read, Reader, Stat, Writer};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const ROLE: &str = "PROCESS_ROLE";

/// Runs this test binary again in `role`, alone in its process, and gives what it printed after "said ".
fn act(role: &str, ring: &Path) -> String {
    let output = command(role, ring).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{role}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().find_map(|line| line.strip_prefix("said ")).unwrap_or_default().to_owned()
}

fn command(role: &str, ring: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, format!("{role} {}", ring.display()));
    command
}

#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, ring) = role.split_once(' ').unwrap();
    let ring = Path::new(ring);
    match role.split_once('-').unwrap_or((role, "")) {
        ("fork", _) => fork_with_both_handles(ring),
        ("drop", _) => drop_in_the_child(ring),
        ("signal", _) => append_in_a_signal_handler(ring),
        ("threads", _) => append_in_threads(ring),
        ("descriptors", _) => append_without_descriptors(ring),
        ("namespace", _) => look_from_another_time_namespace(ring),
        ("exec", left) => exec_again(ring, left.parse().unwrap()),
        _ => panic!("{role}"),
    }
    std::io::stdout().flush().unwrap();
    // Past destructors and the test runner's words.
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) };
}

fn fork() -> libc::pid_t {
    // SAFETY: the test's own process; the child makes library calls that need no lock another thread could hold.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    pid
}

fn wait_for(pid: libc::pid_t) {
    let mut status = 0;
    // SAFETY: our own child, and room for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 0, "the child ended well");
}

fn fork_with_both_handles(ring: &Path) {
    let (mut writer, log) = (Writer::open(ring).unwrap(), Log::open(ring).unwrap());
    writer.append(Level::INFO, b"parent").unwrap();
    log.append(Level::INFO, b"parent").unwrap();
    let child = fork();
    let name: &[u8] = if child == 0 { b"child" } else { b"parent" };
    for _ in 0..200 {
        writer.append(Level::INFO, name).unwrap();
        log.append(Level::INFO, name).unwrap();
    }
    if child == 0 {
        // A grandchild that never wrote before its own fork.
        let grandchild = fork();
        if grandchild == 0 {
            log.append(Level::INFO, b"grandchild").unwrap();
        } else {
            wait_for(grandchild);
        }
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    wait_for(child);
    println!("\nsaid {} {child}", std::process::id());
}

fn drop_in_the_child(ring: &Path) {
    let (mut writer, log) = (Writer::open(ring).unwrap(), Log::open(ring).unwrap());
    writer.append(Level::INFO, b"parent").unwrap();
    log.append(Level::INFO, b"parent").unwrap();
    let child = fork();
    if child == 0 {
        drop((writer, log));
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    wait_for(child);
    let slots = Reader::open(ring).unwrap().stat().unwrap().writers.len();
    writer.append(Level::INFO, b"parent").unwrap();
    log.append(Level::INFO, b"parent").unwrap();
    println!("\nsaid {slots}");
}

fn limit_descriptors(to: libc::rlim_t) -> libc::rlim_t {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for the answer.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
    let before = std::mem::replace(&mut limit.rlim_cur, to);
    // SAFETY: a valid limit.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    before
}

/// The first append of a process that cannot open /proc, then what others think of it, then its release.
fn append_without_descriptors(ring: &Path) {
    let log = Log::open(ring).unwrap();
    let child = fork();
    if child != 0 {
        wait_for(child);
        println!("\nsaid done");
        return;
    }
    let reader = Reader::open(ring).unwrap();
    let before = limit_descriptors(0);
    log.append(Level::INFO, b"no descriptors").unwrap();
    limit_descriptors(before);
    assert!(reader.stat().unwrap().writers.iter().all(|writer| writer.is_alive()), "we live");
    let grandchild = fork();
    if grandchild == 0 {
        let other = Reader::open(ring).unwrap().stat().unwrap();
        assert!(other.writers.iter().all(|writer| writer.is_alive()), "and others see that: {:?}", other.writers);
        // SAFETY: ends the grandchild.
        unsafe { libc::_exit(0) };
    }
    wait_for(grandchild);
    log.release();
    assert_eq!(reader.stat().unwrap().writers, [], "the slot was given back");
    // SAFETY: ends the child.
    unsafe { libc::_exit(0) };
}

fn look_from_another_time_namespace(ring: &Path) {
    let mut writer = Writer::open(ring).unwrap();
    writer.append(Level::INFO, b"alive").unwrap();
    let child = fork();
    if child != 0 {
        wait_for(child);
        return;
    }
    let reader = Reader::open(ring).unwrap();
    let alive = || reader.stat().unwrap().writers[0].is_alive();
    assert!(alive());
    // SAFETY: changes where children of this process will live, no more.
    if unsafe { libc::unshare(libc::CLONE_NEWTIME) } == 0 {
        std::fs::write("/proc/self/timens_offsets", "boottime 1000000 0").unwrap();
        let there = std::fs::File::open("/proc/self/ns/time_for_children").unwrap();
        // SAFETY: a descriptor of a namespace.
        let moved = unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&there), libc::CLONE_NEWTIME) };
        assert_eq!(moved, 0);
        assert!(alive(), "start times look different from here, and prove nothing");
        println!("\nsaid moved");
    }
    std::io::stdout().flush().unwrap();
    // SAFETY: ends the child.
    unsafe { libc::_exit(0) };
}

static LOG: OnceLock<Log> = OnceLock::new();
static INTERRUPTIONS: AtomicU32 = AtomicU32::new(0);
/// The thread that is to be interrupted, and not the test runner's other one.
static TARGET: AtomicU32 = AtomicU32::new(0);

extern "C" fn on_alarm(_: libc::c_int) {
    let target = TARGET.load(Ordering::Relaxed) as libc::pid_t;
    // SAFETY: no preconditions, and safe in signal handlers.
    let pid = unsafe { libc::getpid() };
    // SAFETY: as above.
    let tid = unsafe { libc::gettid() };
    if tid != target {
        // SAFETY: a thread of this process that lives until the end.
        unsafe { libc::syscall(libc::SYS_tgkill, pid, target, libc::SIGALRM) };
        return;
    }
    let n = INTERRUPTIONS.fetch_add(1, Ordering::Relaxed);
    if let Some(log) = LOG.get() {
        log.append(Level::WARN, &n.to_le_bytes()).unwrap();
    }
}

fn append_in_a_signal_handler(ring: &Path) {
    assert!(LOG.set(Log::open(ring).unwrap()).is_ok());
    // SAFETY: no preconditions.
    TARGET.store(unsafe { libc::gettid() } as u32, Ordering::Relaxed);
    let handler = on_alarm as extern "C" fn(libc::c_int);
    // SAFETY: the handler appends to a Log, which is made for it, and adds to an atomic.
    unsafe { libc::signal(libc::SIGALRM, handler as libc::sighandler_t) };
    let every = libc::timeval { tv_sec: 0, tv_usec: 50 };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: a valid timer, no answer wanted.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) }, 0);
    let mut wrote = 0u32;
    while INTERRUPTIONS.load(Ordering::Relaxed) < 2000 {
        LOG.get().unwrap().append(Level::INFO, &wrote.to_le_bytes()).unwrap();
        wrote += 1;
    }
    // SAFETY: no handler any more.
    unsafe { libc::signal(libc::SIGALRM, libc::SIG_IGN) };
    println!("\nsaid {wrote} {}", INTERRUPTIONS.load(Ordering::Relaxed));
}

fn append_in_threads(ring: &Path) {
    let log = Log::open(ring).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for n in 0..500u32 {
                    log.append(Level::INFO, &n.to_le_bytes()).unwrap();
                }
            });
        }
    });
    let slots = Reader::open(ring).unwrap().stat().unwrap().writers.len();
    drop(log);
    println!("\nsaid {slots} {}", Reader::open(ring).unwrap().stat().unwrap().writers.len());
}

/// Appends, and becomes another image that does the same, without giving a slot back.
fn exec_again(ring: &Path, left: u32) {
    let log = Log::open(ring).unwrap();
    log.append(Level::INFO, &left.to_le_bytes()).unwrap();
    if left > 0 {
        panic!("{}", command(&format!("exec-{}", left - 1), ring).exec());
    }
    std::mem::forget(log);
    println!("\nsaid done");
}

struct TestRing(PathBuf);

struct Entry {
    pid: u32,
    tid: u32,
    payload: Vec<u8>,
}

impl TestRing {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-processes-{}-{name}", std::process::id()));
        Create::new().size(1 << 20).create(&path).unwrap();
        Self(path)
    }

    /// Every record, and the state of the ring.
    fn read(&self) -> (Vec<Entry>, Stat) {
        let mut reader = Reader::open(&self.0).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next().unwrap() {
                Read::Record(r) => records.push(Entry { pid: r.pid, tid: r.tid, payload: r.payload.to_vec() }),
                Read::NotYet { in_flight: false } => return (records, reader.stat().unwrap()),
                other => panic!("nothing is lost in here: {other:?}"),
            }
        }
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_forked_child_has_slots_of_its_own_and_writes_under_its_own_pid() {
    let ring = TestRing::new("fork");
    let said = act("fork", &ring.0);
    let (parent, child) = said.split_once(' ').map(|(a, b)| (a.parse().unwrap(), b.parse().unwrap())).unwrap();
    let (records, stat) = ring.read();
    let mut pids: BTreeMap<Vec<u8>, BTreeSet<u32>> = BTreeMap::new();
    for Entry { pid, tid, payload } in &records {
        assert!(payload == b"parent" || pid == tid, "a child begins with one thread");
        pids.entry(payload.clone()).or_default().insert(*pid);
    }
    assert_eq!(records.len(), 2 + 4 * 200 + 1);
    assert_eq!(pids[&b"parent"[..]], BTreeSet::from([parent]));
    assert_eq!(pids[&b"child"[..]], BTreeSet::from([child]));
    assert!(pids[&b"grandchild"[..]].is_disjoint(&BTreeSet::from([parent, child])));
    // The parent gave back its own slots and nobody else's: two of the child and one of the grandchild are left, dead.
    let slots: Vec<u32> = stat.writers.iter().map(|writer| writer.pid).collect();
    assert_eq!([parent, child].map(|pid| slots.iter().filter(|&&slot| slot == pid).count()), [0, 2], "{slots:?}");
    assert!(slots.len() == 3 && stat.writers.iter().all(|writer| !writer.is_alive()));
    let counted: u64 = stat.writers.iter().map(|writer| writer.records).sum();
    assert_eq!(counted, 2 * 200 + 1);
}

#[test]
fn a_child_that_drops_its_copies_takes_nothing_from_its_parent() {
    let ring = TestRing::new("drop");
    assert_eq!(act("drop", &ring.0), "2");
    assert_eq!(ring.read().0.len(), 4);
}

#[test]
fn a_signal_handler_appends_in_the_middle_of_an_append() {
    let ring = TestRing::new("signal");
    let said = act("signal", &ring.0);
    let appended: u64 = said.split(' ').map(|word| word.parse::<u64>().unwrap()).sum();
    let mut reader = Reader::open(&ring.0).unwrap();
    let bounds = reader.bounds().unwrap();
    assert_eq!(bounds.next_seq, appended, "every append got a sequence");
    let mut last = [None; 2];
    loop {
        match reader.next().unwrap() {
            Read::Record(record) => {
                let n = u32::from_le_bytes(record.payload.try_into().unwrap());
                let before = last[(record.level == Level::WARN) as usize].replace(n);
                assert!(before.is_none_or(|before| n == before + 1), "{n} after {before:?}");
            }
            Read::Lost(_) => {}
            Read::NotYet { in_flight: false } => break,
            other => panic!("{other:?}"),
        }
    }
    let stat = reader.stat().unwrap();
    assert!(stat.writers.len() <= 2, "the program and the handler: {:?}", stat.writers);
    assert_eq!(stat.refused.total(), 0);
}

#[test]
fn threads_share_a_pool_and_give_it_back() {
    let ring = TestRing::new("threads");
    let said = act("threads", &ring.0);
    let (used, left) = said.split_once(' ').map(|(a, b)| (a.parse::<u32>().unwrap(), b)).unwrap();
    assert!((1..=8).contains(&used), "{used} slots for eight threads");
    assert_eq!(left, "0");
    let (records, _) = ring.read();
    let mut next: BTreeMap<u32, u32> = BTreeMap::new();
    for Entry { pid, tid, payload } in &records {
        assert_ne!(pid, tid, "threads of their own");
        let n = next.entry(*tid).or_default();
        assert_eq!(payload[..], n.to_le_bytes(), "each thread's records are in its order");
        *n += 1;
    }
    assert_eq!((next.len(), records.len()), (8, 4000));
}

#[test]
fn exec_leaks_no_slots() {
    let ring = TestRing::new("exec");
    assert_eq!(act("exec-40", &ring.0), "done");
    let (records, stat) = ring.read();
    assert_eq!(records.len(), 41);
    assert_eq!(records.iter().map(|record| record.pid).collect::<BTreeSet<_>>().len(), 1, "one process all the time");
    // Two images in a row may look alike once in 256 times, and then one slot is kept until the process ends.
    assert!(stat.writers.len() <= 4, "{} slots", stat.writers.len());
}

#[test]
fn who_cannot_say_when_it_started_is_not_taken_for_dead_and_gives_its_slot_back() {
    let ring = TestRing::new("descriptors");
    assert_eq!(act("descriptors", &ring.0), "done");
}

#[test]
fn a_process_that_moves_to_another_time_namespace_takes_nobody_for_dead() {
    let ring = TestRing::new("namespace");
    if act("namespace", &ring.0) != "moved" {
        println!("skipped: no permission to make a time namespace");
    }
}

#[test]
fn releasing_while_others_append_loses_no_place_of_the_pool() {
    let ring = TestRing::new("release");
    let log = Log::open(&ring.0).unwrap();
    let stop = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while stop.load(Ordering::Relaxed) == 0 {
                    log.append(Level::INFO, b"x").unwrap();
                }
            });
        }
        let since = std::time::Instant::now();
        while since.elapsed().as_millis() < 1500 {
            log.release();
        }
        stop.store(1, Ordering::Relaxed);
    });
    log.release();
    let stat = Reader::open(&ring.0).unwrap().stat().unwrap();
    assert_eq!((stat.writers.len(), stat.refused.total()), (0, 0));
    // Every place is there: as many appends at once as the pool has, each with a slot.
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| log.append(Level::INFO, b"y").unwrap());
        }
    });
}

#[test]
fn what_is_refused_is_an_error_with_its_numbers_and_counted_by_cause() {
    let ring = TestRing::new("refused");
    let mut writer = Writer::open(&ring.0).unwrap();
    let limit = writer.max_body();
    // The introduction gives way to a payload that needs all the room.
    assert_eq!(writer.append(Level::INFO, &vec![b'x'; limit]), Ok(0));
    let refused = writer.append(Level::INFO, &vec![b'x'; limit + 1]);
    assert_eq!(refused, Err(AppendError::TooLarge { len: limit + 1, limit }));
    let slots = ring.read().1.identity.geometry.slot_count();
    let mut others: Vec<Writer> = (1..slots).map(|_| Writer::open(&ring.0).unwrap()).collect();
    let log = Log::open(&ring.0).unwrap();
    assert!(matches!(Writer::open(&ring.0), Err(Error::TooManyWriters(e)) if e.slots == slots));
    assert!(matches!(log.append(Level::INFO, b"x"), Err(AppendError::TooManyWriters(e)) if e.slots == slots));
    let refused = ring.read().1.refused;
    assert_eq!((refused.too_large, refused.too_many_writers, refused.total()), (1, 2, 3));
    // One goes, and there is room again.
    others.pop();
    assert_eq!(log.append(Level::INFO, b"x"), Ok(1));
}

#[test]
fn a_batch_ends_at_its_limit_at_a_break_and_at_the_end() {
    let ring = TestRing::new("batch");
    let mut writer = Writer::open(&ring.0).unwrap();
    for n in 0..100u8 {
        writer.append(Level::INFO, &[n]).unwrap();
    }
    let mut reader = Reader::open(&ring.0).unwrap();
    let mut seen = Vec::new();
    let mut see = |read: Read<'_>| match read {
        Read::Record(record) => {
            seen.push(record.payload[0]);
            if record.seq == 40 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(reader.batch(30, &mut see), Ok(30));
    assert_eq!(reader.batch(30, &mut see), Ok(11), "up to the break");
    assert_eq!(reader.batch(1000, &mut see), Ok(59), "the rest");
    assert_eq!(reader.batch(1000, &mut see), Ok(0));
    assert_eq!(seen, (0..100).collect::<Vec<u8>>());
    assert_eq!((reader.seq(), reader.counts().read), (100, 100));
}

#[test]
fn records_that_can_be_had_at_once_are_those_that_come_next() {
    for access in [Access::Mapped, Access::Copied] {
        let ring = TestRing::new("at-once");
        let mut writer = Writer::open(&ring.0).unwrap();
        let mut readers = [(); 2].map(|()| Reader::open_with(&ring.0, access).unwrap());
        // Nothing yet, a part of the ring, then several times all of it: lost records, and page after page.
        for count in [0, 100, 20_000, 1, 0] {
            for n in 0..count {
                writer.append(Level::INFO, format!("{n}").repeat(n % 40).as_bytes()).unwrap();
            }
            let [by_next, at_once] = &mut readers;
            loop {
                let one = by_next.next().unwrap();
                let seq = at_once.seq();
                match (at_once.next_record(), one) {
                    (Some(record), one) => assert_eq!(one, Read::Record(record)),
                    (None, Read::Record(record)) => {
                        assert_eq!(at_once.seq(), seq, "nothing was passed");
                        assert_eq!(at_once.next().unwrap(), Read::Record(record));
                    }
                    (None, one) => assert_eq!(at_once.next().unwrap(), one),
                }
                let is_end = one == Read::NotYet { in_flight: false };
                assert_eq!(by_next.counts(), at_once.counts());
                if is_end {
                    break;
                }
            }
        }
        assert!(readers[1].counts().lost > 0 && readers[1].counts().read > 1000);
    }
}

#[test]
fn a_reader_maps_the_file_read_only_and_a_writer_keeps_no_descriptor() {
    let ring = TestRing::new("maps");
    let _reader = Reader::open(&ring.0).unwrap();
    let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
    let of_ring = |line: &&str| line.ends_with(ring.0.to_str().unwrap());
    let permissions = |maps: &str| -> Vec<String> {
        let mut found: Vec<_> =
            maps.lines().filter(of_ring).map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
        found.sort();
        found
    };
    assert_eq!(permissions(&maps()), ["r--s"]);
    let _writer = Writer::open(&ring.0).unwrap();
    assert_eq!(permissions(&maps()), ["---s", "r--s", "rw-s"], "the lock of its slot, the reader, the writer");
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    assert_eq!(open.filter(|path| *path == ring.0).count(), 0, "daemon() may close all descriptors");
}

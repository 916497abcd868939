//! Does a reader that waits wake up? By its descriptor in poll(2) and epoll, and by `wait`: for every record, loss and
//! death, from another process, and never for nothing.
#![allow(unsafe_code)]

mod folder;

use folder::Folder;
use lapwing_ring::{Access, Create, Gap, Level, Read, Reader, Seek, Watch, Writer};
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "WATCH_ROLE";
const SOON: Duration = Duration::from_secs(10);

/// The process that this test binary becomes when a role is set.
#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, ring) = role.split_once(' ').unwrap();
    if role == "watch" {
        return watch_and_stop(Path::new(ring));
    }
    let mut writer = Writer::open(Path::new(ring)).unwrap();
    match role {
        "die" => {
            let (protection, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: a fresh anonymous mapping without access.
            let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
            // SAFETY: no core file of what comes now.
            unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
            // SAFETY: mapped for ever; to read it is to die.
            let _ = writer.append(Level::INFO, unsafe { std::slice::from_raw_parts(at.cast(), 100) });
        }
        "slowly" => {
            for i in 0..RECORDS {
                writer.append(Level::INFO, b"a record").unwrap();
                // From one after the other to longer than the longest sleep.
                std::thread::sleep(Duration::from_micros([0, 0, 0, 20, 200, 2000, 9000][(i % 7) as usize]));
            }
        }
        _ => panic!("{role}"),
    }
    std::process::exit(0);
}

const RECORDS: u64 = 700;

fn start(role: &str, ring: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]).stdout(Stdio::null());
    command.env(ROLE, format!("{role} {}", ring.display())).spawn().unwrap()
}

fn ring(folder: &Folder) -> PathBuf {
    let path = folder.join("ring");
    Create::new().size(64 << 10).create(&path).unwrap();
    path
}

/// Is the descriptor readable within `limit`?
fn readable(watch: &Watch, limit: Duration) -> bool {
    let mut poll = libc::pollfd { fd: watch.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one descriptor to ask about.
    let found = unsafe { libc::poll(&mut poll, 1, limit.as_millis() as i32) };
    assert!(found >= 0 && poll.revents & !libc::POLLIN == 0, "{found} {}", poll.revents);
    found == 1
}

/// The thread of this process that watches.
fn watcher() -> Option<PathBuf> {
    let mut threads = fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    threads.find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "lapwing-watch\n"))
}

/// In a process without other watches: the thread comes with the watch, takes no signals, and goes with it.
fn watch_and_stop(path: &Path) {
    let reader = Reader::open(path).unwrap();
    assert_eq!(watcher(), None);
    let watch = reader.watch().unwrap();
    let since = Instant::now();
    // It gives itself its name.
    let thread = std::iter::from_fn(|| Some(watcher())).find(|it| it.is_some() || since.elapsed() > SOON).flatten();
    let thread = thread.expect("a thread that watches");
    let status = fs::read_to_string(thread.join("status")).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
    let blocked = u64::from_str_radix(blocked, 16).unwrap();
    for (signal, is) in [(libc::SIGTERM, 1), (libc::SIGALRM, 1), (libc::SIGCHLD, 1), (libc::SIGBUS, 0)] {
        assert_eq!(blocked >> (signal - 1) & 1, is, "signal {signal}: {blocked:x}");
    }
    drop(watch);
    let since = Instant::now();
    // The kernel shows a thread for a moment longer than it runs.
    while thread.exists() {
        assert!(since.elapsed() < SOON);
        std::thread::yield_now();
    }
}

#[test]
fn no_wake_up_is_missed_by_level_or_by_edge() {
    for (access, edges) in [(Access::Mapped, 0), (Access::Copied, 0), (Access::Mapped, libc::EPOLLET)] {
        let folder = Folder::new(&format!("wake-{access:?}-{edges}"));
        let path = ring(&folder);
        let mut reader = Reader::open_with(&path, access).unwrap();
        let watch = reader.watch().unwrap();
        // SAFETY: no preconditions.
        let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | edges) as u32, u64: 7 };
        // SAFETY: two open descriptors, and what to say of one.
        unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, watch.as_fd().as_raw_fd(), &mut event) };
        let mut child = start("slowly", &path);
        let (mut passed, mut wake_ups) = (0, 0u64);
        while passed < RECORDS {
            // SAFETY: room for one.
            let found = unsafe { libc::epoll_wait(epoll, &mut event, 1, SOON.as_millis() as i32) };
            assert_eq!(found, 1, "{access:?} {edges}: nothing came after {passed} records");
            wake_ups += 1;
            loop {
                match reader.next().unwrap() {
                    Read::Record(_) => passed += 1,
                    Read::Lost(gap) => passed += gap.count,
                    Read::NotYet { .. } => break,
                    other => panic!("{other:?}"),
                }
            }
            watch.rearm(&reader).unwrap();
        }
        // Each seventh record has the longest sleep in front of it, and each wake-up may be for nothing once.
        assert!((RECORDS / 7 - 1..=2 * RECORDS + 10).contains(&wake_ups), "{wake_ups}");
        assert!(child.wait().unwrap().success());
        // SAFETY: open, and ours.
        unsafe { libc::close(epoll) };
    }
}

#[test]
fn it_is_readable_while_there_is_something_and_not_else() {
    for access in [Access::Mapped, Access::Copied] {
        let folder = Folder::new(&format!("level-{access:?}"));
        let path = ring(&folder);
        let mut writer = Writer::open(&path).unwrap();
        let mut reader = Reader::open_with(&path, access).unwrap();
        assert_eq!(reader.next().unwrap(), Read::NotYet { in_flight: false });
        let watch = reader.watch().unwrap();
        assert!(!readable(&watch, Duration::from_millis(50)));
        writer.append(Level::INFO, b"one").unwrap();
        writer.append(Level::INFO, b"two").unwrap();
        assert!(readable(&watch, SOON));
        assert!(matches!(reader.next().unwrap(), Read::Record(_)));
        // One more is there: still readable, whether it is armed again or not.
        assert!(readable(&watch, Duration::ZERO));
        watch.rearm(&reader).unwrap();
        assert!(readable(&watch, Duration::ZERO));
        assert!(matches!(reader.next().unwrap(), Read::Record(_)));
        watch.rearm(&reader).unwrap();
        assert!(!readable(&watch, Duration::from_millis(50)));
        // Back to where there is something.
        reader.seek(Seek::Oldest).unwrap();
        watch.rearm(&reader).unwrap();
        assert!(readable(&watch, SOON));
    }
}

#[test]
fn a_loss_and_a_death_are_something_to_read() {
    for access in [Access::Mapped, Access::Copied] {
        let folder = Folder::new(&format!("loss-{access:?}"));
        let path = ring(&folder);
        let mut writer = Writer::open(&path).unwrap();
        writer.append(Level::INFO, b"one").unwrap();
        let mut reader = Reader::open_with(&path, access).unwrap();
        while !matches!(reader.next().unwrap(), Read::NotYet { .. }) {}
        let watch = reader.watch().unwrap();
        assert!(!readable(&watch, Duration::ZERO));
        // The page that it stands on is gone before the thread looks again, or not: both are something.
        for _ in 0..5000 {
            writer.append(Level::INFO, b"many").unwrap();
        }
        assert!(readable(&watch, SOON));
        let mut lost = 0;
        loop {
            match reader.next().unwrap() {
                Read::Lost(gap) => lost += gap.count,
                Read::NotYet { .. } => break,
                _ => {}
            }
        }
        assert!(lost > 4000);

        watch.rearm(&reader).unwrap();
        assert!(!readable(&watch, Duration::ZERO));
        let mut child = start("die", &path);
        let (mut in_flight, mut abandoned) = (0, None);
        let since = Instant::now();
        while abandoned.is_none() {
            assert!(readable(&watch, SOON) && since.elapsed() < SOON, "{in_flight}");
            match reader.next().unwrap() {
                Read::Abandoned(gap) => abandoned = Some(gap),
                Read::NotYet { in_flight: true } => {
                    in_flight += 1;
                    watch.rearm(&reader).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(abandoned, Some(Gap { first: 5001, count: 1 }));
        // Time passed between its looks.
        assert!(in_flight as u128 <= 20 + since.elapsed().as_millis(), "{in_flight}");
        assert!(!child.wait().unwrap().success());
    }
}

#[test]
fn a_file_that_is_cut_short_wakes_its_reader() {
    // To nothing, and to what has HEAD in it.
    for len in [0, 4096] {
        let folder = Folder::new(&format!("cut-{len}"));
        let path = ring(&folder);
        let mut reader = Reader::open_with(&path, Access::Copied).unwrap();
        reader.next().unwrap();
        let watch = reader.watch().unwrap();
        assert!(!readable(&watch, Duration::from_millis(20)));
        File::options().write(true).open(&path).unwrap().set_len(len).unwrap();
        assert!(readable(&watch, SOON));
        assert!(reader.next().is_err());
        assert!(reader.wait(SOON).is_err());
    }
}

#[test]
fn the_thread_is_there_while_the_watch_is_and_takes_no_signals() {
    let folder = Folder::new("thread");
    assert!(start("watch", &ring(&folder)).wait().unwrap().success());
}

#[test]
fn a_forked_child_has_no_part_in_it() {
    let folder = Folder::new("fork");
    let path = ring(&folder);
    let mut reader = Reader::open(&path).unwrap();
    reader.next().unwrap();
    let watch = reader.watch().unwrap();
    let mut writer = Writer::open(&path).unwrap();
    // SAFETY: the child calls what needs no other thread, and leaves by _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let inherited = watch.is_inherited() && watch.rearm(&reader).is_ok();
        drop(watch);
        // SAFETY: ends the child.
        unsafe { libc::_exit(inherited as i32) };
    }
    let mut status = 0;
    // SAFETY: a child of ours, room for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert_eq!(status, 1 << 8);
    assert!(!watch.is_inherited() && !readable(&watch, Duration::from_millis(20)));
    writer.append(Level::INFO, b"one").unwrap();
    assert!(readable(&watch, SOON));
}

#[test]
fn waiting_gives_nothing_away() {
    for access in [Access::Mapped, Access::Copied] {
        let folder = Folder::new(&format!("wait-{access:?}"));
        let path = ring(&folder);
        let mut writer = Writer::open(&path).unwrap();
        let mut reader = Reader::open_with(&path, access).unwrap();
        let since = Instant::now();
        assert_eq!(reader.wait(Duration::from_millis(50)), Ok(false));
        assert!((50..20_000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
        assert_eq!(reader.wait(Duration::ZERO), Ok(false));

        writer.append(Level::INFO, b"one").unwrap();
        for _ in 0..3 {
            assert_eq!((reader.wait(SOON), reader.seq(), reader.counts().read), (Ok(true), 0, 0));
        }
        let Read::Record(record) = reader.next().unwrap() else { panic!() };
        assert_eq!((record.seq, record.payload), (0, &b"one"[..]));

        for _ in 0..5000 {
            writer.append(Level::INFO, b"many").unwrap();
        }
        assert_eq!((reader.wait(SOON), reader.seq(), reader.counts().lost), (Ok(true), 1, 0));
        let Read::Lost(gap) = reader.next().unwrap() else { panic!() };
        assert_eq!((gap.first, gap.count), (1, reader.counts().lost));
        while !matches!(reader.next().unwrap(), Read::NotYet { .. }) {}

        let mut child = start("die", &path);
        assert_eq!((reader.wait(SOON), reader.seq(), reader.counts().abandoned), (Ok(true), 5001, 0));
        assert_eq!(reader.next().unwrap(), Read::Abandoned(Gap { first: 5001, count: 1 }));
        assert!(!child.wait().unwrap().success());
        let counts = reader.counts();
        assert_eq!(counts.read + counts.lost + counts.abandoned, 5002);
    }
}

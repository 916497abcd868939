//! Who is taken for dead, and by what evidence? Real processes that die, stop, fork, exec, close everything, lose their first
//! thread or live in other namespaces, on the file systems that there are.
#![allow(unsafe_code)]

use lapwing_ring::{Create, Evidence, Level, Life, Log, Reader, Writer, WriterStat};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "LIVENESS_ROLE";
const SLOTS: u64 = 4096;

/// The process that this test binary becomes when a role is set.
#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, ring) = role.split_once(' ').unwrap();
    // A test that fails must not leave processes behind.
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let ring = Path::new(ring);
    match role {
        "overlay" => return overlay(ring),
        "overlay-at-once" => return overlay_at_once(ring),
        "overlay-from-below" => return overlay_from_below(ring),
        "namespace" => namespace(),
        _ => {}
    }
    let mut writer = Writer::open(ring).unwrap();
    writer.append(Level::INFO, b"first").unwrap();
    match role {
        "closefrom" => {
            // SAFETY: closes what this process will not use again, the descriptor of the ring among it.
            assert_eq!(unsafe { libc::close_range(3, u32::MAX, 0) }, 0);
        }
        "exec" => {
            std::mem::forget(writer);
            panic!("{}", Command::new("sh").args(["-c", "echo; echo said ready; exec cat"]).exec());
        }
        "fork" => {
            // SAFETY: the child waits for the end of its input, and for nothing else.
            let child = unsafe { libc::fork() };
            if child != 0 {
                // Until it is killed.
                wait_for_ever();
            }
        }
        "memory" => {
            let top = vec![0u8; 64 << 10].leak().as_mut_ptr_range().end.cast();
            let flags = libc::CLONE_VM | libc::SIGCHLD;
            // SAFETY: the child has a stack of its own and makes system calls alone; it shares our memory, as after vfork.
            let child = unsafe { libc::clone(wait_for_input, top, flags, std::ptr::null_mut()) };
            assert!(child > 0);
            say("ready");
            wait_for_ever();
        }
        "leader" => {
            let handler = end_this_thread as extern "C" fn(libc::c_int);
            // SAFETY: the handler makes one system call.
            unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) };
            let pid = std::process::id();
            // The test runner waits on the first thread, whose number is the pid.
            // SAFETY: a signal to a thread of our own.
            unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, libc::SIGUSR1) };
        }
        _ => {}
    }
    wait_and_write(&mut writer);
}

extern "C" fn wait_for_input(_: *mut libc::c_void) -> libc::c_int {
    let mut byte = 0u8;
    // SAFETY: room for one byte.
    while unsafe { libc::read(0, (&raw mut byte).cast(), 1) } > 0 {}
    0
}

fn wait_for_ever() -> ! {
    loop {
        std::thread::park();
    }
}

extern "C" fn end_this_thread(_: libc::c_int) {
    // SAFETY: ends the thread that the signal was sent to, and no other.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// Says that all is set up, waits for the end of its input, appends once more and ends.
fn wait_and_write(writer: &mut Writer) -> ! {
    say("ready");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    say(&format!("{:?}", writer.append(Level::INFO, b"last")));
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

fn say(what: &str) {
    let mut out = std::io::stdout();
    out.write_all(format!("\nsaid {what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Goes on in a child that is the first process of a pid namespace.
fn namespace() {
    // SAFETY: no pointers; refused without privilege.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        say("refused");
        std::process::exit(0);
    }
    // SAFETY: one thread of the test runner waits for us, the child uses none of its locks.
    let child = unsafe { libc::fork() };
    if child != 0 {
        let mut status = 0;
        // SAFETY: our own child, and room for its status.
        unsafe { libc::waitpid(child, &mut status, 0) };
        std::process::exit(0);
    }
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

struct Actor {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Actor {
    fn start(role: &str, ring: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, format!("{role} {}", ring.display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Starts it and waits until it has written its first record.
    fn ready(role: &str, ring: &Path) -> Self {
        let mut actor = Self::start(role, ring);
        assert_eq!(actor.says(), "ready", "{role}");
        actor
    }

    fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "it ended without a word");
            if let Some(said) = line.strip_prefix("said ") {
                return said.trim().to_owned();
            }
        }
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Lets it append once more and end; what it says of that.
    fn finish(mut self) -> String {
        drop(self.child.stdin.take());
        let said = self.says();
        self.child.wait().unwrap();
        said
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct TestRing(PathBuf);

impl TestRing {
    fn new(name: &str) -> Self {
        Self::at(format!("/dev/shm/lapwing-liveness-{}-{name}", std::process::id()).into())
    }

    fn at(path: PathBuf) -> Self {
        Create::new().size(64 << 10).create(&path).unwrap();
        Self(path)
    }

    fn writers(&self) -> Vec<WriterStat> {
        Reader::open(&self.0).unwrap().stat().unwrap().writers
    }

    /// The evidence on the only writer.
    fn evidence(&self) -> Evidence {
        let writers = self.writers();
        assert_eq!(writers.len(), 1, "{writers:?}");
        writers[0].evidence
    }

    /// What it comes to be: the kernel takes a moment to bury a process.
    fn evidence_within_a_second(&self, expected: Evidence) {
        let since = Instant::now();
        while self.evidence() != expected && since.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(self.evidence(), expected);
    }

    fn owner(&self, slot: u64) -> u64 {
        let mut bytes = [0; 8];
        File::open(&self.0).unwrap().read_exact_at(&mut bytes, SLOTS + 128 * slot).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn set_owner(&self, slot: u64, owner: u64) {
        let file = File::options().write(true).open(&self.0).unwrap();
        file.write_all_at(&owner.to_le_bytes(), SLOTS + 128 * slot).unwrap();
    }

    fn has_lock(&self, slot: u64) -> bool {
        self.owner(slot) & 1 == 1
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Asks for a lock on the bytes of `count` slots from `slot` on, held as long as the file; tells whether it was had.
fn lock(ring: &Path, kind: libc::c_int, slot: i64, count: i64) -> (File, bool) {
    let file = File::options().read(true).write(kind == libc::F_WRLCK).open(ring).unwrap();
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: (1 << 40) + slot,
        l_len: count,
        l_pid: 0,
    };
    // SAFETY: an open descriptor, and a lock that the call only reads.
    let had = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0;
    (file, had)
}

/// Makes writers do without locks: a reader's shared ones, on every byte.
fn keep_from_locking(ring: &Path) -> File {
    let (file, had) = lock(ring, libc::F_RDLCK, 0, 1024);
    assert!(had);
    file
}

/// The whole life of a writer whose lock holds.
fn a_locked_life(ring: &TestRing) {
    let mut writer = Actor::ready("write", &ring.0);
    assert!(ring.has_lock(0), "locks work here");
    assert_eq!(ring.evidence(), Evidence::LockHeld);
    writer.kill();
    // Not waited for, so its pid is still taken.
    ring.evidence_within_a_second(Evidence::LockReleased);
    drop(writer);
    assert_eq!(ring.evidence(), Evidence::LockReleased);
    let next = Actor::ready("write", &ring.0);
    assert_eq!((ring.writers().len(), ring.evidence()), (1, Evidence::LockHeld), "the slot changed hands");
    assert_eq!(next.finish(), "Ok(2)");

    let writer = Actor::ready("closefrom", &ring.0);
    assert_eq!(ring.evidence(), Evidence::LockHeld);
    assert!(!lock(&ring.0, libc::F_WRLCK, 0, 1).1, "nobody else can have its lock");
    assert_eq!(writer.finish(), "Ok(4)");
}

#[test]
fn a_lock_on_tmpfs_lasts_as_long_as_the_writer() {
    a_locked_life(&TestRing::new("tmpfs"));
}

#[test]
fn a_lock_on_a_disk_lasts_as_long_as_the_writer() {
    // The build folder lies on a disk, or else on what the tests cannot choose.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output().unwrap();
    let kind = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !["ext2/ext3", "xfs", "btrfs", "f2fs"].contains(&kind.as_str()) {
        println!("skipped: {} is {kind}, which is no disk file system of those with locks that hold", folder.display());
        return;
    }
    println!("on {kind}");
    a_locked_life(&TestRing::at(folder.join(format!("liveness-disk-{}", std::process::id()))));
}

#[test]
fn on_overlayfs_the_self_test_refuses_the_lock_and_the_process_is_the_evidence() {
    on_an_overlay("overlay");
}

#[test]
fn on_overlayfs_the_lock_of_another_who_attaches_does_not_pass_the_self_test() {
    on_an_overlay("overlay-at-once");
}

#[test]
fn a_lock_that_is_held_below_an_overlay_is_not_gone_when_seen_through_it() {
    on_an_overlay("overlay-from-below");
}

fn on_an_overlay(role: &str) {
    let folder = PathBuf::from(format!("/dev/shm/lapwing-liveness-{}-{role}", std::process::id()));
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let mut actor = Actor::start(role, &folder);
    let said = actor.says();
    fs::remove_dir_all(&folder).unwrap();
    match said.as_str() {
        "done" => {}
        refused if refused.starts_with("refused") => println!("skipped: {refused}"),
        other => panic!("{other}"),
    }
}

/// Mounts an overlay over the four folders in a mount namespace of our own; says so if that is refused.
fn mount_overlay(folder: &Path) -> bool {
    // SAFETY: no pointers; refused without privilege.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        say("refused: no mount namespace");
        return false;
    }
    let mount = |args: &[&str]| Command::new("mount").args(args).status().is_ok_and(|status| status.success());
    let at = |name: &str| folder.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let mounted =
        mount(&["--make-rprivate", "/"]) && mount(&["-t", "overlay", "overlay", "-o", &options, &at("merged")]);
    if !mounted {
        say("refused: no overlay mount");
    }
    mounted
}

fn overlay(folder: &Path) {
    if !mount_overlay(folder) {
        return;
    }
    let ring = TestRing::at(folder.join("merged/ring"));
    let mut writer = Actor::ready("closefrom", &ring.0);
    assert!(!ring.has_lock(0), "a lock would be gone with its descriptor here");
    assert_eq!(ring.evidence(), Evidence::Running);
    writer.kill();
    ring.evidence_within_a_second(Evidence::Exited);
    drop(writer);
    assert_eq!(ring.evidence(), Evidence::NoSuchProcess);
    say("done");
}

fn overlay_at_once(folder: &Path) {
    const WRITERS: usize = 6;
    if !mount_overlay(folder) {
        return;
    }
    let ring = TestRing::at(folder.join("merged/ring"));
    let barrier = std::sync::Barrier::new(WRITERS);
    let writers = || {
        barrier.wait();
        Writer::open(&ring.0).unwrap()
    };
    for round in 0..300 {
        let all: Vec<Writer> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(writers)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let dead = ring.writers().iter().filter(|writer| !writer.is_alive()).count();
        if dead != 0 {
            return say(&format!("round {round}: {dead} of {WRITERS} living writers are taken for dead"));
        }
        drop(all);
    }
    say("done");
}

fn overlay_from_below(folder: &Path) {
    if !mount_overlay(folder) {
        return;
    }
    let below = TestRing::at(folder.join("upper/ring"));
    let mut writer = Writer::open(&below.0).unwrap();
    writer.append(Level::INFO, b"first").unwrap();
    // The same words of the same file, by an inode with locks of its own.
    let above = Reader::open(&folder.join("merged/ring")).unwrap();
    let writers = above.stat().unwrap().writers;
    if writers[0].evidence.life() == Life::Dead {
        return say(&format!("a living writer is taken for dead: {}", writers[0].evidence));
    }
    say("done");
}

#[test]
fn an_exec_ends_the_writer_that_was() {
    let ring = TestRing::new("exec");
    let actor = Actor::ready("exec", &ring.0);
    assert!(ring.has_lock(0) && actor.child.id() == ring.writers()[0].pid);
    assert_eq!(ring.evidence(), Evidence::LockReleased, "the process goes on as another program");
}

#[test]
fn a_child_does_not_keep_its_dead_parent_alive() {
    let ring = TestRing::new("fork");
    let mut parent = Actor::ready("fork", &ring.0);
    assert_eq!(ring.evidence(), Evidence::LockHeld, "the child has not written, so it has no slot");
    parent.kill();
    ring.evidence_within_a_second(Evidence::LockReleased);
    drop(parent.child.stdin.take());
    assert_eq!(parent.says(), "Ok(1)", "the child writes on");
}

#[test]
fn while_somebody_has_its_memory_a_killed_writer_is_not_dead() {
    let ring = TestRing::new("memory");
    let mut parent = Actor::ready("memory", &ring.0);
    parent.kill();
    // Not by Child::wait, which closes the input.
    while parent.child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(ring.evidence(), Evidence::LockHeld, "the child could finish what its parent began");
    drop(parent.child.stdin.take());
    ring.evidence_within_a_second(Evidence::LockReleased);
}

#[test]
fn a_process_that_lost_its_first_thread_lives() {
    for locked in [true, false] {
        let ring = TestRing::new(if locked { "leader-locked" } else { "leader" });
        let lock = (!locked).then(|| keep_from_locking(&ring.0));
        let writer = Actor::ready("leader", &ring.0);
        assert_eq!(ring.has_lock(ring.writers()[0].slot as u64), locked);
        if !locked {
            ring.evidence_within_a_second(Evidence::LeaderExited);
        }
        assert_eq!(ring.evidence().life(), Life::Alive);
        assert_eq!(writer.finish(), "Ok(1)");
        drop(lock);
    }
}

#[test]
fn a_writer_in_another_pid_namespace_is_judged_by_its_lock_alone() {
    for locked in [true, false] {
        let ring = TestRing::new(if locked { "pidns-locked" } else { "pidns" });
        let lock = (!locked).then(|| keep_from_locking(&ring.0));
        let mut actor = Actor::start("namespace", &ring.0);
        if actor.says() == "refused" {
            println!("skipped: no pid namespace without privilege");
            return;
        }
        // Its pid means nothing here; by kill(2), "no such process" would be the answer, or somebody else's.
        let (alive, dead) = match locked {
            true => (Evidence::LockHeld, Evidence::LockReleased),
            false => (Evidence::OtherNamespace, Evidence::OtherNamespace),
        };
        assert_eq!(ring.evidence(), alive);
        actor.kill();
        ring.evidence_within_a_second(dead);
        assert_eq!(dead.life() == Life::Dead, locked, "what cannot be proven is not taken for death");
        // Whoever comes next takes over the slot of the dead, and no other.
        let mut writer = Writer::open(&ring.0).unwrap();
        writer.append(Level::INFO, b"next").unwrap();
        assert_eq!(ring.writers().len(), if locked { 1 } else { 2 });
        drop(lock);
    }
}

#[test]
fn another_process_with_the_pid_is_not_the_writer() {
    let ring = TestRing::new("reuse");
    let _lock = keep_from_locking(&ring.0);
    let writer = Actor::ready("write", &ring.0);
    let slot = ring.writers()[0].slot as u64;
    let owner = ring.owner(slot);
    assert_eq!(ring.evidence(), Evidence::Running);
    ring.set_owner(slot, owner ^ 1 << 1);
    assert_eq!(ring.evidence(), Evidence::PidReused, "another start time");
    ring.set_owner(slot, owner & !(((1 << 27) - 1) << 1));
    assert_eq!(ring.evidence(), Evidence::Running, "no start time proves nothing");
    ring.set_owner(slot, owner);
    assert_eq!(writer.finish(), "Ok(1)");
}

#[test]
fn a_stopped_writer_lives() {
    let ring = TestRing::new("stopped");
    let writer = Actor::ready("write", &ring.0);
    let signal = |number| {
        // SAFETY: our own child, which was not waited for.
        unsafe { libc::kill(writer.child.id() as i32, number) };
    };
    signal(libc::SIGSTOP);
    let stat = format!("/proc/{}/stat", writer.child.id());
    while !fs::read_to_string(&stat).unwrap().contains(") T ") {
        std::thread::yield_now();
    }
    assert_eq!(ring.evidence(), Evidence::LockHeld);
    signal(libc::SIGCONT);
    assert_eq!(writer.finish(), "Ok(1)");
}

#[test]
fn a_reader_that_locks_every_byte_disturbs_nobody() {
    let ring = TestRing::new("readlock");
    let mut before = Actor::ready("write", &ring.0);
    assert!(ring.has_lock(0));
    let (_locks, had) = lock(&ring.0, libc::F_RDLCK, 1, 1023);
    assert!(had);
    let after = Actor::ready("write", &ring.0);
    assert!((1..8).all(|slot| !ring.has_lock(slot)), "every byte was taken, so its process is the evidence");
    let evidence: Vec<Evidence> = ring.writers().iter().map(|writer| writer.evidence).collect();
    assert_eq!(evidence, [Evidence::LockHeld, Evidence::Running]);
    before.kill();
    before.child.wait().unwrap();
    let evidence: Vec<Evidence> = ring.writers().iter().map(|writer| writer.evidence).collect();
    assert_eq!(evidence, [Evidence::LockReleased, Evidence::Running]);
    // Who reclaims the slot is not kept out by a shared lock on its byte either.
    let (_lock, had) = lock(&ring.0, libc::F_RDLCK, 0, 1);
    assert!(had);
    let third = Actor::ready("write", &ring.0);
    assert_eq!(ring.writers().len(), 2, "the dead writer's slot was freed");
    assert_eq!([after.finish(), third.finish()], ["Ok(3)", "Ok(4)"]);
}

#[test]
fn in_a_ring_of_another_boot_everybody_without_a_lock_is_dead() {
    let ring = TestRing::new("boot");
    let writer = Actor::ready("write", &ring.0);
    let file = File::options().read(true).write(true).open(&ring.0).unwrap();
    let mut boot = [0; 8];
    file.read_exact_at(&mut boot, 80).unwrap();
    boot[3] ^= 1;
    file.write_all_at(&boot, 80).unwrap();
    // As where files have no time of birth: a file in memory that has this one is of this boot.
    file.write_all_at(&[0; 8], 128).unwrap();
    assert_eq!(ring.evidence(), Evidence::LockHeld, "a boot id can be a container's own");
    assert!(matches!(Writer::open(&ring.0), Err(lapwing_ring::Error::OtherBoot { .. })));
    let mut reader = Reader::open(&ring.0).unwrap();
    assert!(matches!(reader.next(), Ok(lapwing_ring::Read::Record(record)) if record.payload == b"first"));
    drop(writer);
    assert_eq!(ring.evidence(), Evidence::OtherBoot);
}

/// One slot, every writer of a pool and of a handle: what is given back is free, and its lock with it.
#[test]
fn what_is_given_back_leaves_no_lock() {
    let ring = TestRing::new("release");
    let log = Log::open(&ring.0).unwrap();
    for round in 0..3 {
        log.append(Level::INFO, b"x").unwrap();
        let writer = Writer::open(&ring.0).unwrap();
        assert!(ring.has_lock(0) && ring.has_lock(1), "round {round}");
        drop(writer);
        log.release();
        assert_eq!(ring.writers(), []);
        // Nobody holds any of them: an exclusive lock on all is to be had.
        assert!(lock(&ring.0, libc::F_WRLCK, 0, 1024).1);
    }
}

//! The verdict beside the one of the OpenTelemetry eBPF profiler (its `isPIDLive`): where that one calls the living dead or the
//! dead alive, and where both agree.
#![allow(unsafe_code)]

use lapwing_ring::{Create, Evidence, Level, Life, Reader, Writer};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "REFERENCE_ROLE";
const NOBODY: libc::uid_t = 65534;

/// `isPIDLive` of the profiler's process manager: `kill(pid, 0)`, and where that is denied, whether /proc has the process.
fn is_pid_live(pid: u32) -> bool {
    // SAFETY: no signal is sent.
    if unsafe { libc::kill(pid as libc::pid_t, 0) } == 0 {
        return true;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ESRCH) => false,
        Some(libc::EPERM) => {
            let maps = Path::new("/proc").join(pid.to_string()).join("maps");
            !maps.metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        }
        _ => true,
    }
}

/// What both say of the only writer of a ring.
fn judge(ring: &Path) -> (bool, Evidence) {
    let writers = Reader::open(ring).unwrap().stat().unwrap().writers;
    assert_eq!(writers.len(), 1, "{writers:?}");
    (is_pid_live(writers[0].pid), writers[0].evidence)
}

/// The process that this test binary becomes when a role is set: `ROLE PID RING`.
#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut parts = role.splitn(3, ' ');
    let (role, pid, ring) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    let (pid, ring): (libc::pid_t, _) = (pid.parse().unwrap(), Path::new(ring));
    die_with_parent();
    match role {
        "namespace" => namespace(pid),
        "reuse" => {
            become_child(fork_as(pid));
            say("ready");
            loop {
                std::thread::park();
            }
        }
        "nobody" => {
            // SAFETY: no pointers; of this process alone.
            assert_eq!(unsafe { libc::setuid(NOBODY) }, 0);
            let (live, evidence) = judge(ring);
            say(&format!("{live} {evidence:?}"));
            return;
        }
        _ => {}
    }
    let mut writer = Writer::open(ring).unwrap();
    writer.append(Level::INFO, b"first").unwrap();
    say("ready");
    let _ = io::stdin().read_to_end(&mut Vec::new());
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

fn die_with_parent() {
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

fn say(what: &str) {
    let mut out = io::stdout();
    out.write_all(format!("\nsaid {what}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A child with this very pid, in the pid namespace that children are in.
fn fork_as(pid: libc::pid_t) -> libc::pid_t {
    // SAFETY: all zeros are values of it.
    let mut how: libc::clone_args = unsafe { std::mem::zeroed() };
    how.exit_signal = libc::SIGCHLD as u64;
    how.set_tid = (&raw const pid).addr() as u64;
    how.set_tid_size = 1;
    // SAFETY: as fork does: no memory is shared and no stack given; the kernel reads `how` and `pid`. The child uses nothing
    // that another thread of its parent may have held.
    let child = unsafe { libc::syscall(libc::SYS_clone3, &raw const how, size_of_val(&how)) };
    if child < 0 {
        say(&format!("refused: no child of a chosen pid: {}", io::Error::last_os_error()));
        std::process::exit(0);
    }
    child as libc::pid_t
}

/// Goes on as the child; the parent waits for it.
fn become_child(child: libc::pid_t) {
    if child != 0 {
        let mut status = 0;
        // SAFETY: our own child, and room for its status.
        unsafe { libc::waitpid(child, &mut status, 0) };
        std::process::exit(0);
    }
    die_with_parent();
}

/// Goes on as process `pid` of another pid namespace.
fn namespace(pid: libc::pid_t) {
    // SAFETY: no pointers; refused without privilege.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } != 0 {
        say(&format!("refused: no pid namespace: {}", io::Error::last_os_error()));
        std::process::exit(0);
    }
    // SAFETY: the child uses nothing that another thread may have held.
    become_child(unsafe { libc::fork() });
    become_child(fork_as(pid));
}

struct Actor {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Actor {
    fn start(role: &str, pid: u32, ring: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, format!("{role} {pid} {}", ring.display()));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Starts it; `None`, and it is said, where that takes a privilege that is missing.
    fn ready(role: &str, pid: u32, ring: &Path) -> Option<Self> {
        let mut actor = Self::start(role, pid, ring);
        match actor.says() {
            said if said == "ready" => Some(actor),
            said => {
                println!("SKIPPED: {role}: {said}");
                None
            }
        }
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

    /// Kills it, and asks for its status.
    fn end(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
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
        let path = PathBuf::from(format!("/dev/shm/lapwing-reference-{}-{name}", std::process::id()));
        Create::new().size(64 << 10).mode(0o666).create(&path).unwrap();
        Self(path)
    }

    /// Writers do without locks as long as somebody reads every one of them.
    fn without_locks(&self) -> File {
        let file = File::open(&self.0).unwrap();
        let lock = libc::flock {
            l_type: libc::F_RDLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 1 << 40,
            l_len: 1024,
            l_pid: 0,
        };
        // SAFETY: an open descriptor, and a lock that the call only reads.
        assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) }, 0);
        file
    }

    fn judge_within_a_second(&self, expected: (bool, Evidence)) {
        let since = Instant::now();
        while judge(&self.0) != expected && since.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(judge(&self.0), expected);
    }
}

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A pid that nobody has here.
fn free_pid() -> u32 {
    (300..30_000).rev().find(|&pid| !is_pid_live(pid)).unwrap()
}

#[test]
fn a_living_writer_of_another_pid_namespace_is_dead_to_the_reference_and_not_to_the_ring() {
    let pid = free_pid();
    let ring = TestRing::new("namespace");
    let Some(writer) = Actor::ready("namespace", pid, &ring.0) else { return };
    assert_eq!(judge(&ring.0), (false, Evidence::LockHeld));
    writer.end();
    ring.judge_within_a_second((false, Evidence::LockReleased));

    let ring = TestRing::new("namespace-unlocked");
    let _lock = ring.without_locks();
    let writer = Actor::ready("namespace", pid, &ring.0).unwrap();
    assert_eq!(judge(&ring.0), (false, Evidence::OtherNamespace));
    assert_eq!(Evidence::OtherNamespace.life(), Life::Unknown, "its pages stay its own");
    writer.end();
}

#[test]
fn a_writer_of_another_user_is_alive_to_both_until_it_is_dead() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: another user: takes root");
        return;
    }
    for (locked, alive, dead) in [(true, "LockHeld", "LockReleased"), (false, "Running", "NoSuchProcess")] {
        let ring = TestRing::new(if locked { "user" } else { "user-unlocked" });
        let _lock = (!locked).then(|| ring.without_locks());
        let writer = Actor::ready("write", 0, &ring.0).unwrap();
        let as_nobody = || Actor::start("nobody", 0, &ring.0).says();
        assert_eq!(as_nobody(), format!("true {alive}"));
        writer.end();
        assert_eq!(as_nobody(), format!("false {dead}"));
    }
}

#[test]
fn a_writer_whose_pid_somebody_else_has_now_is_alive_to_the_reference_and_dead_to_the_ring() {
    for (locked, dead) in [(true, Evidence::LockReleased), (false, Evidence::PidReused)] {
        let ring = TestRing::new(if locked { "reused" } else { "reused-unlocked" });
        let _lock = (!locked).then(|| ring.without_locks());
        let writer = Actor::ready("write", 0, &ring.0).unwrap();
        let pid = writer.child.id();
        writer.end();
        // The kernel counts starts in hundredths of a second.
        std::thread::sleep(Duration::from_millis(20));
        let Some(_other) = Actor::ready("reuse", pid, &ring.0) else { return };
        assert_eq!(judge(&ring.0), (true, dead));
    }
}

#[test]
fn a_writer_that_nobody_has_waited_for_is_alive_to_the_reference_and_dead_to_the_ring() {
    let ring = TestRing::new("zombie");
    let _lock = ring.without_locks();
    let mut writer = Actor::ready("write", 0, &ring.0).unwrap();
    assert_eq!(judge(&ring.0), (true, Evidence::Running));
    writer.child.kill().unwrap();
    ring.judge_within_a_second((true, Evidence::Exited));
    writer.child.wait().unwrap();
    assert_eq!(judge(&ring.0), (false, Evidence::NoSuchProcess), "and to both when its parent has");
}

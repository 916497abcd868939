//! A creator killed at each of its system calls, on entry and on return: there is no ring, or a complete one, and nothing
//! beside it that is not known for what it is.
#![allow(unsafe_code)]

mod folder;

use folder::{Folder, small};
use lapwing_ring::{Leftover, Level, Read, Reader, Unused, Writer};
use std::fs;
use std::process::Command;

const ROLE: &str = "CREATE_ROLE";

/// Runs a campaign in a process of its own, which forks without other threads around.
fn act(role: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output =
        command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]).env(ROLE, role).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{role}: {}{errors}", String::from_utf8_lossy(&output.stdout));
    for line in errors.lines().filter(|line| line.contains("SKIPPED") || line.contains(" kills, ")) {
        eprintln!("{line}");
    }
}

#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let unnamed_files = role == "unnamed";
    let folder = Folder::new(&format!("killed-{role}"));
    let ring = folder.join("ring");
    let (mut without, mut with, mut leftovers, mut kills) = (0, 0, 0, 0);
    for stops in 0.. {
        let child = creator(&folder, unnamed_files);
        let Some(child) = child else { return eprintln!("SKIPPED: no ptrace, or no seccomp filters, here") };
        let ended = !step(child, stops);
        if !ended {
            kill(child);
            kills += 1;
        }
        let names = folder.names();
        if names.iter().any(|name| name == "ring") {
            with += 1;
            let mut reader = Reader::open(&ring).unwrap();
            assert!(matches!(reader.next(), Ok(Read::NotYet { in_flight: false })));
            drop(reader);
            assert!(Unused::hold(&ring).unwrap().is_some(), "a dead creator holds no lock");
            assert_eq!(Writer::open(&ring).unwrap().append(Level::INFO, b"first"), Ok(0), "stop {stops}");
        } else {
            without += 1;
        }
        for name in names.iter().filter(|&name| name != "ring") {
            assert!(!unnamed_files && !ended, "stop {stops} left {name}");
            leftovers += 1;
            let left = Leftover::hold(&folder.join(name)).unwrap();
            left.unwrap_or_else(|| panic!("stop {stops}: {name} is not known for what it is")).remove().unwrap();
        }
        let _ = fs::remove_file(&ring);
        assert_eq!(folder.names(), [""; 0], "stop {stops}");
        if ended {
            break;
        }
        small().create(&ring).unwrap();
        fs::remove_file(&ring).unwrap();
    }
    assert!(kills > 40 && with > 1 && without > 40, "{kills} kills: {with} with a ring, {without} without");
    assert_eq!(leftovers > 10, !unnamed_files, "{leftovers} leftovers");
    eprintln!("{role}: {kills} kills, {without} without a ring, {with} with one, {leftovers} leftovers");
}

/// A child that is about to create a ring, stopped.
fn creator(folder: &Folder, unnamed_files: bool) -> Option<libc::pid_t> {
    let ring = folder.join("ring");
    // SAFETY: one thread; the child makes library calls only.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let allowed = unnamed_files || forbid_unnamed_files();
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: asks to be traced by the parent; no addresses.
        let traced = unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, none, none) } == 0;
        if !allowed || !traced {
            exit(2);
        }
        // SAFETY: stops this process until its tracer goes on.
        unsafe { libc::raise(libc::SIGSTOP) };
        exit(small().create(&ring).is_err() as i32);
    }
    let status = wait(child);
    if libc::WIFEXITED(status) {
        return None;
    }
    let options = (libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL) as usize;
    // SAFETY: our own stopped tracee; options are a number.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, child, 0usize, options) }, 0);
    Some(child)
}

fn exit(code: i32) -> ! {
    // SAFETY: ends the process, past destructors and the test runner's words.
    unsafe { libc::_exit(code) }
}

/// Answers `openat` for an unnamed file as a file system does that has none. True if that can be had.
fn forbid_unnamed_files() -> bool {
    const FLAGS: u32 = 16 + 2 * 8;
    let code = |code: u32| code as u16;
    let is_openat = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let is_unnamed = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let give = libc::BPF_RET | libc::BPF_K;
    let line = |op, jt, jf, k| libc::sock_filter { code: code(op), jt, jf, k };
    let mut lines = [
        line(load, 0, 0, 0),
        line(is_openat, 0, 3, libc::SYS_openat as u32),
        line(load, 0, 0, FLAGS),
        line(is_unnamed, 0, 1, (libc::O_TMPFILE & !libc::O_DIRECTORY) as u32),
        line(give, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP as u32),
        line(give, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: lines.len() as u16, filter: lines.as_mut_ptr() };
    // SAFETY: gives up privileges of later images of this process, no more.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return false;
    }
    // SAFETY: a filter program with its length, both alive during the call, which copies them.
    unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0 }
}

/// Lets `child` go on by `stops` entries of and returns from system calls. False if it ended before, well.
fn step(child: libc::pid_t, stops: u32) -> bool {
    for _ in 0..stops {
        // SAFETY: our own stopped tracee, no signal.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_SYSCALL, child, 0usize, 0usize) }, 0);
        let status = wait(child);
        if libc::WIFEXITED(status) {
            assert_eq!(libc::WEXITSTATUS(status), 0, "the ring was made");
            return false;
        }
        assert!(libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80, "{status:x}");
    }
    true
}

fn kill(child: libc::pid_t) {
    // SAFETY: our own child.
    assert_eq!(unsafe { libc::kill(child, libc::SIGKILL) }, 0);
    assert!(libc::WIFSIGNALED(wait(child)));
}

fn wait(child: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: our own child, and room for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    status
}

#[test]
fn killed_at_each_system_call_a_creator_leaves_no_ring_or_a_complete_one_and_nothing_else() {
    act("unnamed");
}

#[test]
fn where_files_need_a_name_what_a_killed_creator_leaves_is_known_for_what_it_is() {
    act("named");
}

//! Rings with something wrong: records that are lost, a writer that died, another version.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(unsafe_code)]

pub mod reader;

use lapwing_ring::{Create, Level, Writer};
use libc::c_int;
use std::fs;
use std::path::Path;

/// An empty ring, a small one.
pub fn ring(folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join("ring");
    Create::new().size(64 << 10).create(&path).unwrap();
    path
}

/// A user who owns nothing; for tests that run as root.
pub const NOBODY: u32 = 65534;

pub fn euid() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::geteuid() }
}

/// A small ring in which records from `oldest()` to 2999 are left, then 3000, which was abandoned, and 3001.
///
/// Record n says "record n".
pub fn with_every_gap(path: &Path) -> u32 {
    Create::new().size(64 << 10).mode(0o644).create(path).unwrap();
    append(path, 0..3000);
    let dead = die_inside(path);
    append(path, 3001..3002);
    dead
}

pub fn append(path: &Path, numbers: std::ops::Range<u64>) {
    let mut writer = Writer::open(path).unwrap();
    for n in numbers {
        assert_eq!(writer.append(Level::INFO, format!("record {n}").as_bytes()), Ok(n));
    }
}

/// Lets a process die in the middle of an append; gives its pid.
pub fn die_inside(path: &Path) -> u32 {
    let pid = append_unreadable(path, libc::SIG_DFL);
    let mut status = 0;
    // SAFETY: a child of ours, room for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    assert!(libc::WIFSIGNALED(status), "{status:x}");
    pid as u32
}

/// Lets a process stop in the middle of an append, to be [killed](kill).
pub fn stop_inside(path: &Path) -> libc::pid_t {
    extern "C" fn stop(_: c_int) {
        // SAFETY: raise is safe in a signal handler.
        unsafe { libc::raise(libc::SIGSTOP) };
    }
    let pid = append_unreadable(path, stop as extern "C" fn(c_int) as libc::sighandler_t);
    let mut status = 0;
    // SAFETY: a child of ours, room for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) }, pid);
    assert!(libc::WIFSTOPPED(status), "{status:x}");
    pid
}

pub fn kill(pid: libc::pid_t) {
    // SAFETY: a child of ours that nobody has waited for.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    // SAFETY: as above.
    unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
}

/// A child that appends what it cannot read; `action` is what its SIGSEGV does.
fn append_unreadable(path: &Path, action: libc::sighandler_t) -> libc::pid_t {
    // SAFETY: the child uses what is its own, and ends by a signal, or by _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: a test that fails leaves no stopped process behind.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // SAFETY: no core file of what comes now.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
        // SAFETY: the default action, or a handler that makes async-signal-safe calls alone.
        unsafe { libc::signal(libc::SIGSEGV, action) };
        let (protection, flags) = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a fresh anonymous mapping without access.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
        if let Ok(mut writer) = Writer::open(path) {
            // SAFETY: mapped for ever; what comes of reading it is what is wanted.
            let _ = writer.append(Level::INFO, unsafe { std::slice::from_raw_parts(at.cast(), 100) });
        }
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    pid
}

/// Files that are no rings that can be read, with a word of what is said of each.
pub fn put_unreadable(folder: &Path) -> Vec<(std::path::PathBuf, lapwing::lapwing_error, &'static str)> {
    use lapwing::lapwing_error::*;
    let ring = folder.join("whole");
    Create::new().size(64 << 10).create(&ring).unwrap();
    let whole = fs::read(&ring).unwrap();
    let put = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).unwrap();
        folder.join(name)
    };
    let with_word = |offset: usize, value: u64| {
        let mut bytes = whole.clone();
        bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    vec![
        (folder.join("none"), LAPWING_E_NOT_FOUND, "no such ring"),
        (folder.join("."), LAPWING_E_NOT_A_RING, "is a folder"),
        (put("text", &[b'x'; 100]), LAPWING_E_NOT_A_RING, "is not a ring"),
        (put("short", &whole[..whole.len() / 2]), LAPWING_E_TRUNCATED, "is cut short"),
        (put("version", &with_word(8, 999)), LAPWING_E_VERSION, "format version 999"),
        (put("pages", &with_word(24, 3)), LAPWING_E_DAMAGED, "power of two"),
        (put("clock", &with_word(96, 77)), LAPWING_E_CLOCK, "clock 77"),
        (put("head", &with_word(1024, u64::MAX << 27)), LAPWING_E_DAMAGED, "is damaged"),
    ]
}

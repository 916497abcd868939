//! A signal handler that comes in between any two instructions of the main thread's append: it appends, gives the slots back,
//! and has another writer take what is free. Nobody may share a slot, and every record is there once.
#![cfg(target_arch = "x86_64")]
#![allow(unsafe_code)]

mod folder;
mod tracee;

use atomic::Atomic;
use atomic::Ordering::SeqCst;
use folder::{Folder, small};
use lapwing_ring::{Level, Log, Read, Reader, Writer};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tracee::{Tracee, shared};

static LOG: OnceLock<(Log, PathBuf)> = OnceLock::new();

fn append(text: &[u8]) {
    assert!(LOG.get().is_some_and(|(log, _)| log.append(Level::INFO, text).is_ok()));
}

extern "C" fn handler(_: libc::c_int) {
    append(b"handler");
    let (log, path) = LOG.get().unwrap();
    log.release();
    // An append allocates nothing, so nobody is interrupted in it.
    let mut other = Writer::open(path).unwrap();
    assert!(other.append(Level::INFO, b"other").is_ok());
    // Its slot stays taken.
    std::mem::forget(other);
}

/// Places that are tried: all of them where an append has hundreds of instructions, some where it has thousands.
const EVERY: usize = if cfg!(debug_assertions) { 89 } else { 1 };

/// The main thread's process: `over` is 1 in the append that is interrupted, 2 behind it.
fn start(ring: &Path, over: &'static Atomic<usize>) -> Tracee {
    let first = || {
        assert!(LOG.set((Log::open(ring).unwrap(), ring.to_owned())).is_ok());
        // SAFETY: the handler lives as long as the program, and allocates while nobody else does.
        unsafe { libc::signal(libc::SIGUSR1, handler as extern "C" fn(libc::c_int) as libc::sighandler_t) };
        append(b"first");
    };
    Tracee::start(first, || {
        over.store(1, SeqCst);
        append(b"main");
        over.store(2, SeqCst);
        append(b"after");
    })
}

#[test]
fn a_handler_between_any_two_instructions_shares_no_slot() {
    let (folder, over) = (Folder::new("handler-steps"), shared());
    let ring = folder.join("ring");
    let mut interrupted = 0;
    for at in (0..).step_by(EVERY) {
        let _ = fs::remove_file(&ring);
        small().create(&ring).unwrap();
        over.store(0, SeqCst);
        let tracee = start(&ring, over);
        for _ in 0..at {
            assert!(tracee.step());
        }
        if over.load(SeqCst) == 2 {
            break;
        }
        interrupted += over.load(SeqCst);
        assert!(!tracee.go_on_with(libc::SIGUSR1), "it has ended");

        let mut reader = Reader::open(&ring).unwrap();
        let mut texts: Vec<Vec<u8>> = Vec::new();
        while let Read::Record(record) = reader.next().unwrap() {
            texts.push(record.payload.to_vec());
        }
        texts.sort();
        assert_eq!(texts.concat(), b"afterfirsthandlermainother", "at {at}");
        let stat = reader.stat().unwrap();
        let mut records: Vec<_> = stat.writers.iter().map(|writer| (writer.records, writer.appending)).collect();
        records.sort();
        // What the slot counts that was given back went with it.
        let [before, within, behind] = [2, 3, 1].map(|count| [(1, false), (count, false)]);
        assert!([before, within, behind].iter().any(|expected| records == expected), "at {at}: {records:?}");
    }
    println!("{interrupted} places");
    assert!(interrupted > 20, "an append has more instructions");
}

//! What would be found of an unfinished line if its writer died in front of any of its instructions? The writer runs one
//! instruction at a time, and whenever the room for lines has changed, a copy of the ring says what a death would leave.
#![cfg(target_arch = "x86_64")]
#![allow(unsafe_code)]

mod folder;
mod tracee;

use atomic::Atomic;
use atomic::Ordering::SeqCst;
use folder::Folder;
use lapwing_ring::{Create, Kept, LastWords, Level, Log, Reader, Source, identify_path};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use tracee::{Tracee, shared};

/// What the writer does, one after the other: the line so far, or nothing for the end of it, and whether it is another one.
const STEPS: [(&[u8], bool); 8] = [
    (b"a line", false),
    (b"a line that grows, over the ends of words", false),
    (b"a line that grows, over the ends of words!", false),
    (b"another one in its place", true),
    (b"another one in its place, and more of it than of that", false),
    (b"", false),
    (b"one more", false),
    (b"x", true),
];

fn level(step: usize) -> Level {
    if step < 3 { Level::INFO } else { Level::WARN }
}

/// The writer: `done` counts the steps behind it.
fn write(log: &Log, done: &Atomic<usize>) {
    let mut kept = Kept::NOWHERE;
    for (i, &(text, anew)) in STEPS.iter().enumerate() {
        if anew {
            kept.begin_anew();
        }
        match text {
            b"" => log.let_go(&mut kept),
            _ => assert!(log.keep(&mut kept, level(i), Source::Stdout, text)),
        }
        done.store(i + 1, SeqCst);
    }
}

/// What a death would leave now.
fn left(ring: &Path, copy: &Path) -> Vec<LastWords> {
    fs::copy(ring, copy).unwrap();
    Reader::open(copy).unwrap().last_words().unwrap()
}

/// The line that step `i` makes, if it makes one.
fn line(i: usize) -> Option<(&'static [u8], Level)> {
    let (text, _) = STEPS[i];
    (!text.is_empty()).then(|| (text, level(i)))
}

#[test]
fn at_every_instruction_a_line_is_as_it_was_kept_or_as_it_is_being_kept() {
    let folder = Folder::new("last-steps");
    let (ring, copy) = (folder.join("ring"), folder.join("copy"));
    Create::new().size(64 << 10).create(&ring).unwrap();
    let identity = identify_path(&ring).unwrap();
    let (from, to) = (identity.geometry.pages_end(), identity.geometry.file_len(identity.lines));
    let (log, done, file) = (Log::open(&ring).unwrap(), shared(), File::open(&ring).unwrap());
    // To claim a slot takes many instructions, none of which is about lines.
    let first = || assert!(log.append(Level::INFO, b"first").is_ok());
    let tracee = Tracee::start(first, || write(&log, done));
    let [mut before, mut now] = [vec![0; (to - from) as usize], vec![0; (to - from) as usize]];
    let (mut steps, mut looks, mut seen) = (0usize, 0usize, [false; STEPS.len()]);
    while tracee.step() {
        steps += 1;
        file.read_exact_at(&mut now, from).unwrap();
        if now == before {
            continue;
        }
        std::mem::swap(&mut now, &mut before);
        looks += 1;
        let done = done.load(SeqCst);
        // What is kept; what is about to be; and nothing only where a line ends or gives way to another one.
        let kept = done.checked_sub(1).and_then(line);
        let (next, ends) = match STEPS.get(done) {
            Some(&(text, anew)) => (line(done), anew || text.is_empty() || kept.is_none()),
            None => (None, false),
        };
        match &left(&ring, &copy)[..] {
            [] => assert!(ends, "after {steps} instructions, {done} steps: {kept:?} is lost"),
            [words] => {
                let found = Some((&words.text[..], words.level));
                assert!(found == kept || found == next, "after {steps} instructions, {done} steps: {words:?}");
                assert_eq!((words.pid, words.tid), (tracee.0 as u32, tracee.0 as u32));
                assert_eq!(words.source, Source::Stdout);
                assert!(words.comm.starts_with(b"last_words") || words.comm.starts_with(b"at_every"), "{words:?}");
                if found == next {
                    seen[done] = true;
                }
            }
            more => panic!("after {steps} instructions: {more:?}"),
        }
    }
    let expected: Vec<bool> = (0..STEPS.len()).map(|i| line(i).is_some()).collect();
    assert_eq!(seen.to_vec(), expected, "every line was there before its step was over");
    println!("{steps} instructions, {looks} changes");
}

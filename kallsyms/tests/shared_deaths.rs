//! A publisher that dies leaves the old table or the new one, readers that find what is there, and work for the next publisher.

#![allow(unsafe_code)]

mod tables;

use lapwing_kallsyms::shared::{Attached, PublishError};
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};
use tables::{Player, attached_number, names, number, part, publish_number, say};

#[test]
#[ignore = "a process of the test below"]
fn publishes_without_end() {
    let Some((path, numbers)) = part() else { return };
    for number in numbers[0].. {
        say(publish_number(&path, number).unwrap());
    }
}

/// Refreshes until the reader has what is at the path.
fn catch_up(attached: &Attached, path: &Path) {
    let there = Attached::open_of_any_boot(path).unwrap().snapshot();
    let begun = Instant::now();
    while attached.snapshot().generation() != there.generation() {
        // Well before it would look at the path without a word from a publisher.
        let late = begun.elapsed() > Duration::from_millis(300);
        let attached = attached.refresh().unwrap();
        assert!(attached || !late, "a reader is left behind");
    }
    assert_eq!(number(&attached.snapshot()), number(&there));
}

#[test]
fn publishers_killed_at_any_time_are_followed_by_others() {
    const DEATHS: u64 = 150;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let mut last = publish_number(&path, 0).unwrap();
    let attached = Attached::open_of_any_boot(&path).unwrap();
    let mut unfinished = 0;
    for death in 1..=DEATHS {
        let mut publisher = Player::start("publishes_without_end", &path, &[death]);
        let first = publisher.hear().unwrap();
        assert!(first > last, "generation {first} after {last}");
        // Odd steps, so that deaths fall everywhere between two tables.
        std::thread::sleep(Duration::from_nanos(7919 * (death * 31 % 127)));
        publisher.kill();
        last = std::iter::from_fn(|| publisher.hear()).last().unwrap_or(first);
        unfinished += u64::from(path.with_added_extension("new").exists());
        catch_up(&attached, &path);
        let generation = attached.snapshot().generation();
        assert!([last, last + 1].contains(&generation), "{generation} is there, and {last} was published");
        last = generation;
    }
    println!("{unfinished} of {DEATHS} died with an unfinished file");
    assert_eq!(publish_number(&path, 1).unwrap(), last + 1);
    catch_up(&attached, &path);
    assert_eq!(names(folder.path()), ["kallsyms", "kallsyms.lock"]);
}

#[test]
#[ignore = "a process of the test below"]
fn publishes_under_a_tracer() {
    let Some((path, numbers)) = part() else { return };
    // SAFETY: of this thread alone.
    assert_eq!(unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) }, 0);
    // SAFETY: no arguments.
    say(unsafe { libc::gettid() } as u64);
    // SAFETY: stops this thread until the tracer goes on; it does not pass the signal on.
    unsafe { libc::raise(libc::SIGSTOP) };
    publish_number(&path, numbers[0]).unwrap();
    // SAFETY: ends the process; what publishing does ends before.
    unsafe { libc::_exit(0) };
}

/// Lets the thread go on to its next stop. False: it has ended.
fn step(thread: libc::pid_t) -> bool {
    // SAFETY: our own tracee, which stands still.
    let gone_on = unsafe { libc::ptrace(libc::PTRACE_SYSCALL, thread, 0, 0) };
    assert_eq!(gone_on, 0);
    stops(thread)
}

fn stops(thread: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: a tracee of ours, room for its status.
    assert_eq!(unsafe { libc::waitpid(thread, &mut status, libc::__WALL) }, thread);
    libc::WIFSTOPPED(status)
}

/// Everything that others can see of a publisher is done by a system call, so this is every way to die.
#[test]
fn a_publisher_killed_before_or_after_any_system_call_leaves_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let (mut announced, mut renamed) = (0, 0);
    for exists in [true, false] {
        let mut deaths = 0;
        'deaths: loop {
            let attached = exists.then(|| {
                publish_number(&path, 1).unwrap();
                Attached::open_of_any_boot(&path).unwrap()
            });
            if !exists {
                let _ = fs::remove_file(&path);
            }
            let mut publisher = Player::start("publishes_under_a_tracer", &path, &[2]);
            let thread = publisher.hear().unwrap() as libc::pid_t;
            assert!(stops(thread));
            let ended = (0..=deaths).any(|_| !step(thread));
            if !ended {
                // SAFETY: a child that nobody has waited for, so the number is still its own.
                unsafe { libc::kill(publisher.id() as libc::pid_t, libc::SIGKILL) };
                // Its process does not end before the tracer has heard of its thread's end.
                while stops(thread) {}
            }
            publisher.kill();
            let there = match Attached::open_of_any_boot(&path) {
                Ok(there) => Some(number(&there.snapshot())),
                Err(_) if !exists => {
                    assert!(!path.exists());
                    None
                }
                Err(error) => panic!("{error}"),
            };
            match &attached {
                Some(attached) => {
                    catch_up(attached, &path);
                    assert!([Some(1), Some(2)].contains(&there));
                    announced += u64::from(there == Some(1) && attached.is_stale());
                }
                None => assert!([None, Some(2)].contains(&there)),
            }
            renamed += u64::from(there == Some(2));
            publish_number(&path, 3).unwrap();
            assert_eq!(attached_number(&path), 3);
            if let Some(attached) = &attached {
                catch_up(attached, &path);
                assert!(!attached.is_stale());
            }
            assert_eq!(names(folder.path()), ["kallsyms", "kallsyms.lock"]);
            if ended {
                assert_eq!(there, Some(2));
                break 'deaths;
            }
            deaths += 1;
        }
        println!("killed at {deaths} places, a table there before: {exists}");
        assert!(deaths > 10);
    }
    assert!(announced > 0 && renamed > 2, "deaths between announcing and renaming: {announced}, behind: {renamed}");
}

#[test]
fn a_reader_that_locks_the_table_stops_no_publisher() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    publish_number(&path, 1).unwrap();
    let readers = File::open(&path).unwrap();
    readers.lock().unwrap();
    publish_number(&path, 2).unwrap();
    assert_eq!(attached_number(&path), 2);
}

#[test]
fn a_publisher_that_stands_still_is_waited_for_and_no_longer_than_patience() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    publish_number(&path, 1).unwrap();
    let other = File::options().write(true).open(path.with_added_extension("lock")).unwrap();
    other.lock().unwrap();
    assert!(matches!(publish_number(&path, 2), Err(PublishError::Busy { .. })));
    assert_eq!(attached_number(&path), 1);
    drop(other);
    publish_number(&path, 3).unwrap();
    assert_eq!(attached_number(&path), 3);
}

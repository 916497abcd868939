//! Readers of a shared table see one table at a time, each newer than the last, whatever its publishers do.

mod tables;

use lapwing_kallsyms::shared::{AttachError, Attached, Options, publish};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};
use tables::{KINDS, Player, attached_number, names, number, part, publish_number, say, table};

const LAST: u64 = 10_000;

/// Follows until table `last` is there. Table N has generation `first + N`. Returns how many it saw.
fn follow(attached: &Attached, first: u64, last: u64) -> u64 {
    let mut kept = vec![attached.snapshot()];
    let mut seen = 1;
    let mut newest = kept[0].generation();
    while newest < first + last {
        if !attached.refresh().unwrap() {
            sleep(Duration::from_micros(200));
        }
        let snapshot = attached.snapshot();
        let generation = snapshot.generation();
        assert!(generation >= newest, "from generation {newest} back to {generation}");
        if generation > newest {
            assert_eq!(number(&snapshot), (generation - first) % KINDS);
            seen += 1;
            newest = generation;
            if seen % 128 == 0 {
                kept.push(snapshot);
            }
        }
    }
    for old in kept {
        assert_eq!(number(&old), (old.generation() - first) % KINDS, "a snapshot that was kept has changed");
    }
    seen
}

#[test]
#[ignore = "a process of the tests below"]
fn reader() {
    let Some((path, numbers)) = part() else { return };
    let attached = Attached::open_of_any_boot(&path).unwrap();
    say(0);
    say(follow(&attached, numbers[0], numbers[1]));
}

#[test]
fn readers_follow_ten_thousand_tables_and_never_see_parts_of_two() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let first = publish_number(&path, 0).unwrap();
    let mut readers: Vec<_> = (0..3).map(|_| Player::start("reader", &path, &[first, LAST])).collect();
    for reader in &mut readers {
        assert_eq!(reader.hear(), Some(0), "attached");
    }
    let attached = Attached::open_of_any_boot(&path).unwrap();
    scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| follow(&attached, first, LAST)));
        for number in 1..=LAST {
            assert_eq!(publish_number(&path, number).unwrap(), first + number);
        }
        for thread in threads {
            assert!(thread.join().unwrap() > 1);
        }
    });
    for reader in readers {
        let seen = reader.hear_all();
        println!("a process saw {seen:?} of {LAST} tables");
        assert!(seen[0] > 1);
    }
    assert_eq!(names(folder.path()), ["kallsyms", "kallsyms.lock"]);
}

#[test]
#[ignore = "a process of the test below"]
fn publisher() {
    let Some((path, numbers)) = part() else { return };
    for number in numbers[0]..numbers[1] {
        say(publish_number(&path, number).unwrap());
    }
}

/// Ends who looks at the flag, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn publishers_at_once_take_turns() {
    const EACH: u64 = 700;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    // None is there yet: they race for the first one too.
    let publishers: Vec<_> =
        (0..3).map(|at| Player::start("publisher", &path, &[at * EACH, (at + 1) * EACH])).collect();
    let done = AtomicBool::new(false);
    let mut generations: Vec<u64> = scope(|scope| {
        let reader = scope.spawn(|| {
            let attached = loop {
                match Attached::open_of_any_boot(&path) {
                    Err(AttachError::NotFound { .. }) if !done.load(Relaxed) => sleep(Duration::from_micros(200)),
                    attached => break attached.unwrap(),
                }
            };
            let mut last = 0;
            while !done.load(Relaxed) {
                if !attached.refresh().unwrap() {
                    sleep(Duration::from_micros(200));
                }
                let snapshot = attached.snapshot();
                assert!(snapshot.generation() >= last);
                number(&snapshot);
                last = snapshot.generation();
            }
        });
        let stop = Stop(&done);
        let generations = publishers.into_iter().flat_map(Player::hear_all).collect();
        drop(stop);
        reader.join().unwrap();
        generations
    });
    generations.sort();
    assert_eq!(generations.len() as u64, 3 * EACH);
    assert!(generations.is_sorted_by(|a, b| a + 1 == *b), "a generation came twice, or was left out");
    assert_eq!(Attached::open_of_any_boot(&path).unwrap().snapshot().generation(), *generations.last().unwrap());
    assert_eq!(names(folder.path()), ["kallsyms", "kallsyms.lock"]);
}

/// Refreshes until `wanted`, a second and a half at most.
fn wait_for(attached: &Attached, wanted: impl Fn(&Result<bool, AttachError>) -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        if wanted(&attached.refresh()) {
            return true;
        }
        sleep(Duration::from_millis(1));
    }
    false
}

#[test]
fn a_table_that_was_removed_by_hand_is_missed_and_the_next_one_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    let first = publish_number(&path, 1).unwrap();
    let attached = Attached::open_of_any_boot(&path).unwrap();
    assert!(!attached.is_stale());
    fs::remove_file(&path).unwrap();
    assert!(wait_for(&attached, |looked| matches!(looked, Err(AttachError::NotFound { .. }))));
    assert!(attached.is_stale());
    assert_eq!(number(&attached.snapshot()), 1, "what was attached stays");
    let second = publish_number(&path, 2).unwrap();
    assert!(second > first);
    assert!(wait_for(&attached, |looked| matches!(looked, Ok(true))));
    assert!(!attached.is_stale());
    assert_eq!(number(&attached.snapshot()), 2);
}

#[test]
fn an_older_table_put_in_place_by_hand_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    publish_number(&path, 1).unwrap();
    let kept = folder.path().join("kept");
    fs::copy(&path, &kept).unwrap();
    publish_number(&path, 2).unwrap();
    let attached = Attached::open_of_any_boot(&path).unwrap();
    fs::rename(&kept, &path).unwrap();
    assert!(wait_for(&attached, |looked| matches!(looked, Err(AttachError::Backwards { .. }))));
    assert!(attached.is_stale());
    assert_eq!(number(&attached.snapshot()), 2);
    assert_eq!(attached_number(&path), 1);
}

#[test]
fn snapshots_outlive_the_reader_they_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    publish_number(&path, 1).unwrap();
    let attached = Attached::open_of_any_boot(&path).unwrap();
    let old = attached.snapshot();
    publish_number(&path, 2).unwrap();
    assert!(attached.refresh().unwrap());
    assert!(!attached.refresh().unwrap());
    let new = attached.snapshot();
    drop(attached);
    fs::remove_file(&path).unwrap();
    assert_eq!((number(&old), number(&new)), (1, 2));
}

#[test]
#[ignore = "a process of the test below"]
fn publisher_with_a_umask() {
    let Some((path, numbers)) = part() else { return };
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(numbers[0] as u32));
    let options = Options { mode: numbers[1] as u32, group: Some(rustix::process::getgid().as_raw()) };
    say(publish(&path, table(1), &options).unwrap());
}

#[test]
fn the_mode_is_the_one_that_was_asked_for_whatever_the_umask() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kallsyms");
    for umask in [0o777, 0o022, 0] {
        for mode in [0o600, 0o640, 0o604, 0o644] {
            let publisher = Player::start("publisher_with_a_umask", &path, &[umask, mode]);
            assert_eq!(publisher.hear_all().len(), 1);
            let found = |name| u64::from(fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o7777);
            assert_eq!(found("kallsyms"), mode, "umask {umask:04o}");
            assert_eq!(found("kallsyms.lock"), 0o600, "umask {umask:04o}");
        }
    }
}

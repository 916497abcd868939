//! `lapwing tail -f` on a ring that is removed or replaced: everything of the old ring first, then the new one from its
//! beginning, the counts of both apart, and a word about it.

mod sandbox;

use lapwing_ring::{Create, Level, Writer};
use sandbox::Sandbox;
use sandbox::following::Following;
use std::fs;
use std::time::Duration;

/// All of the ring, and what comes.
fn follow(sandbox: &Sandbox, format: &str) -> Following {
    Following::start(sandbox.command(&["tail", "-f", "--from-seq", "0", "-o", format]))
}

fn append(writer: &mut Writer, text: &str) {
    writer.append(Level::INFO, text.as_bytes()).unwrap();
}

#[test]
fn removed_and_made_again() {
    let sandbox = Sandbox::with_ring("64K");
    let path = sandbox.path("ring");
    let mut old = Writer::open(&path).unwrap();
    append(&mut old, "one");
    let tail = follow(&sandbox, "cat");
    assert_eq!(tail.out(), "one");
    sandbox.ok(&["rm", "ring"]);
    assert_eq!(tail.err(), format!("lapwing: {} was removed; waiting for a new one", path.display()));
    // Who still has it open may go on, and be read.
    append(&mut old, "two");
    assert_eq!(tail.out(), "two");
    fs::write(&path, "this is no ring").unwrap();
    assert!(tail.err().ends_with("; waiting for a ring"));
    append(&mut old, "three");
    assert_eq!(tail.out(), "three");
    fs::remove_file(&path).unwrap();
    assert!(tail.err().ends_with("was removed; waiting for a new one"));
    sandbox.ok(&["create", "-s", "64K", path.to_str().unwrap()]);
    let expected = format!(
        "lapwing: {} was replaced; of the old ring 3 records were read, 0 lost, 0 abandoned, 0 stalled; following the new \
         ring from its sequence 0",
        path.display()
    );
    assert_eq!(tail.err(), expected);
    sandbox.ok(&["log", "new"]);
    assert_eq!(tail.out(), "new");
    assert!(tail.err.recv_timeout(Duration::from_millis(500)).is_err(), "each thing is said once");
}

#[test]
fn replaced_by_rename_while_the_old_ring_is_written() {
    let sandbox = Sandbox::with_ring("64K");
    let (path, other) = (sandbox.path("ring"), sandbox.path("other"));
    let mut old = Writer::open(&path).unwrap();
    Create::new().size(64 << 10).create(&other).unwrap();
    let mut new = Writer::open(&other).unwrap();
    for i in 0..3000 {
        append(&mut new, &format!("new {i}"));
    }
    // Overwritten already, in part, before it is read at all.
    for i in 0..5000 {
        append(&mut old, &format!("old {i}"));
    }
    let tail = follow(&sandbox, "json");
    // Every sequence is shown or lost, in order.
    let account = |name: &str, from: u64, end: u64| {
        let (mut next, mut shown) = (from, 0);
        while next < end {
            let line: serde_json::Value = serde_json::from_str(&tail.out()).unwrap();
            if let Some(seq) = line["seq"].as_u64() {
                assert_eq!((seq, line["text"].as_str()), (next, Some(format!("{name} {next}").as_str())));
                (next, shown) = (next + 1, shown + 1);
            } else {
                assert_eq!(line["first"].as_u64(), Some(next), "{line}");
                next += line["lost"].as_u64().unwrap();
            }
        }
        assert_eq!(next, end);
        shown
    };
    let mut shown = account("old", 0, 5000);
    fs::rename(&other, &path).unwrap();
    let notice = std::thread::scope(|scope| {
        let appending = scope.spawn(|| {
            // Goes on and on: a ring without a name is followed no further than it went when that was seen.
            for i in 5000..9000 {
                append(&mut old, &format!("old {i}"));
                std::thread::sleep(Duration::from_micros(100));
            }
        });
        let notice = tail.err();
        appending.join().unwrap();
        notice
    });
    let figures =
        regex::Regex::new(r"of the old ring (\d+) records were read, (\d+) lost, 0 abandoned, 0 stalled").unwrap();
    let figures = figures.captures(&notice).unwrap_or_else(|| panic!("{notice}"));
    let [read, lost] = [1, 2].map(|i| figures[i].parse::<u64>().unwrap());
    assert!((5000..9000).contains(&(read + lost)), "{notice}");
    shown += account("old", 5000, read + lost);
    assert_eq!(shown, read);
    assert!(account("new", 0, 3000) > 0);
    append(&mut new, "new 3000");
    assert_eq!(account("new", 3000, 3001), 1);
}

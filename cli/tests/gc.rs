//! `lapwing gc` and `lapwing ls`: which rings are nobody's, and that none is removed that is somebody's.

mod sandbox;

use lapwing_ring::{Create, Error, Level, Writer, identify_path};
use sandbox::{Sandbox, is_of_another_boot};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

const CREATED: u64 = 112;

impl Sandbox {
    fn ring(&self, name: &str, records: usize) -> PathBuf {
        let path = self.path(name);
        Create::new().size(64 << 10).create(&path).unwrap();
        let mut writer = Writer::open(&path).unwrap();
        for _ in 0..records {
            writer.append(Level::INFO, b"text").unwrap();
        }
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What `gc` says of each file by its name.
    fn gc(&self, args: &[&str]) -> Vec<(String, String)> {
        let out = self.ok(&[&["gc"], args].concat());
        let of = |line: &str| {
            let (path, said) = line.split_once(": ").unwrap();
            (path.rsplit('/').next().unwrap().to_owned(), said.to_owned())
        };
        out.lines().map(of).collect()
    }
}

fn put(path: &PathBuf, at: u64, word: u64) {
    File::options().write(true).open(path).unwrap().write_all_at(&word.to_le_bytes(), at).unwrap();
}

fn make_old(path: &PathBuf) {
    put(path, CREATED, (UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(4000)).as_nanos() as u64);
}

#[test]
fn what_nobody_uses_and_nobody_needs_is_removed_and_nothing_else() {
    let sandbox = Sandbox::new();
    let default = sandbox.ring("ring", 0);
    make_old(&default);
    sandbox.ring("fresh", 0);
    make_old(&sandbox.ring("empty", 0));
    make_old(&sandbox.ring("records", 3));
    is_of_another_boot(&sandbox.ring("boot", 3));
    let attached = sandbox.ring("attached", 0);
    make_old(&attached);
    let writer = Writer::open(&attached).unwrap();
    make_old(&sandbox.ring("followed", 0));
    let mut tail = sandbox.command(&["tail", "-f", "--ring", "./followed"]);
    let mut tail = tail.stdout(Stdio::null()).spawn().unwrap();
    let damaged = sandbox.ring("damaged", 0);
    make_old(&damaged);
    put(&damaged, 16, 0);
    // What is no ring, whatever its name.
    fs::write(sandbox.path("text"), "precious").unwrap();
    fs::write(sandbox.path("text.lapwing-new-0123456789abcdef"), "precious").unwrap();
    fs::write(sandbox.path("zeros"), [0; 8192]).unwrap();
    fs::create_dir(sandbox.path("folder")).unwrap();
    symlink("empty", sandbox.path("link")).unwrap();
    symlink("empty", sandbox.path("link.lapwing-new-0123456789abcdef")).unwrap();
    assert!(Command::new("mkfifo").arg(sandbox.path("fifo")).status().unwrap().success());
    // What creators left: before anything was written, in the middle, and behind the end.
    fs::write(sandbox.path("a.lapwing-new-0123456789abcdef"), "").unwrap();
    fs::write(sandbox.path("b.lapwing-new-fedcba9876543210"), [0; 20_000]).unwrap();
    fs::hard_link(&attached, sandbox.path("attached.lapwing-new-0000000000000000")).unwrap();
    let names = sandbox.names();

    let since = Instant::now();
    let expected = |word: &str| {
        [
            (
                "a.lapwing-new-0123456789abcdef",
                format!("{word}: left behind by somebody who died while he made a ring"),
            ),
            ("attached", format!("kept: writer {} ", std::process::id())),
            (
                "attached.lapwing-new-0000000000000000",
                format!("{word}: left behind by somebody who died while he made a ring"),
            ),
            (
                "b.lapwing-new-fedcba9876543210",
                format!("{word}: left behind by somebody who died while he made a ring"),
            ),
            ("boot", format!("{word}: it was written before this host last started")),
            ("damaged", "kept: damaged; `lapwing check` says how".to_owned()),
            ("empty", format!("{word}: nothing was ever written to it, and it was made 40")),
            ("followed", format!("kept: process {} (lapwing) has it open", tail.id())),
            ("fresh", "kept: it was made".to_owned()),
            ("records", "kept: it holds 3 records".to_owned()),
            ("ring", "kept: the default ring".to_owned()),
        ]
    };
    let matches = |said: &[(String, String)], word: &str| {
        said.len() == 11
            && said.iter().zip(expected(word)).all(|(said, (name, start))| said.0 == name && said.1.starts_with(&start))
    };
    // Until the follower has it open.
    while !matches(&sandbox.gc(&["--dry-run"]), "would be removed") {
        assert!(since.elapsed() < Duration::from_secs(20), "{:#?}", sandbox.gc(&["--dry-run"]));
    }
    assert_eq!(sandbox.names(), names, "a dry run removes nothing");
    let said = sandbox.gc(&[]);
    assert!(matches(&said, "removed"), "{said:#?}");
    let left = sandbox.names();
    let gone = [
        "a.lapwing-new-0123456789abcdef",
        "attached.lapwing-new-0000000000000000",
        "b.lapwing-new-fedcba9876543210",
        "boot",
        "empty",
    ];
    assert_eq!(left, names.into_iter().filter(|name| !gone.contains(&name.as_str())).collect::<Vec<_>>());

    // Later: older than asked for, and no longer followed or attached to. Records are never removed unasked.
    tail.kill().unwrap();
    tail.wait().unwrap();
    drop(writer);
    sandbox.gc(&["--older-than", "1h"]);
    assert!(
        sandbox.path("records").exists() && !sandbox.path("attached").exists() && !sandbox.path("followed").exists()
    );
    sandbox.gc(&["--older-than", "0s"]);
    assert!(!sandbox.path("records").exists() && !sandbox.path("fresh").exists() && default.exists());
    is_of_another_boot(&default);
    sandbox.gc(&[]);
    assert!(!default.exists(), "in the way of a new one");
    assert_eq!(sandbox.run(&["gc"]).code, 0, "nothing to do is no error");
}

#[test]
fn records_are_not_left_behind_by_a_creator_whatever_the_name_of_their_ring() {
    let sandbox = Sandbox::new();
    let names = ["head.lapwing-new-0123456789abcdef", "version.lapwing-new-0123456789abcdef"];
    let [head, version] = names.map(|name| sandbox.ring(name, 3));
    // No page of the ring has this number; nor is there such a version yet.
    put(&head, 1024, u64::MAX);
    put(&version, 8, 9);
    sandbox.gc(&[]);
    assert_eq!(sandbox.names(), names);
}

#[test]
fn the_default_ring_is_known_by_a_bare_name_too() {
    let sandbox = Sandbox::new();
    make_old(&sandbox.ring("ring", 0));
    let out = sandbox.command(&["gc"]).env("LAPWING_RING", "ring").output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    assert!(said.contains("kept: the default ring") && sandbox.path("ring").exists(), "{said}");
}

#[test]
fn what_gc_says_rm_removes_is_removed_by_rm() {
    let sandbox = Sandbox::new();
    let damaged = sandbox.ring("damaged", 1);
    put(&damaged, 16, 0);
    assert!(sandbox.gc(&[])[0].1.ends_with("`lapwing rm` removes it"));
    assert_eq!(sandbox.run(&["rm", "./damaged"]).code, 0);
}

#[test]
fn a_dead_writer_keeps_no_ring_and_one_that_cannot_be_judged_does() {
    let sandbox = Sandbox::with_ring("64K");
    let dead = sandbox.ring("dead", 0);
    let mut child = sandbox.command(&["log", "--ring", "./dead"]).stdin(Stdio::piped()).spawn().unwrap();
    let attached = || {
        let stat: serde_json::Value =
            serde_json::from_str(&sandbox.ok(&["stat", "--json", "--ring", "./dead"])).unwrap();
        stat["writers"].as_array().unwrap().len() == 1
    };
    use std::io::Write as _;
    child.stdin.as_mut().unwrap().write_all(b"a line\n").unwrap();
    let since = Instant::now();
    while !attached() {
        assert!(since.elapsed() < Duration::from_secs(20));
    }
    assert!(sandbox.gc(&["--older-than", "0s"])[0].1.starts_with("kept: writer"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(attached(), "its slot is still there");
    // An owner in a namespace that nobody knows, without a lock.
    let owner = fs::read(&dead).unwrap()[4096..4104].try_into().map(u64::from_le_bytes).unwrap();
    put(&dead, 4096, (owner | 63 << 36) & !1);
    let said = sandbox.gc(&["--older-than", "0s"]);
    assert!(said[0].1.contains("may be alive"), "{said:?}");
    put(&dead, 4096, owner);
    let said = sandbox.gc(&["--older-than", "0s"]);
    assert!(said[0].1.starts_with("removed: its last record was written"), "{said:?}");
    assert!(!dead.exists());
}

#[test]
fn no_ring_is_removed_that_somebody_began_to_use_meanwhile() {
    let sandbox = Sandbox::with_ring("64K");
    let path = sandbox.path("contested");
    let since = Instant::now();
    // On a busy machine it takes longer to see as much.
    let enough = |removed: usize| since.elapsed() > Duration::from_secs(if removed > 3 { 3 } else { 60 });
    let over = AtomicBool::new(false);
    let (used, removed) = std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            let mut used = 0;
            while !over.load(Ordering::Relaxed) {
                match Create::new().size(64 << 10).create(&path) {
                    Ok(()) | Err(Error::Exists { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                let mut writer = match Writer::open(&path) {
                    Ok(writer) => writer,
                    Err(Error::NotFound { .. }) => continue,
                    Err(error) => panic!("{error}"),
                };
                writer.append(Level::INFO, b"mine").unwrap();
                // As long as it is attached, the ring stays where it is, and is the same.
                let seen = identify_path(&path).map(|identity| identity.ring_id);
                std::thread::sleep(Duration::from_micros(used * 37 % 3000));
                let again = identify_path(&path).map(|identity| identity.ring_id);
                assert_eq!(seen.unwrap(), again.unwrap(), "after {used} rounds");
                used += 1;
                drop(writer);
                // Long enough, now and then, for a look at all processes.
                std::thread::sleep(Duration::from_millis(used * 7 % 40));
            }
            used
        });
        let mut removed = 0;
        while !enough(removed) {
            let said = sandbox.gc(&["--older-than", "0s"]);
            removed += said.iter().filter(|(_, said)| said.starts_with("removed")).count();
        }
        over.store(true, Ordering::Relaxed);
        (user.join().unwrap(), removed)
    });
    assert!(used > 20 && removed > 3, "used {used} times, removed {removed} times");
}

#[test]
fn ls_lists_the_rings_with_owner_mode_and_use() {
    let sandbox = Sandbox::new();
    let ring = sandbox.ring("ring", 3);
    let writer = Writer::open(&ring).unwrap();
    is_of_another_boot(&sandbox.ring("boot", 1));
    put(&sandbox.ring("damaged", 1), 16, 0);
    fs::copy(&ring, sandbox.path("copy")).unwrap();
    fs::write(sandbox.path("text"), "no ring").unwrap();
    symlink("ring", sandbox.path("link")).unwrap();
    let folder = sandbox.path("").display().to_string();
    let out = sandbox.ok(&["ls", "--json"]);
    let rows = out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let rows: Vec<_> = rows.filter(|row| row["path"].as_str().unwrap().starts_with(&folder)).collect();
    let of = |row: &serde_json::Value| {
        let name = row["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (name, row["state"].as_str().unwrap().to_owned(), row["held"].as_u64(), row["writers"].as_u64())
    };
    let row = |name: &str, state: &str, held, writers| (name.to_owned(), state.to_owned(), held, writers);
    let expected = [
        row("boot", "another boot", Some(1), Some(0)),
        row("copy", "copy", Some(3), Some(1)),
        row("damaged", "damaged", None, None),
        row("ring", "ok", Some(3), Some(1)),
    ];
    let found: Vec<_> = rows.iter().map(of).collect();
    assert_eq!((found.len(), &found[0], &found[2..]), (4, &expected[0], &expected[2..]));
    assert_eq!((&found[1].1, found[1].2), (&expected[1].1, expected[1].2), "whose writers are elsewhere");
    assert_eq!((&rows[3]["mode"], &rows[3]["size"]), (&"0600".into(), &65536.into()));
    let text = sandbox.ok(&["ls"]);
    assert!(text.lines().next().unwrap().ends_with("path") && text.contains("64 KiB"), "{text}");
    drop(writer);
}

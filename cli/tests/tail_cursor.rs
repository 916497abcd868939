//! `lapwing tail --cursor-file`: whoever starts again goes on where it was, with nothing left out and an exact count of what was
//! overwritten meanwhile, however the run before ended.

mod sandbox;

use lapwing_ring::{Create, Level, Log};
use sandbox::following::Following;
use sandbox::{Done, Sandbox};
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

const CAT: [&str; 5] = ["tail", "-o", "cat", "--cursor-file", "seen"];

fn cat(sandbox: &Sandbox, more: &[&str]) -> Done {
    sandbox.run(&[&CAT[..], more].concat())
}

fn numbers(text: &str) -> Vec<u64> {
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// The sequence that the cursor file names for the ring of this name.
fn place(sandbox: &Sandbox, ring: &str) -> Option<u64> {
    let text = fs::read_to_string(sandbox.path("seen")).ok()?;
    let end = format!(" {}", sandbox.path(ring).display());
    let line = text.lines().find(|line| line.ends_with(&end))?;
    line.split(' ').nth(1)?.parse().ok()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not happen within twenty seconds");
}

#[test]
fn the_next_run_shows_what_this_one_did_not() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..10);
    assert_eq!(numbers(&cat(&sandbox, &[]).stdout), (0..10).collect::<Vec<_>>());
    let empty = cat(&sandbox, &[]);
    assert_eq!((empty.code, empty.stdout.as_str(), empty.stderr.as_str()), (0, "", ""));
    sandbox.log_lines(10..13);
    assert_eq!(numbers(&cat(&sandbox, &["-n", "1"]).stdout), [10, 11, 12], "where it was, whatever else is asked for");
    assert_eq!(place(&sandbox, "ring"), Some(13));
    sandbox.log_lines(13..16);
    assert_eq!(numbers(&cat(&sandbox, &["-g", "4$"]).stdout), [14], "what is not wanted counts as shown");
    assert_eq!(cat(&sandbox, &[]).stdout, "");
    let left: Vec<_> = fs::read_dir(sandbox.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the ring and the cursor: {left:?}");
    let meta = fs::symlink_metadata(sandbox.path("seen")).unwrap();
    assert_eq!(meta.mode() & 0o7777, 0o600);
}

#[test]
fn what_was_overwritten_in_between_is_counted_exactly() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..100);
    assert_eq!(cat(&sandbox, &["--fail-on-loss"]).code, 0);
    sandbox.log_lines(100..5000);
    let done = sandbox.run(&["tail", "-o", "json", "--cursor-file", "seen", "--fail-on-loss"]);
    assert_eq!(done.code, 3);
    let first: serde_json::Value = serde_json::from_str(done.lines()[0]).unwrap();
    let (lost, shown) = (first["lost"].as_u64().unwrap(), done.lines().len() as u64 - 1);
    assert_eq!((first["first"].as_u64(), lost + shown), (Some(100), 4900));
    assert!(done.lines()[1].starts_with(&format!(r#"{{"seq":{},"#, 100 + lost)), "{}", done.lines()[1]);
    let until = sandbox.run(&["tail", "--cursor-file", "seen", "--fail-on-loss"]);
    assert_eq!((until.code, until.stdout.as_str()), (0, ""), "it is said once");
}

#[test]
fn what_until_left_out_comes_next_time() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    std::thread::sleep(Duration::from_millis(10));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = format!("@{}.{:09}", now.as_secs(), now.subsec_nanos());
    std::thread::sleep(Duration::from_millis(10));
    sandbox.log_lines(3..6);
    assert_eq!(numbers(&cat(&sandbox, &["-U", &now]).stdout), [0, 1, 2]);
    assert_eq!(numbers(&cat(&sandbox, &[]).stdout), [3, 4, 5]);
}

#[test]
fn a_follower_that_a_signal_ends_goes_on_where_it_was() {
    for (signal, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let sandbox = Sandbox::with_ring("64K");
        sandbox.log_lines(0..5);
        let mut tail = Following::start(sandbox.command(&[&CAT[..], &["-f", "-n", "all"]].concat()));
        (0..5).for_each(|i| assert_eq!(tail.out(), i.to_string()));
        sandbox.log_lines(5..8);
        (5..8).for_each(|i| assert_eq!(tail.out(), i.to_string()));
        // It has written the line; that it notes so takes it a moment, on a busy machine perhaps longer.
        std::thread::sleep(Duration::from_millis(50));
        tail.signal(signal);
        assert_eq!(tail.ended().signal(), Some(number), "it ends by the signal, as without a cursor");
        let next = place(&sandbox, "ring").unwrap();
        assert!((5..=8).contains(&next), "{signal}: {next}");
        sandbox.log_lines(8..10);
        assert_eq!(numbers(&cat(&sandbox, &[]).stdout), (next..10).collect::<Vec<_>>());
    }
}

#[test]
fn a_follower_that_is_killed_has_noted_where_it_was_a_moment_ago() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..5);
    let mut tail = Following::start(sandbox.command(&[&CAT[..], &["-f", "-n", "all"]].concat()));
    (0..5).for_each(|i| assert_eq!(tail.out(), i.to_string()));
    wait_for("a note of what was shown", || place(&sandbox, "ring") == Some(5));
    tail.signal("-KILL");
    assert_eq!(tail.ended().signal(), Some(9));
    sandbox.log_lines(5..7);
    assert_eq!(numbers(&cat(&sandbox, &[]).stdout), [5, 6]);
}

#[test]
fn a_signal_that_is_ignored_stays_ignored() {
    let sandbox = Sandbox::with_ring("64K");
    let lapwing = env!("CARGO_BIN_EXE_lapwing");
    let mut command = sandbox.command(&[]);
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(|v| v.to_owned()))).collect();
    command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh", lapwing]).args(CAT).arg("-f").current_dir(sandbox.path("."));
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut tail = Following::start(command);
    sandbox.log_lines([1]);
    assert_eq!(tail.out(), "1");
    tail.signal("-HUP");
    sandbox.log_lines([2]);
    assert_eq!(tail.out(), "2");
    tail.signal("-TERM");
    assert_eq!(tail.ended().signal(), Some(15));
}

#[test]
fn the_cursor_is_never_ahead_of_what_was_written() {
    let sandbox = Sandbox::with_ring("1M");
    sandbox.log_lines(0..3);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let failed = Done::of(sandbox.command(&CAT).stdout(full).output().unwrap());
    assert_eq!(failed.code, 1);
    assert_eq!(numbers(&cat(&sandbox, &[]).stdout), [0, 1, 2], "nothing of it was written");

    // Whoever reads it leaves early: in the pipe is less than was read from the ring.
    sandbox.log_lines((3..8000).map(|i| format!("{i:060}")));
    let mut child = sandbox.command(&CAT).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut some = vec![0; 1000];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "a broken pipe is none of its business");
    // The first write was of more than a pipe takes, so it did not come to its end.
    assert_eq!(place(&sandbox, "ring"), Some(3));
    assert_eq!(numbers(&cat(&sandbox, &[]).stdout), (3..8000).collect::<Vec<_>>());
}

#[test]
fn a_signal_ends_it_even_while_nobody_takes_its_output() {
    let sandbox = Sandbox::with_ring("1M");
    sandbox.log_lines((0..6000).map(|i| format!("{i:060}")));
    let args = [&CAT[..], &["-f", "-n", "all"]].concat();
    let mut child = sandbox.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    // Until the pipe is full: it sleeps in a write.
    let syscall = format!("/proc/{}/syscall", child.id());
    wait_for("a write that waits", || fs::read_to_string(&syscall).is_ok_and(|text| text.starts_with("1 ")));
    std::thread::sleep(Duration::from_millis(100));
    let status = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(status.unwrap().success());
    let mut written = String::new();
    let mut stdout = child.stdout.take().unwrap();
    wait_for("its end", || child.try_wait().unwrap().is_some());
    stdout.read_to_string(&mut written).unwrap();
    let whole = written.matches('\n').count() as u64;
    let next = place(&sandbox, "ring").unwrap();
    assert!(next <= whole, "{next} are said to be written, {whole} are");
    assert_eq!(numbers(&cat(&sandbox, &[]).stdout), (next..6000).collect::<Vec<_>>());
}

#[test]
fn rings_are_known_by_what_they_are_and_not_by_their_names() {
    let sandbox = Sandbox::with_ring("64K");
    for name in ["a", "b"] {
        Create::new().size(64 << 10).create(&sandbox.path(name)).unwrap();
    }
    let append = |ring: &str, text: &str| {
        Log::open(&sandbox.path(ring)).unwrap().append(Level::INFO, text.as_bytes()).unwrap();
    };
    let both = ["--ring", "a", "--ring", "b"];
    append("a", "1");
    append("b", "2");
    assert_eq!(numbers(&cat(&sandbox, &both).stdout), [1, 2]);
    append("a", "3");
    append("b", "4");
    assert_eq!(numbers(&cat(&sandbox, &["--ring", "a"]).stdout), [3], "the other one keeps its place");
    append("a", "5");
    assert_eq!(numbers(&cat(&sandbox, &both).stdout), [4, 5]);

    // The same ring under another name goes on; another one under the same name begins.
    fs::rename(sandbox.path("a"), sandbox.path("moved")).unwrap();
    append("moved", "6");
    let moved = cat(&sandbox, &["--ring", "moved"]);
    assert_eq!((numbers(&moved.stdout), moved.stderr.as_str()), (vec![6], ""));
    fs::remove_file(sandbox.path("b")).unwrap();
    Create::new().size(64 << 10).create(&sandbox.path("b")).unwrap();
    append("b", "7");
    let anew = cat(&sandbox, &["--ring", "b"]);
    assert_eq!(numbers(&anew.stdout), [7]);
    assert!(anew.stderr.contains("was made anew") && anew.stderr.contains("sequence 0"), "{}", anew.stderr);
    assert_eq!(cat(&sandbox, &["--ring", "b"]).stderr, "", "it is said once");
    // A copy that is older than the cursor.
    append("b", "8");
    fs::copy(sandbox.path("b"), sandbox.path("copy")).unwrap();
    append("b", "9");
    assert_eq!(numbers(&cat(&sandbox, &["--ring", "b"]).stdout), [8, 9]);
    assert_eq!(cat(&sandbox, &["--ring", "copy"]).stdout, "");
    assert_eq!(cat(&sandbox, &["--ring", "b"]).stdout, "", "an old copy does not move it back");
}

#[test]
fn a_ring_that_is_replaced_while_it_is_followed_is_gone_on_with() {
    let sandbox = Sandbox::with_ring("64K");
    let args = [&CAT[..], &["-f"]].concat();
    let mut tail = Following::start(sandbox.command(&args));
    sandbox.log_lines(0..7);
    (0..7).for_each(|i| assert_eq!(tail.out(), i.to_string()));
    let path = sandbox.path("ring");
    fs::remove_file(&path).unwrap();
    Create::new().size(64 << 10).create(&path).unwrap();
    sandbox.log_lines(100..103);
    (100..103).for_each(|i| assert_eq!(tail.out(), i.to_string()));
    wait_for("a note of the new ring", || place(&sandbox, "ring") == Some(3));
    tail.signal("-TERM");
    tail.ended();
    sandbox.log_lines(103..104);
    let next = cat(&sandbox, &[]);
    assert_eq!((numbers(&next.stdout), next.stderr.as_str()), (vec![103], ""));
}

#[test]
fn what_is_no_cursor_file_is_left_as_it_is() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    let refused = |what: &str| {
        let done = cat(&sandbox, &[]);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{what}");
        assert!(done.stderr.contains("seen: "), "{what}: {}", done.stderr);
    };
    let seen = sandbox.path("seen");
    fs::write(&seen, "something of value\n").unwrap();
    refused("another file");
    assert_eq!(fs::read_to_string(&seen).unwrap(), "something of value\n");
    fs::write(&seen, b"\xff\xfe").unwrap();
    refused("bytes");
    fs::remove_file(&seen).unwrap();

    // Planted by somebody else.
    fs::write(sandbox.path("target"), "").unwrap();
    symlink("target", &seen).unwrap();
    refused("a link");
    assert_eq!(fs::read_to_string(sandbox.path("target")).unwrap(), "");
    fs::remove_file(&seen).unwrap();
    fs::create_dir(&seen).unwrap();
    refused("a folder");
    fs::remove_dir(&seen).unwrap();

    fs::write(&seen, "").unwrap();
    assert_eq!(numbers(&cat(&sandbox, &[]).stdout), [0, 1, 2], "an empty one says nothing");
    assert_eq!(place(&sandbox, "ring"), Some(3));
    let nowhere = sandbox.run(&["tail", "--cursor-file", "no/such/folder/seen"]);
    assert_eq!((nowhere.code, nowhere.stdout.as_str()), (1, ""), "before anything is shown");
    assert!(nowhere.stderr.contains("cannot keep the cursor"), "{}", nowhere.stderr);
}

#[test]
fn no_record_is_left_out_however_often_and_however_it_is_ended() {
    let sandbox = Sandbox::with_ring("256K");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let json = ["tail", "-o", "json", "--cursor-file", "seen"];
    let (mut runs, appended) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut appended = 0u64;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                for _ in 0..20 {
                    log.append(Level::INFO, &[b'm'; 100]).unwrap();
                    appended += 1;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            appended
        });
        let mut runs = Vec::new();
        for round in 0..16u64 {
            let out = sandbox.path(&format!("out{round}"));
            let mut command = sandbox.command(&[&json[..], &["-f", "--from-seq", "0"]].concat());
            let mut child = command.stdout(fs::File::create(&out).unwrap()).stderr(Stdio::null()).spawn().unwrap();
            // Some longer than a second, after which even who is killed has noted his place.
            std::thread::sleep(Duration::from_millis(if round % 5 == 4 { 1300 } else { 20 + round * 37 % 190 }));
            let signal = ["-TERM", "-KILL", "-INT"][round as usize % 3];
            std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            child.wait().unwrap();
            runs.push(fs::read_to_string(&out).unwrap());
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        (runs, writing.join().unwrap())
    });
    runs.push(sandbox.run(&json).stdout);
    // How far all runs so far have come, without a hole.
    let mut next = 0;
    for (round, run) in runs.iter().enumerate() {
        let mut own: Option<u64> = None;
        for line in run.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let is_record = line.get("seq").is_some();
            let first = line[if is_record { "seq" } else { "first" }].as_u64().unwrap();
            match own {
                None => assert!(first <= next, "run {round} begins with {first}, behind {next}"),
                Some(own) => assert_eq!(first, own, "run {round}"),
            }
            own = Some(line[if is_record { "seq" } else { "last" }].as_u64().unwrap() + 1);
        }
        next = next.max(own.unwrap_or(0));
    }
    assert_eq!(next, appended);
}

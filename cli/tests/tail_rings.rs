//! `lapwing tail` with several rings: one log, by time, and each ring's own losses in their places.

mod sandbox;

use lapwing_ring::{Create, Level, Log};
use sandbox::Sandbox;
use sandbox::following::Following;
use serde_json::Value as Json;
use std::path::Path;
use std::time::Duration;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Three rings, 64 KiB each, beside the default ring.
fn three_rings() -> (Sandbox, [Log; 3]) {
    let sandbox = Sandbox::with_ring("64K");
    let logs = NAMES.map(|name| {
        Create::new().size(64 << 10).create(&sandbox.path(name)).unwrap();
        Log::open(&sandbox.path(name)).unwrap()
    });
    (sandbox, logs)
}

fn append(log: &Log, text: &str) {
    log.append(Level::INFO, text.as_bytes()).unwrap();
}

fn parsed(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all(sandbox: &Sandbox, more: &[&str]) -> Vec<Json> {
    parsed(&sandbox.ok(&[&["tail", "-o", "json", "--ring", "a", "--ring", "b", "--ring", "c"], more].concat()))
}

/// The merge as it is defined, of each ring shown alone: the head with the least time, the first ring where times are equal, and
/// a loss with the record behind it.
fn merged(sandbox: &Sandbox, more: &[&str]) -> Vec<Json> {
    let mut heads: Vec<std::collections::VecDeque<Json>> = Vec::new();
    for name in NAMES {
        let mut lines = parsed(&sandbox.ok(&[&["tail", "-o", "json", "--ring", name], more].concat()));
        let path = sandbox.path(name).to_str().unwrap().to_owned();
        lines.iter_mut().for_each(|line| line["ring"] = Json::from(path.clone()));
        heads.push(lines.into());
    }
    let mut all = Vec::new();
    loop {
        // A loss has no time of its own, and text sorts before all times where there is nothing behind it.
        let time = |lines: &std::collections::VecDeque<Json>| {
            lines.iter().find_map(|line| line["time"].as_str()).unwrap_or("").to_owned()
        };
        let next = (0..heads.len()).filter(|&i| !heads[i].is_empty()).min_by_key(|&i| (time(&heads[i]), i));
        let Some(next) = next else { return all };
        all.extend(heads[next].pop_front());
    }
}

#[test]
fn several_rings_are_one_log_by_time() {
    let (sandbox, logs) = three_rings();
    for i in 0..600 {
        append(&logs[i * i % 7 % 3], &i.to_string());
    }
    let lines = all(&sandbox, &[]);
    assert_eq!(lines, merged(&sandbox, &[]));
    assert_eq!(lines.len(), 600);
    // In each ring by sequence, whatever the times are.
    for name in NAMES {
        let path = sandbox.path(name);
        let own = lines.iter().filter(|line| line["ring"] == path.to_str().unwrap());
        let sequences: Vec<u64> = own.map(|line| line["seq"].as_u64().unwrap()).collect();
        assert_eq!(sequences, (0..sequences.len() as u64).collect::<Vec<_>>());
    }
    let mut reversed = all(&sandbox, &["-r"]);
    reversed.reverse();
    assert_eq!(reversed, lines);
}

#[test]
fn each_ring_s_losses_stand_in_front_of_the_record_behind_them() {
    let (sandbox, logs) = three_rings();
    for i in 0..9000 {
        // The first ring is overwritten several times, the second once, the third not at all.
        append(&logs[if i % 100 == 0 { 2 } else { usize::from(i % 4 == 0) }], &i.to_string());
    }
    let lines = all(&sandbox, &[]);
    assert_eq!(lines, merged(&sandbox, &[]));
    let losses: Vec<usize> = (0..lines.len()).filter(|&i| lines[i].get("lost").is_some()).collect();
    assert_eq!(losses.len(), 2, "{losses:?}");
    for i in losses {
        assert_eq!(lines[i]["ring"], lines[i + 1]["ring"], "its own record follows");
        assert_eq!(lines[i]["last"].as_u64().unwrap() + 1, lines[i + 1]["seq"].as_u64().unwrap());
    }
    let args = ["tail", "--ring", "a", "--ring", "b", "--ring", "c", "--fail-on-loss"];
    let short = sandbox.run(&args);
    assert_eq!(short.code, 3);
    let losses: Vec<&str> = short.lines().into_iter().filter(|line| line.starts_with("***")).collect();
    assert!(losses.iter().any(|line| line.ends_with(" of a) ***")), "{losses:?}");
    assert!(losses.iter().any(|line| line.ends_with(" of b) ***")), "{losses:?}");
    assert_eq!(sandbox.run(&[&args[..], &["-n", "all"]].concat()).code, 0, "what exists is no loss");
}

#[test]
fn the_last_n_are_those_of_all_of_them() {
    let (sandbox, logs) = three_rings();
    for i in 0..50 {
        append(&logs[0], &format!("early {i}"));
    }
    for i in 0..5 {
        append(&logs[1], &format!("late {i}"));
    }
    let everything = merged(&sandbox, &[]);
    for n in ["0", "1", "4", "5", "7", "54", "55", "1000"] {
        let count = n.parse::<usize>().unwrap().min(everything.len());
        assert_eq!(all(&sandbox, &["-n", n]), everything[everything.len() - count..], "{n}");
    }
    let matching: Vec<Json> =
        everything.iter().filter(|line| line["text"].as_str().unwrap().ends_with('3')).cloned().collect();
    assert_eq!(all(&sandbox, &["-n", "3", "-g", "3$"]), matching[matching.len() - 3..]);
}

#[test]
fn text_says_which_ring_it_is_by_name_or_by_path_where_names_are_equal() {
    let (sandbox, logs) = three_rings();
    append(&logs[0], "one");
    append(&logs[1], "two");
    let text = sandbox.ok(&["tail", "--ring", "a", "--ring", "b"]);
    let names: Vec<&str> = text.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(names, ["a", "b"], "{text}");
    std::fs::create_dir(sandbox.path("other")).unwrap();
    let other = sandbox.path("other/a");
    Create::new().size(64 << 10).create(&other).unwrap();
    append(&Log::open(&other).unwrap(), "three");
    let paths = [sandbox.path("a"), other].map(|path| path.to_str().unwrap().to_owned());
    let text = sandbox.ok(&["tail", "--ring", &paths[0], "--ring", &paths[1]]);
    let names: Vec<&str> = text.lines().map(|line| line.split(' ').nth(3).unwrap()).collect();
    assert_eq!(names, paths, "{text}");
    let once = sandbox.ok(&["tail", "--ring", "a", "--ring", "a"]);
    assert_eq!(once, sandbox.ok(&["tail", "--ring", "a"]), "one that is named twice is one");
    let missing = sandbox.run(&["tail", "--ring", "a", "--ring", "nowhere"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (1, ""));
}

fn follow(sandbox: &Sandbox, more: &[&str]) -> Following {
    let args = [&["tail", "-f", "-o", "json", "--ring", "a", "--ring", "b", "--ring", "c"], more].concat();
    Following::start(sandbox.command(&args))
}

#[test]
fn a_follower_of_several_shows_them_by_time_and_a_quiet_ring_holds_back_none() {
    let (sandbox, logs) = three_rings();
    append(&logs[0], "first");
    let tail = follow(&sandbox, &["-n", "all"]);
    let text = |line: &str| serde_json::from_str::<Json>(line).unwrap()["text"].clone();
    let mut shown = vec![tail.out()];
    assert_eq!(text(&shown[0]), "first", "and nothing in the others");
    append(&logs[2], "alone");
    shown.push(tail.out());
    assert_eq!(text(&shown[1]), "alone");
    for round in 0..30 {
        // Forwards and backwards through the rings: whoever is read first is not always who was first.
        for i in 0..6 {
            append(&logs[if round % 2 == 0 { i % 3 } else { 2 - i % 3 }], &format!("{round} {i}"));
            std::thread::sleep(Duration::from_micros(300));
        }
        shown.extend((0..6).map(|_| tail.out()));
    }
    let shown: Vec<Json> = shown.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(shown, merged(&sandbox, &[]));
}

#[test]
fn a_follower_of_several_accounts_for_every_record_of_each_while_they_are_written_flat_out() {
    let (sandbox, logs) = three_rings();
    const COUNT: u64 = 40_000;
    let tail = follow(&sandbox, &["--from-seq", "0"]);
    std::thread::scope(|scope| {
        for log in &logs {
            scope.spawn(move || (0..COUNT).for_each(|i| append(log, &i.to_string())));
        }
    });
    let mut next = std::collections::BTreeMap::new();
    while next.len() < 3 || next.values().any(|&seq| seq < COUNT) {
        let line: Json = serde_json::from_str(&tail.out()).unwrap();
        let seq = next.entry(line["ring"].as_str().unwrap().to_owned()).or_insert(0);
        if let Some(own) = line["seq"].as_u64() {
            assert_eq!((own, line["text"].as_str()), (*seq, Some(own.to_string().as_str())));
            *seq += 1;
        } else {
            assert_eq!(line["first"].as_u64(), Some(*seq), "{line}");
            *seq += line["lost"].as_u64().unwrap();
        }
    }
    assert!(next.values().all(|&seq| seq == COUNT));
}

#[test]
fn one_of_several_that_is_replaced_is_followed_on() {
    let (sandbox, logs) = three_rings();
    let tail = follow(&sandbox, &[]);
    append(&logs[1], "old");
    assert!(tail.out().contains(r#""text":"old""#));
    let made_anew = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        Create::new().size(64 << 10).create(path).unwrap();
        Log::open(path).unwrap()
    };
    let new = made_anew(&sandbox.path("b"));
    append(&new, "new");
    let line: Json = serde_json::from_str(&tail.out()).unwrap();
    assert_eq!((&line["text"], &line["seq"]), (&Json::from("new"), &Json::from(0)));
    let notice = std::iter::repeat_with(|| tail.err()).find(|line| line.contains("was replaced")).unwrap();
    assert!(notice.contains("1 records were read, 0 lost"), "{notice}");
    append(&logs[0], "of another");
    assert!(tail.out().contains(r#""text":"of another""#));
}

#[test]
fn the_last_n_that_match_are_found_however_far_back_they_are() {
    let sandbox = Sandbox::with_ring("64K");
    let [a, b] = ["a", "b"].map(|name| {
        Create::new().size(4 << 20).create(&sandbox.path(name)).unwrap();
        Log::open(&sandbox.path(name)).unwrap()
    });
    (0..9000).for_each(|i| append(&a, &format!("a {i}")));
    (0..9000).for_each(|i| append(&b, &format!("b {i}")));
    (9000..9100).for_each(|i| append(&a, &format!("a {i}")));
    for rings in [&["--ring", "a"][..], &["--ring", "a", "--ring", "b"]] {
        // The last one: those at the end of one ring are older than those far back in the other.
        for pattern in ["99$", " [0-4]$", "a 899.$|b [0-9]$"] {
            let all = sandbox.ok(&[&["tail", "-o", "json", "-g", pattern][..], rings].concat());
            let all: Vec<&str> = all.lines().collect();
            for n in [1, 3, 150] {
                let count = n.to_string();
                let args = [&["tail", "-o", "json", "-g", pattern, "-n", &count][..], rings].concat();
                let found = sandbox.ok(&args);
                assert_eq!(found.lines().collect::<Vec<_>>(), all[all.len().saturating_sub(n)..], "{args:?}");
            }
        }
    }
}

#[test]
fn what_a_follower_shows_of_several_is_what_is_shown_of_them_later() {
    let sandbox = Sandbox::with_ring("64K");
    let [a, b] = ["a", "b"].map(|name| {
        Create::new().size(4 << 20).create(&sandbox.path(name)).unwrap();
        Log::open(&sandbox.path(name)).unwrap()
    });
    let rings = ["--ring", "a", "--ring", "b"];
    let tail = Following::start(sandbox.command(&[&["tail", "-f", "-o", "json"], &rings[..]].concat()));
    append(&a, "first");
    let mut shown = vec![tail.out()];
    // Now and then the first ring is looked at before its record is appended, and the second behind that.
    for i in 0..10_000 {
        append(&a, &format!("a {i}"));
        append(&b, &format!("b {i}"));
        let since = std::time::Instant::now();
        while since.elapsed() < Duration::from_micros(50) {}
    }
    shown.extend((0..20_000).map(|_| tail.out()));
    let later = sandbox.ok(&[&["tail", "-o", "json"], &rings[..]].concat());
    let differs = shown.iter().map(String::as_str).zip(later.lines()).find(|(shown, later)| shown != later);
    assert_eq!(differs, None);
}

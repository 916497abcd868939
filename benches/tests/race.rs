//! The race as a program: its children, its figures, what it says when it is asked for what is not there.

use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn race(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_race")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_ring_races_with_a_pipe() {
    let json = std::env::temp_dir().join(format!("lapwing-race-test-{}.json", std::process::id()));
    let plot = std::env::temp_dir().join(format!("lapwing-race-test-{}", std::process::id()));
    let names = ["--only", "lapwing", "--only", "pipe", "--only", "floor"];
    let output = race(
        &[&names[..], &["--rounds", "1", "--json", json.to_str().unwrap(), "--plot", plot.to_str().unwrap()]].concat(),
    );
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{stdout}{}", text(&output.stderr));
    let whole: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    let chart = std::fs::read_to_string(plot.join("append.svg")).unwrap();
    std::fs::remove_dir_all(&plot).unwrap();
    for shown in ["lapwing", "pipe", "floor"] {
        assert!(chart.contains(shown), "no {shown} in {chart}");
    }
    let result = |name: &str| {
        let results = whole["results"].as_array().unwrap();
        results.iter().find(|result| result["name"] == name).unwrap_or_else(|| panic!("no {name} in {whole}"))
    };
    let number = |name: &str, key: &str| result(name)[key].as_f64().unwrap_or_else(|| panic!("{name} has no {key}"));
    let parts = number("memcpy", "append_ns") + number("compare-exchange", "append_ns");
    assert!((number("floor", "append_ns") - parts).abs() < 0.01, "{whole}");
    assert!(number("lapwing", "append_meta_ns") > 0.0);
    assert!(result("pipe").get("append_meta_ns").is_none(), "a pipe has no time: {whole}");
    for name in ["lapwing", "pipe"] {
        assert!(stdout.contains(name), "{stdout}");
        assert!(number(name, "append_ns") > 0.0);
        if lapwing_benches::cores::allowed().len() < 2 {
            continue;
        }
        assert!(whole["probe_ns"].as_f64().unwrap() > 0.0);
        for key in ["two_writers_per_s", "deliver_per_s", "latency_p50_ns", "sent"] {
            assert!(number(name, key) > 0.0, "{key}");
        }
    }
    if lapwing_benches::cores::allowed().len() >= 2 {
        assert_eq!(number("pipe", "lost"), 0.0, "a pipe's writer waits");
    }
}

#[test]
fn nobody_of_that_name() {
    let output = race(&["--only", "carrier-pigeon"]);
    assert!(!output.status.success());
    let stderr = text(&output.stderr);
    assert!(stderr.contains("carrier-pigeon") && stderr.contains("lapwing"), "{stderr}");
}

#[test]
#[cfg(not(feature = "peers"))]
fn who_was_not_built_is_named() {
    let output = race(&["--only", "iceoryx2", "--rounds", "1"]);
    let stdout = text(&output.stdout);
    assert!(stdout.contains("skipped: iceoryx2: built without --features peers"), "{stdout}");
}

/// What a running race keeps in the folder for memory, once it is there.
fn kept(race: &Child) -> Vec<PathBuf> {
    let base = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() };
    let begin = format!("lapwing-race-{}-", race.id());
    let names = std::fs::read_dir(base).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with(&begin))).collect()
}

/// Starts a race of many rounds and waits until something runs in it.
fn racing() -> Child {
    // Who is started in the background of a script ignores SIGINT, and so would the race.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT,TERM", env!("CARGO_BIN_EXE_race")]);
    command.args(["--only", "lapwing", "--rounds", "1000"]).stdout(Stdio::null()).stderr(Stdio::null());
    let race = command.spawn().unwrap();
    let since = Instant::now();
    while !kept(&race).iter().any(|folder| folder.read_dir().is_ok_and(|mut files| files.next().is_some())) {
        assert!(since.elapsed() < Duration::from_secs(30), "no run has begun");
        std::thread::sleep(Duration::from_millis(10));
    }
    race
}

#[test]
fn a_race_that_is_interrupted_leaves_nothing() {
    for (signal, number) in [("-INT", 2), ("-TERM", 15)] {
        let mut race = racing();
        // Twice, as timeout(1) and a terminal do.
        for _ in 0..2 {
            assert!(Command::new("kill").args([signal, &race.id().to_string()]).status().unwrap().success());
        }
        assert_eq!(race.wait().unwrap().signal(), Some(number));
        assert_eq!(kept(&race), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_race_removes_what_a_killed_one_left_and_nothing_of_a_living_one() {
    let (mut killed, mut living) = (racing(), racing());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!kept(&killed).is_empty());
    assert!(race(&["--only", "memcpy", "--rounds", "1"]).status.success());
    assert_eq!(kept(&killed), Vec::<PathBuf>::new());
    assert!(!kept(&living).is_empty());
    living.kill().unwrap();
    living.wait().unwrap();
    assert!(race(&["--only", "memcpy", "--rounds", "1"]).status.success());
    assert_eq!(kept(&living), Vec::<PathBuf>::new());
}

#[test]
fn what_cannot_be_written_is_said_first() {
    let folder = std::env::temp_dir().join(format!("lapwing-race-test-{}-folder", std::process::id()));
    let file = folder.join("file");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&file, "as it was").unwrap();
    for (option, path) in [("--json", folder.join("missing/race.json")), ("--plot", file.clone())] {
        let since = Instant::now();
        let output = race(&["--only", "lapwing", "--rounds", "1000", option, path.to_str().unwrap()]);
        let stderr = text(&output.stderr);
        assert!(!output.status.success() && stderr.contains(path.to_str().unwrap()), "{stderr}");
        assert!(since.elapsed() < Duration::from_secs(30));
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"as it was");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn who_reads_only_the_first_line_gets_the_file_all_the_same() {
    let json = std::env::temp_dir().join(format!("lapwing-race-test-{}-head.json", std::process::id()));
    std::fs::write(&json, "longer than what comes, ".repeat(1000)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_race"));
    command.args(["--only", "memcpy", "--rounds", "1", "--json", json.to_str().unwrap()]).stdout(Stdio::piped());
    let mut race = command.spawn().unwrap();
    drop(race.stdout.take());
    assert!(race.wait().unwrap().success());
    let whole: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    std::fs::remove_file(&json).unwrap();
    assert_eq!(whole["results"][0]["name"], "memcpy");
    assert!(whole.get("probe_ns").is_none(), "nothing was measured that needs two processors: {whole}");
}

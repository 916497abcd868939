//! The race as a program: its children, its figures, what it says when it is asked for what is not there.

use serde_json::Value;
use std::process::{Command, Output};

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

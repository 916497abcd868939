//! What each format looks like: the contract that other programs rely on.

mod sandbox;

use lapwing_ring::{Draft, Field, Level, Log, Value};
use regex::Regex;
use sandbox::Sandbox;
use serde_json::Value as Json;

fn assert_line(line: &str, pattern: &str) {
    assert!(Regex::new(&format!("^{pattern}$")).unwrap().is_match(line), "{line:?} is not {pattern}");
}

fn json_lines(text: &str) -> Vec<Json> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn two_records() -> Sandbox {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "hello", "world"]);
    sandbox.ok(&["log", "-p", "warn", "-t", "disk", "nearly full"]);
    sandbox
}

#[test]
fn text_formats_are_one_line_a_record_and_show_the_level_where_it_is_not_info() {
    let sandbox = two_records();
    let day = r"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d";
    let formats = [
        ("short", format!(r"{day}\.\d{{6}} ")),
        ("short-iso", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00 ".to_owned()),
        ("mono", r"\[ *\d+\.\d{6}\] ".to_owned()),
    ];
    for (format, time) in formats {
        let text = sandbox.ok(&["tail", "-o", format]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_line(lines[0], &format!(r"{time}lapwing\[\d+\] hello world"));
        assert_line(lines[1], &format!(r"{time}lapwing\[\d+\] <warn> nearly full"));
        if format == "short" {
            assert_eq!(sandbox.ok(&["tail"]), text);
        }
    }
    let verbose = sandbox.ok(&["tail", "-o", "verbose"]);
    let who = r"lapwing\[\d+\] tid=\d+";
    let lines: Vec<&str> = verbose.lines().collect();
    assert_line(lines[0], &format!(r"seq=0 {day}\.\d{{9}} {who} level=info src=log : hello world"));
    assert_line(lines[1], &format!(r"seq=1 {day}\.\d{{9}} {who} level=warn src=log tag=disk : nearly full"));
    assert_eq!(sandbox.ok(&["tail", "-o", "cat"]), "hello world\nnearly full\n");
    assert_eq!(sandbox.ok(&["tail", "-o", "raw"]), "hello worldnearly full");
    let logfmt = sandbox.ok(&["tail", "-o", "logfmt"]);
    let time = r"time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z mono_ns=\d+";
    assert_line(
        logfmt.lines().nth(1).unwrap(),
        &format!(r#"seq=1 {time} pid=\d+ tid=\d+ comm=lapwing level=warn src=log tag=disk uid=\d+ text="nearly full""#),
    );
}

#[test]
fn text_is_in_local_time_and_json_is_not() {
    let sandbox = two_records();
    let time = |args: &[&str]| {
        let output = sandbox.command(args).env("TZ", "XYZ-3").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let iso = time(&["tail", "-o", "short-iso"]);
    let json = json_lines(&time(&["tail", "-o", "json"]));
    let local: jiff::Timestamp = iso.split(' ').next().unwrap().parse().unwrap();
    let utc: jiff::Timestamp = json[0]["time"].as_str().unwrap().parse().unwrap();
    assert!(iso.split(' ').next().unwrap().ends_with("+03:00"), "{iso}");
    assert_eq!(local.as_microsecond(), utc.as_microsecond());
}

#[test]
fn json_has_the_keys_of_the_contract_in_order() {
    let sandbox = two_records();
    let text = sandbox.ok(&["tail", "-o", "json"]);
    let line = text.lines().nth(1).unwrap();
    let keys = ["seq", "time", "mono_ns", "pid", "tid", "comm", "level", "levelnum", "src", "text", "tag", "uid"];
    let places: Vec<usize> = keys.iter().map(|key| line.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted(), "{line}");
    let records = json_lines(&text);
    assert_eq!(records[1].as_object().unwrap().len(), keys.len());
    assert_eq!(records[1]["seq"], 1);
    assert_eq!(records[1]["comm"], "lapwing");
    assert_eq!((&records[1]["level"], &records[1]["levelnum"]), (&Json::from("warn"), &Json::from(13)));
    assert_eq!((&records[1]["src"], &records[1]["text"]), (&Json::from("log"), &Json::from("nearly full")));
    assert_line(records[1]["time"].as_str().unwrap(), r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z");
    assert!(records[0].get("tag").is_none() && records[0].get("flags").is_none());
}

#[test]
fn json_text_reads_back_as_the_bytes_that_went_in() {
    let sandbox = Sandbox::with_ring("64K");
    let text = "tab\t esc\u{1b} quote\" back\\slash é \u{9b} \u{202e}";
    sandbox.ok(&["log", text]);
    let done = sandbox.run_with_input(&["log"], b"no \xff UTF-8\n");
    assert_eq!(done.code, 0);
    let out = sandbox.ok(&["tail", "-o", "json"]);
    assert!(!out.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{out}");
    let records = json_lines(&out);
    assert_eq!(records[0]["text"], text);
    // printf 'no \377 UTF-8' | base64
    assert_eq!((records[1].get("text"), &records[1]["text_b64"]), (None, &Json::from("bm8g/yBVVEYtOA==")));
}

#[test]
fn fields_that_a_program_wrote_are_shown_and_cannot_pass_for_ours() {
    let sandbox = Sandbox::with_ring("64K");
    let fields = [
        Field::Tag(b"db"),
        Field::KeyValue(b"path", Value::Text(b"/tmp/a b")),
        Field::KeyValue(b"n", Value::Int(-1)),
        Field::KeyValue(b"load", Value::Float(0.5)),
        Field::KeyValue(b"ok", Value::Bool(true)),
        Field::KeyValue(b"seq", Value::Uint(7)),
        Field::KeyValue(b"x=1 y", Value::Text(b"\x1b[2J\n")),
    ];
    let log = Log::open(&sandbox.path("ring")).unwrap();
    log.append_slices(&Draft { fields: &fields, ..Draft::new(Level::NOTICE) }, &[b"te", b"xt"]).unwrap();
    let records = json_lines(&sandbox.ok(&["tail", "-o", "json"]));
    let expected = r#"{"path":"/tmp/a b","n":-1,"load":0.5,"ok":true,"seq":7,"x=1 y":"\u001b[2J\n"}"#;
    assert_eq!(records[0]["fields"], serde_json::from_str::<Json>(expected).unwrap());
    assert_eq!((&records[0]["tag"], &records[0]["seq"]), (&Json::from("db"), &Json::from(0)));
    let pairs = r#"path="/tmp/a b" n=-1 load=0.5 ok=true field.seq=7 x_1_y="\u001b[2J\n""#;
    let verbose = sandbox.ok(&["tail", "-o", "verbose"]);
    assert!(verbose.trim_end().ends_with(&format!(" level=notice src=api tag=db {pairs} : text")), "{verbose}");
    let logfmt = sandbox.ok(&["tail", "-o", "logfmt"]);
    assert!(logfmt.contains(pairs) && logfmt.ends_with(" text=text\n"), "{logfmt}");
}

#[test]
fn no_record_can_forge_a_line_or_steer_a_terminal() {
    let sandbox = Sandbox::with_ring("64K");
    let nasty = "a\nJan 01 00:00:00.000000 init[1] <emerg> forged\r\x1b]0;x\x07\x7f\u{85}\u{9b}2J\u{202e}\u{2067}\u{200f}\u{61c}\tz";
    sandbox.ok(&["log", nasty]);
    let hidden = |c: char| (c.is_control() && c != '\t' && c != '\n') || "\u{202e}\u{2067}\u{200f}\u{61c}".contains(c);
    for format in ["short", "short-iso", "mono", "verbose", "logfmt", "json"] {
        let out = sandbox.ok(&["tail", "-o", format]);
        assert_eq!((out.lines().count(), out.chars().find(|&c| hidden(c))), (1, None), "{format}: {out:?}");
    }
    let short = sandbox.ok(&["tail"]);
    assert!(short.contains(r"a\x0aJan") && short.contains(r"\x1b]0;x\x07\x7f\u{85}\u{9b}2J\u{202e}"), "{short}");
    assert!(short.ends_with("\\u{61c}\tz\n"), "a tab stays: {short:?}");
    let cat = sandbox.run(&["tail", "-o", "cat"]);
    assert_eq!(cat.stdout, format!("{nasty}\n"), "cat is raw where no terminal reads it");
}

#[test]
fn cat_escapes_where_a_terminal_reads_it() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "red \x1b[31m"]);
    // script(1) gives its command a terminal.
    let mut script = std::process::Command::new("script");
    script.args(["-qec", concat!(env!("CARGO_BIN_EXE_lapwing"), " tail --no-pager -o cat"), "/dev/null"]);
    let output = match script.env("LAPWING_RING", sandbox.path("ring")).stdin(std::process::Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: there is no script(1) here");
            return;
        }
        output => output.unwrap(),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(r"red \x1b[31m") && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn a_process_that_is_gone_keeps_its_name_wherever_reading_begins() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(1..=10_000);
    let next = json_lines(&sandbox.ok(&["stat", "--json"]))[0]["next_seq"].as_u64().unwrap();
    for args in [&["tail"][..], &["tail", "-n", "1"], &["tail", "--from-seq", &(next - 3).to_string()]] {
        let out = sandbox.ok(args);
        let stranger = out.lines().find(|line| !line.starts_with("***") && !line.contains(" lapwing["));
        assert_eq!(stranger, None, "{args:?}");
    }
}

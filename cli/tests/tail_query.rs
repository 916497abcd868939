//! `lapwing tail -q`: what the language means is tested where it is; here, that it is asked, along with the other filters.

mod sandbox;

use lapwing_ring::{Draft, Field, Level, Log, Source, Value};
use sandbox::Sandbox;

fn some_records() -> Sandbox {
    let sandbox = Sandbox::with_ring("64K");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let records: [(Level, &[u8], &str, Source); 4] = [
        (Level::INFO, b"web", "started", Source::Api),
        (Level::WARN, b"web", "time out", Source::Stderr),
        (Level::ERR, b"db", "timeout", Source::Api),
        (Level::ERR, b"db", "disk full", Source::Stdout),
    ];
    for (i, (level, tag, text, source)) in records.into_iter().enumerate() {
        let fields = [Field::Tag(tag), Field::KeyValue(b"n", Value::Uint(i as u64))];
        log.append_slices(&Draft { fields: &fields, source, ..Draft::new(level) }, &[text.as_bytes()]).unwrap();
    }
    sandbox
}

#[test]
fn every_filter_has_to_hold() {
    let sandbox = some_records();
    let pid = std::process::id().to_string();
    let shown = |args: &[&str]| {
        let done = sandbox.run(&[&["tail", "-o", "cat"], args].concat());
        (done.code, done.stdout.lines().map(str::to_owned).collect::<Vec<_>>().join(","))
    };
    let cases: &[(&[&str], i32, &str)] = &[
        (&["-q", "level>=warn and (comm~\"tail_q\" or tag=nobody) and not text~\"time ?out\""], 0, "disk full"),
        (&["-q", "text~\"time ?out\""], 0, "time out,timeout"),
        (&["-q", "text~\"time ?out\"", "-p", "err"], 0, "timeout"),
        (&["-q", "text~\"time ?out\"", "-t", "web"], 0, "time out"),
        (&["-q", "n>=1 and n<3", "-g", "^t"], 0, "time out,timeout"),
        (&["-q", "src=stdout or src=stderr"], 0, "time out,disk full"),
        (&["-q", "tag=web", "--pid", &pid, "-n", "1"], 0, "time out"),
        (&["-q", "tag=web", "--pid", "1"], 1, ""),
        (&["-q", "tag=nobody"], 1, ""),
        (&["-q", &format!("pid={pid} and uid>=0")], 0, "started,time out,timeout,disk full"),
        (&["-r", "-q", "tag!=db"], 0, "time out,started"),
    ];
    for (args, code, expected) in cases {
        assert_eq!(shown(args), (*code, (*expected).to_owned()), "{args:?}");
    }
}

#[test]
fn what_is_wrong_is_usage_with_a_caret_under_the_place() {
    let sandbox = some_records();
    let done = sandbox.run(&["tail", "-q", "level>=warn and tga~\"(\""]);
    assert_eq!((done.code, done.stdout.as_str()), (2, ""));
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert!(lines[0].contains("no regular expression: unclosed group"), "{}", done.stderr);
    assert_eq!(lines[1], "    level>=warn and tga~\"(\"");
    assert_eq!(lines[2], "                        ^");
}

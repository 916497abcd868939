//! `lapwing plot`: real programs on paper and on a terminal, and SVG that an XML parser reads.

mod sandbox;

use sandbox::{Done, Sandbox};
use std::fs;
use std::os::unix::fs::FileExt;
use std::process::Command;

/// Parses an SVG file with Python's XML parser, and gives all its texts.
fn texts(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let script = "import sys, xml.etree.ElementTree as t\nr = t.parse(sys.argv[1]).getroot()\n\
                  assert r.tag == '{http://www.w3.org/2000/svg}svg', r.tag\n\
                  ok = {'svg', 'title', 'desc', 'rect', 'path', 'text', 'defs', 'pattern'}\n\
                  for e in r.iter():\n  tag = e.tag.split('}')[1]\n  assert tag in ok, tag\n\
                  \x20 assert not any(k.startswith('on') or 'href' in k for k in e.keys()), e.attrib\n\
                  \x20 if tag == 'text': print(e.text)";
    let output = Command::new("python3").arg("-c").arg(script).arg(sandbox.path(name)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn has(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text.contains(wanted))
}

/// Two programs of their own names, and lines of several levels.
fn programs() -> Sandbox {
    let sandbox = Sandbox::with_ring("256K");
    for name in ["short", "<g>&\"'"] {
        fs::copy("/bin/sh", sandbox.path(name)).unwrap();
        let script = "for i in 1 2 3 4 5 6 7 8 9 10; do echo \"<$((i % 5 + 2))>line $i\"; sleep 0.02; done";
        let done = sandbox.run(&["run", "--quiet", "--", &format!("./{name}"), "-c", script]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    }
    sandbox
}

#[test]
fn real_programs_are_on_paper_with_their_names_and_levels() {
    let sandbox = programs();
    assert_eq!(sandbox.ok(&["plot", "-o", "./a.svg"]), "");
    let of = texts(&sandbox, "a.svg");
    assert!(
        has(&of, "Records per second by process") && has(&of, ": 20 records (sequences 0..19) of 2 processes"),
        "{of:?}"
    );
    assert!(has(&of, "short[") && has(&of, "<g>&\"'["), "{of:?}");
    for level in ["crit", "err", "warn", "notice", "info"] {
        assert!(of.iter().any(|text| text == level), "{level}: {of:?}");
    }
    assert!(!has(&of, "missing"), "{of:?}");
    // Once more over the same file, by name, through a pipe.
    sandbox.ok(&["plot", "--by", "name", "-o", "./a.svg"]);
    let of = texts(&sandbox, "a.svg");
    assert!(has(&of, "of 2 names") && of.iter().any(|text| text == "short"), "{of:?}");
    let piped = sandbox.ok(&["plot", "--by", "name", "-o", "-"]);
    assert_eq!(piped, fs::read_to_string(sandbox.path("a.svg")).unwrap());
}

#[test]
fn as_text_it_is_as_wide_as_asked_and_without_colours_where_nobody_sees_them() {
    let sandbox = programs();
    let plain = Done::of(sandbox.command(&["plot"]).env("COLUMNS", "100").output().unwrap());
    assert_eq!((plain.code, plain.stderr.as_str()), (0, ""));
    assert!(!plain.stdout.contains('\x1b') && plain.stdout.contains('█'), "{}", plain.stdout);
    let widest = plain.stdout.lines().map(|line| line.chars().count()).max().unwrap();
    assert!((81..=100).contains(&widest), "{widest}: {}", plain.stdout);
    assert!(plain.stdout.contains("■ <g>&\"'[") && plain.stdout.contains(" 50 %"), "{}", plain.stdout);
    // script(1) gives it a terminal.
    let terminal = |set: &str| {
        let command = format!("stty cols 90; {set} {} plot", env!("CARGO_BIN_EXE_lapwing"));
        let mut script = Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).env("LAPWING_RING", sandbox.path("ring")).env("TZ", "UTC");
        script.env_remove("NO_COLOR").stdin(std::process::Stdio::null()).output()
    };
    let Ok(painted) = terminal("") else { return eprintln!("skipped: no script(1) for a terminal") };
    let (painted, bare) = (Done::of(painted), Done::of(terminal("NO_COLOR=1").unwrap()));
    assert_eq!((painted.code, bare.code), (0, 0), "{}", painted.stdout);
    assert!(painted.stdout.contains("\x1b[38;5;32m") && !bare.stdout.contains('\x1b'), "{}", painted.stdout);
    assert!(bare.stdout.lines().all(|line| line.trim_end().chars().count() <= 90), "{}", bare.stdout);
}

#[test]
fn a_saved_ring_and_a_full_one_are_drawn_with_what_is_missing() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines((0..2000).map(|i| format!("{i:0100}")));
    let stat: serde_json::Value = serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap();
    let oldest = stat["oldest_seq"].as_u64().unwrap();
    assert_eq!(sandbox.run(&["save", "./file"]).code, 0);
    sandbox.ok(&["plot", "-o", "./ring.svg"]);
    sandbox.ok(&["plot", "-o", "./file.svg", "--ring", "./file"]);
    let lost = format!("{},{:03} lost: overwritten before this begins", oldest / 1000, oldest % 1000);
    for name in ["ring.svg", "file.svg"] {
        let of = texts(&sandbox, name);
        assert!(has(&of, &lost) && has(&of, &format!("(sequences {oldest}..1999)")), "{of:?}");
    }
    let [ring, file] = ["ring.svg", "file.svg"].map(|name| fs::read_to_string(sandbox.path(name)).unwrap());
    assert_eq!(ring.lines().count(), file.lines().count());
    assert_eq!(
        sandbox.ok(&["plot", "--ring", "./file"]).lines().skip(2).collect::<Vec<_>>(),
        sandbox.ok(&["plot"]).lines().skip(2).collect::<Vec<_>>()
    );
}

#[test]
fn nothing_to_draw_is_no_error_and_damage_is_4() {
    let sandbox = Sandbox::with_ring("64K");
    assert!(sandbox.ok(&["plot"]).contains("no records"));
    sandbox.ok(&["plot", "-o", "./a.svg"]);
    assert!(has(&texts(&sandbox, "a.svg"), "no records"));
    sandbox.log_lines(0..20);
    // The second index entry of the first page, which lies behind one page of 4096 bytes: beyond the page's end.
    let file = fs::File::options().write(true).open(sandbox.path("ring")).unwrap();
    file.write_all_at(&[0xff, 0xff], 12288 + 4096 + 64 + 8).unwrap();
    let done = sandbox.run(&["plot", "-o", "./a.svg"]);
    assert_eq!(done.code, 4);
    assert!(done.stderr.contains("record 1 is damaged"), "{}", done.stderr);
    let of = texts(&sandbox, "a.svg");
    assert!(has(&of, "19 records (sequences 0..19)") && has(&of, "1 lost"), "{of:?}");
    let done = sandbox.run(&["plot", "-o", "./no/such/folder/a.svg"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("cannot be written"), "{}", done.stderr);
    assert_eq!(sandbox.run(&["plot", "--ring", "./missing"]).code, 1);
    assert_eq!(sandbox.run(&["plot", "--by", "colour"]).code, 2);
    let mut cut = sandbox.command(&["plot"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(cut.stdout.take());
    assert_eq!(cut.wait().unwrap().code(), Some(0), "whoever read it left");
}

#[test]
fn a_ring_is_not_drawn_over() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(["one"]);
    let before = fs::read(sandbox.path("ring")).unwrap();
    let done = sandbox.run(&["plot", "-o", "./ring"]);
    assert_eq!((done.code, done.stderr.contains("is a ring, and is left as it is")), (1, true), "{}", done.stderr);
    assert!(fs::read(sandbox.path("ring")).unwrap() == before);
}

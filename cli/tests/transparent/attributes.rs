//! What a process inherits is the same under `lapwing run` as without it.

use crate::stage::{Stage, compiled, have, is_root};
use lapwing_ring::Source;

fn program() -> String {
    compiled("cc", "attributes", include_str!("attributes.c"), &["-O1"]).expect("a C compiler")
}

/// What the program sees after `actions`, and what it would have seen without us. The pids are checked and left out.
fn seen(stage: &Stage, actions: &[&str]) -> [String; 2] {
    let (program, file) = (program(), stage.path("seen"));
    let look = [program.as_str(), "look", file.to_str().unwrap()];
    let launch = [&[program.as_str(), "launch"], actions, &["--"]].concat();
    let captured = stage.captured(&["--buffer", "keep"], &look);
    let captured: Vec<_> = captured.iter().map(String::as_str).collect();
    [&look[..], &captured].map(|command| {
        let _ = std::fs::remove_file(&file);
        let end = stage.run_with(&[&launch[..], command].concat(), &[("ZZ", "1"), ("AA", "2"), ("MM", "3")]);
        assert_eq!(end.status(), (Some(23), None, false), "{actions:?}: {end:?}");
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let pids = format!("pid {} ppid {}\n", end.pid, std::process::id());
        assert!(text.contains(&pids), "{actions:?}: not {pids}{text}");
        text.replace(&pids, "")
    })
}

fn same(actions: &[&[&str]]) {
    let stage = Stage::new();
    for actions in actions {
        let [plain, captured] = seen(&stage, actions);
        let lines = |text: &str, other: &str| {
            text.lines().filter(|line| !other.lines().any(|other| other == *line)).collect::<Vec<_>>().join("\n")
        };
        let (gone, new) = (lines(&plain, &captured), lines(&captured, &plain));
        assert!(plain == captured, "{actions:?}\nwithout us:\n{gone}\nwith us:\n{new}\nall of it:\n{captured}");
    }
}

#[test]
fn signals_are_inherited() {
    same(&[
        &[],
        &["block:10", "block:15", "block:13"],
        &["ignore:13"],
        &["ignore:1", "ignore:2", "ignore:17", "ignore:40"],
        &["ignore:11", "ignore:7"],
        &["block:11", "block:7", "block:64"],
    ]);
}

#[test]
fn descriptors_are_inherited_and_none_is_added() {
    same(&[
        &["open:3", "open:9", "open:77"],
        &["open:5", "cloexec:5"],
        &["nonblock:1"],
        &["close:0"],
        &["close:0", "close:2"],
        &["close:1"],
        &["close:2"],
        &["close:0", "close:1", "close:2"],
        &["close:0", "open:1"],
    ]);
}

#[test]
fn limits_scheduling_and_the_rest_are_inherited() {
    same(&[
        &["umask:077", "nice:3", "chdir:/etc"],
        &["nofile:20", "core:0", "stack:1000000"],
        &["batch:0", "cpu:0", "slack:12345"],
        &["subreaper:1", "nonewprivs:1", "nothp:1", "norandom:1"],
        &["deathsig:15"],
    ]);
}

#[test]
fn the_environment_is_inherited_in_its_order() {
    same(&[
        &["odd:0"],
        &["putenv:LD_BIND_NOW=1", "putenv:LC_ALL=de_DE"],
        &["putenv:GLIBC_TUNABLES=glibc.malloc.check=0"],
    ]);
}

#[test]
fn a_closed_stream_is_not_taken_for_the_null_device() {
    let (stage, program) = (Stage::new(), program());
    let command = stage.captured(&[], &["sh", "-c", "echo to nobody > /dev/null; echo heard >&2"]);
    let end = stage.run(&[&[program, "launch".into(), "close:1".into(), "--".into()][..], &command].concat());
    assert_eq!((end.code, end.err()), (Some(0), "heard\n".into()));
    assert_eq!((stage.texts(Source::Stdout), stage.texts(Source::Stderr)), (vec![], vec!["heard".to_owned()]));
}

#[test]
fn a_terminal_is_still_one() {
    let (stage, program) = (Stage::new(), program());
    let file = stage.path("seen");
    let number = regex::Regex::new("/dev/pts/[0-9]+").unwrap();
    let spawn = "import os,pty,sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let look = [program.as_str(), "look", file.to_str().unwrap()];
    let captured = stage.captured(&[], &look);
    let captured: Vec<_> = captured.iter().map(String::as_str).collect();
    let [plain, captured] = [&look[..], &captured].map(|command| {
        let end = stage.run(&[&["python3", "-c", spawn], command].concat());
        assert_eq!(end.status(), (Some(23), None, false), "{end:?}");
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let text = text.lines().filter(|line| !line.starts_with("pid ") && !line.starts_with("env "));
        // Which one it is depends on what else runs here.
        number.replace_all(&text.collect::<Vec<_>>().join("\n"), "/dev/pts/N").into_owned()
    });
    assert_eq!(plain, captured);
    assert_eq!(plain.matches(" tty 1").count(), 3, "{plain}");
}

#[test]
fn an_unprivileged_user_is_who_he_was() {
    if !is_root() || !have("setpriv") {
        return;
    }
    let (stage, program) = (Stage::new(), program());
    // Neither the ring nor the folder lets him in, and the command is told so before it starts.
    let command = [program.as_str(), "look", "/dev/null"];
    let line =
        [&["setpriv", "--reuid", "65534", "--clear-groups"].map(String::from)[..], &stage.captured(&[], &command)];
    let end = stage.run(&line.concat());
    assert_eq!((end.code, end.out()), (Some(1), String::new()), "{end:?}");
    assert!(end.err().starts_with("lapwing: "), "{end:?}");
}

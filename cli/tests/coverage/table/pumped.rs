//! Programs into which no library can be loaded: they write through the pump.

use super::{languages, shells};
use crate::case::{Case, Target, by};
use crate::check;
use crate::programs::{self, ROOT};
use lapwing_ring::Create;
use std::process::Command;

pub const PUMPED: &[Case] = &[
    pumped("glibc, static", "printf, write", &["{bin}/prints-static"]),
    pumped("glibc, static", "printf, write", &["{bin}/prints-static"]).to(Target::Terminal),
    pumped("glibc, static", "printf, write", &["{bin}/prints-static"]).to(Target::File),
    pumped("musl, static", "printf, write", &["{bin}/prints-musl-static"]),
    pumped("musl, dynamic", "printf, write", &["{bin}/prints-musl"]),
    pumped("Go", "fmt, log, println, a panic", &["{bin}/prints-go"]),
    pumped(
        "busybox, static",
        "a shell and its tools",
        &["busybox", "sh", "-c", "echo a; seq 100; ls --bad; echo e >&2"],
    ),
    pumped("set-user-ID", "printf, write", &["{dir}/other", "stdio"])
        .prepare("cp {bin}/prints other; chown 65534 other; chmod 4755 other; chmod 755 .")
        .needs(&["{bin}/prints", ROOT]),
    Case::script(
        "bash",
        "subshells, pipelines, background jobs; `--capture pump`",
        "the pump",
        by::BASH,
        shells::CHILDREN,
    )
    .pumped()
    .options(FORCED),
    Case::script(
        "bash",
        "echo, /dev/stdout; `--pump pipe`",
        "the pump",
        by::BASH,
        "echo o; echo e >&2; printf p >/dev/stdout",
    )
    .pumped()
    .options(&["--capture", "pump", "--pump", "pipe"]),
    Case::script("Python", "print and the like; `--capture pump`", "the pump", by::PYTHON, languages::OUTPUT)
        .pumped()
        .options(FORCED),
    Case::new("Python", "multiprocessing; `--capture pump`", "the pump", &["{python}", "m.py"])
        .prepare(languages::MULTIPROCESSING)
        .pumped()
        .options(FORCED),
    started(
        "a statically linked program",
        "echo before; {bin}/prints-static inner; echo after",
        &["{bin}/prints-static"],
    ),
    started("a Go program", "echo before; {bin}/prints-go; echo after", &["{bin}/prints-go"]),
];

const fn started(what: &'static str, script: &'static str, needs: &'static [&'static str]) -> Case {
    Case::script("bash", what, "stdio, the pump", by::BASH, script).pumped().needs(needs)
}

const FORCED: &[&str] = &["--capture", "pump"];

const fn pumped(name: &'static str, what: &'static str, command: &'static [&'static str]) -> Case {
    Case::new(name, what, "the pump", command).pumped()
}

#[test]
fn programs_that_take_no_library() {
    check(PUMPED);
}

#[test]
fn a_program_for_another_c_library_is_not_given_one_that_would_end_it() {
    const NAME: &str = "{bin}/prints-musl";
    if let Some(missing) = programs::missing([NAME]) {
        println!("skipped: there is nothing here to make {missing} with");
        return;
    }
    let program = programs::folder().join("prints-musl");
    let plain = Command::new(&program).output().unwrap();
    let folder = tempfile::tempdir().unwrap();
    Create::new().size(64 << 10).create(&folder.path().join("ring")).unwrap();
    for by_a_shell in [false, true] {
        let mut run = Command::new(env!("CARGO_BIN_EXE_lapwing"));
        run.args(["run", "--ring"]).arg(folder.path().join("ring")).arg("--").env_remove("LD_PRELOAD");
        if by_a_shell {
            // Once as a stream, once where nothing is captured.
            run.args(["sh", "-c", "\"$0\" | cat; \"$0\" >/dev/null"]);
        }
        let run = run.arg(&program).output().unwrap();
        assert_eq!(run.status.code(), plain.status.code(), "{}", String::from_utf8_lossy(&run.stderr));
        assert!(run.stdout == plain.stdout);
    }
}

//! Hostile surroundings: a program that lives in them does so with us too, and what it prints is in the ring.

use crate::stage::{End, Stage, compiled, end_of, have, is_root, library};
use lapwing_ring::Source;
use std::path::{Path, PathBuf};
use std::process::Command;

fn program() -> String {
    compiled("cc", "surroundings", include_str!("surroundings.c"), &["-O1", "-pthread"]).expect("a C compiler")
}

/// Something that this machine does not let programs do.
fn is_refused(end: &End) -> bool {
    let is = end.code == Some(77);
    if is {
        println!("skipped: {}", end.err());
    }
    is
}

/// Runs it with and without us; gives what it printed on standard output, and what the ring has of it.
fn same(variables: &[(&str, &str)], arguments: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
    let stage = Stage::new();
    let program = program();
    let command = [&[program.as_str()], arguments].concat();
    let plain = stage.run_with(&command, variables);
    if is_refused(&plain) {
        return None;
    }
    let captured = stage.run_with(&stage.captured(&["--buffer", "keep"], &command), variables);
    assert_eq!(
        (plain.status(), plain.out(), plain.err()),
        (captured.status(), captured.out(), captured.err()),
        "{arguments:?}"
    );
    let lines = captured.out().lines().map(str::to_owned).collect();
    Some((lines, stage.texts(Source::Stdout)))
}

fn same_and_recorded(arguments: &[&str]) {
    if let Some((lines, texts)) = same(&[], arguments) {
        assert_eq!(lines, texts, "{arguments:?}");
    }
}

#[test]
fn a_program_that_confines_itself_is_not_killed_for_what_we_do() {
    for before in ["before", "-"] {
        for how in ["strict", "prctl", "syscall"] {
            let what = if how == "strict" { &["-"][..] } else { &["print", "stderr", "fork", "thread"] };
            for &what in what {
                let Some((mut lines, texts)) = same(&[], &["seccomp", how, what, before]) else { continue };
                // What is not recorded: children, and in the strict mode everything.
                lines.retain(|line| {
                    line == "before" || how != "strict" && line != "a child" && line != "halfthe parent"
                });
                let parent = ["the parent".to_owned()];
                lines.extend_from_slice(if what == "fork" { &parent } else { &[] });
                assert_eq!(texts, lines, "{how} {what} {before}");
            }
        }
    }
}

#[test]
fn memory_that_may_not_become_code_is_no_obstacle() {
    let program = program();
    let stage = Stage::new();
    let line = [
        &[program.clone(), "mdwe".into()][..],
        &stage.captured(&[], &["sh", "-c", "ls --bad; echo printed; $0 bad", &program]),
    ];
    let end = stage.run(&line.concat());
    if !is_refused(&end) {
        assert_eq!((end.code, end.out()), (Some(0), "printed\n".into()), "{end:?}");
        assert_eq!(stage.texts(Source::Stdout), ["printed"]);
        assert!(stage.texts(Source::Stderr)[0].contains("--bad"), "stdio is covered");
    }
}

#[test]
fn a_jail_and_another_user_change_nothing() {
    if is_root() {
        same_and_recorded(&["jail", "jail"]);
        same_and_recorded(&["nobody"]);
    }
}

#[test]
fn a_program_started_in_a_jail_without_our_library_runs() {
    if !is_root() || !have("chroot") || !have("ldd") {
        return;
    }
    let stage = Stage::new();
    let script = format!(
        "mkdir -p jail && cp {} jail/program && ldd jail/program | grep -o '/[^ ]*' | while read f; do mkdir -p jail$(dirname $f); cp $f jail$f; done; exec chroot jail /program closing -",
        program()
    );
    let plain = stage.run(&["sh", "-c", &script]);
    let captured = stage.run(&stage.captured(&[], &["sh", "-c", &script]));
    assert_eq!((plain.status(), plain.out()), (captured.status(), captured.out()), "{captured:?}");
    // The dynamic loader's own words; nobody can keep it from them.
    let others: Vec<_> =
        captured.err().lines().filter(|line| !line.starts_with("ERROR: ld.so:")).map(str::to_owned).collect();
    assert!(others.is_empty(), "{captured:?}");
}

#[test]
fn closing_everything_is_no_obstacle() {
    for how in ["closefrom", "close_range", "one by one"] {
        same_and_recorded(&["closing", how]);
    }
}

#[test]
fn limits_are_no_obstacle() {
    for how in ["nofile", "fsize", "nproc", "memlock", "as", "data", "stack"] {
        same_and_recorded(&["limits", how]);
    }
}

#[test]
fn small_stacks_suffice() {
    // What is not optimised needs more.
    if cfg!(debug_assertions) {
        same_and_recorded(&["small-stack", "20480"]);
    } else {
        same_and_recorded(&["small-stack", "3072"]);
        same_and_recorded(&["small-thread"]);
    }
}

#[test]
fn threads_may_print_until_the_end() {
    for how in ["exit", "_exit", "exec", "return"] {
        let stage = Stage::new();
        for _ in 0..5 {
            let program = program();
            let end = stage.run(&stage.captured(&[], &[&program, "leaving", how]));
            assert_eq!(end.status(), (Some(9), None, false), "{how}: {end:?}");
            assert!(end.err().lines().all(|line| line == "on and on"), "{how}");
        }
    }
}

#[test]
fn an_address_that_cannot_be_is_for_the_kernel_to_judge() {
    same(&[], &["bad"]);
    let (stage, program) = (Stage::new(), program());
    let plain = stage.run(&["sh", "-c", "$0 bad >/dev/null", &program]);
    let command = stage.captured(&[], &["sh", "-c", "exec \"$0\" bad", &program]);
    let into_null = [vec!["sh".into(), "-c".into(), "exec \"$0\" \"$@\" >/dev/null".into()], command].concat();
    let captured = stage.run(&into_null);
    assert_eq!((plain.status(), plain.err()), (captured.status(), captured.err()));
    let quiet = stage.run(&stage.captured(&["--quiet"], &[&program, "bad"]));
    assert_eq!((quiet.code, stage.texts(Source::Stderr)), (Some(0), stage.texts(Source::Stderr)), "{quiet:?}");
    assert!(stage.texts(Source::Stderr).ends_with(&["-1 14".into(), "-1 14".into(), "0".into()]));
}

/// Libraries of others, where Debian puts them.
fn others() -> Vec<PathBuf> {
    let folder = Path::new("/usr/lib/x86_64-linux-gnu");
    let places = ["libjemalloc.so.2", "faketime/libfaketime.so.1", "faketime/libfaketimeMT.so.1", "libtcmalloc.so.4"];
    let (found, missing): (Vec<_>, Vec<_>) =
        places.iter().map(|place| folder.join(place)).partition(|place| place.is_file());
    for library in missing {
        println!("skipped: there is no {} here", library.display());
    }
    found
}

#[test]
fn other_preloaded_libraries_work_in_both_orders() {
    let script = "date +%Y; ls --bad; echo a; (echo b); python3 -c 'print(len([str(x) for x in range(100000)]))'; seq 3000 | tail -1";
    for other in others() {
        let other = other.to_str().unwrap();
        let stage = Stage::new();
        let ours = library();
        let variables = [("FAKETIME", "@2001-01-01 00:00:00"), ("LD_PRELOAD", other)];
        let plain = stage.run_with(&["sh", "-c", script], &variables);
        let lines: Vec<_> = plain.out().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 5, "{other}: {plain:?}");
        for both in [format!("{other}:{}", ours.display()), format!("{}:{other}", ours.display())] {
            let before = stage.texts(Source::Stdout).len();
            let variables = [variables[0], ("LD_PRELOAD", both.as_str())];
            let captured = stage.run_with(&stage.captured(&["--buffer", "keep"], &["sh", "-c", script]), &variables);
            assert_eq!(
                (plain.status(), plain.out(), plain.err()),
                (captured.status(), captured.out(), captured.err()),
                "{both}"
            );
            assert_eq!(stage.texts(Source::Stdout)[before..], lines, "{both}");
        }
    }
}

#[test]
fn under_a_limit_of_address_space_three_quarters_of_the_rest_are_the_programs_own() {
    let program = program();
    let stage = Stage::new();
    let run = |limit: u64, needed: u64, stream: &str| {
        let script = format!("ulimit -v {limit}; exec \"$0\" memory {}", needed << 10);
        let mut command = Command::new("sh");
        command.args(["-c", &script, &program]).env_clear().env("PATH", "/usr/bin:/bin");
        // The library itself takes space as well, which is for the loader to find.
        command.env("LD_PRELOAD", library()).env("LAPWING_RING", stage.ring()).env("LAPWING_STREAM", stream);
        end_of(command)
    };
    let least = (1_000..100_000).step_by(250).find(|&limit| run(limit, 0, "").code == Some(0)).unwrap();
    for more in [2_000, 5_000, 10_000, 13_000, 20_000, 50_000, 200_000] {
        let (plain, captured) = (run(least + more, more / 4 * 3, ""), run(least + more, more / 4 * 3, "any"));
        assert_eq!((plain.code, plain.out()), (Some(0), "enough\n".into()), "{more} KiB");
        assert_eq!((plain.status(), plain.out()), (captured.status(), captured.out()), "{more} KiB: {captured:?}");
    }
    assert!(!stage.texts(Source::Stdout).is_empty(), "with enough room it is captured");
}

#[test]
fn a_program_with_the_address_sanitizer_runs() {
    let source = "#include <stdio.h>\nint main(int n, char **a) { puts(\"fine\"); fflush(stdout); char *p = __builtin_malloc(4); int x = n > 1 ? p[n + 3] : 0; __builtin_free(p); return x; }";
    let Some(program) = compiled("cc", "asan", source, &["-fsanitize=address", "-g"]) else { return };
    let stage = Stage::new();
    for arguments in [&[program.as_str()][..], &[program.as_str(), "bad"]] {
        let plain = stage.run(arguments);
        let captured = stage.run(&stage.captured(&[], arguments));
        assert_eq!((plain.status(), plain.out()), (captured.status(), captured.out()), "{plain:?}{captured:?}");
    }
    assert_eq!(stage.texts(Source::Stdout), ["fine", "fine"]);
}

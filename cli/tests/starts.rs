//! Programs that are started with another environment are captured too, and what a program says at its end.

#[path = "reach/stage.rs"]
mod stage;

use lapwing_ring::{Flags, Level, Read, Reader, Source};
use stage::{Out, Stage, have, lines, lossy, program};
use std::os::unix::process::ExitStatusExt;

#[test]
fn whatever_starts_a_program_with_an_empty_environment_hands_capture_on() {
    let program = program("starts");
    for how in [
        "execve",
        "execve, null",
        "execvpe",
        "fexecve",
        "execveat",
        "execle",
        "posix_spawn",
        "posix_spawnp",
        "execv",
        "execvp",
        "execl",
        "execlp",
    ] {
        let stage = Stage::new();
        let done = stage.captured(&[&program, "start", how]);
        assert_eq!((lines(&done.out), done.err.as_str()), (vec![how], ""));
        assert_eq!(stage.texts(Source::Stdout), [how]);
        // Quiet programs start quiet ones.
        let quiet = stage.run(Out::Pipe, stage.command(Some(&["-q"]), &[&program, "start", how]));
        assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""), "{how}");
        assert_eq!(stage.texts(Source::Stdout), [how, how]);
    }
    let stage = Stage::new();
    let done = stage.captured(&[&program, "start", "execle, many"]);
    let expected = format!("{}execle, many", "a b c d e f g h i j ".repeat(10));
    assert_eq!(lines(&done.out), [expected.as_str()]);
    assert_eq!(stage.texts(Source::Stdout), [expected]);
    let done = stage.captured(&[&program, "start", "failed"]);
    assert_eq!(done.out, "-1 1\n");
}

#[test]
fn what_is_there_stays_and_what_is_missing_is_added() {
    let (stage, program) = (Stage::new(), program("starts"));
    let done = stage.captured(&[&program, "start", "what is added"]);
    let [path, preload, buffer, ring, stream, pump] = lines(&done.out)[..] else { panic!("{done:?}") };
    assert_eq!((path, buffer), ("PATH=/usr/bin:/bin", "LAPWING_BUFFER=keep"));
    assert!(preload.starts_with("LD_PRELOAD=libc.so.6:/") && preload.ends_with("liblapwing_preload.so"), "{preload}");
    assert_eq!(ring, format!("LAPWING_RING={}", stage.path("ring").display()));
    assert!(stream.starts_with("LAPWING_STREAM=out="), "{stream}");
    assert_eq!(pump, concat!("LAPWING_PUMP=", env!("CARGO_BIN_EXE_lapwing")));
    assert_eq!(stage.texts(Source::Stdout), lines(&done.out));
}

#[test]
fn an_environment_that_is_doubtful_stays_as_it_is() {
    let program = program("starts");
    for how in ["off", "twice", "too many"] {
        let stage = Stage::new();
        let done = stage.captured(&[&program, "start", how]);
        assert_eq!((lines(&done.out), done.err.as_str()), (vec![how], ""));
        assert_eq!(stage.records(), [], "{how}");
    }
    let stage = Stage::new();
    let mut command = stage.command(Some(&[]), &["env", "-i", "/usr/bin/env"]);
    command.env("LAPWING_PROPAGATE", "0");
    assert_eq!(stage.run(Out::Pipe, command).out, "", "it is switched off");
}

#[test]
fn real_programs_that_empty_the_environment_are_captured() {
    let run = "import subprocess; subprocess.run(['/bin/echo', 'hi'], env={})";
    let spawn = "import os; os.waitpid(os.posix_spawn('/bin/echo', ['echo', 'hi'], {}), 0)";
    let exec = "import os; os.execve('/bin/echo', ['echo', 'hi'], {})";
    let perl = "delete @ENV{keys %ENV}; exec '/bin/echo', 'hi'";
    let cases: [&[&str]; 7] = [
        &["env", "-i", "/bin/echo", "hi"],
        &["env", "-i", "sh", "-c", "echo hi"],
        &["env", "-i", "sh", "-c", "env -i /bin/echo hi"],
        &["python3", "-c", run],
        &["python3", "-c", spawn],
        &["python3", "-c", exec],
        &["perl", "-e", perl],
    ];
    for command in cases.into_iter().filter(|command| have(command[0])) {
        let stage = Stage::new();
        let done = stage.captured(command);
        assert_eq!((done.out.as_str(), done.err.as_str()), ("hi\n", ""), "{command:?}");
        assert_eq!(stage.texts(Source::Stdout), ["hi"], "{command:?}");
    }
}

#[test]
fn a_smashed_stack_leaves_last_words() {
    let stage = Stage::new();
    let done = stage.captured(&[&program("moves"), "smash"]);
    assert_eq!(done.status.signal(), Some(6), "{done:?}");
    assert!(done.err.contains("stack smashing detected"), "{}", done.err);
    let mut reader = Reader::open(&stage.path("ring")).unwrap();
    let Read::Record(record) = reader.next().unwrap() else { panic!("no record") };
    assert_eq!((record.source, record.level), (Source::Stderr, Level::ERR));
    assert!(record.flags.contains(Flags::LAST_WORDS));
    assert_eq!(lossy(record.payload), done.err.trim_end(), "what glibc says");
}

#[test]
fn what_the_c_library_says_for_a_program_is_captured() {
    let (stage, program) = (Stage::new(), program("starts"));
    let done = stage.captured(&[&program, "ends", "err"]);
    assert_eq!(done.status.code(), Some(3));
    assert_eq!(stage.texts(Source::Stderr), lines(&done.err));
    assert!(done.err.contains("opening it: No such file"), "{}", done.err);
    let stage = Stage::new();
    let done = stage.captured(&[&program, "ends", "psignal"]);
    assert_eq!((stage.texts(Source::Stderr), done.err.as_str()), (vec!["got: Terminated".into()], "got: Terminated\n"));
}

#[test]
fn where_a_program_says_it_is_is_captured() {
    let program = program("starts");
    for options in [&[][..], &["--quiet"]] {
        let stage = Stage::new();
        let plain = stage.run(Out::Pipe, stage.command(None, &[&program, "ends", "backtrace"]));
        let done = stage.run(Out::Pipe, stage.command(Some(options), &[&program, "ends", "backtrace"]));
        // Where they are loaded differs from run to run.
        let frames =
            |text: &[&str]| text.iter().map(|line| line.split('[').next().unwrap().to_owned()).collect::<Vec<_>>();
        let texts = stage.texts(Source::Stderr);
        assert_eq!(frames(&texts.iter().map(String::as_str).collect::<Vec<_>>()), frames(&lines(&plain.err)));
        assert_eq!(texts.len(), 20);
        let printed = if options.is_empty() { texts } else { vec![] };
        assert_eq!(lines(&done.err), printed);
    }
}

#[test]
fn a_daemon_s_parent_leaves_no_unfinished_line_to_its_child() {
    let stage = Stage::new();
    stage.captured(&[&program("starts"), "ends", "daemon"]);
    let records = stage.records();
    let texts: Vec<_> = records.iter().map(|record| record.text.as_str()).collect();
    assert_eq!(texts, ["half", "child"]);
    assert_ne!(records[0].pid, records[1].pid);
}

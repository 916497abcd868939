//! Programs that cannot be preloaded, started by programs that are: the pump is behind them, where their output is captured
//! at all.

#[path = "pump/stage.rs"]
mod stage;

use lapwing_ring::{Flags, Source};
use stage::{Ring, clean, have, static_programs, text, wait_until};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Every record's text, with the pid where it is a static program's.
fn texts(ring: &Ring) -> Vec<String> {
    ring.records().iter().map(|record| record.text()).collect()
}

#[test]
fn a_shell_s_static_children_are_captured_where_their_output_is() {
    for program in static_programs() {
        for shell in ["bash", "sh"] {
            let ring = Ring::new();
            let file = ring.folder.path().join("file");
            let script = format!(
                "echo before; {program} lines 2; {program} lines 1 >{0}; {program} lines 1 | tr a-z A-Z; \
                 x=$({program} lines 1); echo \"$x\"; {program} end 5; echo $?; exec {program} end 3",
                file.display()
            );
            let output = ring.command(&[], &[shell, "-c", &script]).output().unwrap();
            let line = "line 0 of the program";
            let expected =
                format!("before\n{line}\nline 1 of the program\n{}\n{line}\nhalf5\nhalf", line.to_uppercase());
            assert_eq!((text(&output.stdout), text(&output.stderr)), (expected, String::new()), "{shell}");
            assert_eq!(output.status.code(), Some(3));
            assert_eq!(std::fs::read_to_string(file).unwrap(), format!("{line}\n"));
            // Each pump is as fast as it is; but each has recorded all of it when the output has come to its end.
            let mut seen = texts(&ring);
            seen.sort();
            let mut all =
                vec!["before", line, "line 1 of the program", "LINE 0 OF THE PROGRAM", line, "half", "5", "half"];
            all.sort();
            assert_eq!(seen, all, "{shell}");
            let name = program.rsplit('/').next().unwrap();
            let pumped: Vec<_> = ring.records().into_iter().filter(|record| record.has(Flags::ATTESTED)).collect();
            assert_eq!(pumped.len(), 4, "{shell}");
            assert!(pumped.iter().all(|record| record.comm.as_deref() == Some(name)), "{pumped:?}");
        }
    }
}

#[test]
fn every_way_to_start_a_program_has_the_pump_behind_it() {
    let Some(program) = static_programs().pop() else { return };
    let (folder, name) = program.rsplit_once('/').unwrap();
    for (how, code) in [
        ("execv", "os.execv(p, [n, 'end', '7'])"),
        ("execve", "os.execve(p, [n, 'end', '7'], os.environ)"),
        ("empty", "os.execve(p, [n, 'end', '7'], {})"),
        ("execvp", "os.execvp(n, [n, 'end', '7'])"),
        (
            "spawn",
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(p, [n, 'end', '7'], os.environ), 0)[1]))",
        ),
        (
            "spawnp",
            "sys.exit(os.waitstatus_to_exitcode(os.waitpid(os.posix_spawnp(n, [n, 'end', '7'], os.environ), 0)[1]))",
        ),
        ("subprocess", "sys.exit(subprocess.run([p, 'end', '7']).returncode)"),
        ("system", "sys.exit(os.waitstatus_to_exitcode(os.system(p + ' end 7')))"),
    ] {
        let ring = Ring::new();
        let script = format!("import os, sys, subprocess\np, n = {program:?}, {name:?}\n{code}");
        let mut command = ring.command(&[], &["python3", "-c", &script]);
        command.env("PATH", format!("{}:{folder}", std::env::var("PATH").unwrap()));
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(7), "half".into()), "{how}: {output:?}");
        let records = ring.records();
        let seen: Vec<_> = records.iter().map(|record| (record.text(), record.has(Flags::ATTESTED))).collect();
        assert_eq!(seen, [("half".into(), true)], "{how}");
    }
}

#[test]
fn a_child_keeps_its_pid_and_its_parent_and_dies_of_its_own_signals() {
    let Some(program) = static_programs().pop() else { return };
    let ring = Ring::new();
    let script = format!("echo $$; {program} who & wait $!; echo $!; {program} end -15 & wait $!; echo $?");
    let output = ring.command(&[], &["bash", "-c", &script]).output().unwrap();
    let said = text(&output.stdout);
    let lines: Vec<_> = said.lines().collect();
    let child = lines.iter().find(|line| !line.contains(' ') && **line != lines[0]).unwrap();
    let who = lines.iter().find(|line| line.starts_with("pid ")).unwrap();
    assert!(who.starts_with(&format!("pid {child} parent {} ", lines[0])), "{said}");
    assert!(said.contains("143"), "{said}");
    assert!(output.status.signal().is_none());
    let records = ring.records();
    assert!(records.iter().any(|record| record.text() == **who && record.pid.to_string() == **child), "{records:?}");
}

#[test]
fn quiet_holds_for_children() {
    let Some(program) = static_programs().pop() else { return };
    let ring = Ring::new();
    let output = ring.command(&["--quiet"], &["sh", "-c", &format!("{program} both 20; :")]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), (String::new(), String::new()));
    ring.wait_for(20);
    assert_eq!((ring.texts(Source::Stdout).len(), ring.texts(Source::Stderr).len()), (18, 2));
}

#[test]
fn under_the_pump_nothing_is_recorded_twice() {
    let Some(program) = static_programs().pop() else { return };
    if !have("busybox") {
        println!("a shell of glibc's stands in for a static one");
    }
    let ring = Ring::new();
    // The shell is pumped, has the library for what it logs, and starts both kinds.
    let mut command =
        ring.command(&["--capture", "pump"], &["sh", "-c", &format!("echo a; {program} lines 1; ls -d /")]);
    let output = command.output().unwrap();
    assert_eq!(text(&output.stdout), "a\nline 0 of the program\n/\n");
    assert_eq!(ring.texts(Source::Stdout), ["a", "line 0 of the program", "/"]);
    let mut command = ring.command(&[], &[&program, "lines", "1"]);
    assert!(command.status().unwrap().success());
    ring.wait_for(4);
}

#[test]
fn what_has_gone_from_its_place_is_done_without() {
    let Some(program) = static_programs().pop() else { return };
    let ring = Ring::new();
    let lapwing = ring.folder.path().join("lapwing");
    std::fs::copy(env!("CARGO_BIN_EXE_lapwing"), &lapwing).unwrap();
    let library =
        std::path::Path::new(env!("CARGO_BIN_EXE_lapwing")).with_file_name("deps").join("liblapwing_preload.so");
    let mut command = Command::new(&lapwing);
    command.args(["run", "--ring"]).arg(ring.path()).args(["--", "sh", "-c"]);
    command.arg(format!("rm {}; {program} lines 1; echo $?", lapwing.display()));
    clean(&mut command);
    let output = command.env("LAPWING_PRELOAD", library).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("line 0 of the program\n0\n".into(), String::new()));
    wait_until("the shell's own line", || (texts(&ring) == ["0"]).then_some(()));
}

#[test]
fn the_first_process_of_a_namespace_is_left_alone_for_its_end_would_be_the_pump_s() {
    let Some(program) = static_programs().pop() else { return };
    if !Command::new("unshare").args(["-pf", "true"]).status().is_ok_and(|status| status.success()) {
        println!("skipped: no pid namespace can be made here");
        return;
    }
    let expected: String = (0..2000).map(|i| format!("line {i} of the program\n")).collect();
    // As the command of a container, and as what a captured program starts.
    for outside in [true, false] {
        let ring = Ring::new();
        let lapwing = ring.command(&[], &[&program, "lines", "2000"]);
        let output = if outside {
            let mut unshare = Command::new("unshare");
            unshare.arg("-pf").arg(lapwing.get_program()).args(lapwing.get_args());
            clean(&mut unshare);
            unshare.output()
        } else {
            ring.command(&[], &["unshare", "-pf", &program, "lines", "2000"]).output()
        };
        assert!(text(&output.unwrap().stdout) == expected, "outside: {outside}");
        assert!(ring.records().is_empty(), "outside: {outside}");
    }
}

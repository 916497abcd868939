//! Programs that cannot be preloaded, under `lapwing run`: the pump brings what they print into the ring, and they do not
//! notice.

#[path = "pump/stage.rs"]
mod stage;

use lapwing_ring::{Flags, Source};
use stage::{Ring, clean, have, program, static_programs, text, wait_until};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

const TRANSPORTS: [&str; 3] = ["socket", "pipe", "pty"];

fn all(output: &Output) -> (Option<i32>, Option<i32>, String, Vec<u8>) {
    (output.status.code(), output.status.signal(), text(&output.stderr), output.stdout.clone())
}

#[test]
fn a_static_program_is_captured_without_a_word() {
    for program in static_programs() {
        let ring = Ring::new();
        let output = ring.command(&[], &[&program, "both", "30"]).output().unwrap();
        let plain = Command::new(&program).args(["both", "30"]).output().unwrap();
        assert_eq!(all(&output), all(&plain), "{program}");
        let lines = |bytes: &[u8]| text(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(ring.texts(Source::Stdout), lines(&plain.stdout));
        assert_eq!(ring.texts(Source::Stderr), lines(&plain.stderr));
        let name = program.rsplit('/').next().unwrap();
        assert!(ring.records().iter().all(|seen| seen.has(Flags::ATTESTED) && seen.comm.as_deref() == Some(name)));
    }
}

#[test]
fn a_go_program_is_captured() {
    if !have("go") {
        return;
    }
    let ring = Ring::new();
    let (source, binary) = (ring.folder.path().join("main.go"), ring.folder.path().join("gone"));
    let code = "package main\nimport (\"fmt\"; \"os\"; \"os/exec\")\nfunc main() {\n\
                fmt.Println(\"from go\")\nprintln(\"to stderr\")\n\
                c := exec.Command(\"sh\", \"-c\", \"echo child\")\nc.Stdout = os.Stdout\nc.Run()\nos.Exit(3)\n}\n";
    std::fs::write(&source, code).unwrap();
    let mut go = Command::new("go");
    go.args(["build", "-o"]).arg(&binary).arg(&source).env("CGO_ENABLED", "0").env("HOME", ring.folder.path());
    let built = go.output().unwrap();
    assert!(built.status.success(), "{}", text(&built.stderr));
    let output = ring.command(&[], &[binary.to_str().unwrap()]).output().unwrap();
    assert_eq!(all(&output), (Some(3), None, "to stderr\n".into(), b"from go\nchild\n".to_vec()));
    assert_eq!(ring.texts(Source::Stdout), ["from go", "child"]);
    assert_eq!(ring.texts(Source::Stderr), ["to stderr"]);
    let _ = Command::new("chmod").args(["-R", "u+w"]).arg(ring.folder.path()).status();
}

#[test]
fn a_hundred_thousand_lines_are_all_there_and_in_order() {
    for transport in TRANSPORTS {
        let ring = Ring::new();
        let output = ring.pump(&["--pump", transport], &[program(), "both", "100000"]);
        assert!(output.status.success());
        let numbers = |text: String| -> Vec<u32> {
            text.lines().map(|line| line.strip_prefix("line ").unwrap().parse().unwrap()).collect()
        };
        let (out, err): (Vec<u32>, Vec<u32>) = (0..100_000).partition(|i| i % 10 != 0);
        assert!(numbers(text(&output.stdout)) == out && numbers(text(&output.stderr)) == err, "{transport}");
        assert!(numbers(ring.texts(Source::Stdout).join("\n")) == out, "{transport}: in the ring");
        assert!(numbers(ring.texts(Source::Stderr).join("\n")) == err, "{transport}: in the ring");
    }
}

#[test]
fn any_bytes_pass_unchanged() {
    let plain = Command::new(program()).args(["binary", "3000000"]).output().unwrap();
    let priority = regex::bytes::Regex::new(r"(?-u)(^|\n)<([0-9]{1,3})>").unwrap();
    for transport in TRANSPORTS {
        let ring = Ring::new();
        let output = ring.pump(&["--pump", transport], &[program(), "binary", "3000000"]);
        assert!(output.stdout == plain.stdout, "{transport}");
        let mut recorded = Vec::new();
        for record in ring.records() {
            recorded.extend_from_slice(&record.text);
            if !record.has(Flags::CONT) && !record.has(Flags::PARTIAL) {
                recorded.push(b'\n');
            }
        }
        // A priority in front of a line is its level, and leaves the text.
        let without = |bytes: &[u8]| priority.replace_all(bytes, &b"$1"[..]).into_owned();
        assert!(without(&recorded) == without(&plain.stdout), "{transport}: in the ring");
    }
}

#[test]
fn every_status_and_signal_comes_back() {
    let ring = Ring::new();
    let mut expected = 0;
    for code in (0..=255).step_by(5).chain([1, 126, 127]) {
        let output = ring.pump(&[], &[program(), "end", &code.to_string()]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(code), "half".into()));
        expected += 1;
    }
    for signal in [1, 2, 3, 6, 9, 10, 11, 13, 14, 15] {
        let output = ring.pump(&[], &[program(), "end", &format!("-{signal}")]);
        assert_eq!((output.status.signal(), text(&output.stdout)), (Some(signal), "half".into()));
        expected += 1;
    }
    let records = ring.records();
    assert_eq!(records.len(), expected);
    assert!(records.iter().all(|seen| seen.text == b"half" && seen.has(Flags::PARTIAL)));
}

#[test]
fn the_program_is_who_it_would_have_been() {
    let differ = regex::Regex::new(r"pid \d+ parent \d+ group \d+").unwrap();
    // The shell gives each a parent that stays, and a SIGCHLD that is blocked for the second.
    for script in [
        "\"$@\"; :",
        "python3 -c 'import signal, subprocess, sys\n\
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])\nsubprocess.run(sys.argv[1:])' \"$@\"; :",
    ] {
        let ring = Ring::new();
        let run = |command: &mut Command| {
            clean(command);
            let output = command.output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            // These differ from run to run.
            differ.replace(&text(&output.stdout), "").into_owned()
        };
        let plain = run(Command::new("sh").args(["-c", script, "sh", program(), "who"]));
        let lapwing = env!("CARGO_BIN_EXE_lapwing");
        let ring_path = ring.path();
        let words =
            [lapwing, "run", "--capture", "pump", "--ring", ring_path.to_str().unwrap(), "--", program(), "who"];
        let pumped = run(Command::new("sh").args(["-c", script, "sh"]).args(words));
        assert_eq!(plain, pumped);
    }
}

#[test]
fn pid_parent_and_group_stay() {
    for transport in TRANSPORTS {
        let ring = Ring::new();
        let mut command = ring.command(&["--capture", "pump", "--pump", transport], &[program(), "who"]);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (pid, us) = (child.id(), std::process::id());
        let group = std::fs::read_to_string("/proc/self/stat").unwrap();
        let ids: Vec<_> = group.rsplit(") ").next().unwrap().split(' ').skip(2).take(2).collect();
        let said = text(&child.wait_with_output().unwrap().stdout);
        let expected = format!("pid {pid} parent {us} group {} session {}\n", ids[0], ids[1]);
        assert_eq!(said.lines().next().unwrap().to_owned() + "\n", expected, "{transport}");
        assert!(ring.records().iter().all(|record| record.pid == pid), "{transport}");
    }
}

#[test]
fn children_have_their_own_pids_and_no_line_is_torn() {
    let ring = Ring::new();
    assert!(ring.pump(&[], &[program(), "children", "500"]).status.success());
    let records = ring.records();
    assert_eq!(records.len(), 2000);
    for record in records {
        assert_eq!(record.text().split(' ').next().unwrap(), record.pid.to_string());
        assert!(record.has(Flags::ATTESTED));
    }
}

#[test]
fn a_daemon_is_followed_to_its_end() {
    for transport in TRANSPORTS {
        let ring = Ring::new();
        let file = File::create(ring.folder.path().join("out")).unwrap();
        let mut command = ring.command(&["--capture", "pump", "--pump", transport], &[program(), "daemon", "20"]);
        let status = command.stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
        assert!(status.success());
        let records = ring.wait_for(22);
        assert_eq!(records[0].text(), "parent");
        for (i, record) in records[1..21].iter().enumerate() {
            let said: Vec<_> = record.text().split(' ').map(str::to_owned).collect();
            assert_eq!(said[..2], ["daemon".to_owned(), i.to_string()], "{transport}");
            if transport == "socket" {
                assert_eq!(said[2], record.pid.to_string());
                assert_ne!(record.pid, records[0].pid);
            }
        }
        assert_eq!((records[21].text(), records[21].has(Flags::PARTIAL)), ("daemon ends".into(), true));
        let written = || std::fs::read_to_string(ring.folder.path().join("out")).ok();
        wait_until("the daemon's output", || written().filter(|text| text.ends_with("daemon ends")));
        assert_eq!(written().unwrap().lines().count(), 22);
    }
}

#[test]
fn an_unfinished_line_of_a_child_that_is_gone_does_not_wait_for_the_others() {
    let ring = Ring::new();
    let mut command = ring.command(&["--capture", "pump"], &["sh", "-c", "(printf half); read x; echo more"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let records = ring.wait_for(1);
    assert_eq!((records[0].text(), records[0].has(Flags::PARTIAL)), ("half".into(), true));
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "halfmore\n");
    assert_eq!(ring.records()[1].text(), "more");
}

#[test]
fn a_program_hears_that_its_reader_has_left() {
    for transport in ["socket", "pipe"] {
        let ring = Ring::new();
        let lapwing = ring.command(&["--capture", "pump", "--pump", transport], &[program(), "until"]);
        let words: Vec<_> = std::iter::once(lapwing.get_program()).chain(lapwing.get_args()).collect();
        let mut bash = Command::new("bash");
        bash.args(["-c", "\"$@\" | head -n 1; echo ${PIPESTATUS[0]}", "bash"]).args(&words);
        let output = text(&bash.output().unwrap().stdout);
        // Who waits for room in a socket gets no signal with the error.
        let ends: &[_] = if transport == "pipe" { &["line 0\n141\n"] } else { &["line 0\n141\n", "line 0\n7\n"] };
        assert!(ends.contains(&output.as_str()), "{transport}: {output}");

        let mut bash = Command::new("bash");
        bash.args(["-c", "\"$@\" 1 | head -n 1; echo ${PIPESTATUS[0]}", "bash"]).args(&words);
        let output = bash.output().unwrap();
        assert_eq!(text(&output.stdout), "line 0\n7\n", "{transport}");
        assert_eq!(text(&output.stderr), "error 32\n");
    }
}

#[test]
fn a_program_that_writes_seldom_hears_at_its_next_line_that_its_reader_has_left() {
    for transport in ["socket", "pipe"] {
        let ring = Ring::new();
        let mut command = ring.command(&["--capture", "pump", "--pump", transport], &[program(), "told", "1"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 7];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        // The reader is gone now; the pump hears of it before the program has written again.
        std::thread::sleep(std::time::Duration::from_millis(200));
        child.stdin.take().unwrap().write_all(b"x").unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(7), "error 32\n".into()), "{transport}");
        assert_eq!(ring.texts(Source::Stdout), ["told 0"]);
    }
}

#[test]
fn a_slow_reader_slows_the_program_and_loses_nothing() {
    for transport in TRANSPORTS {
        let ring = Ring::new();
        let mut command = ring.command(&["--capture", "pump", "--pump", transport], &[program(), "both", "60000"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert!(child.try_wait().unwrap().is_none(), "{transport}: it waits for its reader");
        let held = ring.records().len();
        assert!(held < 60_000, "{transport}: {held}");
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        assert_eq!((output.lines().count(), child.wait().unwrap().code()), (54_000, Some(0)), "{transport}");
        ring.wait_for(60_000);
    }
}

#[test]
fn one_stream_that_nobody_reads_does_not_hold_up_the_other() {
    let ring = Ring::new();
    let mut command =
        ring.command(&["--capture", "pump"], &["bash", "-c", "yes full & sleep 0.3; echo $! >&2; read x; kill $!"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 1];
    child.stderr.as_mut().unwrap().read_exact(&mut line).unwrap();
    assert!(line[0].is_ascii_digit());
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.starts_with(b"full\nfull\n"));
}

#[test]
fn quiet_captures_and_prints_nothing() {
    let ring = Ring::new();
    let output = ring.pump(&["--quiet"], &[program(), "both", "20"]);
    assert_eq!(all(&output), (Some(0), None, String::new(), vec![]));
    assert_eq!(ring.wait_for(20).iter().filter(|record| record.source == Source::Stderr).count(), 2);
}

#[test]
fn where_both_streams_are_one_their_order_stays() {
    for transport in TRANSPORTS {
        let ring = Ring::new();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = ring.command(&["--capture", "pump", "--pump", transport], &[program(), "both", "10000"]);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        let mut both = String::new();
        reader.read_to_string(&mut both).unwrap();
        assert!(child.wait().unwrap().success());
        let expected: Vec<_> = (0..10_000).map(|i| format!("line {i}")).collect();
        assert!(both.lines().eq(expected.iter()), "{transport}");
        assert_eq!(ring.texts(Source::Stdout), expected, "{transport}");
    }
}

#[test]
fn a_full_device_is_said_in_the_ring_and_stops_nobody() {
    for transport in TRANSPORTS {
        let ring = Ring::new();
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = ring.command(&["--capture", "pump", "--pump", transport], &[program(), "lines", "10000"]);
        assert!(command.stdout(full).status().unwrap().success(), "{transport}");
        let records = ring.wait_for(10_002);
        assert_eq!(records.iter().filter(|record| record.source == Source::Stdout).count(), 10_000);
        let said: Vec<_> = records.iter().filter(|seen| seen.source == Source::Log).map(|seen| seen.text()).collect();
        assert!(said[0].starts_with("stdout is in the ring only from now on: No space left"), "{said:?}");
        let bytes: usize = (0..10_000).map(|i| format!("line {i} of the program\n").len()).sum();
        assert_eq!(said[1], format!("{bytes} bytes of stdout are in the ring only"), "{transport}");
    }
}

#[test]
fn streams_opened_by_name_get_a_pipe() {
    let ring = Ring::new();
    let output = ring.pump(&[], &[program(), "reopen", "/dev/stdout"]);
    assert_eq!(all(&output), (Some(0), None, String::new(), b"by name\n".to_vec()));
    assert_eq!(ring.texts(Source::Stdout), ["by name"]);
    let forced = ring.pump(&["--pump", "socket"], &[program(), "reopen", "/dev/stdout"]);
    assert_eq!(forced.status.code(), Some(6), "ENXIO: that is why");
}

#[test]
fn closed_streams_stay_closed_and_the_others_are_captured() {
    let ring = Ring::new();
    for (closed, code, records) in [("<&- >&- 2>&-", 99, 0), ("<&- >&-", 99, 1), ("2>&-", 99, 0), ("<&-", 0, 20)] {
        let before = ring.records().len();
        let lapwing = ring.command(&["--capture", "pump"], &[program(), "both", "20"]);
        let mut sh = Command::new("sh");
        sh.args(["-c", &format!("exec \"$@\" {closed}"), "sh"]).arg(lapwing.get_program()).args(lapwing.get_args());
        clean(&mut sh);
        // The program gives up at the first write that fails; line 0 goes to standard error.
        assert_eq!(sh.output().unwrap().status.code(), Some(code), "{closed}");
        assert_eq!(ring.wait_for(before + records).len(), before + records, "{closed}");
    }
}

#[test]
fn a_set_user_id_program_says_who_runs_it() {
    let root = std::fs::metadata("/proc/self").is_ok_and(|us| std::os::unix::fs::MetadataExt::uid(&us) == 0);
    if !root || !have("setpriv") {
        println!("skipped: only root can make such a program");
        return;
    }
    let ring = Ring::new();
    // Another user has to get at all of this.
    let open = |path: &std::path::Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    open(ring.folder.path(), 0o755);
    open(&ring.path(), 0o666);
    let (lapwing, copy) = (ring.folder.path().join("lapwing"), ring.folder.path().join("setuid"));
    std::fs::copy(env!("CARGO_BIN_EXE_lapwing"), &lapwing).unwrap();
    std::fs::copy(program(), &copy).unwrap();
    std::os::unix::fs::chown(&copy, Some(4242), None).unwrap();
    open(&copy, 0o4755);
    let library = ring.folder.path().join("liblapwing_preload.so");
    let beside =
        std::path::Path::new(env!("CARGO_BIN_EXE_lapwing")).with_file_name("deps").join("liblapwing_preload.so");
    std::fs::copy(beside, &library).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "4343", "--clear-groups"]).arg(&lapwing).args(["run", "--ring"]).arg(ring.path());
    command.arg("--").arg(&copy).args(["lines", "3"]);
    clean(&mut command);
    let output = command.env("LAPWING_PRELOAD", &library).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    let records = ring.records();
    assert_eq!(records.len(), 3);
    for record in records {
        assert_eq!((record.comm.as_deref(), record.uid), (Some("setuid"), Some(4343)));
        assert!(record.has(Flags::ATTESTED));
    }
}

#[test]
fn without_a_library_everything_is_pumped() {
    let ring = Ring::new();
    let mut command = ring.command(&[], &["sh", "-c", "echo a; echo b >&2; exit 4"]);
    let output = command.env("LAPWING_PRELOAD", "/no such folder/x.so").output().unwrap();
    assert_eq!(all(&output), (Some(4), None, "b\n".into(), b"a\n".to_vec()));
    assert_eq!((ring.texts(Source::Stdout), ring.texts(Source::Stderr)), (vec!["a".into()], vec!["b".into()]));
}

#[test]
fn errors_exit_as_those_of_env_and_are_not_captured() {
    let ring = Ring::new();
    let output = ring.pump(&[], &["no-such-command-anywhere"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).starts_with("lapwing: no-such-command-anywhere: "), "{output:?}");
    assert_eq!(ring.pump(&[], &["/"]).status.code(), Some(126), "a folder");
    assert_eq!(ring.records(), []);
}

#[test]
fn the_pump_gives_everything_back() {
    let ring = Ring::new();
    for _ in 0..5 {
        ring.pump(&[], &[program(), "lines", "10"]);
    }
    wait_until("no writer", || {
        let stat = lapwing_ring::Reader::open(&ring.path()).unwrap().stat().unwrap();
        stat.writers.is_empty().then_some(())
    });
}

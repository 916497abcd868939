//! Real programs under `lapwing run`: what they print is in the ring, and they do not notice.

use lapwing_ring::{Create, Flags, Level, Read as Step, Reader, Source};
use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// What a reader found of one record.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    pid: u32,
    source: Source,
    level: Level,
    flags: Flags,
    text: String,
}

struct Ring {
    folder: tempfile::TempDir,
}

impl Ring {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Create::new().size(8 << 20).create(&folder.path().join("ring")).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ring")
    }

    /// `lapwing run OPTIONS -- COMMAND`, with this ring.
    fn command(&self, options: &[&str], command: &[&str]) -> Command {
        let mut lapwing = Command::new(env!("CARGO_BIN_EXE_lapwing"));
        lapwing.arg("run").args(options).arg("--ring").arg(self.path()).arg("--").args(command);
        lapwing.env_remove("LD_PRELOAD").env_remove("LAPWING_STREAM").env_remove("LAPWING_PRELOAD");
        lapwing
    }

    fn run(&self, command: &[&str]) -> Output {
        self.command(&[], command).output().unwrap()
    }

    /// All records, from the first one on; none may be missing.
    fn records(&self) -> Vec<Seen> {
        let mut reader = Reader::open(&self.path()).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next().unwrap() {
                Step::Record(record) => {
                    assert_eq!(record.seq, records.len() as u64);
                    records.push(Seen {
                        pid: record.pid,
                        source: record.source,
                        level: record.level,
                        // How a record is stored is the ring's business.
                        flags: [Flags::CONT, Flags::PARTIAL]
                            .into_iter()
                            .filter(|&flag| record.flags.contains(flag))
                            .fold(Flags::NONE, |all, flag| all | flag),
                        text: String::from_utf8_lossy(record.payload).into_owned(),
                    });
                }
                Step::NotYet { in_flight: false } => return records,
                other => panic!("behind {} records: {other:?}", records.len()),
            }
        }
    }

    /// The texts of one source, in order.
    fn texts(&self, source: Source) -> Vec<String> {
        self.records().into_iter().filter(|record| record.source == source).map(|record| record.text).collect()
    }
}

/// A program that not every machine has. Says so when it is missing.
fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

/// `printing.c`, compiled once. Its first argument chooses what it does.
fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let source = folder.join(format!("run-{}.c", std::process::id()));
        let binary = folder.join("run-program");
        let mine = binary.with_extension(std::process::id().to_string());
        std::fs::write(&source, SOURCE).unwrap();
        let cc = Command::new("cc").args(["-O1", "-w", "-pthread", "-o"]).arg(&mine).arg(&source).output().unwrap();
        assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
        std::fs::remove_file(&source).unwrap();
        std::fs::rename(&mine, &binary).unwrap();
        binary.to_str().unwrap().to_owned()
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_shell_and_its_children_log_under_their_own_pids() {
    let ring = Ring::new();
    let script = "echo parent $$; (echo child; sh -c 'echo grandchild $$'); echo done; echo bad >&2";
    let output = ring.run(&["sh", "-c", script]);
    assert!(output.status.success() && output.stderr == b"bad\n", "{output:?}");
    let records = ring.records();
    let texts: Vec<_> = records.iter().map(|record| record.text.split(' ').next().unwrap()).collect();
    assert_eq!(texts, ["parent", "child", "grandchild", "done", "bad"]);
    let sources: Vec<_> = records.iter().map(|record| record.source).collect();
    assert_eq!(sources, [Source::Stdout, Source::Stdout, Source::Stdout, Source::Stdout, Source::Stderr]);
    assert!(records.iter().all(|record| record.level == Level::INFO && record.flags == Flags::NONE));
    for i in [0, 2] {
        assert_eq!(records[i].text.split(' ').nth(1).unwrap(), records[i].pid.to_string(), "what $$ says");
    }
    assert_eq!(records[0].pid, records[3].pid);
    assert_ne!(records[0].pid, records[1].pid, "a subshell is a fork");
}

#[test]
fn redirections_and_inner_stages_of_pipelines_are_not_captured() {
    let ring = Ring::new();
    let file = ring.folder.path().join("file");
    let script = format!(
        "echo data > {0}; echo more >> {0}; echo inner | tr a-z A-Z; x=$(echo substituted); {{ echo b; }} 2>/dev/null >{0}; echo last",
        file.display()
    );
    for shell in ["sh", "bash"].into_iter().filter(|shell| have(shell)) {
        let before = ring.records().len();
        assert!(ring.run(&[shell, "-c", &script]).status.success());
        let texts: Vec<_> = ring.records().into_iter().skip(before).map(|record| record.text).collect();
        assert_eq!(texts, ["INNER", "last"], "{shell}");
    }
}

#[test]
fn the_stream_is_told_by_what_it_is_not_by_its_number() {
    for shell in ["sh", "bash"].into_iter().filter(|shell| have(shell)) {
        let ring = Ring::new();
        ring.run(&[shell, "-c", "echo out; echo err >&2; echo three 3>&1 >&3; echo swapped 3>&2 2>&1 >&3; echo out"]);
        let all: Vec<_> = ring.records().into_iter().map(|record| (record.source, record.text)).collect();
        let expected = [
            (Source::Stdout, "out"),
            (Source::Stderr, "err"),
            (Source::Stdout, "three"),
            (Source::Stderr, "swapped"),
            (Source::Stdout, "out"),
        ];
        assert_eq!(all, expected.map(|(source, text)| (source, text.to_owned())), "{shell}");
    }
}

#[test]
fn where_both_streams_are_one_the_number_decides() {
    let ring = Ring::new();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = ring.command(&[], &[program(), "print"]);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    assert_eq!(command.status().unwrap().code(), Some(4));
    drop(command);
    let mut both = String::new();
    reader.read_to_string(&mut both).unwrap();
    assert!(both.ends_with("dprintf\nfprintf\nopening: No such file or directory\n"), "{both}");
    assert_eq!(ring.texts(Source::Stdout).len(), 7);
    assert_eq!(ring.texts(Source::Stderr), ["fprintf", "opening: No such file or directory"]);
}

#[test]
fn every_way_of_c_to_print_is_captured() {
    let ring = Ring::new();
    let output = ring.run(&[program(), "print"]);
    assert_eq!(output.status.code(), Some(4));
    let out = ["printf 1", "puts", "putchar", "fwrite", "write", "writev", "dprintf"];
    assert_eq!(ring.texts(Source::Stdout), out);
    assert_eq!(ring.texts(Source::Stderr), ["fprintf", "opening: No such file or directory"]);
    assert_eq!(text(&output.stdout), out.map(|line| format!("{line}\n")).concat());

    let ring = Ring::new();
    ring.run(&[program(), "wide"]);
    assert_eq!(ring.texts(Source::Stdout), ["wide 5"]);
}

#[test]
fn an_unfinished_line_is_recorded_at_every_kind_of_end() {
    for (how, status, options) in [
        ("return", 0, &[][..]),
        ("return", 0, &["--buffer", "keep"]),
        ("exit", 3, &[]),
        ("_exit", 5, &[]),
        ("_Exit", 6, &[]),
        ("execv", 0, &[]),
        ("execvp", 0, &[]),
        ("execve", 0, &[]),
    ] {
        let ring = Ring::new();
        let output = ring.command(options, &[program(), "end", how]).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(status), "whole\nhalf".into()), "{how}");
        let all: Vec<_> = ring.records().into_iter().map(|record| (record.text, record.flags)).collect();
        assert_eq!(all, [("whole".into(), Flags::NONE), ("half".into(), Flags::PARTIAL)], "{how}");
    }
}

#[test]
fn a_forked_child_does_not_repeat_its_parent_s_unfinished_line() {
    for how in ["fork", "vfork"] {
        let ring = Ring::new();
        let output = ring.run(&[program(), how]);
        assert_eq!(text(&output.stdout), "half child\n whole\n", "{how}");
        let records = ring.records();
        let all: Vec<_> = records.iter().map(|record| (record.text.as_str(), record.flags)).collect();
        assert_eq!(all, [(" child", Flags::NONE), ("half whole", Flags::NONE)], "{how}");
        assert_ne!(records[0].pid, records[1].pid, "{how}");
    }
}

#[test]
fn a_vfork_child_that_writes_first_does_not_lend_its_pid() {
    let ring = Ring::new();
    ring.run(&[program(), "vfork-first"]);
    let records = ring.records();
    assert_eq!(records.len(), 4);
    for pair in records.chunks(2) {
        assert_eq!((pair[0].text.as_str(), pair[1].text.parse()), ("child", Ok(pair[1].pid)));
    }
    assert_ne!(records[1].pid, records[3].pid);
    let stat = Reader::open(&ring.path()).unwrap().stat().unwrap();
    assert!(stat.writers.is_empty(), "{:?}", stat.writers);
}

#[test]
fn a_crash_handler_on_a_small_stack_of_its_own_may_write_first() {
    let ring = Ring::new();
    let output = ring.run(&[program(), "crash"]);
    assert_eq!(output.status.code(), Some(11), "{output:?}");
    assert_eq!(ring.texts(Source::Stderr), ["crashed"]);
}

#[test]
fn lines_of_many_pieces_and_long_lines_are_put_together() {
    let ring = Ring::new();
    let output = ring.run(&[program(), "pieces"]);
    assert_eq!(output.stdout.len(), 6 + 1 + 20_001);
    let records = ring.records();
    assert_eq!(records[0].text, "abcdef");
    let long: Vec<_> = records[1..].iter().map(|record| (record.text.len(), record.flags)).collect();
    assert_eq!(long, [(8192, Flags::CONT), (8192, Flags::CONT), (20_000 - 2 * 8192, Flags::NONE)]);
    assert!(records[1..].iter().all(|record| record.text.bytes().all(|byte| byte == b'x')));
}

#[test]
fn a_syslog_prefix_is_the_level() {
    let ring = Ring::new();
    let output = ring.run(&["printf", "<3>bad\\n<7>fine\\n<30>daemon\\n<999>no\\nplain\\n"]);
    assert_eq!(text(&output.stdout), "<3>bad\n<7>fine\n<30>daemon\n<999>no\nplain\n", "standard output keeps it");
    let all: Vec<_> = ring.records().into_iter().map(|record| (record.level, record.text)).collect();
    let expected = [
        (Level::ERR, "bad"),
        (Level::DEBUG, "fine"),
        (Level::INFO, "daemon"),
        (Level::INFO, "<999>no"),
        (Level::INFO, "plain"),
    ];
    assert_eq!(all, expected.map(|(level, text)| (level, text.to_owned())));
}

#[test]
fn ten_thousand_lines_are_all_there_and_in_order() {
    for buffer in ["line", "keep"] {
        let ring = Ring::new();
        let output = ring.command(&["--buffer", buffer], &["seq", "1", "10000"]).output().unwrap();
        let lines: Vec<_> = text(&output.stdout).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 10_000);
        assert!(ring.texts(Source::Stdout) == lines, "{buffer}: other lines than on standard output");
    }
}

#[test]
fn getopt_s_own_words_are_captured() {
    let ring = Ring::new();
    let output = ring.run(&["ls", "--bad"]);
    assert_eq!(output.status.code(), Some(2));
    let lines: Vec<_> = text(&output.stderr).lines().map(str::to_owned).collect();
    assert!(lines[0].contains("--bad"), "{lines:?}");
    assert_eq!(ring.texts(Source::Stderr), lines);
}

#[test]
fn interpreters_are_captured() {
    let cases: [(&str, &[&str]); 3] = [
        ("bash", &["-c", "set -x; printf 'a\\nb\\n'; echo c >&2"]),
        ("perl", &["-e", "$|=1; print \"a\\nb\\n\"; warn \"c\\n\"; die \"d\\n\""]),
        ("python3", &["-c", "import sys; print('a', flush=True); print('b', file=sys.stderr); raise SystemExit('c')"]),
    ];
    for (name, arguments) in cases.into_iter().filter(|(name, _)| have(name)) {
        let ring = Ring::new();
        let command = [&[name], arguments].concat();
        let output = ring.run(&command);
        let lines = |bytes: &[u8]| text(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
        assert!(!output.stdout.is_empty() && !output.stderr.is_empty(), "{name}: {output:?}");
        assert_eq!(ring.texts(Source::Stdout), lines(&output.stdout), "{name}");
        assert_eq!(ring.texts(Source::Stderr), lines(&output.stderr), "{name}");
    }
}

#[test]
fn no_line_of_many_threads_is_lost_or_torn() {
    let ring = Ring::new();
    let output = ring.run(&[program(), "threads"]);
    assert!(output.status.success(), "{output:?}");
    let records = ring.records();
    assert_eq!(records.len(), 8 * 2000);
    assert!(records.iter().all(|record| record.flags == Flags::NONE));
    for thread in 0..8 {
        let prefix = format!("thread {thread} line ");
        let numbers = records.iter().filter_map(|record| record.text.strip_prefix(&prefix)?.parse::<u32>().ok());
        assert!(numbers.eq(0..2000), "thread {thread}");
    }
}

#[test]
fn a_signal_handler_that_writes_loses_nothing() {
    let ring = Ring::new();
    let output = ring.run(&[program(), "signals"]);
    assert!(output.status.success(), "{output:?}");
    let texts = ring.texts(Source::Stdout);
    let ticks = texts.iter().filter(|text| *text == "tick").count();
    let lines = texts.iter().filter(|text| *text == "a line of the program").count();
    let told = text(&output.stderr).trim().parse::<usize>().unwrap();
    assert!(told > 10, "{told} signals are too few to prove anything");
    assert_eq!((ticks, lines, texts.len()), (told, 20_000, told + 20_000));
}

#[test]
fn a_thread_can_be_cancelled_inside_write() {
    let ring = Ring::new();
    let mut command = ring.command(&[], &[program(), "cancel"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Nobody reads standard output, so the thread blocks in it as soon as the pipe is full.
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "cancelled\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn closing_and_reopening_descriptors_is_noticed_at_once() {
    let ring = Ring::new();
    for how in ["close", "fclose", "freopen", "dup2", "dup3"] {
        let before = ring.records().len();
        let file = ring.folder.path().join(how);
        let output = ring.run(&[program(), "reopen", how, file.to_str().unwrap()]);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{how}");
        assert_eq!(
            (text(&output.stdout), std::fs::read_to_string(&file).unwrap()),
            ("seen\n".into(), "unseen\n".into())
        );
        let texts: Vec<_> = ring.records().into_iter().skip(before).map(|record| record.text).collect();
        assert_eq!(texts, ["seen"], "{how}");
    }
}

#[test]
fn a_program_may_close_every_descriptor_it_does_not_know() {
    let ring = Ring::new();
    for how in ["close_range", "closefrom", "daemon"] {
        let before = ring.records().len();
        let output = ring.run(&[program(), "closeall", how]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "before\nbehind\n".into()), "{how}");
        let texts: Vec<_> = ring.records().into_iter().skip(before).map(|record| record.text).collect();
        assert_eq!(texts, ["before", "behind"], "{how}");
    }
}

#[test]
fn quiet_captures_and_prints_nothing() {
    let ring = Ring::new();
    let file = ring.folder.path().join("file");
    let script = format!("echo out; echo err >&2; echo data > {}; {} print; exit 9", file.display(), program());
    let output = ring.command(&["--quiet"], &["sh", "-c", &script]).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr), output.status.code()), ("".into(), "".into(), Some(9)));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "data\n");
    let out = ["out", "printf 1", "puts", "putchar", "fwrite", "write", "writev", "dprintf"];
    assert_eq!(ring.texts(Source::Stdout), out);
    assert_eq!(ring.texts(Source::Stderr), ["err", "fprintf", "opening: No such file or directory"]);
}

#[test]
fn programs_do_not_notice() {
    let c = |arguments: &[&'static str]| [&[program()], arguments].concat();
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["true"],
        vec!["false"],
        vec!["sh", "-c", "echo a; echo b >&2; exit 3"],
        vec!["sh", "-c", "kill -TERM $$"],
        vec!["sh", "-c", "seq 1 100000 | head -n 3"],
        vec!["sh", "-c", "yes | head -n 1000 | wc -l"],
        vec!["sh", "-c", "exec 1>&-; echo x"],
        vec!["sh", "-c", "exec 3>&1 1>&2; echo x; echo y >&3"],
        vec!["sh", "-c", "no-such-command; echo $?"],
        vec!["sh", "-c", "printf 'no newline'"],
        vec!["seq", "1", "30000"],
        vec!["ls", "--bad"],
        vec!["ls", "/", "/no such file"],
        vec!["cat", "/bin/sh"],
        vec!["env", "-i", "/bin/echo", "hi"],
        vec!["sort", "/etc/passwd", "/etc/group"],
        vec!["tar", "cf", "-", "-C", "/etc", "passwd"],
        vec!["dd", "if=/bin/sh", "bs=777", "count=9", "status=none"],
        vec!["sh", "-c", "test -t 1; echo $?; (test -t 2; echo $? >&2)"],
        c(&["print"]),
        c(&["wide"]),
        c(&["end", "return"]),
        c(&["end", "_exit"]),
        c(&["end", "execvp"]),
        c(&["end", "abort"]),
        c(&["fork"]),
        c(&["vfork"]),
        c(&["pieces"]),
        c(&["errno"]),
        c(&["closeall", "close_range"]),
    ];
    for (name, script) in [
        (
            "bash",
            "f() { echo in f; return 4; }; set -x; f; echo $?; cat <<< here; for i in 1 2 3; do (echo $i >&2); done; wait",
        ),
        ("bash", "exec > >(tr a-z A-Z); echo text; exec 1>&2; echo other; sleep 0.1"),
        ("perl", "print STDERR qq(a\\n); print qq(b); system q(echo c); exit 7"),
        ("python3", "import os,sys; print('x'); sys.stdout.flush(); os.write(1, b'y'); os.system('echo z >&2'); 1/0"),
        ("python3", "import subprocess; print(subprocess.run(['sh', '-c', 'echo a; exit 3'], capture_output=True))"),
        ("python3", "import os\npid = os.fork()\nos.write(1, b'x' if pid else b'')\npid and os.waitpid(pid, 0)"),
    ] {
        if have(name) {
            commands.push(vec![name, if name == "perl" { "-e" } else { "-c" }, script]);
        }
    }
    let ring = Ring::new();
    for command in commands {
        let plain = Command::new(command[0]).args(&command[1..]).output().unwrap();
        for buffer in ["line", "keep"] {
            let captured = ring.command(&["--buffer", buffer], &command).output().unwrap();
            let all = |output: &Output| {
                (output.status.code(), output.status.signal(), text(&output.stderr), output.stdout.clone())
            };
            // Line buffering is there to save what an abort would lose.
            if command.last() != Some(&"abort") || buffer == "keep" {
                assert!(all(&plain) == all(&captured), "{command:?}, {buffer}\n{plain:?}\n{captured:?}");
            }
        }
    }
}

#[test]
fn line_buffering_saves_the_last_words_before_an_abort() {
    let ring = Ring::new();
    let output = ring.run(&[program(), "end", "abort"]);
    assert_eq!(output.status.signal(), Some(6));
    assert_eq!(ring.texts(Source::Stdout), ["whole"]);
}

#[test]
fn errors_exit_as_those_of_env() {
    let ring = Ring::new();
    let output = ring.run(&["no-such-command-anywhere"]);
    assert_eq!(output.status.code(), Some(127));
    assert!(text(&output.stderr).starts_with("lapwing: no-such-command-anywhere: "), "{output:?}");

    let file = ring.folder.path().join("not executable");
    std::fs::write(&file, "x").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ring.run(&[file.to_str().unwrap()]).status.code(), Some(126));
    assert_eq!(ring.run(&["/"]).status.code(), Some(126), "a folder");
    assert_eq!(ring.command(&["--capture", "off"], &["/no such file"]).output().unwrap().status.code(), Some(127));
}

#[test]
fn a_ring_that_cannot_be_written_stops_the_run_before_it_starts() {
    let ring = Ring::new();
    std::fs::write(ring.path(), "this is no ring, and is long enough to say so").unwrap();
    let output = ring.run(&["echo", "ran"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    assert!(text(&output.stderr).starts_with("lapwing: "), "{output:?}");
}

#[test]
fn a_missing_library_is_an_error_that_says_where_it_was_looked_for() {
    let ring = Ring::new();
    let mut command = ring.command(&["--capture", "preload"], &["echo", "ran"]);
    let output = command.env("LAPWING_PRELOAD", "/no such folder/x.so").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
    let said = text(&output.stderr);
    assert!(said.contains("/no such folder/x.so") && said.contains("LAPWING_PRELOAD"), "{said}");
    let mut command = ring.command(&["--capture", "off"], &["echo", "ran"]);
    let output = command.env("LAPWING_PRELOAD", "/no such folder/x.so").output().unwrap();
    assert_eq!(text(&output.stdout), "ran\n");
    assert_eq!(ring.records(), []);
}

#[test]
fn a_static_program_that_is_to_be_preloaded_runs_with_a_notice() {
    let ring = Ring::new();
    let folder = ring.folder.path();
    let (source, binary) = (folder.join("s.c"), folder.join("s"));
    std::fs::write(&source, "#include <stdio.h>\nint main(void) { puts(\"static\"); return 0; }\n").unwrap();
    let cc = Command::new("cc").args(["-static", "-o"]).arg(&binary).arg(&source).output().unwrap();
    if !cc.status.success() {
        println!("skipped: no static C library here");
        return;
    }
    let output = ring.command(&["--capture", "preload"], &[binary.to_str().unwrap()]).output().unwrap();
    assert_eq!(text(&output.stdout), "static\n");
    assert!(text(&output.stderr).contains("statically linked"), "{output:?}");
    assert_eq!(ring.records(), []);
}

#[test]
fn other_preloaded_libraries_stay_and_runs_can_be_nested() {
    let ring = Ring::new();
    let mut command = ring.command(&[], &["sh", "-c", "echo $LD_PRELOAD"]);
    let output = command.env("LD_PRELOAD", "libc.so.6").output().unwrap();
    let value = text(&output.stdout);
    assert!(value.starts_with("libc.so.6:/") && value.matches("liblapwing_preload").count() == 1, "{value}");

    let inner = Ring::new();
    let (lapwing, path) = (env!("CARGO_BIN_EXE_lapwing"), inner.path());
    let nested = [lapwing, "run", "--ring", path.to_str().unwrap(), "--", "sh", "-c", "echo $LD_PRELOAD >&2; echo in"];
    let output = ring.command(&["--quiet"], &nested).output().unwrap();
    assert_eq!(text(&output.stdout), "in\n", "the inner run is not quiet");
    assert_eq!(text(&output.stderr).matches("liblapwing_preload").count(), 1);
    assert_eq!(inner.texts(Source::Stdout), ["in"]);
}

#[test]
fn processes_leave_no_slots_behind() {
    let ring = Ring::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9 10; do sh -c 'echo x'; (echo y); /bin/echo z; done";
    assert!(ring.run(&["sh", "-c", script]).status.success());
    assert_eq!(ring.records().len(), 30);
    let stat = Reader::open(&ring.path()).unwrap().stat().unwrap();
    let pids: BTreeSet<_> = ring.records().into_iter().map(|record| record.pid).collect();
    assert_eq!(pids.len(), 30);
    assert!(stat.writers.is_empty(), "{:?}", stat.writers);
}

const SOURCE: &str = include_str!("printing.c");

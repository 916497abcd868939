//! The library preloaded by LD_PRELOAD alone, without `lapwing run`.

use crate::stage::{End, Stage, compiled, end_of, have, is_root, library};
use lapwing_ring::Source;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

struct Hand {
    stage: Stage,
}

impl Hand {
    fn new() -> Self {
        Self { stage: Stage::new() }
    }

    /// Where the default ring will be.
    fn ring(&self) -> PathBuf {
        self.stage.path("lapwing/ring")
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).env_clear().env("PATH", "/usr/bin:/bin").env("LD_PRELOAD", library());
        command.env("XDG_RUNTIME_DIR", self.stage.path("")).stdin(Stdio::null());
        command
    }

    fn run(&self, line: &[&str], variables: &[(&str, &str)]) -> End {
        let mut command = self.command(line);
        command.envs(variables.iter().copied());
        end_of(command)
    }

    fn texts(&self) -> Vec<(Source, String)> {
        Stage::records_of(&self.ring()).into_iter().map(|(source, _, text)| (source, text)).collect()
    }
}

fn out(text: &str) -> (Source, String) {
    (Source::Stdout, text.to_owned())
}

fn err(text: &str) -> (Source, String) {
    (Source::Stderr, text.to_owned())
}

const SCRIPT: &str =
    "echo one; echo two >&2; /bin/echo inner | sed s/i/I/; x=$(echo taken); sh -c 'echo child'; echo f > /dev/null";

fn all() -> Vec<(Source, String)> {
    vec![out("one"), err("two"), out("Inner"), out("child")]
}

#[test]
fn the_first_program_decides_for_its_children() {
    let hand = Hand::new();
    let end = hand.run(&["sh", "-c", SCRIPT], &[]);
    assert_eq!((end.code, end.out(), end.err()), (Some(0), "one\nInner\nchild\n".into(), "two\n".into()));
    assert_eq!(hand.texts(), all());
    assert_eq!(fs::metadata(hand.ring()).unwrap().permissions().mode() & 0o777, 0o600);

    let end = hand.run(&["env"], &[]);
    let is_set = |name: &str| end.out().lines().any(|line| line.starts_with(name));
    assert!(is_set("LAPWING_STREAM=out=") && is_set("LAPWING_BUFFER=line") && !is_set("LAPWING_QUIET"), "{end:?}");
    assert!(end.out().contains(&format!("LAPWING_RING={}\n", hand.ring().display())), "{end:?}");
}

#[test]
fn files_and_the_null_device_are_captured_on_request_only() {
    for target in ["file", "/dev/null"] {
        let hand = Hand::new();
        let path = if target == "file" { hand.stage.path("file") } else { target.into() };
        let run = |variables: &[(&str, &str)]| {
            let mut command = hand.command(&["sh", "-c", SCRIPT]);
            let file = File::options().append(true).create(true).open(&path).unwrap();
            command.stdout(file.try_clone().unwrap()).stderr(file).envs(variables.iter().copied());
            assert!(command.status().unwrap().success());
        };
        run(&[]);
        assert!(!hand.ring().exists(), "not even what goes from one program of the script to another");
        run(&[("LAPWING_STREAM", "any")]);
        let texts: Vec<_> = hand.texts().into_iter().map(|(_, text)| text).collect();
        let null = if target == "file" { &[][..] } else { &["f"] };
        assert_eq!(texts, [&["one", "two", "Inner", "child"], null].concat());
    }
}

#[test]
fn one_stream_may_be_a_file() {
    let hand = Hand::new();
    let mut command = hand.command(&["sh", "-c", SCRIPT]);
    command.stdout(File::create(hand.stage.path("file")).unwrap());
    assert_eq!(command.output().unwrap().stderr, b"two\n");
    assert_eq!(hand.texts(), [err("two")]);
}

#[test]
fn sockets_and_terminals_are_captured() {
    let hand = Hand::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = hand.command(&["sh", "-c", "echo into a socket"]);
    assert!(command.stdout(std::os::fd::OwnedFd::from(theirs)).status().unwrap().success());
    drop(ours);
    let spawn =
        "import os,pty,sys; os.environ['LD_PRELOAD'] = sys.argv[1]; pty.spawn(['sh', '-c', 'echo on a terminal'])";
    let mut command = hand.command(&["python3", "-c", spawn, library().to_str().unwrap()]);
    command.env_remove("LD_PRELOAD");
    assert!(end_of(command).out().contains("on a terminal"));
    assert_eq!(hand.texts(), [out("into a socket"), out("on a terminal")]);
}

#[test]
fn quiet_and_buffer_are_as_the_variables_say() {
    let hand = Hand::new();
    let end = hand.run(&["sh", "-c", SCRIPT], &[("LAPWING_QUIET", "1"), ("LAPWING_BUFFER", "keep")]);
    assert_eq!((end.out(), end.err()), (String::new(), String::new()));
    assert_eq!(hand.texts(), all());
    let end = hand.run(&["env"], &[("LAPWING_BUFFER", "keep")]);
    assert!(end.out().contains("LAPWING_BUFFER=keep\n"));
}

#[test]
fn an_empty_stream_turns_it_off() {
    let hand = Hand::new();
    let end = hand.run(&["sh", "-c", SCRIPT], &[("LAPWING_STREAM", "")]);
    assert_eq!(end.out(), "one\nInner\nchild\n");
    assert!(!hand.ring().exists());
}

#[test]
fn a_ring_may_be_named_and_is_made_if_it_is_missing() {
    let hand = Hand::new();
    for name in ["relative", hand.stage.path("absolute").to_str().unwrap()] {
        let mut command = hand.command(&["sh", "-c", "cd /; sh -c 'echo far away'; echo $LAPWING_RING"]);
        command.current_dir(hand.stage.path("")).env("LAPWING_RING", name);
        let path = hand.stage.path(name.rsplit('/').next().unwrap());
        let said = format!("far away\n{}\n", path.canonicalize().unwrap_or(path.clone()).display());
        assert_eq!(end_of(command).out(), said);
        assert_eq!(Stage::records_of(&path).len(), 2, "{name}");
    }
}

#[test]
fn where_no_ring_can_be_made_a_program_runs_as_ever() {
    let hand = Hand::new();
    // A folder that others may write to is no place for a ring.
    fs::create_dir(hand.stage.path("lapwing")).unwrap();
    fs::set_permissions(hand.stage.path("lapwing"), fs::Permissions::from_mode(0o777)).unwrap();
    let end = hand.run(&["sh", "-c", SCRIPT], &[("LAPWING_QUIET", "1")]);
    assert_eq!((end.code, end.out(), end.err()), (Some(0), "one\nInner\nchild\n".into(), "two\n".into()));
    assert!(!hand.ring().exists());
    let other = Hand::new();
    let end = other
        .run(&["sh", "-c", "unset LAPWING_STREAM; ulimit -f 1; sh -c 'echo small; exit 3'"], &[("LAPWING_STREAM", "")]);
    assert_eq!((end.code, end.signal, end.out()), (Some(3), None, "small\n".into()), "a ring is larger than the limit");
}

#[test]
fn a_program_with_other_rights_takes_no_orders_from_its_environment() {
    if !is_root() || !have("setpriv") {
        return;
    }
    let hand = Hand::new();
    let source = "#include <unistd.h>\nint main(void) { return write(1, \"privileged\\n\", 11) != 11; }";
    // Linked with the library, for the loader preloads nothing into such a program.
    let library = library();
    let built = compiled("cc", "privileged", source, &["-Wl,--no-as-needed", library.to_str().unwrap()]).unwrap();
    let program = hand.stage.path("privileged");
    fs::copy(built, &program).unwrap();
    fs::set_permissions(hand.stage.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    for (mode, expected) in [(0o755, 1), (0o4755, 0)] {
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        let ring = hand.stage.path(&format!("ring-{mode:o}"));
        lapwing_ring::Create::new().size(1 << 16).mode(0o666).create(&ring).unwrap();
        let path = program.to_str().unwrap();
        let mut command = hand.command(&["setpriv", "--reuid", "65534", "--clear-groups", path]);
        command.env_remove("LD_PRELOAD").env("LAPWING_RING", &ring);
        let end = end_of(command);
        if end.err().contains("Permission denied") {
            println!("skipped: another user does not get at {path} and its library");
            return;
        }
        assert_eq!((end.code, end.out()), (Some(0), "privileged\n".into()), "{end:?}");
        assert_eq!(Stage::records_of(&ring).len(), expected, "{mode:o}");
    }
}

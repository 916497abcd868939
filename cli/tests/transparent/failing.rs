//! A ring that is not there, or not what it was: a captured program runs as if nothing were there.

use crate::stage::{End, Stage, compiled, end_of, lapwing, library};
use lapwing_ring::{Create, Reader};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = "echo out; echo err >&2; (echo child); printf half; ls --bad; exit 7";

fn command(ring: &Path, line: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).env_clear().env("PATH", "/usr/bin:/bin").env("LD_PRELOAD", library()).env("LC_ALL", "C");
    command.env("LAPWING_RING", ring).env("LAPWING_STREAM", "any").envs(variables.iter().copied());
    command.stdin(Stdio::null());
    command
}

fn parts(end: &End) -> (Option<i32>, Option<i32>, String, String) {
    (end.code, end.signal, end.out(), end.err())
}

/// With this ring a program behaves as without us, whatever `--quiet` would have kept from its streams.
fn is_as_ever(ring: &Path, what: &str) {
    let off = parts(&end_of(command(ring, &["sh", "-c", SCRIPT], &[("LAPWING_STREAM", "")])));
    assert_eq!((off.0, off.2.as_str()), (Some(7), "out\nchild\nhalf"));
    for quiet in ["0", "1"] {
        let end = end_of(command(ring, &["sh", "-c", SCRIPT], &[("LAPWING_QUIET", quiet)]));
        assert_eq!(parts(&end), off, "{what}, quiet: {quiet}");
    }
}

fn changed(stage: &Stage, name: &str, change: impl FnOnce(&File)) -> PathBuf {
    let ring = stage.path(name);
    Create::new().size(1 << 16).create(&ring).unwrap();
    change(&OpenOptions::new().read(true).write(true).open(&ring).unwrap());
    ring
}

#[test]
fn whatever_stands_in_the_rings_place() {
    let stage = Stage::new();
    let at = |name: &str| stage.path(name);
    let cases: [(&str, PathBuf); 9] = [
        ("no folder", at("nothing/ring")),
        ("a folder", at("")),
        ("a device", "/dev/null".into()),
        ("an endless device", "/dev/zero".into()),
        ("empty", {
            File::create(at("empty")).unwrap();
            at("empty")
        }),
        ("another file", {
            fs::write(at("text"), "no ring at all\n".repeat(9999)).unwrap();
            at("text")
        }),
        ("a link to nothing", {
            std::os::unix::fs::symlink(at("nothing"), at("link")).unwrap();
            at("link")
        }),
        ("a program", "/bin/sh".into()),
        ("a pipe", {
            assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
            at("pipe")
        }),
    ];
    for (what, ring) in cases {
        is_as_ever(&ring, what);
    }
}

#[test]
fn rings_that_nobody_may_write() {
    let stage = Stage::new();
    // Magic, format version, boot id, geometry; and all of the header.
    let version = changed(&stage, "version", |file| file.write_all_at(&99u64.to_le_bytes(), 8).unwrap());
    let magic = changed(&stage, "magic", |file| file.write_all_at(b"xxxxxxxx", 0).unwrap());
    let geometry = changed(&stage, "geometry", |file| file.write_all_at(&[0xff; 40], 16).unwrap());
    let short = changed(&stage, "short", |file| file.set_len(5000).unwrap());
    let header = changed(&stage, "header", |file| file.write_all_at(&[0xa5; 4096], 8).unwrap());
    let zeros = changed(&stage, "zeros", |file| file.write_all_at(&[0; 4096], 0).unwrap());
    for ring in [version, magic, geometry, short, header, zeros] {
        is_as_ever(&ring, ring.file_name().unwrap().to_str().unwrap());
    }
    // A copy of a ring is none to write to; nor is one of another boot.
    let copy = stage.path("copy");
    fs::copy(stage.ring(), &copy).unwrap();
    is_as_ever(&copy, "a copy");
}

#[test]
fn a_ring_that_is_damaged_behind_its_header() {
    let stage = Stage::new();
    let ring = changed(&stage, "damaged", |file| file.write_all_at(&[0xa5; 60_000], 4096).unwrap());
    for quiet in ["0", "1"] {
        let end = end_of(command(&ring, &["sh", "-c", SCRIPT], &[("LAPWING_QUIET", quiet)]));
        let both = (end.out() + &end.err(), end.code, end.signal);
        assert_eq!((both.1, both.2), (Some(7), None), "{end:?}");
        // What the ring refuses is not lost under `--quiet` either.
        assert!(quiet == "1" || both.0.starts_with("out\nchild\nhalf"), "{end:?}");
    }
}

/// Captured programs that hold every slot of the ring, until they are dropped.
struct Full(Vec<Child>);

impl Full {
    fn new(ring: &Path) -> Self {
        let reader = Reader::open(ring).unwrap();
        let slots = reader.stat().unwrap().identity.geometry.slot_count() as usize;
        let hold = |_| {
            let mut command = command(ring, &["sh", "-c", "echo held; read x"], &[]);
            command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
        };
        let full = Self((0..slots).map(hold).collect());
        while reader.stat().unwrap().writers.len() < slots {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        full
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_ring_full_of_writers() {
    let stage = Stage::new();
    let ring = changed(&stage, "full", |_| ());
    let writers = Full::new(&ring);
    is_as_ever(&ring, "all slots are taken");
    drop(writers);
    let end = end_of(command(&ring, &["sh", "-c", SCRIPT], &[("LAPWING_QUIET", "1")]));
    assert_eq!(parts(&end), (Some(7), None, String::new(), String::new()), "and a free one is found again");
}

#[test]
fn what_a_quiet_program_cannot_record_goes_where_it_went() {
    let stage = Stage::new();
    let ring = changed(&stage, "full", |_| ());
    let writers = Full::new(&ring);
    let script = "printf 'one\\n<3>two\\nthr'; printf 'ee\\n'; echo err >&2; printf 'no newline'; head -c 20000 /dev/zero | tr '\\0' x";
    let plain = end_of(command(&ring, &["sh", "-c", script], &[("LAPWING_STREAM", "")]));
    let quiet = end_of(command(&ring, &["sh", "-c", script], &[("LAPWING_QUIET", "1")]));
    assert_eq!(parts(&plain), parts(&quiet));
    drop(writers);
}

/// A program that prints a line for each that it reads.
fn echoing(ring: &Path, variables: &[(&str, &str)]) -> (Child, impl FnMut(&str) -> String + use<>) {
    let script = "while read x; do echo $x; (echo child $x); done; exit 5";
    let mut command = command(ring, &["sh", "-c", script], variables);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
    let talk = move |line: &str| {
        let mut answer = String::new();
        match input.as_mut().filter(|_| !line.is_empty()) {
            Some(input) => {
                writeln!(input, "{line}").unwrap();
                output.read_line(&mut answer).unwrap();
                output.read_line(&mut answer).unwrap();
            }
            None => {
                input = None;
                output.read_to_string(&mut answer).unwrap();
            }
        }
        answer
    };
    (child, talk)
}

#[test]
fn a_ring_that_is_removed_or_replaced_meanwhile() {
    let stage = Stage::new();
    let ring = changed(&stage, "gone", |_| ());
    let (mut child, mut talk) = echoing(&ring, &[]);
    assert_eq!(talk("one"), "one\nchild one\n");
    fs::remove_file(&ring).unwrap();
    assert_eq!(talk("two"), "two\nchild two\n");
    let again = changed(&stage, "gone", |_| ());
    assert_eq!(talk("three"), "three\nchild three\n");
    fs::set_permissions(&again, fs::Permissions::from_mode(0o0)).unwrap();
    assert_eq!(talk("four"), "four\nchild four\n");
    assert_eq!(talk(""), "");
    assert_eq!(child.wait().unwrap().code(), Some(5));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

#[test]
fn a_full_file_system_is_no_obstacle() {
    let stage = Stage::new();
    let tried = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        println!("skipped: no mounts can be made here");
        return;
    }
    // The default ring does not fit.
    let run = format!(
        "mount -t tmpfs -o size=1m none /mnt && export XDG_RUNTIME_DIR=/mnt && unset LAPWING_RING && LD_PRELOAD={} LAPWING_QUIET=1 sh -c '{SCRIPT}'",
        library().display()
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &run])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("LC_ALL", "C");
    let end = end_of(command);
    let off = end_of(self::command(&stage.ring(), &["sh", "-c", SCRIPT], &[("LAPWING_STREAM", "")]));
    assert_eq!(parts(&end), parts(&off));
}

#[test]
fn lapwing_itself_refuses_before_the_program_starts() {
    let stage = Stage::new();
    let magic = changed(&stage, "magic", |file| file.write_all_at(b"xxxxxxxx", 0).unwrap());
    for ring in [magic, stage.path("nothing/ring")] {
        let end = stage.run(&[lapwing(), "run", "--ring", ring.to_str().unwrap(), "--", "echo", "ran"]);
        assert_eq!((end.code, end.out()), (Some(1), String::new()));
        assert!(end.err().starts_with("lapwing: "), "{end:?}");
    }
}

/// The one way in which a ring can end a program, and it is documented: whoever may write to it can cut it short.
#[test]
fn a_ring_that_is_cut_short_under_a_program() {
    let stage = Stage::new();
    let ring = changed(&stage, "cut", |_| ());
    let source = "#include <unistd.h>\nint main(void) { char c; write(1, \"before\\n\", 7); read(0, &c, 1); write(1, \"behind\\n\", 7); return 3; }";
    let program = compiled("cc", "cut", source, &[]).unwrap();
    let mut command = command(&ring, &[&program], &[]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "before\n");
    // Recorded behind that.
    while Stage::records_of(&ring).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    OpenOptions::new().write(true).open(&ring).unwrap().set_len(0).unwrap();
    child.stdin.take().unwrap().write_all(b"x").unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    // It has written before it is recorded, so nothing that it said is lost.
    assert_eq!(rest, "behind\n");
    let signal = std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap());
    assert_eq!(signal, Some(7), "SIGBUS, as docs/RELIABILITY.md says");
}

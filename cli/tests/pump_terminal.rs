//! Programs on a terminal, behind the pump: a terminal is what they see.

#[path = "pump/stage.rs"]
mod stage;

use lapwing_ring::Source;
use stage::{Ring, clean, program, text};
use std::path::Path;
use std::process::{Command, Output};

/// The command of `lapwing` as a user of `terminal.py` sees it. Python is on every machine that runs tests.
fn play(play: &str, command: &Command, typed: &str) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pump/terminal.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(play).arg(command.get_program()).args(command.get_args()).env("TYPED", typed);
    clean(&mut python);
    let output = python.env_remove("PROMPT_COMMAND").output().unwrap();
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    output
}

fn plain(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

#[test]
fn it_is_a_terminal_of_the_same_size_and_every_byte_is_the_same() {
    for words in [
        vec![program(), "kinds"],
        vec![program(), "both", "50"],
        vec![program(), "end", "7"],
        vec![
            "sh",
            "-c",
            "printf 'a\\r\\nb\\tc\\033[1mX\\007'; stty -a <&1 | head -n 1; tty <&0 >/dev/null && echo yes",
        ],
        vec!["ls", "--color=auto", "/"],
    ] {
        let ring = Ring::new();
        let without = play("look", &plain(&words), "");
        let with = play("look", &ring.command(&["--capture", "pump"], &words), "");
        let speed = |output: &Output| text(&output.stdout).replace("speed 38400 baud; ", "");
        assert_eq!((speed(&with), with.status), (speed(&without), without.status), "{words:?}");
        assert!(!ring.wait_for(1).is_empty());
    }
}

#[test]
fn with_one_stream_elsewhere_the_other_is_a_terminal() {
    let ring = Ring::new();
    let lapwing = ring.command(&["--capture", "pump"], &[program(), "kinds"]);
    let words: Vec<_> = lapwing.get_args().map(|word| word.to_str().unwrap()).collect();
    let script =
        [&["bash", "-c", "exec 3>&1; \"$@\" 2>&1 >&3 | cat", "bash", env!("CARGO_BIN_EXE_lapwing")], &words[..]]
            .concat();
    let screen = text(&play("look", &plain(&script), "").stdout);
    assert!(screen.contains("fd 1 tty 1 kind 20000 size 24x80"), "{screen}");
    assert!(screen.contains("fd 2 tty 0 kind 140000 size 0x0"), "{screen}");
    assert_eq!((ring.texts(Source::Stdout).len(), ring.texts(Source::Stderr).len()), (1, 1));
}

#[test]
fn a_new_size_of_the_terminal_arrives() {
    let ring = Ring::new();
    let output = play("resize", &ring.command(&["--capture", "pump"], &[program(), "resize", "50"]), "");
    assert_eq!(text(&output.stdout), "waiting\r\nsize 50x100\r\n");
}

#[test]
fn a_shell_s_job_control_works_as_without() {
    let ring = Ring::new();
    let lapwing = ring.command(&["--capture", "pump"], &[program(), "told"]);
    let words: Vec<_> = lapwing.get_args().map(|word| word.to_str().unwrap()).collect();
    let typed = format!("{} {}", env!("CARGO_BIN_EXE_lapwing"), words.join(" "));
    let bash = plain(&["env", "PS1=ready> ", "bash", "--norc", "--noprofile", "-i"]);
    let screen = text(&play("jobs", &bash, &typed).stdout);
    for part in ["told 0", "Stopped", "told 1", "status 130"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
    assert_eq!(ring.texts(Source::Stdout)[..2], ["told 0", "told 1"]);
}

//! `lapwing tail` on a terminal: colors, and a pager that the user leaves when he likes.

mod sandbox;

use sandbox::Sandbox;
use std::path::Path;
use std::process::{Command, Output};

/// What a terminal of 24 lines gets to see of `lapwing args`, and how that ends. The user is `terminal.py`.
fn play(sandbox: &Sandbox, play: &str, args: &[&str], environment: &[(&str, &str)]) -> (String, i32) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pump/terminal.py");
    let mut python = Command::new("python3");
    python.arg(script).arg(play).arg(env!("CARGO_BIN_EXE_lapwing")).args(args).current_dir(sandbox.path("."));
    python.env("LAPWING_RING", sandbox.path("ring")).env("TERM", "xterm").env("TZ", "UTC");
    for name in ["NO_COLOR", "PAGER", "LAPWING_PAGER", "LESS", "LESSOPEN"] {
        python.env_remove(name);
    }
    let Output { stdout, stderr, status } = python.envs(environment.iter().copied()).output().unwrap();
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    (String::from_utf8_lossy(&stdout).into_owned(), status.code().unwrap())
}

fn look(sandbox: &Sandbox, args: &[&str], environment: &[(&str, &str)]) -> String {
    let (screen, code) = play(sandbox, "look", args, environment);
    assert_eq!(code, 0, "{args:?} {environment:?}: {screen}");
    screen
}

fn three_levels() -> Sandbox {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "-p", "err", "bad"]);
    sandbox.ok(&["log", "usual"]);
    sandbox.ok(&["log", "-p", "debug", "small"]);
    sandbox
}

#[test]
fn levels_have_colors_on_a_terminal_unless_somebody_objects() {
    let sandbox = three_levels();
    let tail = ["tail", "--no-pager"];
    let screen = look(&sandbox, &tail, &[]);
    for part in ["\x1b[31m<err> bad\x1b[0m", "] usual\r\n", "\x1b[2m<debug> small\x1b[0m"] {
        assert!(screen.contains(part), "{screen:?}");
    }
    let plain = |screen: &str| screen.contains("<err> bad") && !screen.contains('\x1b');
    assert!(plain(&look(&sandbox, &tail, &[("NO_COLOR", "1")])));
    assert!(!plain(&look(&sandbox, &tail, &[("NO_COLOR", "")])), "empty is as good as unset");
    assert!(plain(&look(&sandbox, &tail, &[("TERM", "dumb")])));
    assert!(plain(&look(&sandbox, &["tail", "--no-pager", "--color", "never"], &[])));
    assert!(!plain(&look(&sandbox, &["tail", "--no-pager", "--color", "always"], &[("NO_COLOR", "1")])));
    assert!(!look(&sandbox, &["tail", "--no-pager", "-o", "logfmt", "--color", "always"], &[]).contains('\x1b'));
    assert!(!sandbox.ok(&["tail"]).contains('\x1b'), "a pipe is no terminal");
    assert!(sandbox.ok(&["tail", "--color", "always"]).contains("\x1b[31m<err> bad\x1b[0m\n"));
}

#[test]
fn a_loss_stands_out() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3000);
    let screen = look(&sandbox, &["tail", "--no-pager"], &[]);
    assert!(screen.starts_with("\x1b[1;7;31m*** ") && screen.contains(" ***\x1b[0m\r\n"), "{:?}", &screen[..80]);
}

#[test]
fn the_pager_gets_what_a_terminal_would_get_and_the_exit_code_is_our_own() {
    let sandbox = three_levels();
    let sed = ("PAGER", "sed -n s/^/paged:/p");
    let paged =
        |args: &[&str], environment: &[(&str, &str)]| look(&sandbox, args, environment).matches("paged:").count();
    assert_eq!(paged(&["tail"], &[sed]), 3);
    assert_eq!(
        paged(&["tail"], &[("LAPWING_PAGER", "sed 's/^/paged:/' | grep -v usual"), ("PAGER", "cat")]),
        2,
        "a shell's"
    );
    assert_eq!(paged(&["tail", "--no-pager"], &[sed]), 0);
    assert_eq!(paged(&["tail", "-f", "-U", "in 1 second"], &[sed]), 0, "nobody pages what goes on and on");
    assert_eq!(paged(&["tail"], &[sed, ("LAPWING_PAGER", "")]), 0);
    assert_eq!(paged(&["tail"], &[("PAGER", "cat")]), 0);
    assert_eq!(paged(&["tail"], &[sed, ("TERM", "dumb")]), 0);
    assert!(!look(&sandbox, &["tail"], &[sed]).contains('\x1b'), "sed is not known to show colors");
    let missing = look(&sandbox, &["tail"], &[("PAGER", "no-such-pager -x")]);
    assert!(
        missing.contains("cannot start the pager \"no-such-pager -x\"") && missing.contains("<err> bad"),
        "{missing}"
    );
    assert_eq!(play(&sandbox, "look", &["tail", "-g", "nothing like it"], &[sed]).1, 1);
    let raw = look(&sandbox, &["tail", "-o", "cat"], &[sed]);
    assert_eq!(raw, "paged:bad\r\npaged:usual\r\npaged:small\r\n");

    sandbox.log_lines((0..3000).map(|i| format!("\u{1b}{i}")));
    let (screen, code) = play(&sandbox, "look", &["tail", "-o", "cat", "--fail-on-loss"], &[sed]);
    assert_eq!(code, 3);
    assert!(
        screen.starts_with("paged:*** ") && screen.contains("paged:\\x1b2999"),
        "notices go there too: {:?}",
        &screen[..80]
    );
    // More than a pipe holds.
    let early = play(&sandbox, "look", &["tail", "-o", "json", "--fail-on-loss"], &[("PAGER", "head -n 1")]);
    assert_eq!((early.0.lines().count(), early.1), (1, 0), "who leaves early is no error");
}

#[test]
fn less_shows_a_page_and_q_ends_it_quietly() {
    let there = Command::new("less").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no less here");
        return;
    }
    let sandbox = Sandbox::with_ring("16M");
    sandbox.ok(&["log", "-p", "err", "bad"]);
    sandbox.log_lines((0..50_000).map(|i| format!("line {i}")));
    let (screen, code) = play(&sandbox, "quit", &["tail"], &[]);
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("line 10") && !screen.contains("line 100"), "one page: {screen}");
    assert!(screen.contains("\x1b[31m<err> bad"), "in color: {screen:?}");
    assert!(!screen.contains("lapwing: ") && !screen.contains("TOO LATE"), "{screen}");
    // Less than a page needs no q.
    let (screen, code) = play(&sandbox, "look", &["tail", "-n", "3"], &[]);
    assert!(code == 0 && screen.contains("line 49999"), "{screen}");
}

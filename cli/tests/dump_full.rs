//! `lapwing dump` onto a disk that is full: it waits, says so, leaves no torn line, and goes on when there is room.

mod sandbox;
#[path = "dump/stage.rs"]
mod stage;

use lapwing_ring::Log;
use sandbox::Sandbox;
use stage::{Account, Dumping, append, read, rotated, wait_until};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// Runs the test called `name` again in a mount namespace of its own, so that nothing stays mounted whatever happens. No,
/// if that is where we are.
fn runs_inside(name: &str) -> bool {
    const INSIDE: &str = "LAPWING_TEST_INSIDE";
    if std::env::var_os(INSIDE).is_some() {
        return false;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private"]).arg(std::env::current_exe().unwrap());
    match command.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").output() {
        Err(error) => eprintln!("SKIPPED: no unshare ({error})"),
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(!errors.contains("panicked"), "{errors}");
            if !errors.contains("CHECKED") {
                eprintln!("SKIPPED: no mounting here ({})", errors.trim());
            }
        }
    }
    true
}

/// A disk of `size` in the folder `disk`; no, where it cannot be mounted.
fn mount(sandbox: &Sandbox, size: &str) -> bool {
    let folder = sandbox.path("disk");
    fs::create_dir(&folder).unwrap();
    let options = format!("size={size}");
    let status = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "lapwing"]).arg(folder).status();
    status.is_ok_and(|status| status.success())
}

fn fill(path: &Path) {
    let mut filler = OpenOptions::new().create(true).append(true).open(path).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    while filler.write_all(&[1]).is_ok() {}
}

#[test]
fn a_full_disk_is_waited_for_and_what_was_overwritten_meanwhile_is_a_loss() {
    if runs_inside("a_full_disk_is_waited_for_and_what_was_overwritten_meanwhile_is_a_loss") {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    if !mount(&sandbox, "200k") {
        return eprintln!("no mount");
    }
    let (out, filler) = (sandbox.path("disk/out"), sandbox.path("disk/filler"));
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let mut next = 0;
    let mut append_some = |count| {
        append(&log, next..next + count, 37);
        next += count;
        next
    };
    let mut dumping = Dumping::start(&sandbox, &["--to", "disk/out", "-o", "cat"]);
    append_some(10);
    wait_until("ten lines", || read(&out).lines().count() == 10);
    fill(&filler);
    append_some(10_000);
    dumping.wait_for_said("waiting for room");
    let said = dumping.said();
    assert!(said.contains("disk/out: cannot write: No space left on device") && said.lines().count() == 1, "{said}");
    // It filled the rest of its block with whole lines.
    wait_until("no torn line", || read(&out).ends_with('\n'));
    let at_full = Account::from(0).take(&read(&out));
    assert!(at_full.next > 10, "{at_full:?}");
    append_some(10_000);
    fs::remove_file(&filler).unwrap();
    dumping.wait_for_said("there is room again");
    let end = append_some(1);
    assert_eq!(dumping.end().0, 0);
    let account = Account::from(0).take(&read(&out));
    assert!(account.next == end && account.lost > 0 && account.losses >= 1, "{account:?}");

    // Killed while it waits, and told to end while it waits: nothing is missing, doubled or torn either way.
    fill(&filler);
    let mut dumping = Dumping::start(&sandbox, &["--to", "disk/out", "-o", "cat"]);
    append_some(10_000);
    dumping.wait_for_said("waiting for room");
    dumping.kill();
    let mut dumping = Dumping::start(&sandbox, &["--to", "disk/out", "-o", "cat", "--finish-within", "1s"]);
    dumping.wait_for_said("waiting for room");
    let (code, said) = dumping.end();
    assert!(code == 1 && said.contains("told to end before all was out"), "{said}");
    assert_eq!(said.lines().count(), 2, "each thing is said once: {said}");
    fs::remove_file(&filler).unwrap();
    let end = append_some(1);
    let mut dumping = Dumping::start(&sandbox, &["--to", "disk/out", "-o", "cat"]);
    assert_eq!(dumping.end(), (0, String::new()));
    let account = Account::from(0).take(&read(&out));
    assert_eq!(account.next, end);
    eprintln!("CHECKED");
}

#[test]
fn a_full_disk_between_two_files_and_in_front_of_compressing_costs_nothing() {
    if runs_inside("a_full_disk_between_two_files_and_in_front_of_compressing_costs_nothing") {
        return;
    }
    let sandbox = Sandbox::with_ring("16M");
    if !mount(&sandbox, "3m") {
        return eprintln!("no mount");
    }
    let (out, filler) = (sandbox.path("disk/out"), sandbox.path("disk/filler"));
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let args = ["--to", "disk/out", "-o", "cat", "--rotate", "4000", "--zstd"];
    let mut dumping = Dumping::start(&sandbox, &args);
    append(&log, 0..1000, 37);
    wait_until("a thousand lines", || read(&out).ends_with("999\n"));
    fill(&filler);
    append(&log, 1000..20_000, 37);
    dumping.wait_for_said("waiting for room");
    fs::remove_file(&filler).unwrap();
    wait_until("the last line", || read(&out).ends_with("19999\n"));
    assert_eq!(dumping.end().0, 0);
    // What could not be compressed then is now.
    let mut dumping = Dumping::start(&sandbox, &args);
    wait_until("everything to be compressed", || {
        rotated(&sandbox, "disk/out").iter().all(|path| path.extension().is_some_and(|ending| ending == "zst"))
    });
    assert_eq!(dumping.end(), (0, String::new()));
    let files = rotated(&sandbox, "disk/out");
    let account = files.iter().chain([&out]).fold(Account::from(0), |account, path| account.take(&read(path)));
    assert_eq!((account.next, account.lost), (20_000, 0));
    eprintln!("CHECKED");
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_without_a_torn_line() {
    let sandbox = Sandbox::with_ring("64K");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    append(&log, 0..400, 37);
    let mut command = Command::new("sh");
    // Blocks of 512 bytes, or of 1024 where sh is bash: more than the state takes either way.
    command.args(["-c", "ulimit -f 17; exec \"$LAPWING\" dump --to out -o cat"]).current_dir(sandbox.path("."));
    command.env("LAPWING", env!("CARGO_BIN_EXE_lapwing")).env("LAPWING_RING", sandbox.path("ring"));
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.code() == Some(1) && said.contains("out: cannot write: File too large"), "{said}");
    let out = sandbox.path("out");
    let account = Account::from(0).take(&read(&out));
    assert!(account.next > 0 && account.next < 400, "{account:?}");
    let mut dumping = Dumping::start(&sandbox, &["--to", "out", "-o", "cat"]);
    assert_eq!(dumping.end(), (0, String::new()));
    assert_eq!(Account::from(0).take(&read(&out)).next, 400);
}

//! `lapwing doctor` where something is really wrong: every finding, each with the condition that it is about.

mod sandbox;

use lapwing_ring::{Create, Level, Log, Reader, Writer};
use sandbox::{Done, Sandbox, is_of_another_boot};
use serde_json::{Value, json};
use std::fs::{Permissions, copy, create_dir, set_permissions, write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `lapwing doctor` in an environment that says nothing about capturing.
fn doctor(sandbox: &Sandbox, args: &[&str]) -> Command {
    clean(sandbox.command(&[&["doctor"], args].concat()))
}

fn clean(mut command: Command) -> Command {
    for name in ["LD_PRELOAD", "LAPWING_PRELOAD", "LAPWING_STREAM", "LAPWING_QUIET", "LAPWING_BUFFER"] {
        command.env_remove(name);
    }
    command
}

/// The lines of its findings.
fn findings(command: &mut Command) -> (i32, Vec<String>) {
    let done = Done::of(command.output().unwrap());
    assert_eq!(done.stderr, "");
    (done.code, done.stdout.lines().map(str::to_owned).collect())
}

/// It has to say `text` in one line that begins with `state`, and nothing else may be wrong.
#[track_caller]
fn check(command: &mut Command, state: &str, text: &str) {
    let (code, lines) = findings(command);
    let all = lines.join("\n");
    assert!(
        lines.iter().any(|line| line.starts_with(state) && line.contains(text)),
        "no {state} with {text:?} in\n{all}"
    );
    let wrong = lines.iter().filter(|line| line.starts_with("WRONG ")).count();
    let expected = usize::from(state == "WRONG");
    assert_eq!((code, wrong), (expected as i32, expected), "{all}");
    // What is wrong comes with what to do.
    assert!(
        lines.iter().all(|line| !line.starts_with("WRONG ") || line.contains("; ") || line.contains(": ")),
        "{all}"
    );
}

/// Runs as another user, or with mounts of its own; says so where that takes root.
fn wrapped(wrapper: &[&str], command: &Command) -> Option<Command> {
    let probe = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        println!("skipped: {} cannot be run here: {probe:?}", wrapper.join(" "));
        return None;
    }
    let mut all = Command::new(wrapper[0]);
    all.args(&wrapper[1..]).arg(command.get_program()).args(command.get_args());
    all.current_dir(command.get_current_dir().unwrap_or(Path::new(".")));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => all.env(name, value),
            None => all.env_remove(name),
        };
    }
    Some(all)
}

const NOBODY: [&str; 4] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

/// The library that the build made.
fn library() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_lapwing")).with_file_name("deps").join("liblapwing_preload.so")
}

#[test]
fn where_nothing_is_wrong_it_says_so_and_leaves_nothing_behind() {
    let sandbox = Sandbox::with_ring("64K");
    check(&mut doctor(&sandbox, &["sh"]), "ok", "ring (as $LAPWING_RING says), of this boot, and we may write to it");
    check(&mut doctor(&sandbox, &["sh"]), "ok", "liblapwing_preload.so; a trial was captured");
    check(&mut doctor(&sandbox, &["--", "sh", "-c", "--json"]), "ok", "/sh can be captured");
    check(&mut doctor(&sandbox, &[]), "ok", "0 of ");
    let (_, lines) = findings(&mut doctor(&sandbox, &[]));
    assert_eq!(lines.last().unwrap(), "nothing is wrong");
    let stat: Value = serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap();
    assert_eq!((&stat["next_seq"], &stat["writers"]), (&json!(0), &json!([])));
    create_dir(sandbox.path("tmp")).unwrap();
    check(doctor(&sandbox, &[]).env("TMPDIR", sandbox.path("tmp")), "ok", "a trial was captured");
    assert_eq!(std::fs::read_dir(sandbox.path("tmp")).unwrap().count(), 0);
    check(doctor(&sandbox, &[]).env("TMPDIR", sandbox.path("none")), "note", "no trial could be made: No such file");
}

#[test]
fn the_findings_are_one_json_object_too() {
    let sandbox = Sandbox::with_ring("64K");
    let report = |args: &[&str]| -> (i32, Value) {
        let done = Done::of(doctor(&sandbox, &[&["--json"], args].concat()).output().unwrap());
        (done.code, serde_json::from_str(&done.stdout).unwrap())
    };
    let (code, sound) = report(&[]);
    assert_eq!((code, &sound["wrong"]), (0, &json!(0)));
    let (code, report) = report(&["no-such-program"]);
    let wrong: Vec<_> = report["findings"].as_array().unwrap().iter().filter(|row| row["state"] == "wrong").collect();
    assert_eq!((code, &report["wrong"], wrong.len()), (1, &json!(1), 1));
    assert_eq!(wrong[0]["about"], "program");
    assert!(wrong[0]["text"].as_str().unwrap().contains("no-such-program") && wrong[0]["advice"].is_string());
}

#[test]
fn a_ring_that_is_missing_is_made_by_whoever_writes_unless_it_was_named() {
    let sandbox = Sandbox::new();
    check(&mut doctor(&sandbox, &[]), "note", "does not exist yet: whoever writes first makes it");
    check(&mut doctor(&sandbox, &["--ring", "other"]), "WRONG", "other (as --ring says) does not exist");
    let far = sandbox.path("no/such/folder/ring");
    check(doctor(&sandbox, &[]).env("LAPWING_RING", far), "WRONG", "nor does the folder that it would lie in");
    if !Path::new(lapwing_ring::SYSTEM_RING).exists() {
        check(
            &mut clean(sandbox.command_without_ring(&["doctor"])),
            "note",
            "(in $XDG_RUNTIME_DIR) does not exist yet",
        );
    }
    assert!(!sandbox.path("ring").exists() && !sandbox.path("lapwing").exists());
    set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    if let Some(mut nobody) = wrapped(&NOBODY, &doctor(&sandbox, &[])) {
        check(&mut nobody, "WRONG", "does not exist, and we may not make it in");
    }
}

#[test]
fn a_folder_that_is_not_ours_alone_is_wrong() {
    if Path::new(lapwing_ring::SYSTEM_RING).exists() {
        println!("skipped: this host has a system ring");
        return;
    }
    let sandbox = Sandbox::new();
    create_dir(sandbox.path("lapwing")).unwrap();
    set_permissions(sandbox.path("lapwing"), Permissions::from_mode(0o755)).unwrap();
    check(&mut clean(sandbox.command_without_ring(&["doctor"])), "WRONG", "0700");
}

#[test]
fn what_is_no_sound_ring_of_this_boot_is_wrong() {
    let sandbox = Sandbox::new();
    write(sandbox.path("ring"), "not a ring, just some text").unwrap();
    check(&mut doctor(&sandbox, &[]), "WRONG", "is not a ring");
    let make = || {
        let _ = std::fs::remove_file(sandbox.path("ring"));
        Create::new().size(64 << 10).create(&sandbox.path("ring")).unwrap();
        std::fs::File::options().write(true).open(sandbox.path("ring")).unwrap()
    };
    let put = |offset: u64, bytes: &[u8]| make().write_all_at(bytes, offset).unwrap();
    put(8, &99u64.to_le_bytes());
    check(&mut doctor(&sandbox, &[]), "WRONG", "format version 99");
    make();
    is_of_another_boot(&sandbox.path("ring"));
    check(&mut doctor(&sandbox, &[]), "WRONG", "was written before this host last started; read it, then remove it");
    make().set_len(5000).unwrap();
    check(&mut doctor(&sandbox, &[]), "WRONG", "is cut short");
    make();
    copy(sandbox.path("ring"), sandbox.path("copy")).unwrap();
    check(&mut doctor(&sandbox, &["--ring", "./copy"]), "WRONG", "is a copy of a ring");
    let file = make();
    sandbox.log_lines(0..100);
    // Header and the first page's index say what was written; the records behind them are gone.
    let len = file.metadata().unwrap().len();
    let pages = len - (64 << 10);
    file.write_all_at(&[0xff; 2000], pages + 2400).unwrap();
    check(&mut doctor(&sandbox, &[]), "WRONG", "is damaged in ");
}

#[test]
fn a_ring_that_we_may_not_write_to_is_wrong() {
    let sandbox = Sandbox::with_ring("64K");
    set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    set_permissions(sandbox.path("ring"), Permissions::from_mode(0o644)).unwrap();
    if let Some(mut nobody) = wrapped(&NOBODY, &doctor(&sandbox, &[])) {
        check(&mut nobody, "WRONG", "no permission");
    }
}

#[test]
fn a_ring_that_is_full_of_writers_is_wrong_and_what_it_refused_is_noted() {
    let sandbox = Sandbox::with_ring("64K");
    let path = sandbox.path("ring");
    let slots = Reader::open(&path).unwrap().identity().geometry.slot_count();
    let others: Vec<_> = (0..slots).map(|_| Writer::open(&path).unwrap()).collect();
    check(&mut doctor(&sandbox, &[]), "WRONG", "writer slots of the ring are in use");
    drop(others);
    check(
        &mut doctor(&sandbox, &[]),
        "note",
        "has refused 1 records since it was made, because all writer slots were in use",
    );
    let log = Log::open(&path).unwrap();
    let text = vec![b'x'; log.max_body() + 1];
    assert!(log.append(Level::INFO, &text).is_err() && log.append(Level::INFO, &text).is_err());
    check(&mut doctor(&sandbox, &[]), "note", "has refused 2 records since it was made, because they were too large");
}

/// A shell that mounts something over a folder of the sandbox first.
fn mounted(sandbox: &Sandbox, mount: &str, command: &Command) -> Option<Command> {
    let folder = sandbox.path("mount");
    let _ = create_dir(&folder);
    let script = format!("cd {} && {mount} && exec \"$@\"", folder.display());
    wrapped(&["unshare", "--mount", "sh", "-ec", &script, "sh"], command)
}

#[test]
fn without_room_for_a_ring_nobody_can_make_one() {
    let sandbox = Sandbox::new();
    let mut command = doctor(&sandbox, &[]);
    command.env("LAPWING_RING", sandbox.path("mount/ring"));
    if let Some(mut command) = mounted(&sandbox, "mount -t tmpfs -o size=1m none .", &command) {
        check(&mut command, "WRONG", "for its 16 MiB 1024 KiB are free");
    }
}

#[test]
fn where_locks_do_not_tell_the_truth_that_is_noted() {
    let sandbox = Sandbox::new();
    let mut command = doctor(&sandbox, &[]);
    command.env("LAPWING_RING", sandbox.path("mount/merged/ring"));
    let mount = format!(
        "mount -t tmpfs none . && cd . && cd {0} && mkdir lower upper work merged && \
         mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay merged && {1} create -s 64K {0}/merged/ring",
        sandbox.path("mount").display(),
        env!("CARGO_BIN_EXE_lapwing"),
    );
    if let Some(mut command) = mounted(&sandbox, &mount, &command) {
        check(&mut command, "note", "locks do not tell the truth on this file system");
    }
}

#[test]
fn a_library_that_cannot_be_loaded_is_wrong() {
    let sandbox = Sandbox::with_ring("64K");
    let with = |file: &Path| {
        let mut command = doctor(&sandbox, &[]);
        command.env("LAPWING_PRELOAD", file);
        command
    };
    check(&mut with(&sandbox.path("none.so")), "WRONG", "no library to capture with, looked for");
    write(sandbox.path("text.so"), "no library").unwrap();
    check(&mut with(&sandbox.path("text.so")), "WRONG", "cannot be preloaded");
    create_dir(sandbox.path("a folder")).unwrap();
    copy(library(), sandbox.path("a folder/ours.so")).unwrap();
    check(&mut with(&sandbox.path("a folder/ours.so")), "WRONG", "cannot have a space or a colon");
    let mut bytes = std::fs::read(library()).unwrap();
    bytes[4] = 1;
    write(sandbox.path("small.so"), bytes).unwrap();
    check(&mut with(&sandbox.path("small.so")), "WRONG", "is not for 64-bit programs");
    let command = with(&sandbox.path("mount/ours.so"));
    let mount = format!(
        "mount -t tmpfs -o noexec none . && cp {} {}",
        library().display(),
        sandbox.path("mount/ours.so").display()
    );
    if let Some(mut command) = mounted(&sandbox, &mount, &command) {
        check(&mut command, "WRONG", "mounted noexec");
    }
    // Others may not read it.
    let closed = sandbox.path("closed.so");
    copy(library(), &closed).unwrap();
    set_permissions(&closed, Permissions::from_mode(0o600)).unwrap();
    set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    set_permissions(sandbox.path("ring"), Permissions::from_mode(0o666)).unwrap();
    if let Some(mut nobody) = wrapped(&NOBODY, &with(&closed)) {
        check(&mut nobody, "WRONG", "closed.so: cannot be read: Permission denied");
    }
}

#[test]
fn what_the_environment_says_wrongly_is_wrong() {
    let sandbox = Sandbox::with_ring("64K");
    let library = library();
    let with = |variables: &[(&str, &str)]| {
        let mut command = doctor(&sandbox, &[]);
        command.envs(variables.iter().copied());
        command
    };
    let library = library.to_str().unwrap();
    check(&mut with(&[("LD_PRELOAD", library)]), "note", "unless its output goes to files");
    check(&mut with(&[("LD_PRELOAD", library), ("LAPWING_STREAM", "any")]), "note", "$LAPWING_STREAM is any");
    check(&mut with(&[("LD_PRELOAD", library), ("LAPWING_STREAM", "")]), "note", "is not captured");
    check(&mut with(&[("LAPWING_STREAM", "out=1:2")]), "WRONG", "is not in $LD_PRELOAD");
    check(&mut with(&[("LD_PRELOAD", library), ("LAPWING_STREAM", "nonsense")]), "WRONG", "says nothing");
    check(&mut with(&[("LD_PRELOAD", "libm.so.6")]), "note", "$LD_PRELOAD has others too: libm.so.6");
    check(&mut with(&[("LAPWING_PROPAGATE", "0")]), "note", "started with another environment are not captured");
    // All that the library has in place of the C library's is found there first.
    check(&mut with(&[("LD_PRELOAD", "libc.so.6")]), "WRONG", "another library in $LD_PRELOAD comes first");
    let (code, lines) = findings(&mut with(&[("LAPWING_RING", "ring")]));
    assert!(code == 1 && lines.iter().any(|line| line.starts_with("WRONG environment: $LAPWING_RING is ring, which")));
    let args = ["run", "--quiet", "--", env!("CARGO_BIN_EXE_lapwing"), "doctor"];
    check(
        &mut clean(sandbox.command(&args)),
        "note",
        "inside of `lapwing run`: what is started here is captured, and prints nowhere else",
    );
}

fn put(sandbox: &Sandbox, name: &str, bytes: &[u8], mode: u32) {
    write(sandbox.path(name), bytes).unwrap();
    set_permissions(sandbox.path(name), Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_program_that_cannot_be_run_is_wrong() {
    let sandbox = Sandbox::with_ring("64K");
    let look = |name: &str| doctor(&sandbox, &[name]);
    check(&mut look("no-such-program"), "WRONG", "there is no no-such-program in $PATH");
    check(&mut look("./none"), "WRONG", "./none: No such file");
    put(&sandbox, "plain", b"echo a line\n", 0o755);
    check(&mut look("./plain"), "WRONG", "./plain is no program, and its first line names no interpreter");
    put(&sandbox, "closed", &std::fs::read("/bin/sh").unwrap(), 0o644);
    check(&mut look("./closed"), "WRONG", "./closed: cannot be run: Permission denied");
    put(&sandbox, "lost", b"#!/no/such/interpreter\n", 0o755);
    check(&mut look("./lost"), "WRONG", "/no/such/interpreter: No such file");
    put(&sandbox, "script", b"#!/usr/bin/env -S sh -u\necho 1\n", 0o755);
    check(&mut look("./script"), "note", "./script is a script for ");
    check(&mut look("./script"), "ok", "/sh can be captured");
}

#[test]
fn a_program_that_takes_the_pump_is_noted_with_the_reason() {
    let sandbox = Sandbox::with_ring("64K");
    let look = |name: &str| doctor(&sandbox, &[name]);
    let sh = std::fs::read("/bin/sh").unwrap();
    let mut small = sh.clone();
    small[4] = 1;
    put(&sandbox, "small", &small, 0o755);
    check(&mut look("./small"), "note", "./small: it is not a 64-bit program, so no library can be preloaded into it");
    put(&sandbox, "deep", b"#!./small -x\n", 0o755);
    check(&mut look("./deep"), "note", "small: it is not a 64-bit program");
    for (compiler, option, text) in
        [("cc", "-static", "it is statically linked"), ("musl-gcc", "-O1", "another C library")]
    {
        write(sandbox.path("a.c"), "int main(void) { return 0; }\n").unwrap();
        let (source, binary) = (sandbox.path("a.c"), sandbox.path("compiled"));
        let compiled = Command::new(compiler).arg(option).arg("-o").arg(binary).arg(source).output();
        if !compiled.is_ok_and(|output| output.status.success()) {
            println!("skipped: {compiler} {option} makes no program here");
            continue;
        }
        check(&mut look("./compiled"), "note", text);
    }
    set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    set_permissions(sandbox.path("ring"), Permissions::from_mode(0o666)).unwrap();
    put(&sandbox, "setuid", &sh, 0o4755);
    if let Some(mut nobody) = wrapped(&NOBODY, &look("./setuid")) {
        check(&mut nobody, "note", "./setuid: it is setuid or setgid");
    }
    put(&sandbox, "capable", &sh, 0o755);
    let given = Command::new("setcap").arg("cap_net_raw+ep").arg(sandbox.path("capable")).output();
    match given {
        Ok(output) if output.status.success() => {
            if let Some(mut nobody) = wrapped(&NOBODY, &look("./capable")) {
                check(&mut nobody, "note", "./capable: its file has capabilities");
            }
        }
        failed => println!("skipped: setcap does not work here: {failed:?}"),
    }
}

#[test]
fn what_the_kernel_shows_us_is_noted() {
    let sandbox = Sandbox::with_ring("64K");
    let setting = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    let expected = format!("kptr_restrict {}", setting("kptr_restrict").trim());
    check(&mut doctor(&sandbox, &[]), "note", &expected);
    set_permissions(sandbox.path(""), Permissions::from_mode(0o755)).unwrap();
    set_permissions(sandbox.path("ring"), Permissions::from_mode(0o666)).unwrap();
    let Some(mut nobody) = wrapped(&NOBODY, &doctor(&sandbox, &[])) else { return };
    check(&mut nobody, "note", "we have none of CAP_SYSLOG, CAP_PERFMON");
    if setting("dmesg_restrict").trim() == "1" {
        check(&mut nobody, "note", "/dev/kmsg cannot be read (");
    }
    if setting("kptr_restrict").trim() != "0" || setting("perf_event_paranoid").trim().parse::<i32>().unwrap_or(2) > 1 {
        check(&mut nobody, "note", "/proc/kallsyms has no addresses for us: ");
        let (_, lines) = findings(&mut nobody);
        let said = lines.iter().find(|line| line.contains("/proc/kallsyms")).unwrap();
        // What `sym` says to the same user.
        let sym = clean(sandbox.command(&["sym", "1"]));
        let sym = Done::of(wrapped(&NOBODY, &sym).unwrap().env("LAPWING_KALLSYMS", "/nonexistent").output().unwrap());
        let advice = said.split_once("for us: ").unwrap().1;
        assert!(sym.code == 1 && sym.stderr.contains(advice), "{said}: {}", sym.stderr);
        assert!(advice.contains("CAP_SYSLOG") && advice.contains("kptr_restrict"), "{advice}");
    }
}

#[test]
fn a_run_that_fails_names_the_doctor() {
    let sandbox = Sandbox::new();
    write(sandbox.path("ring"), "not a ring, just some text").unwrap();
    let done = Done::of(clean(sandbox.command(&["run", "--", "echo", "ran"])).output().unwrap());
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("is not a ring") && done.stderr.contains("`lapwing doctor`"), "{}", done.stderr);
}

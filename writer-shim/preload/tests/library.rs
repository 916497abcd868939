//! Is the library that cargo built fit to be preloaded into any program?

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// The library lies in the folder of this very test.
fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("liblapwing_preload.so")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg(library()).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_needs_the_c_library_and_the_loader_at_most() {
    let dynamic = output("readelf", &["-dW"]);
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!needed.is_empty(), "{dynamic}");
    for line in needed {
        assert!(line.contains("[libc.so.") || line.contains("[ld-linux"), "{line}");
    }
}

#[test]
fn it_exports_the_hooks_and_nothing_else() {
    let symbols = output("readelf", &["-W", "--dyn-syms"]);
    let exported: BTreeSet<_> = symbols
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.len() == 8 && words[4] != "LOCAL" && words[6].parse::<u32>().is_ok())
        .map(|words| words[7].to_owned())
        .collect();
    let hooks = [
        "_Exit",
        "__asan_default_options",
        "__dprintf_chk",
        "__send",
        "__stack_chk_fail",
        "__syslog_chk",
        "__vdprintf_chk",
        "__vsyslog_chk",
        "__write",
        "_exit",
        "backtrace_symbols_fd",
        "close",
        "close_range",
        "closefrom",
        "closelog",
        "connect",
        "copy_file_range",
        "daemon",
        "dprintf",
        "dup",
        "dup2",
        "dup3",
        "execl",
        "execle",
        "execlp",
        "execv",
        "execve",
        "execveat",
        "execvp",
        "execvpe",
        "fclose",
        "fcntl",
        "fcntl64",
        "fexecve",
        "freopen",
        "freopen64",
        "openlog",
        "posix_spawn",
        "posix_spawnp",
        "prctl",
        "pwrite",
        "pwrite64",
        "pwritev",
        "pwritev2",
        "pwritev64",
        "pwritev64v2",
        "send",
        "sendfile",
        "sendfile64",
        "sendmmsg",
        "sendmsg",
        "sendto",
        "setlogmask",
        "splice",
        "syscall",
        "syslog",
        "tee",
        "vmsplice",
        "vdprintf",
        "vsyslog",
        "wait",
        "wait3",
        "wait4",
        "waitid",
        "waitpid",
        "write",
        "writev",
    ];
    assert_eq!(exported, BTreeSet::from(hooks.map(String::from)));
}

#[test]
fn turned_off_a_program_runs_as_ever() {
    let output = Command::new("sh")
        .args(["-c", "echo out; echo err >&2; exit 7"])
        .env("LD_PRELOAD", library())
        .env("LAPWING_STREAM", "")
        .output()
        .unwrap();
    assert_eq!((output.stdout, output.stderr, output.status.code()), (b"out\n".into(), b"err\n".into(), Some(7)));
}

#[test]
fn a_ring_that_cannot_be_opened_is_nobody_s_business() {
    let output = Command::new("sh")
        .args(["-c", "echo out; echo err >&2; exit 7"])
        .env("LD_PRELOAD", library())
        .env("LAPWING_RING", "/no such folder/ring")
        .env("LAPWING_STREAM", "out=1:1,err=1:2")
        .env("LAPWING_QUIET", "1")
        .output()
        .unwrap();
    assert_eq!((output.stdout, output.stderr, output.status.code()), (b"out\n".into(), b"err\n".into(), Some(7)));
}

//! Every kind of thing that a standard stream can be.

use crate::case::{Case, Target, by};
use crate::check;

const SHELL: &str = "echo one; echo err >&2; printf '%s\\n' two three; ls --bad; (echo sub) & wait; exec /bin/echo end";
const PYTHON: &str = "import sys
print('p'); print('e', file=sys.stderr); [print(i) for i in range(99)]; 1/0";
const NODE: &str = "console.log('log'); console.error('error'); process.stdout.write('written\\n')";
const CAT: &[&str] = &["cat", "numbers", "/no/such"];
const NUMBERS: &str = "seq 20000 >numbers";

/// The same programs for each.
const fn into(target: Target) -> [Case; 7] {
    [
        Case::new("C", "printf, fprintf, putc and the like", "stdio", &["{bin}/prints", "stdio"]).to(target),
        Case::new("C", "write, writev, dprintf", "write, writev", &["{bin}/prints", "calls"]).to(target),
        Case::script("bash", "echo, printf, ls, a subshell, exec", "stdio", by::BASH, SHELL).to(target),
        Case::script("Python", "print, a traceback", "write", by::PYTHON, PYTHON).to(target),
        Case::script("node", "console.log, console.error, process.stdout.write", "write", by::NODE, NODE).to(target),
        Case::new("coreutils", "ls -la, an error", "stdio", &["ls", "-la", "/", "/no/such"]).to(target),
        Case::new("coreutils", "cat, an error", "stdio, write", CAT).prepare(NUMBERS).to(target),
    ]
}

pub const TARGETS: &[&[Case]] =
    &[&into(Target::File), &into(Target::Null), &into(Target::Terminal), &into(Target::Socket)];

#[test]
fn files() {
    check(TARGETS[0]);
}

#[test]
fn the_null_device() {
    check(TARGETS[1]);
}

#[test]
fn terminals() {
    check(TARGETS[2]);
}

#[test]
fn sockets() {
    check(TARGETS[3]);
}

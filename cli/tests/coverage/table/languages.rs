//! Languages with a runtime of their own.

use crate::case::{Case, by};
use crate::{check, programs};

pub const RUST: &[Case] = &[
    Case::new(
        "Rust",
        "println, eprintln, print, dbg, write_all, write_vectored",
        "write, writev",
        &["{bin}/prints-rust", "macros"],
    ),
    Case::new("Rust", "a panic", "write", &["{bin}/prints-rust", "panic"]),
    Case::new("Rust", "a panic with backtrace", "write", &["env", "RUST_BACKTRACE=1", "{bin}/prints-rust", "result"])
        .needs(&["{bin}/prints-rust"]),
    Case::new("Rust", "a panic in a thread", "write", &["{bin}/prints-rust", "threads"]),
    Case::new("Rust", "println, then abort", "write", &["{bin}/prints-rust", "abort"]),
];

pub(super) const OUTPUT: &str = "import sys, os
print('print', 1, 2.5); print('to err', file=sys.stderr); print('in two ', end='', flush=True); print('parts')
sys.stdout.write('write\\n'); sys.stdout.flush(); sys.stdout.buffer.write(b'bytes \\xff\\x00\\n'); sys.stdout.flush()
os.write(1, b'os.write\\n'); os.writev(2, [b'os.', b'writev\\n'])
for i in range(60): print('line', i)
print('no newline', end='')";
const LOGGING: &str = "import logging, warnings
logging.warning('before any set-up'); logging.basicConfig(level=10, force=True, format='%(levelname)s %(message)s')
logging.debug('debug'); logging.error('error')
try: 1/0
except ZeroDivisionError: logging.exception('with a traceback')
warnings.warn('a warning')";
const CHILDREN: &str = "import subprocess, os, sys
print('parent', flush=True); subprocess.run(['echo', 'by subprocess']); subprocess.run('echo bad >&2', shell=True)
os.system('echo by os.system')
if os.fork() == 0: print('forked'); sys.stdout.flush(); os._exit(0)
os.wait()
if os.fork() == 0: os.execvp('echo', ['echo', 'execed'])
os.wait(); print(subprocess.check_output(['echo', 'not captured, then printed']).decode(), end='')";
pub(super) const MULTIPROCESSING: &str = "cat >m.py <<'END'
import multiprocessing as m, sys
def f(i):
    print('worker', i, flush=True); print('err', i, file=sys.stderr); return i
def g(): raise ValueError('in a worker')
if __name__ == '__main__':
    for how in ('fork', 'spawn', 'forkserver'):
        with m.get_context(how).Pool(2) as pool: print(how, sum(pool.map(f, range(6))), flush=True)
    p = m.Process(target=g); p.start(); p.join()
END";

pub const PYTHON: &[Case] = &[
    Case::script(
        "Python",
        "print, sys.stdout, sys.stdout.buffer, os.write, os.writev",
        "write, writev",
        by::PYTHON,
        OUTPUT,
    ),
    Case::new("Python", "the same, python3 -u", "write, writev", &["{python}", "-u", "-c", OUTPUT]),
    Case::script("Python", "logging, warnings", "write", by::PYTHON, LOGGING),
    Case::script("Python", "a traceback", "write", by::PYTHON, "def f(): raise ValueError('x')\nprint('p')\nf()"),
    Case::script(
        "Python",
        "a traceback in a thread",
        "write",
        by::PYTHON,
        "import threading as t; x = t.Thread(target=lambda: 1/0); x.start(); x.join()",
    ),
    Case::script("Python", "a syntax error", "write", by::PYTHON, "def f(:"),
    Case::script("Python", "sys.exit with a text", "write", by::PYTHON, "import sys; sys.exit('bye')"),
    Case::new(
        "Python",
        "faulthandler, at a real SIGSEGV",
        "write",
        &["{python}", "-X", "faulthandler", "-c", "import ctypes; print('p', flush=True); ctypes.string_at(0)"],
    ),
    Case::script(
        "Python",
        "faulthandler.dump_traceback",
        "write",
        by::PYTHON,
        "import faulthandler; faulthandler.dump_traceback()",
    ),
    Case::script("Python", "subprocess, os.system, fork, exec", "stdio, write", by::PYTHON, CHILDREN),
    Case::new("Python", "multiprocessing: fork, spawn, forkserver", "write", &["{python}", "m.py"])
        .prepare(MULTIPROCESSING),
    Case::script(
        "Python",
        "argparse: an error",
        "write",
        by::PYTHON,
        "import argparse as a; p = a.ArgumentParser(); p.add_argument('x', type=int); p.parse_args(['y'])",
    ),
];

pub const PERL: &[Case] = &[
    Case::script(
        "Perl",
        "print, printf, say, syswrite, write to a format",
        "write",
        by::PERL,
        "use feature 'say'; $|=1; print \"a\\n\"; printf \"%05d\\n\", 3; say 'say'; syswrite STDERR, \"sys\\n\";
format STDOUT =\n@<<< @>>>\n'ab', 'cd'\n.\nwrite; $|=0; print \"line $_\\n\" for 1..500; print 'no newline'",
    ),
    Case::new(
        "Perl",
        "warn, die",
        "write",
        &["perl", "-we", "warn \"w\\n\"; my $x; print 'v' . $x . \"\\n\"; die 'd'"],
    ),
    Case::new(
        "Perl",
        "Carp",
        "write",
        &[
            "perl",
            "-MCarp=carp,cluck,confess",
            "-e",
            "sub f { carp 'carp'; cluck 'cluck'; confess 'confess' } f(1, 'x')",
        ],
    ),
    Case::script(
        "Perl",
        "system, backquotes, fork, exec",
        "stdio, write",
        by::PERL,
        "$|=1; system 'echo', 'by system'; print `echo quoted`;
if (!fork) { print \"forked\\n\"; exit } wait; exec 'echo', 'by exec'",
    ),
];

pub const JAVA: &[Case] = &[
    java("println, printf, System.err, write", "write", &["java", "-cp", "{dir}", "Prints", "streams"]),
    java("an exception that nobody catches", "write", &["java", "-cp", "{dir}", "Prints", "thrown"]),
    java("an exception in a thread, printStackTrace", "write", &["java", "-cp", "{dir}", "Prints", "threads"]),
    java("java.util.logging", "write", &["java", "-cp", "{dir}", "Prints", "logging"]),
    java("errors of the launcher", "write", &["java", "-cp", "{dir}", "Missing"]),
    java("errors of the machine", "stdio", &["java", "-XX:+NoSuchFlag", "Prints"]),
];

const fn java(what: &'static str, ways: &'static str, command: &'static [&'static str]) -> Case {
    Case::new("Java", what, ways, command).needs(&["javac"]).prepare(programs::JAVA)
}

pub const NODE: &[Case] = &[
    Case::script(
        "node",
        "console.log, console.error, console.table",
        "write",
        by::NODE,
        "console.log('log', {a: 1}); console.error('error'); console.warn('warn'); console.table([[1, 2]])",
    ),
    Case::script(
        "node",
        "process.stdout.write, large",
        "write",
        by::NODE,
        "for (let i = 0; i < 20; i++) process.stdout.write(('x'.repeat(99) + i + '\\n').repeat(200))",
    ),
    Case::script(
        "node",
        "an error that nobody catches",
        "stdio, write",
        by::NODE,
        "console.log('l'); throw new Error('e')",
    ),
    Case::script(
        "node",
        "a rejected promise, a warning",
        "stdio, write",
        by::NODE,
        "process.emitWarning('careful'); Promise.reject(new Error('r'))",
    ),
    Case::script(
        "node",
        "child_process, worker_threads",
        "stdio, write",
        by::NODE,
        "require('child_process').spawnSync('echo', ['spawned'], {stdio: 'inherit'});
new (require('worker_threads').Worker)('console.log(\"by a worker\")', {eval: true})",
    ),
    Case::new("node", "an option that it does not know", "stdio", &["node", "--no-such-option"]),
];

#[test]
fn rust() {
    check(RUST);
}

#[test]
fn python() {
    check(PYTHON);
}

#[test]
fn perl() {
    check(PERL);
}

#[test]
fn java_programs() {
    check(JAVA);
}

#[test]
fn node() {
    check(NODE);
}

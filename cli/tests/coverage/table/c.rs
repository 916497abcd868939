//! C and C++: every function of their libraries that prints.

use crate::case::{Case, Target};
use crate::check;

pub const C: &[Case] = &[
    Case::new(
        "C",
        "printf, puts, fputs, fwrite, putchar, putc, fputc, fprintf, vfprintf",
        "stdio",
        &["{bin}/prints", "stdio"],
    ),
    Case::new("C", "the unlocked forms", "stdio", &["{bin}/prints", "unlocked"]),
    Case::new("C", "no buffer, a small one, lines; long lines and any bytes", "stdio", &["{bin}/prints", "buffers"]),
    Case::new("C", "wprintf, fputws, putwchar, fwprintf", "stdio", &["{bin}/prints", "wide"]),
    Case::new("C", "write, writev, dprintf", "write, writev", &["{bin}/prints", "calls"]),
    Case::new("C", "long texts of dprintf, errors of dprintf", "stdio, write", &["{bin}/prints", "dprintf"]),
    Case::new("C", "the checked forms: __printf_chk and the like", "stdio", &["{bin}/prints-checked", "stdio"]),
    Case::new("C", "the checked form of dprintf", "stdio, write", &["{bin}/prints-checked", "dprintf"]),
    Case::new("C", "the checked forms of wprintf", "stdio", &["{bin}/prints-checked", "wide"]),
    Case::new("C", "perror, warn, err, error, psignal", "stdio", &["{bin}/prints", "complaints"]),
    Case::new("C", "backtrace_symbols_fd", "write", &["{bin}/prints", "backtrace"]),
    Case::new("C", "errors of getopt_long", "stdio", &["{bin}/prints", "getopt", "-z", "-b", "--unknown"]),
    Case::new("C", "errors of getopt_long, no argument", "stdio", &["{bin}/prints", "getopt", "--known"]),
    Case::new("C", "argp: --help", "stdio", &["{bin}/prints", "argp", "--help"]),
    Case::new("C", "argp: an error", "stdio", &["{bin}/prints", "argp", "--bad"]),
    Case::new("C", "assert", "stdio", &["{bin}/prints", "assert"]),
    Case::new("C", "malloc_stats", "stdio", &["{bin}/prints", "malloc"]),
    Case::new("C", "threads", "stdio", &["{bin}/prints", "threads"]),
    Case::new("C", "system, popen, fork, vfork", "stdio, write", &["{bin}/prints", "children"]),
    Case::new("C", "a smashed stack", "stdio, writev", &["{bin}/prints", "smashed"]),
    Case::new("C", "printf, then abort", "stdio", &["{bin}/prints", "die", "abort"]),
    Case::new("C", "printf, then SIGSEGV", "stdio", &["{bin}/prints", "die", "segv"]),
    Case::new("C", "printf, then _exit", "stdio", &["{bin}/prints", "die", "_exit"]),
    Case::new("C", "printf, then SIGKILL", "stdio", &["{bin}/prints", "die", "kill"]),
    Case::new("C", "an unfinished line, then SIGKILL", "stdio", &["{bin}/prints", "unfinished"]),
    Case::new("C", "send, sendto, sendmsg, sendmmsg", "sendmmsg, sendmsg, sendto, write", &["{bin}/prints", "sent"])
        .to(Target::Socket),
    Case::new("C", "sendfile", "write", &["{bin}/prints", "copied", "sendfile"]),
    Case::new("C", "copy_file_range", "write", &["{bin}/prints", "copied", "copy_file_range"]).to(Target::File),
    Case::new("C", "splice", "splice, write", &["{bin}/prints", "copied", "splice"]).copies("copied by the kernel\n"),
    Case::new("C", "tee(2)", "tee, write", &["{bin}/prints", "copied", "tee"]).copies("copied by the kernel\n"),
    Case::new("C", "vmsplice", "vmsplice, write", &["{bin}/prints", "copied", "vmsplice"]),
    Case::new("C", "pwrite", "pwrite64", &["{bin}/prints", "placed", "pwrite"]).to(Target::File),
    Case::new("C", "pwritev", "pwritev", &["{bin}/prints", "placed", "pwritev"]).to(Target::File),
    Case::new("C", "pwritev2", "pwritev2", &["{bin}/prints", "placed", "pwritev2"]).to(Target::File),
    Case::new(
        "C",
        "other descriptors of the stream: dup, F_DUPFD, fdopen, /dev/stdout",
        "stdio, write",
        &["{bin}/prints", "opened"],
    ),
];

pub const CPP: &[Case] = &[
    Case::new("C++", "cout, cerr, clog, wcerr, osyncstream", "stdio", &["{bin}/prints-c++", "streams"]),
    Case::new("C++", "the same, sync_with_stdio(false)", "write, writev", &["{bin}/prints-c++", "unsynced"]),
    Case::new("C++", "std::format, std::println where there are such", "stdio", &["{bin}/prints-c++", "format"]),
    Case::new("C++", "an exception that nobody catches", "stdio", &["{bin}/prints-c++", "throw"]),
    Case::new("C++", "a thrown int that nobody catches", "stdio", &["{bin}/prints-c++", "terminate"]),
];

#[test]
fn c() {
    check(C);
}

#[test]
fn cpp() {
    check(CPP);
}

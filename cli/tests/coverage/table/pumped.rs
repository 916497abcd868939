//! Programs into which no library can be loaded: they write through the pump.

use crate::case::{Case, Target};
use crate::check;
use crate::programs::ROOT;

pub const PUMPED: &[Case] = &[
    pumped("glibc, static", "printf, write", &["{bin}/prints-static"]),
    pumped("glibc, static", "printf, write", &["{bin}/prints-static"]).to(Target::Terminal),
    pumped("glibc, static", "printf, write", &["{bin}/prints-static"]).to(Target::File),
    pumped("musl, static", "printf, write", &["{bin}/prints-musl-static"]),
    pumped("musl, dynamic", "printf, write", &["{bin}/prints-musl"]),
    pumped("Go", "fmt, log, println, a panic", &["{bin}/prints-go"]),
    pumped(
        "busybox, static",
        "a shell and its tools",
        &["busybox", "sh", "-c", "echo a; seq 100; ls --bad; echo e >&2"],
    ),
    pumped("set-user-ID", "printf, write", &["{dir}/other", "stdio"])
        .prepare("cp {bin}/prints other; chown 65534 other; chmod 4755 other; chmod 755 .")
        .needs(&["{bin}/prints", ROOT]),
];

const fn pumped(name: &'static str, what: &'static str, command: &'static [&'static str]) -> Case {
    Case::new(name, what, "the pump", command).pumped()
}

#[test]
fn programs_that_take_no_library() {
    check(PUMPED);
}

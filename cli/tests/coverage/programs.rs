//! Our own programs, compiled once for all tests, and what a machine has of the others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// What every machine has that runs the tests.
const REQUIRED: [&str; 13] =
    ["bash", "sh", "cat", "ls", "grep", "sed", "perl", "python3", "cc", "git", "tar", "make", "find"];

/// Stands among the programs that a case needs, if only root can run it.
pub const ROOT: &str = "root";

/// Where they are.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("coverage");
        std::fs::create_dir_all(&folder).unwrap();
        folder
    })
}

/// Compiles what the command names, if it is one of ours. `false`: it takes a compiler that is not here.
fn compiled(name: &str) -> bool {
    static DONE: [OnceLock<bool>; PROGRAMS.len()] = [const { OnceLock::new() }; PROGRAMS.len()];
    let Some(at) = PROGRAMS.iter().position(|program| program.name == name) else { return true };
    *DONE[at].get_or_init(|| {
        let program = &PROGRAMS[at];
        if !is_here(program.compiler[0]) {
            return false;
        }
        // Beside one another's: the same tests may run twice at a time.
        let mine = tempfile::tempdir_in(folder()).unwrap();
        let (source, binary) = (mine.path().join(program.file), mine.path().join(name));
        std::fs::write(&source, program.source).unwrap();
        let mut compiler = Command::new(program.compiler[0]);
        compiler.args(&program.compiler[1..]).arg("-o").arg(&binary).arg(&source);
        let done = compiler.output().unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        std::fs::rename(binary, folder().join(name)).unwrap();
        true
    })
}

struct Program {
    name: &'static str,
    file: &'static str,
    source: &'static str,
    compiler: &'static [&'static str],
}

const PLAIN: (&str, &str) = ("prints-plainly.c", include_str!("programs/prints-plainly.c"));

const PRINTS: (&str, &str) = ("prints.c", include_str!("programs/prints.c"));

const PROGRAMS: [Program; 9] = [
    ours("prints", PRINTS, &["cc", "-O1", "-w", "-pthread", "-fstack-protector-all", "-U_FORTIFY_SOURCE"]),
    ours("prints-checked", PRINTS, &["cc", "-O2", "-w", "-pthread", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"]),
    ours("prints-c++", ("prints.cpp", include_str!("programs/prints.cpp")), &["c++", "-O1", "-w", "-std=c++20"]),
    ours("prints-rust", ("prints.rs", include_str!("programs/prints.rs")), &["rustc", "--edition", "2021", "-g"]),
    ours("prints-static", PLAIN, &["cc", "-static"]),
    ours("prints-musl", PLAIN, &["musl-gcc"]),
    ours("prints-musl-static", PLAIN, &["musl-gcc", "-static"]),
    ours("prints-go", ("prints.go", include_str!("programs/prints.go")), &["go", "build"]),
    ours("prints-cgo", ("prints-cgo.go", include_str!("programs/prints-cgo.go")), &["go", "build"]),
];

const fn ours(
    name: &'static str,
    (file, source): (&'static str, &'static str),
    compiler: &'static [&'static str],
) -> Program {
    Program { name, file, source, compiler }
}

/// What makes the program in Java.
pub const JAVA: &str =
    concat!("cat >Prints.java <<'END'\n", include_str!("programs/Prints.java"), "END\njavac Prints.java");

pub fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// What python3 is. The name alone may be a script that chooses among several.
pub fn python() -> &'static str {
    static PYTHON: OnceLock<String> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable, end='')"]).output().unwrap();
        String::from_utf8(asked.stdout).unwrap()
    })
}

/// The first of these that is missing, if it may be.
pub fn missing<'a>(programs: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    programs.into_iter().find(|program| {
        if let Some(ours) = program.strip_prefix("{bin}/") {
            return !compiled(ours);
        }
        let program = if *program == "{python}" { &"python3" } else { program };
        if *program == ROOT {
            return !rustix::process::geteuid().is_root();
        }
        let is_missing = !program.contains('/') && !is_here(program);
        assert!(
            !is_missing || !REQUIRED.contains(program),
            "{program} is missing: every machine that tests has to have it"
        );
        is_missing
    })
}

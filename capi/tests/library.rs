//! Is the library what a C program expects: a header that compiles, symbols that are in it, an example that runs?

mod installed;

use installed::{Appended, CAPI, Installed, STRICT, built, found, succeed};
use lapwing_ring::Level;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn compiles(compiler: &str, standard: &str, language: &str) {
    let folder = Installed::without_library();
    let source = folder.path("only.c");
    // Twice, for the guard; and used, so that it is more than text.
    let text = "#include \"lapwing.h\"\n#include \"lapwing.h\"\n\
        int main(void) { return lapwing_strerror(LAPWING_E_INVALID) == NULL; }\n";
    fs::write(&source, text).unwrap();
    let mut command = Command::new(compiler);
    succeed(command.args([standard, "-x", language, "-fsyntax-only", "-I", CAPI]).args(STRICT).arg(&source));
}

#[test]
fn the_header_is_c99() {
    compiles("cc", "-std=c99", "c");
    compiles("cc", "-std=c17", "c");
}

#[test]
fn the_header_is_cpp() {
    if found("c++") {
        compiles("c++", "-std=c++11", "c++");
        compiles("c++", "-std=c++20", "c++");
    }
}

#[test]
fn the_structs_have_no_padding_that_the_header_does_not_show() {
    let folder = Installed::without_library();
    let source = folder.path("only.c");
    fs::write(&source, "#include <lapwing.h>\n").unwrap();
    let check = |compiler: &str, standard: &str, language: &str, header: &Path| {
        let mut command = Command::new(compiler);
        command.args([standard, "-x", language, "-fsyntax-only", "-Wpadded", "-I"]).arg(header);
        command.args(STRICT).arg(&source).output().unwrap()
    };
    let languages = [("cc", "-std=c11", "c"), ("c++", "-std=c++17", "c++")];
    for (compiler, standard, language) in languages.into_iter().filter(|(compiler, ..)| found(compiler)) {
        let output = check(compiler, standard, language, Path::new(CAPI));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        // A field that becomes longer, another order, a field more: each is noticed by the header itself.
        let header = fs::read_to_string(Path::new(CAPI).join("lapwing.h")).unwrap();
        let changes = [
            ("  uint16_t flags;", "  uint32_t flags;"),
            ("  uint32_t pid;", "  uint32_t tid_;"),
            ("  uint64_t rolled_out;", "  uint64_t rolled_out, more;"),
            ("  uint32_t kind;", "  uint64_t kind;"),
            ("  uint64_t stalled;", "  uint64_t stalled, more;"),
        ];
        for (from, to) in changes {
            assert_eq!(header.matches(from).count(), 1, "{from}");
            fs::write(folder.path("lapwing.h"), header.replace(from, to)).unwrap();
            let output = check(compiler, standard, language, &folder.path(""));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                !output.status.success() && (said.contains("assert") || said.contains("no member")),
                "{to}: {said}"
            );
        }
    }
}

#[test]
fn the_header_asserts_the_place_of_every_field() {
    let header = fs::read_to_string(Path::new(CAPI).join("lapwing.h")).unwrap();
    for name in ["lapwing_record_t", "lapwing_gap_t", "lapwing_counts_t"] {
        let (_, body) = header.split_once(&format!("typedef struct {name} {{\n")).unwrap();
        let (body, _) = body.split_once("\n}").unwrap();
        let fields: Vec<_> =
            body.lines().filter_map(|line| line.strip_suffix(';')?.rsplit([' ', '*']).next()).collect();
        assert!(fields.len() >= 4, "{fields:?}");
        for field in fields {
            assert!(header.contains(&format!("LAPWING_ASSERT(offsetof({name}, {field}) == ")), "{name}.{field}");
        }
        assert!(header.contains(&format!("LAPWING_ASSERT(sizeof({name}) == ")));
    }
}

/// The functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = fs::read_to_string(Path::new(CAPI).join("lapwing.h")).unwrap();
    let code = header.lines().filter(|line| !line.starts_with(" *") && !line.starts_with('#') && line.contains('('));
    let names = code.filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next());
    names.filter(|name| name.starts_with("lapwing_")).map(String::from).collect()
}

#[test]
fn the_shared_library_exports_what_the_header_declares_and_nothing_else() {
    let mut nm = Command::new("nm");
    let output = succeed(nm.args(["-D", "--defined-only"]).arg(built().join("liblapwing.so")));
    let symbols = String::from_utf8(output.stdout).unwrap();
    let exported: BTreeSet<_> = symbols.lines().filter_map(|line| line.rsplit(' ').next()).map(String::from).collect();
    assert!(exported.contains("lapwing_writer_open"));
    assert_eq!(exported, declared());
}

#[test]
fn the_shared_library_needs_the_c_library_and_the_loader_at_most() {
    let mut readelf = Command::new("readelf");
    let output = succeed(readelf.arg("-dW").arg(built().join("liblapwing.so")));
    let dynamic = String::from_utf8(output.stdout).unwrap();
    assert!(dynamic.contains("soname: [liblapwing.so.0]"), "{dynamic}");
    let needed: Vec<_> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!needed.is_empty(), "{dynamic}");
    for line in needed {
        assert!(line.contains("[libc.so.") || line.contains("[ld-linux"), "{line}");
    }
}

#[test]
fn the_book_names_every_function_and_says_of_each_for_which_threads_and_signals_it_is() {
    let header = fs::read_to_string(Path::new(CAPI).join("lapwing.h")).unwrap();
    // A function's documentation stands in front of it.
    let in_header: BTreeSet<_> = declared()
        .into_iter()
        .map(|name| {
            let (before, _) = header.rsplit_once(&format!("{name}(")).unwrap();
            let (_, documentation) = before.rsplit_once("/**").unwrap();
            let safe = !documentation.contains("not signal-safe");
            assert!(!safe || documentation.contains("signal-safe"), "{name}");
            let (any, one) = (documentation.contains("Any thread"), documentation.contains("One thread at a time"));
            assert!(any != one && documentation.contains("fork"), "{name}");
            (name, if any { "any" } else { "one" }, safe)
        })
        .collect();
    let book = fs::read_to_string(Path::new(CAPI).join("../docs/C.md")).unwrap();
    let rows = book.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    let in_book: BTreeSet<_> = rows
        .map(|row| {
            let cells: Vec<_> = row.split(" | ").collect();
            assert_eq!(cells.len(), 5, "{row}");
            (cells[0].trim_end_matches('`').to_owned(), cells[2], cells[4] == "yes")
        })
        .collect();
    assert_eq!(in_book, in_header);
}

/// What examples/hello.c appends.
fn check_hello(installed: &Installed, printed: &str) {
    assert_eq!(printed, "records 0 to 5\n");
    let records = installed.records();
    let told: Vec<_> = records.iter().map(|r| (r.level, r.tag.as_deref(), r.text())).collect();
    let expected = [
        (Level::INFO, None, "hello"),
        (Level::WARN, Some("disk"), "disk 2 is 93% full"),
        (Level::DEBUG, None, "one record, three pieces"),
        (Level::NOTICE, None, "a signal came"),
        (Level::ERR, None, "hello from the child"),
        (Level::INFO, None, "goodbye"),
    ];
    assert_eq!(told, expected);
    let pid = |record: &Appended| record.pid;
    let (parent, child) = (pid(&records[0]), pid(&records[4]));
    assert_ne!(parent, child);
    assert_eq!(records.iter().map(pid).collect::<Vec<_>>(), [parent, parent, parent, parent, child, parent]);
}

#[test]
fn the_example_runs_with_the_shared_library() {
    let installed = Installed::new();
    let libraries = format!("-L{}/lib", installed.prefix().display());
    let program = installed.compile("hello", &["examples/hello.c", &libraries, "-llapwing"]);
    check_hello(&installed, &installed.run(&program));
}

/// What pkg-config says of the installed library.
fn pkg_config(installed: &Installed, question: &[&str]) -> Vec<String> {
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", installed.prefix().join("lib/pkgconfig"));
    let output = succeed(command.args(question).arg("lapwing"));
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(String::from).collect()
}

#[test]
fn the_example_builds_with_the_flags_of_pkg_config() {
    if !found("pkg-config") {
        return;
    }
    let installed = Installed::new();
    assert_eq!(pkg_config(&installed, &["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let program = installed.path("hello");
    let mut cc = Command::new("cc");
    cc.current_dir(CAPI).arg("examples/hello.c").args(pkg_config(&installed, &["--cflags", "--libs"]));
    succeed(cc.arg("-o").arg(&program));
    check_hello(&installed, &installed.run(&program));
}

#[test]
fn the_example_runs_with_the_static_library() {
    let installed = Installed::new();
    let about = fs::read_to_string(installed.prefix().join("lib/pkgconfig/lapwing.pc")).unwrap();
    let private = about.lines().find_map(|line| line.strip_prefix("Libs.private: ")).unwrap();
    let library = installed.prefix().join("lib/liblapwing.a");
    let mut arguments = vec!["examples/hello.c", library.to_str().unwrap()];
    arguments.extend(private.split(' '));
    let program = installed.compile("hello", &arguments);
    fs::remove_file(installed.library()).unwrap();
    fs::remove_file(installed.prefix().join("lib/liblapwing.so.0")).unwrap();
    check_hello(&installed, &installed.run(&program));
}

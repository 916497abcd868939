//! How far the preloaded library reaches: descriptors of any number.

#[path = "reach/stage.rs"]
mod stage;

use lapwing_ring::Source;
use stage::{Out, Stage, have, lines, program};

#[test]
fn a_stream_is_captured_under_any_number_that_is_remembered() {
    let stage = Stage::new();
    let done = stage.captured(&[&program("descriptors"), "numbers", "file"]);
    assert!(done.status.success() && done.err.is_empty(), "{done:?}");
    let expected = ["dup", "dup2", "dup3", "fcntl", "dup again", "255", "256 is too far", "a stream of its own"];
    assert_eq!(lines(&done.out), expected);
    let captured: Vec<_> = expected.into_iter().filter(|text| !text.starts_with("256")).collect();
    assert_eq!(stage.texts(Source::Stdout), captured);
    assert_eq!(std::fs::read_to_string(stage.path("file")).unwrap(), "to the file\n".repeat(3));
}

#[test]
fn a_descriptor_that_changed_behind_our_back_is_found_out_about() {
    for (how, quiet) in [("write", &["--quiet"][..]), ("write", &[]), ("pwritev2", &["--quiet"]), ("pwritev2", &[])] {
        let stage = Stage::new();
        let command = stage.command(Some(quiet), &[&program("descriptors"), "behind", "file", how]);
        let done = stage.run(Out::Pipe, command);
        assert!(done.status.success(), "{done:?}");
        let found = stage.texts(Source::Stdout).len();
        assert!((6..=70).contains(&found), "{how} {quiet:?}: {found} of 70 lines");
        if !quiet.is_empty() {
            assert_eq!(lines(&done.out).len(), 70 - found, "{how}: what is not in the ring was printed");
        }
        assert_eq!(std::fs::read_to_string(stage.path("file")).unwrap(), "to the file\n".repeat(2));
    }
}

#[test]
fn a_vfork_child_s_descriptors_are_not_its_parent_s() {
    let stage = Stage::new();
    stage.captured(&[&program("descriptors"), "borrowed", "file"]);
    assert_eq!(stage.texts(Source::Stdout), ["parent"]);
}

#[test]
fn shells_and_interpreters_may_duplicate_their_output() {
    let cases: [(&str, &[&str]); 4] = [
        ("bash", &["-c", "exec 3>&1 9>&1; echo one >&3; echo two >&9; exec 1>/dev/null; echo three >&3; echo no"]),
        (
            "python3",
            &[
                "-c",
                "import os; fd = os.dup(1); os.write(fd, b'one\\n'); os.dup2(fd, 200); os.write(200, b'two\\n'); os.fdopen(fd, 'w').write('three\\n')",
            ],
        ),
        ("perl", &["-e", "open(my $f, '>&', \\*STDOUT); syswrite($f, qq(one\\n)); print $f qq(two\\nthree\\n)"]),
        (
            "node",
            &[
                "-e",
                "const fs = require('fs'); fs.writeSync(1, 'one\\n'); const fd = fs.openSync('/dev/stdout', 'a'); fs.writeSync(fd, 'two\\nthree\\n')",
            ],
        ),
    ];
    for (name, arguments) in cases.into_iter().filter(|(name, _)| have(name)) {
        let stage = Stage::new();
        let done = stage.captured(&[&[name], arguments].concat());
        assert!(done.status.success() && done.err.is_empty(), "{name}: {done:?}");
        assert_eq!(lines(&done.out), ["one", "two", "three"], "{name}");
        assert_eq!(stage.texts(Source::Stdout), ["one", "two", "three"], "{name}");
    }
}

//! A program that loads the library itself, late, and closes it again: what the library has put in place stays there.

use lapwing_ring::{Create, Read, Reader};
use lapwing_writer_shim::identity::FileId;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

#[test]
fn a_program_that_closes_the_library_again_goes_on() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let [program, ring, out] =
        ["", ".ring", ".out"].map(|end| folder.join(format!("late-{}{end}", std::process::id())));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/late.c");
    let cc = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).arg("-ldl").output().unwrap();
    assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
    Create::new().size(1 << 20).create(&ring).unwrap();
    let file = File::create(&out).unwrap();
    let library = std::env::current_exe().unwrap().with_file_name("liblapwing_preload.so");
    let status = Command::new(&program)
        .arg(library)
        .env("LAPWING_RING", &ring)
        .env("LAPWING_STREAM", format!("out={}", FileId::of_fd(file.as_raw_fd()).unwrap()))
        .stdout(file)
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "before\nloaded\nclosed\nchild\nparent\n");
    let mut reader = Reader::open(&ring).unwrap();
    let mut texts = Vec::new();
    while let Read::Record(record) = reader.next().unwrap() {
        texts.push(String::from_utf8_lossy(record.payload).into_owned());
    }
    assert_eq!(texts, ["loaded", "closed", "child", "parent"]);
    for path in [program, ring, out] {
        fs::remove_file(path).unwrap();
    }
}

//! Another library is preloaded too, and its constructor makes threads and children: in front of ours, and behind it.

use lapwing_ring::{Create, Read, Reader};
use lapwing_writer_shim::identity::FileId;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

fn compiled(target: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/constructors.c");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{target}-{}", std::process::id()));
    let cc = Command::new("cc").args(["-O1", "-pthread", "-o"]).arg(&target).arg(source).args(options).output();
    let cc = cc.unwrap();
    assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
    target
}

#[test]
fn constructors_with_threads_and_children_may_come_first_or_last() {
    let (program, other) =
        (compiled("constructors", &[]), compiled("constructors.so", &["-shared", "-fPIC", "-DLIBRARY"]));
    let ours = std::env::current_exe().unwrap().with_file_name("liblapwing_preload.so");
    let [ring, out] = ["ring", "out"].map(|end| program.with_extension(end));
    let mut all: Vec<_> = (0..300).map(|i| format!("thread {i}")).collect();
    all.extend(["constructor", "child", "vfork child", "program", "destructor"].map(String::from));
    all.sort();
    // Constructors run from the last library to the first.
    for (preload, is_complete) in [([&other, &ours], true), ([&ours, &other], false)] {
        for _ in 0..20 {
            Create::new().size(1 << 20).create(&ring).unwrap();
            let file = File::create(&out).unwrap();
            let status = Command::new(&program)
                .env("LD_PRELOAD", preload.map(|library| library.to_str().unwrap()).join(":"))
                .env("LAPWING_RING", &ring)
                .env("LAPWING_STREAM", format!("out={}", FileId::of_fd(file.as_raw_fd()).unwrap()))
                .stdout(file)
                .status()
                .unwrap();
            assert_eq!(status.code(), Some(7), "{status}");
            let mut printed: Vec<_> = fs::read_to_string(&out).unwrap().lines().map(String::from).collect();
            printed.sort();
            assert_eq!(printed, all);
            let mut reader = Reader::open(&ring).unwrap();
            let mut texts = Vec::new();
            while let Read::Record(record) = reader.next().unwrap() {
                texts.push(String::from_utf8(record.payload.to_vec()).unwrap());
            }
            texts.sort();
            if is_complete {
                assert_eq!(texts, all);
            } else {
                // What was printed before our constructor has run is not captured, nor is anything twice.
                let len = texts.len();
                texts.dedup();
                assert!(texts.len() == len && texts.iter().all(|text| all.contains(text)), "{texts:?}");
                assert!(
                    ["program", "destructor"].iter().all(|last| texts.iter().any(|text| text == last)),
                    "{texts:?}"
                );
            }
            fs::remove_file(&ring).unwrap();
        }
    }
    for path in [program, other, out] {
        fs::remove_file(path).unwrap();
    }
}

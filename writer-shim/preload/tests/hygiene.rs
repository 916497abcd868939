//! Behind its constructor the library makes no thread, allocates nothing and looks up no names, in whatever hook.

use lapwing_ring::{Create, Reader};
use lapwing_writer_shim::identity::FileId;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

fn compiled(name: &str, options: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hygiene").join(name).with_extension("c");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hygiene-{name}"));
    let cc = Command::new("cc").args(["-O1", "-w", "-pthread", "-o"]).arg(&target).arg(source).args(options).output();
    let cc = cc.unwrap();
    assert!(cc.status.success(), "{}", String::from_utf8_lossy(&cc.stderr));
    target
}

#[test]
fn hooks_make_no_thread_allocate_nothing_and_look_up_no_names() {
    let guard = compiled("guard.so", &["-shared", "-fPIC", "-fno-builtin"]);
    let program = compiled("program", &["-rdynamic", guard.to_str().unwrap()]);
    let library = std::env::current_exe().unwrap().with_file_name("liblapwing_preload.so");
    for quiet in ["0", "1"] {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let ring = folder.join(format!("hygiene-{}-{quiet}", std::process::id()));
        Create::new().size(1 << 20).create(&ring).unwrap();
        let out = File::create(ring.with_extension("out")).unwrap();
        let output = Command::new(&program)
            .env("LD_PRELOAD", format!("{}:{}", library.display(), guard.display()))
            .env("LAPWING_RING", &ring)
            .env("LAPWING_STREAM", format!("out={}", FileId::of_fd(out.as_raw_fd()).unwrap()))
            .env("LAPWING_QUIET", quiet)
            .stdout(out)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(last, "1 threads, 0 calls, 0 in the child, long texts allocate", "quiet: {quiet}\n{said}");
        let stat = Reader::open(&ring).unwrap().stat().unwrap();
        assert!(stat.bounds.next_seq > 10, "the hooks were there: {} records", stat.bounds.next_seq);
        std::fs::remove_file(ring.with_extension("out")).unwrap();
        std::fs::remove_file(ring).unwrap();
    }
}

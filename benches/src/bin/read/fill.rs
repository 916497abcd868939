//! A full ring as several programs leave it: texts of one length, several names, some levels.

use lapwing_benches::texts::{self, NAMES};
use lapwing_ring::{Create, Reader, Writer};
use std::path::Path;
use std::process::Command;

/// Makes a ring with `size` bytes of pages at `path` and fills it; gives how many records it holds.
pub(crate) fn fill(path: &Path, size: u64) -> u64 {
    Create::new().size(size).create(path).expect("room for the ring");
    // A record takes 120 bytes and its entry 8, so this is all of it and a little more.
    let each = size / 128 * 21 / 20 / NAMES.len() as u64;
    let program = std::env::current_exe().expect("where this program is");
    let start = |name: &&str| {
        let mut command = Command::new(&program);
        command.arg("fill").arg(path).args([*name, &each.to_string()]);
        command.spawn().expect("a writer")
    };
    let writers: Vec<_> = NAMES.iter().map(start).collect();
    for mut writer in writers {
        assert!(writer.wait().expect("a writer to wait for").success());
    }
    let bounds = Reader::open(path).expect("the ring").bounds().expect("its ends");
    assert!(bounds.oldest_seq > 0, "the ring is full");
    bounds.next_seq - bounds.oldest_seq
}

/// A writer: `fill PATH NAME COUNT`.
pub(crate) fn work(arguments: &[String]) {
    let [path, name, count] = arguments else { panic!("fill PATH NAME COUNT") };
    std::fs::write("/proc/self/comm", name).expect("a name");
    let count: u64 = count.parse().expect("a number of records");
    let mut writer = Writer::open(Path::new(path)).expect("the ring");
    let mut text = String::new();
    for n in 0..count {
        texts::write(&mut text, name, n);
        writer.append(texts::level(n), text.as_bytes()).expect("a record");
    }
}

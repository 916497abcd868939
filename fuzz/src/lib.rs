//! A ring file in memory that a fuzz target overwrites for each input; tables of symbols in `tables`.

pub mod tables;

use lapwing_ring::{Create, Draft, Field, Level, Value, Writer};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub const HEAD: usize = 1024;
pub const SLOTS: usize = 4096;
pub const PAGES: usize = 12288;
pub const PAGE: usize = 4096;
/// Bytes of the smallest ring.
pub const LEN: usize = PAGES + 16 * PAGE;

pub struct Ring {
    pub path: PathBuf,
    file: File,
}

impl Ring {
    /// An empty ring of this process.
    pub fn new(target: &str) -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-fuzz-{target}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Create::new().size(64 << 10).monotonic_clock().create(&path).expect("room in /dev/shm");
        let file = File::options().read(true).write(true).open(&path).expect("our own file");
        Self { path, file }
    }

    pub fn put(&self, offset: usize, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset as u64).expect("our own file");
    }

    pub fn image(&self) -> Vec<u8> {
        std::fs::read(&self.path).expect("our own file")
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Valid rings of several fills, with and without their writer.
pub fn images() -> Vec<Vec<u8>> {
    let mut images = Vec::new();
    for fill in [0, 3, 40, 700, 2000] {
        let ring = Ring::new("image");
        let mut writer = Writer::open(&ring.path).expect("a new ring");
        for i in 0..fill {
            let fields = [Field::Tag(b"tag"), Field::KeyValue(b"key", Value::Int(i))];
            let fields = if i % 7 == 0 { &fields[..] } else { &[] };
            let draft = Draft { fields, ..Draft::new(Level::INFO) };
            writer.append_slices(&draft, &[&vec![b'a'; i as usize % 300]]).expect("nobody pins its pages");
        }
        images.push(ring.image());
        drop(writer);
        images.push(ring.image());
    }
    images
}

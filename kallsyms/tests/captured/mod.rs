//! What two real kernels said of themselves in three stages of loading and unloading modules: data/README.md. Unpacked
//! once per target folder; the files are for reading only.

#![allow(dead_code)] // each test program uses its part

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The kernel whose version begins with `version`, "6.12" or "6.1".
pub fn kernel(version: &str) -> Kernel {
    let dir = unpacked().join(match version {
        "6.12" => "linux-6.12.107-small",
        "6.1" => "linux-6.1.192-small",
        other => panic!("no data of a kernel {other}"),
    });
    Kernel { dir }
}

/// One captured kernel.
pub struct Kernel {
    dir: PathBuf,
}

impl Kernel {
    /// Stage 1, 2 or 3.
    pub fn stage(&self, number: u8) -> Stage {
        assert!((1..=3).contains(&number));
        Stage { dir: self.dir.join(format!("s{number}")) }
    }

    /// `/sys/kernel/notes`.
    pub fn notes(&self) -> PathBuf {
        self.dir.join("kernel-notes")
    }

    /// The first lines of `/proc/kallsyms` while `kernel.kptr_restrict` was 2.
    pub fn hidden_kallsyms(&self) -> PathBuf {
        self.dir.join("kallsyms-kptr2")
    }
}

/// One stage of a captured kernel.
pub struct Stage {
    dir: PathBuf,
}

impl Stage {
    /// `/proc/kallsyms`.
    pub fn kallsyms(&self) -> PathBuf {
        self.dir.join("kallsyms")
    }

    /// `/proc/modules`.
    pub fn modules(&self) -> PathBuf {
        self.dir.join("modules")
    }

    /// `/sys/module`. The inodes of these directories are this file system's: see [`Stage::inodes`].
    pub fn sys_module(&self) -> PathBuf {
        self.dir.join("sys/module")
    }

    /// What `st_ino` of each directory of `/sys/module` was.
    pub fn inodes(&self) -> BTreeMap<String, u64> {
        let stat = fs::read_to_string(self.dir.join("module-stat")).unwrap();
        let line = |line: &str| {
            let (name, rest) = line.split_once(" ino=").unwrap();
            (name.to_owned(), rest.split(' ').next().unwrap().parse().unwrap())
        };
        stat.lines().map(line).collect()
    }
}

/// A folder that a test may change.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = entry.map(|entry| (entry.path(), to.join(entry.file_name()))).unwrap();
        if entry.is_dir() {
            copy(&entry, &to);
        } else {
            fs::copy(&entry, &to).unwrap();
        }
    }
}

fn unpacked() -> &'static Path {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    DIR.get_or_init(|| {
        // Other packages' tests use this too.
        let place = "../kallsyms/tests/data/real-kernel-modules.tar.xz";
        let archive = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(place));
        let archive = archive.expect("kallsyms/tests/data/real-kernel-modules.tar.xz can be read");
        let mut hash = DefaultHasher::new();
        archive.hash(&mut hash);
        // Test programs lie in target/PROFILE/deps.
        let program = std::env::current_exe().unwrap();
        let target = program.ancestors().nth(3).unwrap().join("tmp");
        fs::create_dir_all(&target).unwrap();
        let place = target.join(format!("real-kernels-{:016x}", hash.finish()));
        if !place.exists() {
            // Test programs run side by side: whoever is done first renames, the others use that.
            let own = tempfile::tempdir_in(&target).unwrap();
            let plain = lzma_rust2::XzReader::new(&archive[..], true);
            tar::Archive::new(plain).unpack(own.path()).unwrap();
            for kernel in ["linux-6.12.107-small", "linux-6.1.192-small"].map(|name| own.path().join(name)) {
                for stage in ["s1", "s2", "s3"] {
                    let notes = kernel.join(stage).join("sys/kernel/notes");
                    fs::create_dir(notes.parent().unwrap()).unwrap();
                    fs::copy(kernel.join("kernel-notes"), notes).unwrap();
                }
            }
            match fs::rename(own.path(), &place) {
                Ok(()) => drop(own.keep()),
                Err(_) if place.exists() => {}
                Err(error) => panic!("{}: {error}", place.display()),
            }
        }
        place
    })
}

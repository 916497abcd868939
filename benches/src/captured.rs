//! The kernels that are looked at: two that were captured, and the running one, live and from a copy.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Where the symbols of a kernel are.
pub struct Kernel {
    /// Which one.
    pub name: &'static str,
    /// Of it /proc/kallsyms, /sys/module and /sys/kernel/notes.
    pub kallsyms: PathBuf,
    #[allow(missing_docs)]
    pub modules: PathBuf,
    #[allow(missing_docs)]
    pub notes: PathBuf,
    /// Of its kallsyms.
    pub lines: usize,
}

/// Unpacks what was captured, and copies what the running kernel shows.
///
/// # Panics
/// When there is no room.
pub fn kernels(folder: &Path) -> Vec<Kernel> {
    let mut kernels = Vec::from(unpack(folder));
    let live = PathBuf::from("/proc/kallsyms");
    let copy = folder.join("running");
    match fs::read(&live).and_then(|text| fs::write(&copy, text)) {
        Ok(()) if shows_addresses(&copy) => {
            let running = |name, kallsyms| kernel(name, kallsyms, "/sys/module".into(), "/sys/kernel/notes".into());
            kernels.push(running("the running kernel", live));
            kernels.push(running("the running kernel, from a copy", copy));
        }
        Ok(()) => println!("the running kernel shows no addresses: run as root"),
        Err(error) => println!("no running kernel: {}: {error}", live.display()),
    }
    kernels
}

/// Unpacks what was captured.
///
/// # Panics
/// When there is no room.
pub fn unpack(folder: &Path) -> [Kernel; 2] {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../kallsyms/tests/data/real-kernel-modules.tar.xz");
    let archive = File::open(&archive).unwrap_or_else(|error| panic!("{}: {error}", archive.display()));
    tar::Archive::new(lzma_rust2::XzReader::new(archive, true)).unpack(folder).expect("room for two kernels");
    [("Linux 6.12", "linux-6.12.107-small"), ("Linux 6.1", "linux-6.1.192-small")].map(|(name, place)| {
        let place = folder.join(place);
        kernel(name, place.join("s3/kallsyms"), place.join("s3/sys/module"), place.join("kernel-notes"))
    })
}

fn kernel(name: &'static str, kallsyms: PathBuf, modules: PathBuf, notes: PathBuf) -> Kernel {
    let text = fs::read(&kallsyms).unwrap_or_else(|error| panic!("{}: {error}", kallsyms.display()));
    let lines = text.iter().filter(|&&byte| byte == b'\n').count();
    Kernel { name, kallsyms, modules, notes, lines }
}

fn shows_addresses(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().any(|line| !line.starts_with("0000000000000000 "))
}

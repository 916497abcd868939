//! What benches that were killed left in memory, up to a gigabyte each: the next one removes it.

use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Removes this user's files in `folder` whose names are `PREFIX..-PID`, if that process is gone and nobody has them mapped.
pub(crate) fn sweep(folder: &Path, prefix: &str) {
    let uid = rustix::process::getuid().as_raw();
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(prefix)?.rsplit_once('-')?.1.parse::<u32>().ok());
        let is_gone = of.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists());
        let is_ours = entry.metadata().is_ok_and(|data| data.is_file() && data.uid() == uid);
        // Who has a ring mapped shares its lock.
        if is_gone && is_ours && is_free(&entry.path()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn is_free(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Folder;

    #[test]
    fn what_is_in_use_stays() {
        let folder = Folder::new_in(&std::env::temp_dir(), "left");
        let [gone, lives, other, mapped] =
            ["a-ring-4000000000", "a-ring-1", "a-ring", "a-4000000001"].map(|name| folder.path().join(name));
        for path in [&gone, &lives, &other] {
            std::fs::write(path, "").unwrap();
        }
        lapwing_ring::Create::new().create(&mapped).unwrap();
        let _writer = lapwing_ring::Writer::open(&mapped).unwrap();
        sweep(folder.path(), "a-");
        assert!(!gone.exists());
        assert!(lives.exists() && other.exists() && mapped.exists());
    }
}

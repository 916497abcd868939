//! Where a race keeps its files: a folder in memory, removed with the race, or by the next one where it was killed.

use crate::Result;
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What the names of the races' folders begin with; the process and a number follow.
const PLACE: &str = "lapwing-race-";
/// Where shared memory has its names on Linux.
const SHARED: &str = "/dev/shm";
/// What a race takes there, but not for long: mostly the file that grows.
const ROOM: u64 = 256 << 20;

/// The folder. Its lock says that the race goes on.
pub struct Place {
    folder: PathBuf,
    _lock: File,
}

impl Place {
    /// Makes one, and removes those of races that were killed.
    pub fn new() -> Result<Self> {
        Self::new_in(&base())
    }

    fn new_in(base: &Path) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep(base);
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let folder = base.join(format!("{PLACE}{}-{count}", std::process::id()));
            match std::fs::create_dir(&folder) {
                // Left by a process of the same number, or planted.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                made => made.map_err(|error| format!("{}: {error}", folder.display()))?,
            }
            // Another race may have swept it away before it had its lock.
            if let Some(lock) = locked(&folder)
                && folder.exists()
            {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Says so where some channels may not find the room that they need.
    pub fn too_small(&self) -> Option<String> {
        let of = rustix::fs::statvfs(&self.folder).ok()?;
        let free = of.f_bavail * of.f_frsize;
        let base = self.folder.parent().unwrap_or(&self.folder).display();
        (free < ROOM).then(|| {
            format!("{base} has {} MiB free, and some need {} (in a container: --shm-size=1g)", free >> 20, ROOM >> 20)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn base() -> PathBuf {
    let shared = Path::new(SHARED);
    if shared.is_dir() { shared.into() } else { std::env::temp_dir() }
}

/// The folder's lock, unless somebody else has it or it is no folder.
fn locked(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    Some(file)
}

/// Removes this user's folders whose processes are gone and which nobody has locked, and what is named after them. Processes
/// of a container that shares the memory cannot be seen, their locks can.
fn sweep(base: &Path) {
    let uid = rustix::process::getuid().as_raw();
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some((name, pid)) = name.to_str().and_then(|name| Some((name, owner(name)?))) else { continue };
        // Of a link, this is the link's: it is no folder.
        let is_ours = entry.metadata().is_ok_and(|data| data.is_dir() && data.uid() == uid);
        let is_gone = !Path::new("/proc").join(pid.to_string()).exists();
        if is_ours
            && is_gone
            && let Some(_lock) = locked(&entry.path())
        {
            remove_shared(name);
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The process whose folder has that name, if it is the name of a race's folder.
fn owner(name: &str) -> Option<u32> {
    let (pid, count) = name.strip_prefix(PLACE)?.split_once('-')?;
    count.parse::<u32>().ok().and(pid.parse().ok())
}

/// Whether it is the name of a race's folder.
pub fn is_place(name: &str) -> bool {
    owner(name).is_some()
}

/// Removes the shared memory whose names begin with that of a race's folder.
pub fn remove_shared(folder: &str) {
    let Ok(entries) = std::fs::read_dir(SHARED) else { return };
    let begin = format!("{folder}-");
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(begin.as_bytes())) {
        let _ = std::fs::remove_file(entry.path());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_race_left_goes_and_what_is_in_use_stays() {
        let outer = Place::new().unwrap();
        let base = outer.folder();
        let (left, other) = (base.join("lapwing-race-4000000000-0"), base.join("lapwing-race-4000000000-other"));
        [&left, &other].iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
        std::fs::write(left.join("ring"), "").unwrap();
        let aim = base.join("aim");
        std::fs::create_dir(&aim).unwrap();
        let link = base.join("lapwing-race-4000000001-0");
        std::os::unix::fs::symlink(&aim, &link).unwrap();

        let lives = base.join("lapwing-race-1-0");
        std::fs::create_dir(&lives).unwrap();
        let locked = base.join("lapwing-race-4000000002-0");
        std::fs::create_dir(&locked).unwrap();
        let _lock = super::locked(&locked).unwrap();

        let first = Place::new_in(base).unwrap();
        assert!(!left.exists());
        assert!(lives.exists() && locked.exists(), "these are in use");
        assert!(other.exists() && aim.exists() && link.is_symlink(), "these are no race's");
        let second = Place::new_in(base).unwrap();
        assert!(first.folder().exists() && second.folder().exists());
        drop(first);
        assert!(second.folder().exists());
    }

    #[test]
    fn a_planted_name_is_passed_by() {
        let outer = Place::new().unwrap();
        let base = outer.folder();
        let aim = base.join("aim");
        std::fs::create_dir(&aim).unwrap();
        // More than tests of this process have taken, or will before this one has one.
        for count in 0..100 {
            let name = base.join(format!("{PLACE}{}-{count}", std::process::id()));
            std::os::unix::fs::symlink(&aim, name).unwrap();
        }
        let place = Place::new_in(base).unwrap();
        assert!(!place.folder().is_symlink() && place.folder().is_dir());
        assert_eq!(std::fs::read_dir(&aim).unwrap().count(), 0);
    }
}

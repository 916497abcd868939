//! Which processes have a file open or mapped, as far as /proc shows us theirs.

use std::fs::{Metadata, metadata, read_dir, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The first process but ourselves that has the file at `path` open or mapped: its pid and name.
pub fn first_user(path: &Path, meta: &Metadata) -> Option<(u32, String)> {
    let pid = others().find(|&pid| has_open(pid, meta) || has_mapped(pid, path, meta, ""))?;
    Some((pid, name(pid)))
}

/// The processes but ourselves that have the file at `path` mapped to be read and not to be written: its readers, but those
/// that copy it.
pub fn readers(path: &Path, meta: &Metadata) -> Vec<(u32, String)> {
    others().filter(|&pid| has_mapped(pid, path, meta, "r--s")).map(|pid| (pid, name(pid))).collect()
}

fn others() -> impl Iterator<Item = u32> {
    let processes = read_dir("/proc").into_iter().flatten();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|&pid| pid != std::process::id())
}

fn name(pid: u32) -> String {
    let name = read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

fn has_open(pid: u32, meta: &Metadata) -> bool {
    let Ok(descriptors) = read_dir(format!("/proc/{pid}/fd")) else { return false };
    // Following these links gives the open file, whatever its name is now.
    let mut files = descriptors.filter_map(|entry| metadata(entry.ok()?.path()).ok());
    files.any(|file| (file.dev(), file.ino()) == (meta.dev(), meta.ino()))
}

/// Is there a mapping whose permissions begin with `permissions`?
fn has_mapped(pid: u32, path: &Path, meta: &Metadata, permissions: &str) -> bool {
    let dev = meta.dev();
    let (major, minor) = ((dev >> 8 & 0xfff) | (dev >> 32 & !0xfff), (dev & 0xff) | (dev >> 12 & !0xff));
    let (device, inode) = (format!("{major:02x}:{minor:02x}"), meta.ino().to_string());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let maps = read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    maps.lines().any(|line| {
        let mut columns = line.split_ascii_whitespace().skip(1);
        let as_wanted = columns.next().is_some_and(|found| found.starts_with(permissions));
        let (found, number) = (columns.nth(1), columns.next());
        // Btrfs and overlayfs show another device here than stat(2) does, so the name counts as well.
        as_wanted && number == Some(&*inode) && (found == Some(&*device) || line.contains(&*name))
    })
}

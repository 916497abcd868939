//! What becomes of files that were rotated, in a thread of its own: synced, compressed, and the oldest removed.

use super::error::DumpError;
use super::recover::folder_of;
use super::rotate::{Rotated, RotatedState, Rotation, rotated};
use std::fs::{File, FileTimes, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

const CHUNK: usize = 256 << 10;
/// zstd's own default: a debug log shrinks to a tenth, faster than a disk writes.
const COMPRESSION: i32 = 3;

/// Ends, at the latest after the piece that it is at, when it is dropped. What it has not done the next one does.
pub(crate) struct Keeper {
    jobs: Option<Sender<Option<File>>>,
    is_told_to_end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Looks at once after what the one before has left of the files that were rotated out of `path`.
    pub(crate) fn start(path: &Path, rotation: Rotation, is_synced: bool, say: fn(&str)) -> io::Result<Self> {
        let (jobs, received) = channel();
        let is_told_to_end = Arc::new(AtomicBool::new(false));
        let work = Work { path: path.to_owned(), rotation, is_synced, is_told_to_end: is_told_to_end.clone(), say };
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || work.run(&received))?;
        let keeper = Self { jobs: Some(jobs), is_told_to_end, thread: Some(thread) };
        keeper.send(None);
        Ok(keeper)
    }

    /// `file` was rotated, or needs to be synced, or there is just something to look after.
    pub(crate) fn send(&self, file: Option<File>) {
        if let Some(jobs) = &self.jobs {
            // It ends when we drop our end, not earlier.
            let _ = jobs.send(file);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.is_told_to_end.store(true, Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Work {
    path: PathBuf,
    rotation: Rotation,
    /// Is a file written down for good when it is rotated?
    is_synced: bool,
    is_told_to_end: Arc<AtomicBool>,
    say: fn(&str),
}

impl Work {
    fn run(&self, jobs: &Receiver<Option<File>>) {
        for file in jobs {
            if let Some(file) = file.filter(|_| self.is_synced)
                && let Err(error) = file.sync_all().and_then(|()| self.sync_names())
            {
                self.say(&DumpError::os(&self.path, "sync what was rotated out of it")(error));
            }
            if let Err(error) = self.tidy() {
                self.say(&error);
            }
        }
    }

    /// A file that nobody finds any more is as good as lost.
    fn sync_names(&self) -> io::Result<()> {
        File::open(folder_of(&self.path))?.sync_all()
    }

    fn say(&self, error: &DumpError) {
        (self.say)(&error.to_string());
    }

    fn tidy(&self) -> Result<(), DumpError> {
        let mut found = rotated(&self.path).map_err(DumpError::os(&self.path, "list what was rotated out of it"))?;
        // In this order: what goes makes room for the rest.
        if let Some(keep) = self.rotation.keep {
            let mut logs: Vec<PathBuf> = found.iter().map(|log| log.path.clone()).collect();
            logs.dedup();
            let surplus = &logs[..logs.len().saturating_sub(keep)];
            for log in found.extract_if(.., |log| surplus.contains(&log.path)) {
                remove(&log.place())?;
            }
        }
        if !self.rotation.compress {
            return Ok(());
        }
        // What somebody was at who was killed. The file itself is there still.
        for half in found.iter().filter(|log| log.state == RotatedState::HalfCompressed) {
            remove(&half.place())?;
        }
        for log in found.iter().filter(|log| log.state == RotatedState::Plain) {
            // One that has its name is whole.
            if !found.contains(&log.as_state(RotatedState::Compressed)) && !self.compress(log)? {
                return Ok(());
            }
            remove(&log.place())?;
        }
        Ok(())
    }

    /// Compresses beside it; the name appears when all of it is there. No, if we are told to end.
    fn compress(&self, log: &Rotated) -> Result<bool, DumpError> {
        let part = log.as_state(RotatedState::HalfCompressed).place();
        let done = self.compress_to(&log.place(), &part);
        let to = log.as_state(RotatedState::Compressed).place();
        match done.and_then(|is_done| if is_done { std::fs::rename(&part, &to).map(|()| true) } else { Ok(false) }) {
            Ok(true) if self.is_synced => self.sync_names().map(|()| true).map_err(DumpError::os(&to, "sync")),
            Ok(true) => Ok(true),
            done => {
                let _ = std::fs::remove_file(&part);
                done.map_err(DumpError::os(&log.place(), "compress"))
            }
        }
    }

    fn compress_to(&self, from: &Path, part: &Path) -> io::Result<bool> {
        let mut from = File::open(from)?;
        let meta = from.metadata()?;
        let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part)?;
        let mut encoder = zstd::Encoder::new(to, COMPRESSION)?;
        encoder.include_checksum(true)?;
        encoder.set_pledged_src_size(Some(meta.len()))?;
        let mut chunk = vec![0; CHUNK];
        loop {
            if self.is_told_to_end.load(Relaxed) {
                return Ok(false);
            }
            match from.read(&mut chunk)? {
                0 => break,
                len => encoder.write_all(&chunk[..len])?,
            }
        }
        let to = encoder.finish()?;
        if let Ok(modified) = meta.modified() {
            to.set_times(FileTimes::new().set_modified(modified))?;
        }
        if self.is_synced {
            to.sync_all()?;
        }
        Ok(true)
    }
}

fn remove(path: &Path) -> Result<(), DumpError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(DumpError::os(path, "remove")(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(folder: &Path) -> BTreeSet<String> {
        let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    fn stamp(second: u32) -> String {
        format!("log.20261121T0000{second:02}.000000Z.{second:020}")
    }

    fn tidy(path: &Path, keep: Option<usize>, compress: bool) {
        let rotation = Rotation { keep, compress, ..Rotation::default() };
        let keeper = Keeper::start(path, rotation, true, |text| panic!("{text}")).unwrap();
        // The second job is done when the first one is.
        keeper.send(None);
        let mut keeper = keeper;
        keeper.jobs = None;
        keeper.thread.take().unwrap().join().unwrap();
    }

    #[test]
    fn what_a_killed_one_has_left_is_finished_and_nothing_foreign_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let make = |name: &str, text: &[u8]| std::fs::write(folder.path().join(name), text).unwrap();
        let whole = zstd::encode_all(&b"whole\n"[..], 1).unwrap();
        make("log", b"current");
        make(&stamp(1), b"one\n");
        make(&format!("{}.zst.part", stamp(1)), b"half");
        make(&stamp(2), b"whole\n");
        make(&format!("{}.zst", stamp(2)), &whole);
        make("log.1", b"logrotate's");
        make("log.20261121T000003.000000Z.3", b"somebody's");
        std::os::unix::fs::symlink("log", folder.path().join(stamp(4))).unwrap();
        tidy(&path, None, true);
        let (one, two) = (format!("{}.zst", stamp(1)), format!("{}.zst", stamp(2)));
        let others = ["log", "log.1", "log.20261121T000003.000000Z.3", &stamp(4)].map(str::to_owned);
        let expected: BTreeSet<String> = others.iter().cloned().chain([one.clone(), two]).collect();
        assert_eq!(names(folder.path()), expected);
        assert_eq!(zstd::decode_all(File::open(folder.path().join(&one)).unwrap()).unwrap(), b"one\n");
        tidy(&path, Some(1), true);
        assert!(!names(folder.path()).contains(&one));
        tidy(&path, Some(0), false);
        assert_eq!(names(folder.path()), others.into_iter().collect());
    }
}

//! The file that a dump writes: its length, its beginning, and what comes after it.

use super::Sync;
use super::batch::{Batch, Part};
use super::error::{DumpError, is_no_room};
use super::keeper::Keeper;
use super::place::State;
use super::rotate::{Rotation, period, rotated_name};
use super::target::{FileId, open_own};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) struct FileSink {
    path: PathBuf,
    /// None between a file that was rotated and the next.
    file: Option<File>,
    /// They have other names by now, and a note may tell of them still.
    old: Vec<File>,
    /// The first sequence of the file and when it was begun; none of an empty one.
    begun: Option<(u64, i64)>,
    is_lines: bool,
    rotation: Rotation,
    zone: TimeZone,
    sync: Sync,
    synced: Instant,
    is_dirty: bool,
    /// Not before the first note: what it removes, a note may tell of.
    keeper: Option<Keeper>,
    say: fn(&str),
}

impl FileSink {
    pub(crate) fn new(path: &Path, file: File, is_lines: bool, rotation: Rotation, sync: Sync, say: fn(&str)) -> Self {
        Self {
            path: path.to_owned(),
            file: Some(file),
            old: Vec::new(),
            begun: None,
            is_lines,
            rotation,
            zone: TimeZone::system(),
            sync,
            synced: Instant::now(),
            is_dirty: false,
            keeper: None,
            say,
        }
    }

    fn os(&self, call: &'static str) -> impl FnOnce(io::Error) -> DumpError + '_ {
        DumpError::os(&self.path, call)
    }

    fn len(&self) -> Result<u64, DumpError> {
        let Some(file) = &self.file else { return Ok(0) };
        Ok(file.metadata().map_err(self.os("look at"))?.len())
    }

    /// Goes on in a file that may have something in it, which `state` may tell of.
    pub(crate) fn begin(&mut self, state: Option<&State>) -> Result<(), DumpError> {
        let len = self.len()?;
        let Some(file) = self.file.as_ref().filter(|_| len > 0) else { return Ok(()) };
        let id = FileId::of(&file.metadata().map_err(self.os("look at"))?);
        let known = state.filter(|state| state.file == Some(id) && state.begun_us != 0);
        let begun = known.map_or((0, Timestamp::now().as_microsecond()), |state| (state.first, state.begun_us));
        let mut last = [0];
        file.read_exact_at(&mut last, len - 1).map_err(self.os("read"))?;
        if self.is_lines && last != *b"\n" {
            // Somebody else's line that has no end: ours is not to look like the rest of it.
            (&*file).write_all(b"\n").map_err(self.os("write"))?;
        }
        self.begun = Some(begun);
        Ok(())
    }

    /// Was a file rotated or moved away that is to be followed by another?
    pub(crate) fn is_between(&self) -> bool {
        self.file.is_none() || !self.old.is_empty()
    }

    /// The first line for `seq` comes next, if the file is empty.
    pub(crate) fn begin_at(&mut self, seq: u64) {
        self.begun.get_or_insert_with(|| (seq, Timestamp::now().as_microsecond()));
    }

    /// The bytes that the file may grow by.
    pub(crate) fn room(&self) -> Result<u64, DumpError> {
        Ok(self.rotation.size.unwrap_or(u64::MAX).saturating_sub(self.len()?))
    }

    /// Is a line of `line` bytes too much for this file, or is its time over?
    pub(crate) fn is_to_rotate(&self, line: usize) -> Result<bool, DumpError> {
        let len = self.len()?;
        let is_full = self.rotation.size.is_some_and(|size| len > 0 && len.saturating_add(line as u64) > size);
        Ok(is_full || self.is_over()?)
    }

    /// Is the time of this file over, and something in it?
    pub(crate) fn is_over(&self) -> Result<bool, DumpError> {
        let (Some(span), Some((_, begun))) = (self.rotation.span, self.begun) else { return Ok(false) };
        let now = Timestamp::now().as_microsecond();
        Ok(period(now, span, &self.zone) != period(begun, span, &self.zone) && self.len()? > 0)
    }

    /// Has the file the name that it was opened under?
    fn has_its_name(&self) -> bool {
        let there = self.path.symlink_metadata();
        let ours = self.file.as_ref().map(File::metadata);
        there.is_ok_and(|there| ours.is_some_and(|ours| ours.is_ok_and(|ours| FileId::of(&there) == FileId::of(&ours))))
    }

    /// Gives the file the name that it keeps. [`FileSink::open_next`] has to follow.
    pub(crate) fn rotate(&mut self) -> Result<(), DumpError> {
        let (first, mut begun) = self.begun.unwrap_or((0, Timestamp::now().as_microsecond()));
        let name = self.path.file_name().unwrap_or_default();
        // Unless somebody has moved it away without telling us.
        while self.has_its_name() {
            let to = self.path.with_file_name(rotated_name(name, begun, first));
            match renameat_with(CWD, &self.path, CWD, &to, RenameFlags::NOREPLACE) {
                Ok(()) => break,
                // Sequences begin anew with a new ring; nothing is replaced.
                Err(Errno::EXIST) => begun += 1,
                // A file system that cannot promise it: nobody but us makes such names, and we hold the lock.
                Err(Errno::INVAL) if to.symlink_metadata().is_ok() => begun += 1,
                Err(Errno::INVAL) => std::fs::rename(&self.path, &to).map_err(self.os("rotate"))?,
                Err(error) => return Err(self.os("rotate")(error.into())),
            }
        }
        self.leave();
        Ok(())
    }

    fn leave(&mut self) {
        self.old.extend(self.file.take());
        self.begun = None;
    }

    /// Somebody says that he has moved the file away. If so, [`FileSink::open_next`] has to follow.
    pub(crate) fn leave_if_moved(&mut self) {
        if !self.has_its_name() {
            self.leave();
        }
    }

    /// Opens whatever has our name now.
    pub(crate) fn open_next(&mut self) -> Result<(), DumpError> {
        if self.file.is_some() {
            return Ok(());
        }
        self.file = Some(open_own(&self.path, true)?);
        self.begin(None)
    }

    /// What is noted is about the file that is open now, or about nothing.
    pub(crate) fn settle(&mut self) -> Result<(), DumpError> {
        if self.keeper.is_none() {
            let keeper = Keeper::start(&self.path, self.rotation, self.sync != Sync::Never, self.say);
            self.keeper = Some(keeper.map_err(self.os("start a thread for"))?);
        }
        if let Some(keeper) = &self.keeper {
            self.old.drain(..).for_each(|file| keeper.send(Some(file)));
        }
        Ok(())
    }

    /// A note that nothing is on its way.
    pub(crate) fn state(&self, state: State) -> Result<State, DumpError> {
        // Between two files it is about the old one, which has everything.
        let Some(file) = self.file.as_ref().or(self.old.last()) else { return Ok(state) };
        let meta = file.metadata().map_err(self.os("look at"))?;
        let (first, begun_us) = self.begun.unwrap_or((state.next, 0));
        Ok(State { file: Some(FileId::of(&meta)), at: meta.len(), first, begun_us, ..state })
    }

    /// Appends the first `len` bytes of `batch`. Gives the lines that are in the file then: whole ones alone.
    pub(crate) fn append(&mut self, batch: &Batch, len: usize) -> (Part, Result<(), DumpError>) {
        let nothing = Part { len: 0, lines: 0 };
        let at = match self.len() {
            Ok(at) => at,
            Err(error) => return (nothing, Err(error)),
        };
        let Some(file) = &self.file else { return (nothing, Ok(())) };
        let (mut written, mut failed) = (0, None);
        while written < len && failed.is_none() {
            match (&*file).write(&batch.bytes[written..len]) {
                Ok(0) => failed = Some(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => failed = Some(error),
            }
        }
        self.is_dirty |= written > 0;
        let whole = batch.whole_in(written);
        let Some(error) = failed else { return (whole, self.sync_record()) };
        // Half a line goes, if nobody has written behind it.
        if whole.len < written && file.metadata().is_ok_and(|meta| meta.len() == at + written as u64) {
            let cut = file.set_len(at + whole.len as u64);
            // Unless it cannot be cut: then it stays as it is, and so is found by whoever comes next.
            if let Err(cut) = cut.or_else(|cut| if is_no_room(&error) { Err(cut) } else { Ok(()) }) {
                return (whole, Err(self.os("cut")(cut)));
            }
        }
        (whole, Err(self.os("write")(error)))
    }

    fn sync_record(&mut self) -> Result<(), DumpError> {
        match self.sync {
            Sync::Record => self.sync_now(),
            Sync::Every(_) => self.sync_if_due(),
            Sync::Never | Sync::Rotate => Ok(()),
        }
    }

    fn sync_now(&mut self) -> Result<(), DumpError> {
        if let Some(file) = self.file.as_ref().filter(|_| self.is_dirty) {
            file.sync_data().map_err(self.os("sync"))?;
        }
        (self.is_dirty, self.synced) = (false, Instant::now());
        Ok(())
    }

    pub(crate) fn sync_if_due(&mut self) -> Result<(), DumpError> {
        match self.sync {
            Sync::Every(span) if self.is_dirty && self.synced.elapsed() >= span => self.sync_now(),
            _ => Ok(()),
        }
    }

    /// The end. Is anything to be written down for good?
    pub(crate) fn finish(&mut self) -> Result<bool, DumpError> {
        let is_wanted = self.sync != Sync::Never;
        if is_wanted {
            self.sync_now()?;
        }
        Ok(is_wanted)
    }
}

//! The BPF programs of this machine, kept current: all of them once, then what changes, and all again after a loss.

#![forbid(unsafe_code)]

use std::os::fd::BorrowedFd;

use super::{BpfError, Function, Ksymbols, ProgramSet, Programs};

/// Knows which BPF programs are loaded, without asking for all of them each time one comes or goes.
#[derive(Debug)]
pub struct Watch {
    ksymbols: Ksymbols,
    set: ProgramSet,
    /// Changes were lost, and all programs are still to be asked for.
    behind: bool,
    changed: bool,
}

impl Watch {
    /// Asks for all programs.
    ///
    /// A processor that comes online later, or again, is not watched, and the kernel does not say so here: call
    /// [`Watch::reopen`] on an `online` uevent of the subsystem `cpu`.
    ///
    /// # Errors
    ///
    /// As [`Ksymbols::open`] and [`Programs::read`]. Who may not has `/proc/kallsyms`, and no word of what changes in it.
    pub fn start() -> Result<Self, BpfError> {
        Self::over(Ksymbols::open()?)
    }

    /// As [`Watch::start`], over records that are followed already.
    ///
    /// # Errors
    ///
    /// As [`Programs::read`].
    pub fn over(ksymbols: Ksymbols) -> Result<Self, BpfError> {
        // Followed before they are listed, so that nothing passes unseen between the two.
        let mut set = ProgramSet::new();
        set.replace_all(&Programs::read()?);
        Ok(Self { ksymbols, set, behind: false, changed: false })
    }

    /// What poll(2) tells readable once when [`Watch::update`] has something to do.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.ksymbols.descriptors()
    }

    /// Takes in what has changed, without waiting; whether the functions are not the same as at the last `Ok`.
    ///
    /// # Errors
    ///
    /// As [`Programs::read`], where changes were lost; then it is tried again at the next call, whether or not a
    /// descriptor is readable.
    pub fn update(&mut self) -> Result<bool, BpfError> {
        let news = self.ksymbols.read();
        for change in &news.changes {
            self.changed |= self.set.apply(change);
        }
        self.behind |= news.lost;
        if self.behind {
            self.changed |= self.set.replace_all(&Programs::read()?);
            self.behind = false;
        }
        Ok(std::mem::take(&mut self.changed))
    }

    /// Watches every processor that is online now, and asks for all programs; answers as [`Watch::update`].
    ///
    /// # Errors
    ///
    /// As [`Watch::start`]. Where the records could not be opened, those of before are still followed.
    pub fn reopen(&mut self) -> Result<bool, BpfError> {
        self.ksymbols = self.ksymbols.reopened()?;
        self.behind = true;
        self.update()
    }

    /// The functions by ascending address, as of the last update; no two overlap.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.set.iter()
    }
}

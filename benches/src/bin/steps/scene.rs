//! One ring with everybody around it: the others, the tracee, and where a case asks for it a writer that died or stopped
//! inside an append before.

use crate::books::{Checked, Entry, Others, PAGE_COUNT, View, level, payload};
use crate::cases::{Case, Stage};
use crate::operation::{TRACEE, create, perform};
use crate::places::Watch;
use crate::trace::{Stop, Tracee};
use lapwing_ring::Writer;
use std::fmt::Display;
use std::fs;
use std::io::{self, PipeReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The writer that was there before the tracee, in the books.
const HELPER: u32 = 8;
/// The writer that gets the slot of the dead, in the books.
const HEIR: u32 = 7;

/// A folder for one ring, removed with all that is in it.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> io::Result<Self> {
        let path = PathBuf::from(format!("/dev/shm/lapwing-steps-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub fn ring(&self) -> PathBuf {
        self.0.join("ring")
    }

    fn names(&self) -> Checked<Vec<String>> {
        let entries = fs::read_dir(&self.0).map_err(text)?;
        entries.map(|entry| Ok(entry.map_err(text)?.file_name().to_string_lossy().into_owned())).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Scene {
    pub tracee: Tracee,
    pub others: Others,
    report: PipeReader,
    /// Stopped inside an append for as long as we like.
    helper: Option<Tracee>,
    /// Records that the helper may have cost: abandoned, stalled.
    helpers: (u64, u64),
    /// We made the ring ourselves while the tracee was at it.
    made: bool,
    folder: Folder,
}

impl Scene {
    /// Sets the stage of `case` with a copy of the empty ring at `template`. The tracee stands before its operation.
    ///
    /// # Errors
    /// Something went wrong before there was anything to test.
    pub fn new(case: &Case, template: &Path, seed: u64) -> Checked<Self> {
        let folder = Folder::new("trial").map_err(text)?;
        let ring = folder.ring();
        let mut others = Others::new(seed);
        if case.stage != Stage::NoRing {
            copy_as_an_original(template, &ring).map_err(text)?;
            others.join(&ring)?;
            others.appends(10)?;
        }
        let (report, teller) = io::pipe().map_err(text)?;
        let tracee = Tracee::start(|mark| perform(case.operation, &ring, mark, teller)).map_err(text)?;
        others.books.expect_pid(TRACEE, tracee.pid());

        let (mut helper, mut helpers) = (None, (0, 0));
        match case.stage {
            Stage::NoRing | Stage::Room => {}
            Stage::FullPage => others.fill_page()?,
            Stage::NewPage => {
                others.fill_page()?;
                others.append(12)?;
            }
            Stage::DeadSlot | Stage::NextOfDead | Stage::NextOfHeld => {
                let mut stranger = stop_inside_append(&mut others, &ring, HELPER)?;
                let epoch = others.view().epoch();
                if case.stage == Stage::NextOfHeld {
                    (helper, helpers) = (Some(stranger), (0, 1));
                } else {
                    stranger.kill();
                    helpers = (1, 0);
                }
                others.a_moment()?;
                if case.stage != Stage::DeadSlot {
                    others.reach_page(epoch + PAGE_COUNT - 1)?;
                    others.fill_page()?;
                    if others.view().epoch() != epoch + PAGE_COUNT - 1 {
                        return Err("the stage is not set: the page before the held one is over".to_owned());
                    }
                }
            }
        }
        Ok(Self { tracee, others, report, helper, helpers, made: false, folder })
    }

    /// What a walk of the tracee of `case` has to look at.
    pub fn watch(&self, case: &Case) -> Checked<Watch> {
        match (case.every, case.stage) {
            (true, _) => Ok(Watch::Nothing),
            (false, Stage::NoRing) => Ok(Watch::FirstMapping),
            (false, _) => View::open(&self.folder.ring()).map(Watch::Ring).map_err(text),
        }
    }

    /// Pages that a helper keeps out of use.
    pub fn helpers_pages(&self) -> usize {
        usize::from(self.helper.is_some())
    }

    /// Records that a stopped helper cost readers.
    pub fn helpers_stalled(&self) -> u64 {
        self.helpers.1
    }

    /// Before others can work there must be a ring: the tracee's, complete, or else one that we make now.
    pub fn ensure_ring(&mut self, case: &Case) -> Checked {
        if case.stage != Stage::NoRing {
            return Ok(());
        }
        match self.folder.names()?.as_slice() {
            [] => {
                create().create(&self.folder.ring()).map_err(text)?;
                self.made = true;
            }
            [name] if name == "ring" => {}
            names => return Err(format!("a creator left {names:?}")),
        }
        self.others.join(&self.folder.ring())
    }

    /// Somebody gets the slot that a dead writer left, or that the tracee is about to claim, and stops inside an append.
    /// What the tracee still thinks of that slot must not harm him.
    pub fn come_heir(&mut self) -> Checked {
        let heir = stop_inside_append(&mut self.others, &self.folder.ring(), HEIR)?;
        self.helper = Some(heir);
        self.helpers.1 += 1;
        self.others.a_moment()
    }

    /// Lets the tracee finish, and hears what it has to say.
    pub fn let_finish(&mut self) -> Checked {
        match self.tracee.go_on().map_err(text)? {
            Stop::Marked => self.hear(),
            other => Err(format!("the operation ended with {other:?}")),
        }
    }

    /// The tracee stands at the mark behind its operation: lets it go on to its end, and hears its report.
    pub fn hear(&mut self) -> Checked {
        match self.tracee.go_on().map_err(text)? {
            Stop::Exited(0) => {}
            other => return Err(format!("behind its operation the tracee ended with {other:?}")),
        }
        let mut report = String::new();
        self.report.read_to_string(&mut report).map_err(text)?;
        for line in report.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["record", counter, seq] if let (Ok(counter), Ok(seq)) = (counter.parse(), seq.parse()) => {
                    self.others.books.hear(Entry { writer: TRACEE, counter }, seq)?;
                }
                ["done"] if !self.made => {}
                ["exists"] if self.made => {}
                _ => return Err(format!("the tracee says: {line}")),
            }
        }
        if report.is_empty() { Err("the tracee says nothing".to_owned()) } else { Ok(()) }
    }

    /// The tracee is gone, `abandoned` or `stalled` a record at most: the books must balance, and nothing of it be left.
    pub fn close(mut self, abandoned: u64, stalled: u64) -> Checked {
        let ring = self.folder.ring();
        self.others.laps(3, self.helpers_pages())?;
        if let Some(mut helper) = self.helper.take() {
            match helper.go_on().map_err(text)? {
                Stop::Marked => helper.kill(),
                other => return Err(format!("who was held ended with {other:?}")),
            };
            self.others.laps(3, 0)?;
        }
        self.others.latecomers(&ring)?;
        self.others.balance(&ring, abandoned + self.helpers.0, stalled + self.helpers.1)?;
        match self.folder.names()?.as_slice() {
            [name] if name == "ring" => Ok(()),
            names => Err(format!("the folder holds {names:?}")),
        }
    }
}

/// Copies a ring, and removes from the header by what it would be known as a copy: writers refuse those.
fn copy_as_an_original(from: &Path, to: &Path) -> io::Result<()> {
    const FILE: (u64, usize) = (120, 16);
    fs::copy(from, to)?;
    fs::File::options().write(true).open(to)?.write_all_at(&[0; FILE.1], FILE.0)
}

/// A writer that has reserved a record and stands there.
fn stop_inside_append(others: &mut Others, ring: &Path, id: u32) -> Checked<Tracee> {
    let mut stranger = Tracee::start(|mark| {
        let mut writer = Writer::open(ring).unwrap();
        writer.append(level(id), &payload(id, 0, 40)).unwrap();
        mark.here();
        writer.append(level(id), &payload(id, 1, 40)).unwrap();
        mark.here();
    })
    .map_err(text)?;
    others.books.expect_pid(id, stranger.pid());
    let before = others.view().head();
    while others.view().head() == before {
        match stranger.step().map_err(text)? {
            Stop::Stepped => {}
            other => return Err(format!("writer {id} reserved nothing: {other:?}")),
        }
    }
    Ok(stranger)
}

fn text(error: impl Display) -> String {
    error.to_string()
}

//! What a user chooses of a dump.

use super::rotate::Rotation;
use crate::filter::Filter;
use crate::render::Format;
use std::path::PathBuf;
use std::time::Duration;

/// When what was written is written down for good, so that it outlives the machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// When the kernel finds the time.
    Never,
    /// When a file is rotated, and at the end.
    Rotate,
    /// As often as this.
    Every(Duration),
    /// Before the next record is written. Records that are there at once are synced at once.
    Record,
}

/// What becomes of records.
#[derive(Clone, Debug)]
pub struct DumpOptions {
    /// A file, a terminal, a pipe or a character device.
    pub to: PathBuf,
    /// Where to note how far it has come: `TO.state` of a file, unless set. Of other things nothing is noted then.
    pub state: Option<PathBuf>,
    #[allow(missing_docs)]
    pub format: Format,
    /// Which records are wanted.
    pub filter: Filter,
    /// No more bytes a second than this.
    pub rate: Option<u64>,
    #[allow(missing_docs)]
    pub rotation: Rotation,
    #[allow(missing_docs)]
    pub sync: Sync,
}

//! The names of files that were rotated, and when it is time to.
//!
//! `NAME.20261121T055342.123456Z.00000000000000000077` was begun then, UTC, with sequence 77: names sort by time. Behind a
//! `.zst` it is compressed, behind a `.zst.part` not wholly so.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::ffi::{OsStr, OsString};
use std::fs::read_dir;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// When a file is full, and what becomes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rotation {
    /// No file is longer than this many bytes, unless a single line is.
    pub size: Option<u64>,
    /// A file ends when the local time passes a multiple of this.
    pub span: Option<Duration>,
    /// How many rotated files are kept; all, unless set.
    pub keep: Option<usize>,
    /// Are rotated files compressed?
    pub compress: bool,
}

/// Which multiple of `span` the local time is in, at a time in microseconds of the Unix epoch.
pub(crate) fn period(us: i64, span: Duration, zone: &TimeZone) -> i128 {
    let offset = zone.to_offset(Timestamp::from_microsecond(us).unwrap_or_default()).seconds();
    let local = i128::from(us) + i128::from(offset) * 1_000_000;
    local.div_euclid(span.as_micros().max(1) as i128)
}

/// The name of the file called `name` once it is rotated.
pub(crate) fn rotated_name(name: &OsStr, begun_us: i64, first: u64) -> OsString {
    let begun = Timestamp::from_microsecond(begun_us).unwrap_or_default();
    let mut rotated = name.to_owned();
    rotated.push(format!(".{}.{first:020}", begun.strftime("%Y%m%dT%H%M%S.%6fZ")));
    rotated
}

/// A rotated file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Rotated {
    /// Without an ending: all that belongs to one log has this, and it sorts by time.
    pub(crate) path: PathBuf,
    pub(crate) state: RotatedState,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum RotatedState {
    Plain,
    Compressed,
    HalfCompressed,
}

impl RotatedState {
    const fn ending(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Compressed => ".zst",
            Self::HalfCompressed => ".zst.part",
        }
    }
}

impl Rotated {
    /// Where it is.
    pub(crate) fn place(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(self.state.ending());
        path.into()
    }

    /// The same log in another state.
    pub(crate) fn as_state(&self, state: RotatedState) -> Self {
        Self { path: self.path.clone(), state }
    }
}

/// All that were rotated out of the file at `path`, oldest first: regular files of ours with such a name, nothing else.
pub(crate) fn rotated(path: &Path) -> io::Result<Vec<Rotated>> {
    let (folder, Some(name)) = (super::recover::folder_of(path), path.file_name()) else { return Ok(Vec::new()) };
    let uid = rustix::process::geteuid().as_raw();
    let mut found = Vec::new();
    for entry in read_dir(folder)? {
        let entry = entry?;
        let Some((log, state)) = parse(name, &entry.file_name()) else { continue };
        // What is gone meanwhile is not there.
        if entry.metadata().is_ok_and(|meta| meta.is_file() && meta.uid() == uid) {
            found.push(Rotated { path: folder.join(log), state });
        }
    }
    found.sort();
    Ok(found)
}

/// The name without its ending, if it is that of a rotated file of `name`.
fn parse(name: &OsStr, found: &OsStr) -> Option<(OsString, RotatedState)> {
    let rest = found.as_bytes().strip_prefix(name.as_bytes())?;
    let (stamp, ending) = rest.split_at_checked(STAMP.len())?;
    let is_stamp = stamp.iter().zip(STAMP).all(|(&byte, &model)| match model {
        b'0' => byte.is_ascii_digit(),
        model => byte == model,
    });
    let states = [RotatedState::Plain, RotatedState::Compressed, RotatedState::HalfCompressed];
    let state = states.into_iter().find(|state| state.ending().as_bytes() == ending)?;
    let log = OsString::from_vec(found.as_bytes()[..found.len() - ending.len()].to_vec());
    is_stamp.then_some((log, state))
}

/// What stands behind the name; a 0 is any digit.
const STAMP: &[u8] = b".00000000T000000.000000Z.00000000000000000000";

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: i64 = 1_795_240_422_123_456;

    #[test]
    fn names_sort_by_time_and_are_known_again_and_nothing_else_is() {
        let name = OsStr::new("app.log");
        let rotated = rotated_name(name, BEGUN, 77);
        assert_eq!(rotated, "app.log.20261121T055342.123456Z.00000000000000000077");
        assert!(rotated < rotated_name(name, BEGUN + 1, 3) && rotated < rotated_name(name, BEGUN, 78));
        let with = |ending: &str| OsString::from(format!("{}{ending}", rotated.to_str().unwrap()));
        for state in [RotatedState::Plain, RotatedState::Compressed, RotatedState::HalfCompressed] {
            assert_eq!(parse(name, &with(state.ending())), Some((rotated.clone(), state)));
        }
        for other in ["app.log", "app.log.1", "app.log.20261121T055342.123456Z.77", "app.log.state"] {
            assert_eq!(parse(name, OsStr::new(other)), None);
        }
        assert_eq!(parse(name, &with(".gz")), None);
        assert_eq!(parse(OsStr::new("app"), &rotated), None);
    }

    #[test]
    fn periods_end_at_local_multiples() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let day = Duration::from_secs(86_400);
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        let period = |text, span| period(at(text), span, &zone);
        assert_eq!(period("2026-11-20T23:00:00Z", day), period("2026-11-21T22:59:59Z", day));
        assert_eq!(period("2026-11-21T23:00:00Z", day), period("2026-11-21T22:59:59Z", day) + 1);
        let hour = Duration::from_secs(3600);
        assert_eq!(period("2026-11-21T05:00:00Z", hour), period("2026-11-21T04:59:59Z", hour) + 1);
    }
}

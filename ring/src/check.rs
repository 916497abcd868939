//! What is wrong with a ring file: every word that contradicts the format or the others, by offset and sequence.
//!
//! The file is read, never mapped for this and never written. A ring may be in use: a finding is reported when it is
//! there again, unchanged, at every look, and every state that a writer may stop in is a sound one.

#![forbid(unsafe_code)]

mod header;
mod pages;
mod records;

use crate::error::Error;
use crate::file::open_regular;
use crate::map::{Access, Identity, Mapping, identify};
use crate::reader::Gap;
use crate::ring::Look as Part;
use crate::word::{AnnounceWord, OwnerWord};
use std::collections::HashSet;
use std::fmt;
use std::fs::{File, Metadata};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// What should stand where something else was found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)]
pub enum Expected {
    Exactly(u64),
    AtLeast(u64),
    AtMost(u64),
    Between(u64, u64),
    /// In words.
    Rule(&'static str),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(value) => write!(f, "{value}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Between(least, most) => write!(f, "{least} to {most}"),
            Self::Rule(rule) => f.write_str(rule),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Finding {
    /// Where the word begins, bytes from the start of the file.
    pub offset: u64,
    /// The record that it is about.
    pub seq: Option<u64>,
    /// What stands there.
    pub what: &'static str,
    #[allow(missing_docs)]
    pub found: u64,
    #[allow(missing_docs)]
    pub expected: Expected,
}

/// Records that are reserved and not committed: no damage, but what a writer leaves that dies or stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Uncommitted {
    #[allow(missing_docs)]
    pub gap: Gap,
    /// A writer that is not proven dead is inside their page and may still commit one.
    pub in_flight: bool,
}

/// What became of all sequences that were ever given out. The sum of the four is the next sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Tally {
    pub overwritten: u64,
    pub readable: u64,
    pub uncommitted: u64,
    pub damaged: u64,
}

impl Tally {
    /// The sequence that the next record will get.
    pub const fn next_seq(&self) -> u64 {
        let seen = self.overwritten.wrapping_add(self.readable);
        seen.wrapping_add(self.uncommitted).wrapping_add(self.damaged)
    }
}

/// What [`check`] saw.
#[derive(Clone, Debug)]
pub struct Checked {
    /// `None`: the header is too damaged to say.
    pub identity: Option<Identity>,
    /// The first 100 things that are wrong, in the order of their offsets.
    pub findings: Vec<Finding>,
    /// All of them, counted.
    pub found: u64,
    /// `None`: without a sound header, nothing behind it could be looked at.
    pub tally: Option<Tally>,
    /// The first 100 runs.
    pub uncommitted: Vec<Uncommitted>,
}

/// Findings and runs that are listed; the rest is counted.
const LISTED: usize = 100;
/// Findings that are kept from one look to the next.
const KEPT: usize = 10_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Looks at a ring in which something seems wrong, at least and at most.
const LOOKS: (u32, u32) = (4, 12);

/// Looks for damage in the ring at `path`, which may be in use. Needs no more than read permission.
///
/// # Errors
/// There is no ring of this version, or it cannot be read.
pub fn check(path: &Path) -> Result<Checked, Error> {
    let (file, meta) = open_regular(path, false)?;
    let identity = match identify(&file, path, &meta) {
        Ok(identity) => Some(identity),
        Err(Error::BadHeader { .. } | Error::BadGeometry { .. } | Error::BadClock { .. }) => None,
        Err(Error::Truncated { len, .. }) if len >= crate::layout::HEADER_LEN as u64 => None,
        Err(error) => return Err(error),
    };
    let words = Words { file: &file, len: meta.len() };
    let mut confirmed: Option<HashSet<Finding>> = None;
    let mut looks = 0;
    loop {
        let mut look = Look::default();
        let geometry = look.header(&words);
        if let Some(geometry) = geometry {
            look.pages(&words, geometry);
            look.slots(&words, geometry);
            look.lines(&words, geometry);
            look.settle(&words, geometry);
        }
        looks += 1;
        let seen: HashSet<Finding> = look.findings.iter().copied().collect();
        let again = match &mut confirmed {
            None => confirmed.insert(seen),
            Some(confirmed) => {
                confirmed.retain(|finding| seen.contains(finding));
                confirmed
            }
        };
        // What changed from look to look was a writer at work.
        let settled = again.len() == look.findings.len() && (again.is_empty() || looks >= LOOKS.0);
        if settled || looks >= LOOKS.1 {
            look.findings.retain(|finding| again.contains(finding));
            return Ok(look.into_checked(&file, path, &meta, identity));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// The words of a file, read one by one; `None` beyond its end.
struct Words<'f> {
    file: &'f File,
    len: u64,
}

impl Words<'_> {
    fn word(&self, offset: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(u64::from_le_bytes(bytes))
    }

    /// `count` words from `offset` on.
    fn words(&self, offset: u64, count: usize) -> Option<Vec<u64>> {
        let mut words = vec![0u64; count];
        self.file.read_exact_at(bytemuck::cast_slice_mut(&mut words), offset).ok()?;
        Some(words)
    }
}

/// What one look saw.
#[derive(Default)]
struct Look {
    findings: Vec<Finding>,
    /// Findings beyond those that are kept.
    more: u64,
    tally: Option<Tally>,
    /// HEAD, when the look began.
    head: u64,
    /// The ring was saved.
    saved: bool,
    /// Runs without a verdict, the number of their page, and where on it they begin.
    holes: Vec<(Gap, u64, u32)>,
    /// The slots that announce a page.
    inside: Vec<(usize, OwnerWord, AnnounceWord)>,
}

impl Look {
    fn wrong(&mut self, offset: u64, seq: Option<u64>, what: &'static str, found: u64, expected: Expected) {
        if self.findings.len() < KEPT {
            self.findings.push(Finding { offset, seq, what, found, expected });
        } else {
            self.more += 1;
        }
    }

    fn hole(&mut self, seq: u64, epoch: u64, index: u32) {
        if let Some((gap, page, _)) = self.holes.last_mut()
            && *page == epoch
            && gap.first.wrapping_add(gap.count) == seq
        {
            gap.count += 1;
        } else if self.holes.len() < LISTED {
            self.holes.push((Gap { first: seq, count: 1 }, epoch, index));
        }
    }

    fn into_checked(mut self, file: &File, path: &Path, meta: &Metadata, identity: Option<Identity>) -> Checked {
        let map = identity.filter(|_| !self.holes.is_empty()).and_then(|identity| {
            let map = Mapping::new(file.try_clone().ok()?, path, meta, &identity, Access::Copied, false).ok()?;
            map.ring().look(Part::Writers);
            Some(map)
        });
        // Without it nobody is proven dead.
        let alive = |slot, owner| map.as_ref().is_none_or(|map| !map.ring().judge(slot, owner).is_dead());
        let uncommitted = self.holes.iter().map(|&(gap, epoch, _)| Uncommitted {
            gap,
            in_flight: self.inside.iter().any(|&(slot, owner, word)| word.is_page(epoch) && alive(slot, owner)),
        });
        let uncommitted = uncommitted.collect();
        self.findings.sort_by_key(|finding| (finding.offset, finding.seq));
        let found = self.findings.len() as u64 + self.more;
        self.findings.truncate(LISTED);
        Checked { identity, findings: self.findings, found, tally: self.tally, uncommitted }
    }
}

//! What can be told of a ring without reading its records.

#![forbid(unsafe_code)]

use crate::error::ReadError;
use crate::evidence::{Evidence, Life};
use crate::layout::Geometry;
use crate::map::{Identity, Mapping};
use crate::reader::Bounds;
use crate::ring::{Look, Ring};
use crate::word::OwnerWord;
use atomic::Ordering::Relaxed;

/// Why records never entered the ring, in records.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Refused {
    /// Longer than half a page allows.
    pub too_large: u64,
    /// No writer slot could be had.
    pub too_many_writers: u64,
    /// Every page was held by a writer that stopped inside an append.
    pub all_pages_pinned: u64,
    /// The ring's words contradicted each other.
    pub damaged: u64,
}

impl Refused {
    /// All causes together.
    pub const fn total(&self) -> u64 {
        let counted = self.too_large.wrapping_add(self.too_many_writers);
        counted.wrapping_add(self.all_pages_pinned).wrapping_add(self.damaged)
    }
}

/// One writer slot that somebody owns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WriterStat {
    /// Its place in the table.
    pub slot: usize,
    /// In its own pid namespace.
    pub pid: u32,
    /// The user it ran as when it attached.
    pub uid: u32,
    /// Its name when it attached, any bytes, at most 15.
    pub comm: Vec<u8>,
    /// Records appended through this slot by this owner.
    pub records: u64,
    /// Payload bytes of those.
    pub bytes: u64,
    /// When it attached, nanoseconds of the Unix epoch.
    pub attached_ns: u64,
    /// Does it live, and how is that known?
    pub evidence: Evidence,
    /// Is it inside an append?
    pub appending: bool,
}

impl WriterStat {
    /// False when it is proven dead.
    pub fn is_alive(&self) -> bool {
        self.evidence.life() != Life::Dead
    }
}

/// A ring at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Stat {
    pub identity: Identity,
    pub bounds: Bounds,
    /// Bytes of the pages that are taken. Of the newest page it is the share that is taken, by records or by their bytes.
    pub used: u64,
    pub refused: Refused,
    pub writers: Vec<WriterStat>,
    /// Unfinished lines of dead writers that nobody has appended yet.
    pub last_words: usize,
}

pub(crate) fn stat(map: &Mapping, identity: Identity) -> Result<Stat, ReadError> {
    let ring = map.ring();
    ring.look(Look::Writers);
    let bounds = ring.bounds().ok_or(ReadError::Damaged { seq: 0, what: "no page of the ring can be read" })?;
    let writers = owned(ring).map(|(i, owner, evidence)| {
        let slot = &ring.slots[i];
        let name = slot.name();
        WriterStat {
            slot: i,
            pid: owner.pid(),
            uid: slot.uid.load(Relaxed) as u32,
            comm: name.split(|&byte| byte == 0).next().unwrap_or_default().to_vec(),
            records: slot.records.load(Relaxed),
            bytes: slot.bytes.load(Relaxed),
            attached_ns: slot.attached.load(Relaxed),
            evidence,
            appending: !slot.announce.load(Relaxed).is_idle(),
        }
    });
    let [too_large, too_many_writers, all_pages_pinned, damaged] =
        std::array::from_fn(|i| ring.header.refused[i].load(Relaxed));
    let refused = Refused { too_large, too_many_writers, all_pages_pinned, damaged };
    let writers = writers.collect();
    let left = map.lines().left(ring, identity.copied);
    let last_words = left.iter().filter(|left| !left.alive || identity.saved_ns.is_none()).count();
    Ok(Stat { identity, bounds, used: used(ring, &identity.geometry), refused, writers, last_words })
}

/// The slots that somebody owns, each with its owner and what is known of his life. `Look::Writers` comes before.
pub(crate) fn owned(ring: &Ring<'_>) -> impl Iterator<Item = (usize, OwnerWord, Evidence)> {
    let slots = (ring.header.slots_high.load(Relaxed) as usize).min(ring.slots.len());
    ring.slots[..slots].iter().enumerate().filter_map(|(i, slot)| {
        let owner = slot.owner.load(Relaxed);
        let mut evidence = (!owner.is_free()).then(|| ring.judge(i, owner).evidence)?;
        if evidence.life() == Life::Dead {
            // Who gave the slot back while we asked is not dead, nor who has it again.
            ring.look(Look::Writers);
            evidence = ring.judge(i, owner).evidence;
        }
        (slot.owner.load(Relaxed) == owner).then_some((i, owner, evidence))
    })
}

fn used(ring: &Ring<'_>, geometry: &Geometry) -> u64 {
    let Some(head) = ring.head() else { return 0 };
    let before = (head.epoch - head.oldest_epoch(geometry)).min(u64::from(geometry.page_count()) - 1);
    let word = ring.header.head.load(Relaxed);
    // A page is full when either has come to its end, or when it was closed.
    let share = |taken: u32, all: u32| geometry.page_size() * u64::from(taken.min(all)) / u64::from(all);
    let newest = match word.is_page(head.epoch) && !word.closed() {
        true => share(word.count(), geometry.index_len()).max(share(word.offset(), geometry.data_words())),
        false => geometry.page_size(),
    };
    before * geometry.page_size() + newest
}

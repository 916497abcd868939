//! A snapshot: what a ring holds at one moment, each record of it whole or accounted for.
//!
//! The moment is the one at which HEAD is read. The pages are copied from the oldest on, which is the one that goes first;
//! what is overwritten before it is copied is not part of the snapshot, nor is anything older. Then records in flight get the
//! same patience as a reader gives them.

#![forbid(unsafe_code)]

mod image;

use crate::clock::{monotonic_ns, realtime_ns};
use crate::copy::load_words;
use crate::error::ReadError;
use crate::evidence::Evidence;
use crate::follow::Reader;
use crate::layout::record_words;
use crate::map::Identity;
use crate::reader::{Bounds, Counts, Patience};
use crate::record::Meta;
use crate::ring::{Head, Look, Ring};
use crate::stat::owned;
use crate::sync::fence_at;
use crate::unfinished::{Holder, Placed};
use crate::word::{AnnounceWord, EntryWord, LeftOut, OwnerWord};
use atomic::Ordering::{Acquire, Relaxed};
use std::time::Duration;

/// How often a ring is copied whose newest page is gone before it is reached; each time half as much of it.
const TRIES: u32 = 16;
const BETWEEN_LOOKS: Duration = Duration::from_micros(500);

/// What a ring held at one moment. [`Snapshot::save`] makes a file of it that every reader takes for a ring, and no writer.
pub struct Snapshot {
    identity: Identity,
    saved_ns: u64,
    pages: Vec<Page>,
    slots: Vec<Owned>,
    slots_high: u64,
    lines: Vec<Placed>,
    refused: Vec<u64>,
    namespaces: Vec<u64>,
    is_damaged: bool,
}

/// What a snapshot has of one page.
struct Page {
    epoch: u64,
    base: u64,
    clock: [u64; 2],
    records: Vec<Slice>,
    /// The words of its records, one behind the other.
    words: Vec<u64>,
}

/// One sequence of a page.
#[derive(Clone, Copy)]
enum Slice {
    /// Begins there in the words.
    Record(u32),
    /// In the source not committed yet.
    InFlight,
    LeftOut(LeftOut),
}

/// A writer slot and its owner.
struct Owned {
    slot: usize,
    owner: OwnerWord,
    announce: AnnounceWord,
    evidence: Evidence,
    /// Records, bytes, comm, attached, uid, start.
    words: [u64; 7],
}

impl Reader {
    /// What the ring holds now, records in flight included once their writers commit them, within the patience of this
    /// reader. Its place and its counts stay as they are. `progress` hears how many pages of how many were copied.
    ///
    /// Takes as much memory as the ring holds.
    ///
    /// # Errors
    /// The ring is so damaged that nothing of it can be found, or the file was cut short.
    pub fn snapshot(&self, progress: impl FnMut(u64, u64)) -> Result<Snapshot, ReadError> {
        let snapshot = Snapshot::take(self, progress);
        self.checked(snapshot)
    }
}

impl Snapshot {
    fn take(reader: &Reader, mut progress: impl FnMut(u64, u64)) -> Result<Self, ReadError> {
        let (ring, lines, identity) = (reader.map.ring(), reader.map.lines(), *reader.identity());
        // Before HEAD: a line that is appended meanwhile is there twice and not missing.
        let mut kept = lines.placed(ring, true);
        let saved_ns = identity.saved_ns.unwrap_or_else(realtime_ns);
        let mut copied = None;
        for tried in 0..TRIES {
            let Some(head) = ring.head() else { continue };
            ring.look(Look::LineHeaders);
            // What a living writer went on with is no longer what he had not finished.
            kept.retain(|placed| !placed.left.alive || lines.stands(placed));
            copied = copy_pages(ring, head, tried, &mut progress);
            if copied.is_some() {
                break;
            }
        }
        let damaged = ReadError::Damaged { seq: 0, what: "no page of the ring can be read" };
        let (mut pages, mut is_damaged) = copied.ok_or(damaged)?;
        // What is lost from here on was overwritten while we waited.
        is_damaged |= !ring.saved && pages.iter().any(|page| page.records.iter().any(Slice::is_lost));
        settle(ring, &mut pages, reader.patience());
        for page in &mut pages {
            is_damaged |= page.fit(ring.geometry.data_words());
        }

        ring.look(Look::Writers);
        let slots: Vec<Owned> =
            owned(ring).map(|(slot, owner, evidence)| Owned::new(ring, slot, owner, evidence)).collect();
        let high = slots.last().map_or(0, |last| last.slot as u64 + 1);
        let slots_high = ring.header.slots_high.load(Relaxed).clamp(high, ring.slots.len() as u64);
        // A living holder whose slot is gone has finished his line.
        let is_owned =
            |holder: Holder| slots.iter().any(|owned| owned.slot == holder.slot() && holder.owns(owned.owner));
        kept.retain(|placed| !placed.left.alive || is_owned(placed.holder()));
        let loaded = |words: &[crate::sync::Atomic<u64>]| words.iter().map(|word| word.load(Relaxed)).collect();
        let (refused, namespaces) = (loaded(&ring.header.refused), loaded(&ring.header.namespaces));
        Ok(Self { identity, saved_ns, pages, slots, slots_high, lines: kept, refused, namespaces, is_damaged })
    }

    /// The ring that this was taken of.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The moment of what it holds, nanoseconds of the Unix epoch.
    pub fn saved_ns(&self) -> u64 {
        self.saved_ns
    }

    /// The first sequence that it has, and the one behind its last.
    pub fn bounds(&self) -> Bounds {
        let ends = self.pages.first().zip(self.pages.last());
        ends.map_or(Bounds { oldest_seq: 0, next_seq: 0 }, |(first, last)| Bounds {
            oldest_seq: first.base,
            next_seq: last.base.wrapping_add(last.records.len() as u64),
        })
    }

    /// What became of the sequences within its [bounds](Snapshot::bounds); lost are those that were damaged, or overwritten
    /// before it was known what became of them.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for record in self.pages.iter().flat_map(|page| &page.records) {
            match record {
                Slice::Record(_) => counts.read += 1,
                Slice::InFlight | Slice::LeftOut(LeftOut::Stalled) => counts.stalled += 1,
                Slice::LeftOut(LeftOut::Abandoned) => counts.abandoned += 1,
                Slice::LeftOut(LeftOut::Lost) => counts.lost += 1,
            }
        }
        counts
    }

    /// Lines that their writers had not finished, and that are no records yet.
    pub fn unfinished_lines(&self) -> usize {
        self.lines.len()
    }

    /// Something of the ring could not be taken over, because it is damaged.
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }
}

impl Slice {
    fn is_lost(&self) -> bool {
        matches!(self, Self::LeftOut(LeftOut::Lost))
    }
}

impl Owned {
    fn new(ring: &Ring<'_>, slot: usize, owner: OwnerWord, evidence: Evidence) -> Self {
        let of = &ring.slots[slot];
        let [name, rest] = &of.comm;
        let words = [&of.records, &of.bytes, name, rest, &of.attached, &of.uid, &of.start];
        Self { slot, owner, announce: of.announce.load(Relaxed), evidence, words: words.map(|word| word.load(Relaxed)) }
    }
}

/// All pages of the ring as HEAD had it, as far as they are there when it is their turn, and whether something is damaged.
/// `None`: not even HEAD's page was.
fn copy_pages(
    ring: &Ring<'_>,
    head: Head,
    tried: u32,
    progress: &mut impl FnMut(u64, u64),
) -> Option<(Vec<Page>, bool)> {
    let count = ring.geometry.page_count() as u64;
    // Who was too slow takes less upon him.
    let nearest = (head.epoch + 1).saturating_sub((count >> tried).max(1));
    let oldest = head.oldest_epoch(&ring.geometry).max(nearest);
    let mut pages: Vec<Page> = Vec::new();
    let mut is_damaged = false;
    for epoch in oldest..=head.epoch {
        progress(epoch - oldest, head.epoch + 1 - oldest);
        let Some(raw) = RawPage::copy(ring, epoch) else {
            // Stepped over, it keeps an older number. Reused, or about to be: what is older has gone too.
            if ring.look_at_epoch(epoch) >= epoch {
                pages.clear();
            }
            continue;
        };
        if let Some(before) = pages.last_mut() {
            // Where the page in front ends is known only now.
            let held = raw.base.wrapping_sub(before.base);
            if !(1..=ring.geometry.index_len() as u64).contains(&held) {
                is_damaged = true;
                pages.clear();
            } else {
                before.records.truncate(held as usize);
            }
        }
        pages.push(raw.parse(ring, ring.geometry.index_len()));
    }
    let last = pages.last_mut().filter(|last| last.epoch == head.epoch)?;
    is_damaged |= head.count > ring.geometry.index_len();
    last.records.truncate(head.count as usize);
    Some((pages, is_damaged))
}

/// A page as it stands in the ring.
struct RawPage {
    epoch: u64,
    base: u64,
    clock: [u64; 2],
    index: Vec<u64>,
    data: Vec<u64>,
}

impl RawPage {
    /// All of page `epoch`; `None` if it is not in the ring, or not any more when it is copied.
    fn copy(ring: &Ring<'_>, epoch: u64) -> Option<Self> {
        ring.look(Look::Page(epoch));
        let page = ring.page(epoch);
        if page.epoch().load(Relaxed) != epoch {
            return None;
        }
        let mut index = vec![0; page.index().len()];
        let mut data = vec![0; page.data().len()];
        load_words(page.index(), &mut index, ring.body);
        // Records after the entries that commit them, the epoch after both: as if each had been read alone.
        fence_at("fetch:index", Acquire);
        load_words(page.data(), &mut data, ring.body);
        fence_at("fetch:records", Acquire);
        let trusted = ring.trusted_base(epoch)?;
        Some(Self { epoch, base: trusted.base, clock: trusted.clock, index, data })
    }

    /// The first `count` records of the page.
    fn parse(self, ring: &Ring<'_>, count: u32) -> Page {
        let mut page =
            Page { epoch: self.epoch, base: self.base, clock: self.clock, records: Vec::new(), words: Vec::new() };
        for &bits in self.index.iter().take(count as usize) {
            let entry = EntryWord::from_bits(bits);
            let record = match entry.offset_in(self.epoch) {
                Some(offset) => page.push(ring, record_at(&self.data, offset)),
                None if ring.saved => Slice::LeftOut(LeftOut::of(entry)),
                None => Slice::InFlight,
            };
            page.records.push(record);
        }
        page
    }
}

/// The words of the record at `offset`, if there can be one.
fn record_at(data: &[u64], offset: u32) -> Option<&[u64]> {
    let rest = data.get(offset as usize..)?;
    let meta = Meta::unpack(*rest.get(1)? as u32)?;
    rest.get(..record_words(meta.len as usize).max(3) as usize)
}

impl Page {
    /// Takes over a record, if there is room: records that overlap in a damaged page may be more than it holds.
    fn push(&mut self, ring: &Ring<'_>, record: Option<&[u64]>) -> Slice {
        let room = ring.geometry.data_words() as usize;
        match record.filter(|record| self.words.len() + record.len() <= room) {
            Some(record) => {
                let at = self.words.len() as u32;
                self.words.extend_from_slice(record);
                Slice::Record(at)
            }
            None => Slice::LeftOut(LeftOut::Lost),
        }
    }

    /// The words of the record that begins there.
    fn record(&self, from: u32) -> &[u64] {
        record_at(&self.words, from).unwrap_or_default()
    }

    fn in_flight(&self) -> impl Iterator<Item = u32> + use<'_> {
        let records = (0..).zip(&self.records);
        records.filter(|(_, record)| matches!(record, Slice::InFlight)).map(|(i, _)| i)
    }

    fn has_in_flight(&self) -> bool {
        self.in_flight().next().is_some()
    }

    /// Those in flight that are committed by now. `false`: the page is gone.
    fn take_committed(&mut self, ring: &Ring<'_>) -> bool {
        let waiting: Vec<u32> = self.in_flight().collect();
        let raw = RawPage::copy(ring, self.epoch);
        for &i in &waiting {
            self.records[i as usize] = match &raw {
                None => Slice::LeftOut(LeftOut::Lost),
                Some(raw) => match EntryWord::from_bits(raw.index[i as usize]).offset_in(self.epoch) {
                    Some(offset) => self.push(ring, record_at(&raw.data, offset)),
                    None => Slice::InFlight,
                },
            };
        }
        raw.is_some()
    }
}

/// Waits until the records in flight are committed, or it is known that they never will be, or patience ends.
fn settle(ring: &Ring<'_>, pages: &mut [Page], patience: Patience) {
    let since = monotonic_ns();
    let is_open = |page: &&mut Page| page.has_in_flight();
    // HEAD counted them before: whoever could still commit one is inside its page now.
    ring.look(Look::Writers);
    let mut open: Vec<(&mut Page, Vec<(usize, AnnounceWord)>)> = pages
        .iter_mut()
        .filter(is_open)
        .map(|page| {
            let inside = ring.inside(page.epoch);
            (page, inside)
        })
        .collect();
    while !open.is_empty() {
        let over = monotonic_ns().saturating_sub(since) >= patience.give_up_after;
        let newest = ring.head().map_or(u64::MAX, |head| head.epoch);
        ring.look(Look::Writers);
        for (page, suspects) in &mut open {
            suspects.retain(|&(slot, word)| ring.may_be_inside(slot, word));
            fence_at("hole:announce", Acquire);
            // The second look: they may have been committed before their writers left.
            if !page.take_committed(ring) {
                continue;
            }
            let far = newest.saturating_sub(page.epoch) >= ring.geometry.page_count() as u64 / 2;
            let why = match suspects.is_empty() {
                true => LeftOut::Abandoned,
                false if over || far => LeftOut::Stalled,
                false => continue,
            };
            for record in page.records.iter_mut().filter(|record| matches!(record, Slice::InFlight)) {
                *record = Slice::LeftOut(why);
            }
        }
        open.retain(|(page, _)| page.has_in_flight());
        if !open.is_empty() {
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

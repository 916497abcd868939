//! A ring over borrowed words: what writer and reader share. map.rs borrows them from a mapping, the tests from a heap,
//! loom from its own cells; the algorithm is the same lines over all three.

#![forbid(unsafe_code)]

use crate::bell::Waker;
use crate::clock::Clock;
use crate::copy::Body;
use crate::evidence::{Evidence, Verdict};
use crate::layout::{Geometry, Header, PAGE_HEADER_WORDS, Slot};
use crate::sync::{Atomic, fence_at};
use crate::word::{AnnounceWord, EntryWord, HeadWord, OwnerWord};
use atomic::Ordering::{self, Acquire, Relaxed};

/// Tells the [`Verdict`] on an owner of a slot of this ring. Costs system calls; never called on the fast path.
pub(crate) type Judge<'m> = &'m (dyn Fn(&Header, usize, OwnerWord) -> Verdict + Send + Sync);

#[derive(Clone, Copy)]
pub(crate) struct Ring<'m> {
    pub(crate) header: &'m Header,
    pub(crate) slots: &'m [Slot],
    pub(crate) pages: &'m [Atomic<u64>],
    pub(crate) geometry: Geometry,
    pub(crate) clock: Clock,
    pub(crate) body: Body,
    /// False in benches that ask what ticks cost.
    pub(crate) ticking: bool,
    pub(crate) judge: Judge<'m>,
    pub(crate) waker: Waker,
    /// Of a reader that does not map the file: copies what it is about to look at.
    pub(crate) fetch: Option<Fetch<'m>>,
    /// Nobody will ever store to it, and it says itself what became of records and writers.
    pub(crate) saved: bool,
}

/// A part of the ring that a reader is about to look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    Head,
    /// Epoch, base and clock of the page of this epoch.
    PageHeader(u64),
    /// All of the page of this epoch: index, then records, then header. So a committed entry comes with its record.
    Page(u64),
    /// The writer slots and all that the header says of writers.
    Writers,
    /// Whose the unfinished lines behind the pages are.
    LineHeaders,
    /// The unfinished lines: all that is known of them, then their texts.
    Lines,
}

/// Copies that part out of the file, into the words that the ring borrows.
pub(crate) type Fetch<'m> = &'m (dyn Fn(Look) + Send + Sync);

/// One physical page.
#[derive(Clone, Copy)]
pub(crate) struct Page<'m> {
    words: &'m [Atomic<u64>],
    index_len: u32,
}

impl<'m> Page<'m> {
    pub(crate) fn epoch(self) -> &'m Atomic<u64> {
        &self.words[0]
    }

    /// The page's whole number, if `head` names it. A tag has more bits than there are pages, so the tag finds the page.
    #[inline(always)]
    pub(crate) fn epoch_as(self, head: HeadWord) -> Option<u64> {
        let epoch = self.epoch().load(Relaxed);
        (head.is_page(epoch) && epoch.wrapping_sub(1) < MAX_EPOCH).then_some(epoch)
    }

    /// The sequence of the page's first record.
    pub(crate) fn base_seq(self) -> &'m Atomic<u64> {
        &self.words[1]
    }

    /// CLOCK_MONOTONIC minus tick time, and CLOCK_REALTIME minus CLOCK_MONOTONIC, when the page was opened; nanoseconds.
    pub(crate) fn clock(self) -> [&'m Atomic<u64>; 2] {
        [&self.words[2], &self.words[3]]
    }

    pub(crate) fn load_entry(self, i: u32) -> EntryWord {
        EntryWord::from_bits(self.words[PAGE_HEADER_WORDS + i as usize].load(Relaxed))
    }

    pub(crate) fn store_entry(self, i: u32, entry: EntryWord, order: Ordering) {
        self.words[PAGE_HEADER_WORDS + i as usize].store(entry.to_bits(), order);
    }

    pub(crate) fn index(self) -> &'m [Atomic<u64>] {
        &self.words[PAGE_HEADER_WORDS..PAGE_HEADER_WORDS + self.index_len as usize]
    }

    /// The data region; offsets in index entries count its words.
    #[inline(always)]
    pub(crate) fn data(self) -> &'m [Atomic<u64>] {
        &self.words[PAGE_HEADER_WORDS + self.index_len as usize..]
    }
}

/// HEAD as a reader takes it, with the page's whole number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    pub(crate) count: u32,
    /// The decided step to the next page, 0 while open or undecided.
    pub(crate) step: u32,
}

impl Head {
    /// The oldest page number that can still belong to the ring: the page decided for reuse is out already.
    pub(crate) fn oldest_epoch(self, geometry: &Geometry) -> u64 {
        (self.epoch + self.step as u64 + 1).saturating_sub(geometry.page_count() as u64).max(1)
    }

    /// The first entry of the page of `epoch` that nobody had reserved, or that there is none.
    pub(crate) fn known_of(self, epoch: u64, geometry: &Geometry) -> u32 {
        if self.epoch == epoch { self.count.min(geometry.index_len()) } else { geometry.index_len() }
    }
}

/// How often an inconsistent pair of words is read again before the look counts as failed.
pub(crate) const RETRIES: u32 = if cfg!(all(test, loom)) { 3 } else { 256 };

/// How often HEAD may have moved on between two loads before that counts as damage. Each look that misses makes the next
/// one fresh, so this many turns of the page in that moment are needed. Fewer where 200,000 damaged rings are looked at.
pub(crate) const MISSES: u32 = match (cfg!(test), cfg!(loom)) {
    (true, true) => 1,
    (true, false) => 16,
    _ => 256,
};

/// Epochs above this cannot be reached and are damage; below it no sum in the algorithm overflows. 0 is no epoch: memory
/// that was wiped must not pass for an empty ring.
const MAX_EPOCH: u64 = u64::MAX >> 1;

impl<'m> Ring<'m> {
    /// Makes the words of `part` as new as the loads that follow. Every load of a reader that has to be fresh comes after
    /// one; in a mapping they all are.
    #[inline(always)]
    pub(crate) fn look(&self, part: Look) {
        if let Some(fetch) = self.fetch {
            fetch(part);
        }
    }

    /// The number that the page of `epoch` has now, for readers.
    #[inline(always)]
    pub(crate) fn look_at_epoch(&self, epoch: u64) -> u64 {
        self.look(Look::PageHeader(epoch));
        self.page(epoch).epoch().load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn page(&self, epoch: u64) -> Page<'m> {
        let words = self.geometry.page_words();
        let start = self.geometry.physical(epoch) * words;
        Page { words: &self.pages[start..start + words], index_len: self.geometry.index_len() }
    }

    /// The whole number of the page that `head` names, or `None` when HEAD has moved on (or the ring is damaged).
    #[inline(always)]
    pub(crate) fn epoch_of(&self, head: HeadWord) -> Option<u64> {
        self.page(head.tag()).epoch_as(head)
    }

    /// HEAD for readers: relaxed load and fence, so that a read-only mapping will do. `None`: it moved all the time, or
    /// the ring is damaged.
    pub(crate) fn head(&self) -> Option<Head> {
        // The fence of the second look comes after the first one's epoch: from the third on, HEAD is as new as that.
        for _ in 0..MISSES + 3 {
            self.look(Look::Head);
            let word = self.header.head.load(Relaxed);
            fence_at("read:head", Acquire);
            self.look(Look::PageHeader(word.tag()));
            if let Some(epoch) = self.epoch_of(word)
                && word.step() < self.geometry.page_count()
            {
                return Some(Head { epoch, count: word.count(), step: word.step() });
            }
        }
        None
    }

    /// The base_seq and clock words of page `epoch`, if it is still in the ring when they have been read.
    pub(crate) fn trusted_base(&self, epoch: u64) -> Option<TrustedPage> {
        if self.look_at_epoch(epoch) != epoch {
            return None;
        }
        let page = self.page(epoch);
        // Nobody asks for a page beyond the HEAD he has read, and HEAD published the base with the epoch.
        let base = page.base_seq().load(Relaxed);
        let clock = page.clock().map(|word| word.load(Relaxed));
        fence_at("read:base", Acquire);
        // The epoch alone is not enough: an opener stores the new base before the new epoch.
        if self.look_at_epoch(epoch) != epoch {
            return None;
        }
        let head = self.head()?;
        let known = head.known_of(epoch, &self.geometry);
        (head.oldest_epoch(&self.geometry) <= epoch).then_some(TrustedPage { base, clock, known })
    }

    pub(crate) fn judge(&self, slot: usize, owner: OwnerWord) -> Verdict {
        match self.slots.get(slot) {
            Some(slot) if self.saved => Evidence::from_number(slot.evidence.load(Relaxed)).into(),
            _ => (self.judge)(self.header, slot, owner),
        }
    }

    /// Those who announce the page of `epoch`, each by slot and announcement.
    pub(crate) fn inside(&self, epoch: u64) -> Vec<(usize, AnnounceWord)> {
        let used = (self.header.slots_high.load(Relaxed) as usize).min(self.slots.len());
        let announced = self.slots[..used].iter().map(|slot| slot.announce.load(Relaxed));
        announced.enumerate().filter(|(_, word)| word.is_page(epoch)).collect()
    }

    /// Is who announced `word` in that slot not known to have left it?
    pub(crate) fn may_be_inside(&self, slot: usize, word: AnnounceWord) -> bool {
        let words = &self.slots[slot];
        words.announce.load(Relaxed) == word && {
            let owner = words.owner.load(Relaxed);
            !owner.is_free() && !self.judge(slot, owner).is_dead()
        }
    }
}

/// What the header of a page said while the page was certainly in the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TrustedPage {
    pub(crate) base: u64,
    pub(crate) clock: [u64; 2],
    /// Entries that HEAD counted there.
    pub(crate) known: u32,
}

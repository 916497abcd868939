//! Append: reserve, fill, commit. docs/PROTOCOL.md has the states and who may make each transition.

#![forbid(unsafe_code)]

use crate::copy::Filler;
use crate::error::AppendError;
use crate::layout::{RECORD_HEADER_LEN, record_words};
use crate::level::Level;
use crate::record::{Field, Flags, Meta, Source, fields_len};
use crate::ring::{Page, RETRIES, Ring};
use crate::sync::{at, fence_at};
use crate::word::{AnnounceWord, EntryWord};
use atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A record about to be written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    #[allow(missing_docs)]
    pub level: Level,
    #[allow(missing_docs)]
    pub source: Source,
    #[allow(missing_docs)]
    pub flags: Flags,
    /// Typed fields that go in front of the payload.
    pub fields: &'a [Field<'a>],
}

impl Draft<'_> {
    /// A plain record of this level, from [`Source::Api`].
    pub const fn new(level: Level) -> Self {
        Self { level, source: Source::Api, flags: Flags::NONE, fields: &[] }
    }
}

/// A writer's hold on one slot of the table: the slot, and its last announcement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) slot: usize,
    pub(crate) announced: AnnounceWord,
}

/// A place in a page that is ours until it is committed; the announcement keeps the page from being reused.
pub(crate) struct Reservation<'m> {
    page: Page<'m>,
    epoch: u64,
    index: u32,
    offset: u32,
}

impl<'m> Ring<'m> {
    /// Appends one record and gives its sequence. `who` is (pid, tid); `extra` are fields in front of the draft's own,
    /// left out where the record would become too large with them.
    ///
    /// # Errors
    /// Too large, or all pages pinned; nothing was reserved then.
    #[inline]
    pub(crate) fn append(
        &self,
        hold: &mut Hold,
        who: (u32, u32),
        extra: &[Field<'_>],
        draft: &Draft<'_>,
        payload: &[&[u8]],
    ) -> Result<u64, AppendError> {
        let text: usize = payload.iter().map(|piece| piece.len()).sum();
        let mut lists = [extra, draft.fields];
        let mut fields = fields_len(lists);
        if fields + text > self.geometry.max_body() {
            lists[0] = &[];
            fields = fields_len(lists);
        }
        let len = fields + text;
        if len > self.geometry.max_body() {
            return Err(AppendError::TooLarge { len, limit: self.geometry.max_body() });
        }
        let words = record_words(len);
        let flags = if fields == 0 { draft.flags } else { draft.flags | Flags::FIELDS };
        let meta = Meta { len: len as u32, level: draft.level, source: draft.source, flags };
        let ticks = self.clock.ticks();

        let place = self.reserve(hold, words)?;
        self.fill(&place, words, (ticks, meta, who), lists, payload);
        Ok(self.commit(hold, place, text))
    }

    /// Stores the record's words into a place that is ours.
    #[inline(always)]
    pub(crate) fn fill(
        &self,
        place: &Reservation<'_>,
        words: u32,
        (ticks, meta, who): (u64, Meta, (u32, u32)),
        lists: [&[Field<'_>]; 2],
        payload: &[&[u8]],
    ) {
        let data = &place.page.data()[place.offset as usize..(place.offset + words) as usize];
        let mut filler = Filler::new(data, self.body);
        filler.header(ticks, meta.pack(), who.0, who.1);
        if meta.flags.contains(Flags::FIELDS) {
            filler.push(&((fields_len(lists) - 2) as u16).to_le_bytes());
            for field in lists.into_iter().flatten() {
                field.encode(&mut |bytes| filler.push(bytes));
            }
        }
        for piece in payload {
            filler.push(piece);
        }
        let stored = filler.finish();
        debug_assert_eq!(stored, words as usize, "{RECORD_HEADER_LEN} and {} bytes", meta.len);
    }

    #[inline(always)]
    pub(crate) fn reserve(&self, hold: &mut Hold, words: u32) -> Result<Reservation<'m>, AppendError> {
        let slot = &self.slots[hold.slot];
        let (index_len, data_words) = (self.geometry.index_len(), self.geometry.data_words());
        let mut misses = 0;
        loop {
            let head = self.header.head.load(at("append:head", Acquire));
            if head.closed() || head.count() >= index_len || head.offset() + words > data_words {
                self.advance(hold, head)?;
                continue;
            }
            // Whoever opened the page stored its epoch before HEAD said so: another tag means that HEAD has moved on.
            let Some(epoch) = self.epoch_of(head) else {
                misses += 1;
                if misses > RETRIES {
                    return Err(AppendError::Damaged);
                }
                // Who has seen the next epoch will see that HEAD was closed for it.
                fence_at("append:miss", Acquire);
                continue;
            };
            hold.announced = hold.announced.enter(epoch);
            slot.announce.store(hold.announced, at("append:announce", Release));
            let next = head.with_record(words);
            if self.header.head.compare_exchange(head, next, at("append:reserve", AcqRel), Relaxed).is_ok() {
                fence_at("append:fill", Release);
                return Ok(Reservation { page: self.page(epoch), epoch, index: head.count(), offset: head.offset() });
            }
        }
    }

    #[inline(always)]
    pub(crate) fn commit(&self, hold: &mut Hold, place: Reservation<'_>, text: usize) -> u64 {
        let slot = &self.slots[hold.slot];
        // The page is pinned by our announcement, so its base cannot change under us.
        let seq = place.page.base_seq().load(Relaxed).wrapping_add(place.index as u64);
        place.page.store_entry(place.index, EntryWord::new(place.epoch, place.offset), at("append:commit", Release));
        hold.announced = hold.announced.idle();
        slot.announce.store(hold.announced, at("append:idle", Release));
        // This slot has one writer, so a load and a store make an increment.
        slot.records.store(slot.records.load(Relaxed).wrapping_add(1), Relaxed);
        slot.bytes.store(slot.bytes.load(Relaxed).wrapping_add(text as u64), Relaxed);
        seq
    }
}

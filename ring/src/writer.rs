//! Append: reserve, fill, commit. docs/PROTOCOL.md has the states and who may make each transition.

#![forbid(unsafe_code)]

use crate::copy::{Filler, prefetch_ahead, store_plain};
use crate::error::AppendError;
use crate::layout::{RECORD_HEADER_LEN, Slot, record_words};
use crate::level::Level;
use crate::record::{FIELDS_LEN, Field, Flags, Meta, Source, encoded_len};
use crate::ring::{MISSES, Page, Ring};
use crate::sync::{at, fence_at};
use crate::turns::Loss;
use crate::word::{AnnounceWord, EntryWord, HeadWord, OwnerWord};
use atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A writer has the places of later records fetched: they were last written to a lap ago, so they are in nobody's cache, and
/// the exchange of HEAD waits for the stores that miss. Records that are longer than this, words, keep the processor busy for
/// long enough themselves.
const SMALL: u32 = 32;

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

/// Whom a record speaks for, where that is not the process that appends it: who writes down what another process has said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Origin<'a> {
    /// In the appending process's pid namespace; 0 for the kernel.
    pub pid: u32,
    #[allow(missing_docs)]
    pub tid: u32,
    /// Its name, if known; the first 15 bytes count.
    pub comm: Option<&'a [u8]>,
    /// The user it ran as, if known.
    pub uid: Option<u32>,
}

impl<'a> Origin<'a> {
    /// What goes in front of each of its records. Not an introduction: that has a start time, and speaks for all that
    /// follow on the page.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'a>> {
        self.comm.map(Field::Comm).into_iter().chain(self.uid.map(Field::Uid))
    }
}

/// A writer's hold on one slot of the table: the slot, and its last announcement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) slot: usize,
    /// What the slot's owner word says while it is ours.
    pub(crate) owner: OwnerWord,
    pub(crate) announced: AnnounceWord,
    /// HEAD's tag of the page on which this writer last wrote down who it is.
    pub(crate) introduced: u64,
    /// When it last lost the exchange of HEAD.
    pub(crate) lost: Loss,
}

impl Hold {
    /// No page has this tag: the next record introduces its writer.
    pub(crate) const NOT_YET: u64 = u64::MAX;
    /// The next records introduce nobody.
    pub(crate) const NEVER: u64 = u64::MAX - 1;
}

/// A place in a page that is ours until it is committed; the announcement keeps the page from being reused.
#[derive(Clone, Copy)]
pub(crate) struct Reservation<'m> {
    slot: &'m Slot,
    page: Page<'m>,
    epoch: u64,
    index: u32,
    offset: u32,
    words: u32,
}

/// Who a writer is, from its own slot: the fields in front of its first record on each page, so that a page tells who
/// wrote it when its writers are long gone. No system call. Copied once: what others do to the slot cannot change it.
pub(crate) struct Introduction {
    comm: [u8; 16],
    start: u64,
    uid: u32,
    /// What it adds to a record's body, bytes.
    len: usize,
}

impl Introduction {
    fn of(slot: &Slot, has_fields: bool) -> Self {
        let (start, uid) = (slot.start.load(Relaxed), slot.uid.load(Relaxed) as u32);
        let mut who = Self { comm: slot.name(), start, uid, len: 0 };
        who.len = encoded_len(&who.fields()) + if has_fields { 0 } else { FIELDS_LEN };
        who
    }

    fn fields(&self) -> [Field<'_>; 3] {
        let name = self.comm.split(|&byte| byte == 0).next().unwrap_or_default();
        [Field::Comm(name), Field::Start(self.start), Field::Uid(self.uid)]
    }
}

#[cold]
#[inline(never)]
fn push_fields(filler: &mut Filler<'_>, extra: &[Field<'_>], fields: &[Field<'_>]) {
    let bytes = encoded_len(extra) + encoded_len(fields);
    filler.push(&(bytes as u16).to_le_bytes());
    for field in extra.iter().chain(fields) {
        field.encode(&mut |bytes| filler.push(bytes));
    }
}

impl<'m> Ring<'m> {
    /// Appends one record and gives its sequence. `who` is (pid, tid).
    ///
    /// # Errors
    /// Too large, or all pages pinned; nothing was reserved then.
    #[inline(always)]
    pub(crate) fn append(
        &self,
        hold: &mut Hold,
        who: (u32, u32),
        draft: &Draft<'_>,
        payload: &[&[u8]],
    ) -> Result<u64, AppendError> {
        let text = payload.iter().fold(0usize, |sum, piece| sum.saturating_add(piece.len()));
        let fields = if draft.fields.is_empty() { 0 } else { FIELDS_LEN + encoded_len(draft.fields) };
        let len = text.saturating_add(fields);
        if len > self.geometry.max_body() {
            return Err(AppendError::TooLarge { len, limit: self.geometry.max_body() });
        }
        let mut ticks = if self.ticking { self.clock.ticks() } else { 0 };
        // Not a part of what is reserved: it would be moved about with it each time, and it is hardly ever there.
        let mut introduction = None;
        let place = self.reserve(hold, len, fields != 0, &mut introduction, &mut ticks)?;
        match &introduction {
            None => self.fill(place, ticks, len, who, &[], draft, payload),
            Some(introduction) => {
                hold.introduced = HeadWord::open(place.epoch).tag();
                self.fill_introduced(introduction, place, ticks, len, who, draft, payload);
            }
        }
        Ok(self.commit(hold, place, text))
    }

    #[cold]
    #[inline(never)]
    #[allow(clippy::too_many_arguments, reason = "the pieces of one record")]
    fn fill_introduced(
        &self,
        introduction: &Introduction,
        place: Reservation<'_>,
        ticks: u64,
        len: usize,
        who: (u32, u32),
        draft: &Draft<'_>,
        payload: &[&[u8]],
    ) {
        self.fill(place, ticks, len + introduction.len, who, &introduction.fields(), draft, payload);
    }

    /// Stores a record's words into a place that is ours: `len` bytes of the draft's fields and payload, and `extra` fields
    /// in front of them.
    #[inline(always)]
    #[allow(clippy::too_many_arguments, reason = "the pieces of one record")]
    pub(crate) fn fill(
        &self,
        place: Reservation<'_>,
        ticks: u64,
        len: usize,
        who: (u32, u32),
        extra: &[Field<'_>],
        draft: &Draft<'_>,
        payload: &[&[u8]],
    ) {
        let data = &place.page.data()[place.offset as usize..(place.offset + place.words) as usize];
        let has_fields = !extra.is_empty() || !draft.fields.is_empty();
        // Whether there are fields is for us to say, not for the caller.
        let flags = if has_fields { draft.flags | Flags::FIELDS } else { draft.flags.without(Flags::FIELDS) };
        let meta = Meta { len: len as u32, level: draft.level, source: draft.source, flags };
        if place.words <= SMALL {
            prefetch_ahead(data);
        }
        if let ([piece], false) = (payload, has_fields)
            && store_plain(data, ticks, meta.pack(), who, piece, self.body)
        {
            return;
        }
        let mut filler = Filler::new(data, self.body);
        filler.header(ticks, meta.pack(), who.0, who.1);
        if has_fields {
            push_fields(&mut filler, extra, draft.fields);
        }
        for piece in payload {
            filler.push(piece);
        }
        let stored = filler.finish();
        debug_assert_eq!(stored, place.words as usize, "{RECORD_HEADER_LEN} and {len} bytes");
    }

    /// Reserves room for a record of `len` bytes of fields and payload, and for the writer's introduction where it is due,
    /// which this gives then. `ticks` are the record's: they are taken anew if it has to wait.
    #[inline(always)]
    pub(crate) fn reserve(
        &self,
        hold: &mut Hold,
        len: usize,
        has_fields: bool,
        introduction: &mut Option<Introduction>,
        ticks: &mut u64,
    ) -> Result<Reservation<'m>, AppendError> {
        let slot = &self.slots[hold.slot];
        let (index_len, data_words) = (self.geometry.index_len(), self.geometry.data_words());
        let mut misses = 0;
        loop {
            let head = self.header.head.load(at("append:head", Acquire));
            let mut with_introduction = len;
            if hold.introduced == head.tag() {
                *introduction = None;
            } else {
                with_introduction += self.introduce(hold, len, has_fields, introduction);
            }
            let words = record_words(with_introduction);
            if head.closed() || head.count() >= index_len || head.offset() + words > data_words {
                self.advance(hold, head)?;
                continue;
            }
            // Whoever opened the page stored its epoch before HEAD said so: another tag means that HEAD has moved on.
            let page = self.page(head.tag());
            let Some(epoch) = page.epoch_as(head) else {
                misses += 1;
                if misses > MISSES {
                    self.announce_idle(hold);
                    return Err(AppendError::Damaged);
                }
                // Who has seen the next epoch will see that HEAD was closed for it.
                fence_at("head:miss", Acquire);
                continue;
            };
            hold.announced = hold.announced.enter(epoch);
            slot.announce.store(hold.announced, at("append:announce", Release));
            let next = head.with_record(words);
            if self.header.head.compare_exchange(head, next, at("append:reserve", AcqRel), Relaxed).is_ok() {
                fence_at("append:fill", Release);
                return Ok(Reservation { slot, page, epoch, index: head.count(), offset: head.offset(), words });
            }
            if let Some(now) = self.lose(hold, head) {
                *ticks = if self.ticking { now } else { 0 };
            }
        }
    }

    /// Finds the introduction in front of a body of `len` bytes, and gives what it adds; none where both together would be
    /// too large.
    #[cold]
    #[inline(never)]
    fn introduce(&self, hold: &Hold, len: usize, has_fields: bool, introduction: &mut Option<Introduction>) -> usize {
        *introduction = None;
        if hold.introduced == Hold::NEVER {
            return 0;
        }
        let who = Introduction::of(&self.slots[hold.slot], has_fields);
        if len + who.len > self.geometry.max_body() {
            return 0;
        }
        introduction.insert(who).len
    }

    #[inline(always)]
    pub(crate) fn commit(&self, hold: &mut Hold, place: Reservation<'_>, text: usize) -> u64 {
        // The page is pinned by our announcement, so its base cannot change under us.
        let seq = place.page.base_seq().load(Relaxed).wrapping_add(place.index as u64);
        self.publish(&place);
        self.leave(hold, place.slot, text);
        self.wake_sleepers();
        seq
    }

    /// From here on the record is there.
    #[inline(always)]
    pub(crate) fn publish(&self, place: &Reservation<'_>) {
        place.page.store_entry(place.index, EntryWord::new(place.epoch, place.offset), at("append:commit", Release));
    }

    #[inline(always)]
    fn leave(&self, hold: &mut Hold, slot: &Slot, text: usize) {
        hold.announced = hold.announced.idle();
        slot.announce.store(hold.announced, at("append:idle", Release));
        // This slot has one writer, so a load and a store make an increment.
        slot.records.store(slot.records.load(Relaxed).wrapping_add(1), Relaxed);
        slot.bytes.store(slot.bytes.load(Relaxed).wrapping_add(text as u64), Relaxed);
    }
}

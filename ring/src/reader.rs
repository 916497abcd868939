//! Read: one cursor over the ring, which it never writes to. docs/PROTOCOL.md numbers the rules; so do the comments here.

#![forbid(unsafe_code)]

use crate::copy::{load_words, prefetch_to_read};
use crate::error::ReadError;
use crate::layout::record_words;
use crate::record::{Meta, Record, split_body};
use crate::ring::{Look, RETRIES, Ring, TrustedPage};
use crate::sync::fence_at;
use crate::word::{AnnounceWord, LeftOut};
use atomic::Ordering::{Acquire, Relaxed};

/// What a reader finds at its place. Every sequence comes out as exactly one of record, lost, abandoned and stalled.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Read<'a> {
    /// A record.
    Record(Record<'a>),
    /// `count` records from `first` on were overwritten before this reader came.
    Lost(Gap),
    /// The writer of the record died inside its append.
    Abandoned(Gap),
    /// The writer of the record is alive but stopped inside its append, and patience ended.
    Stalled(Gap),
    /// Nothing to read now. Then `in_flight` tells whether a record is reserved here and not committed yet.
    #[allow(missing_docs)]
    NotYet { in_flight: bool },
}

/// A run of sequences that a reader did not get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The first sequence of the run.
    pub first: u64,
    /// How many, at least 1.
    pub count: u64,
}

impl Gap {
    /// The last sequence of the run.
    pub const fn last(&self) -> u64 {
        self.first.wrapping_add(self.count - 1)
    }
}

/// What a reader has passed, in records. The sum is how far it has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Counts {
    pub read: u64,
    pub lost: u64,
    pub abandoned: u64,
    pub stalled: u64,
}

/// Where to start reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seek {
    /// The oldest record there is.
    Oldest,
    /// Behind the newest record: only what comes.
    Newest,
    /// This sequence. What is overwritten already will be reported lost; beyond the newest is the same as `Newest`.
    Seq(u64),
}

/// How long a reader stands before a record in flight, nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    /// Until it looks at the writers.
    pub(crate) scan_after: u64,
    /// Until a live writer's record counts as stalled.
    pub(crate) give_up_after: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self { scan_after: 1_000_000, give_up_after: 1_000_000_000 }
    }
}

/// How far in front of a record lie the words that are asked for meanwhile: caches do not look beyond a page of memory by
/// themselves, and the next records will be read soon.
const AHEAD: usize = 256;

/// A reader's own place. Nothing in it is derived from bytes that were not validated.
#[derive(Clone)]
pub(crate) struct Cursor {
    /// The page it stands on; 0: on none, the next step is a jump to the oldest.
    epoch: u64,
    index: u32,
    /// Entries of the page that are worth a look: those that HEAD counted when it was read last. All, for who is eager.
    known: u32,
    eager: bool,
    /// The next sequence.
    seq: u64,
    clock: [u64; 2],
    hole: Option<Hole>,
    /// Jumps since a page was read to its end; the margin of the next jump.
    jumps: u64,
    pub(crate) patience: Patience,
    pub(crate) counts: Counts,
}

/// A record in flight: since when we wait, and who could still commit it.
#[derive(Clone)]
struct Hole {
    seq: u64,
    since: u64,
    suspects: Option<Vec<(usize, AnnounceWord)>>,
}

/// What rule 1 says of the entry before which the cursor stands.
pub(crate) enum Entry {
    /// Committed; its record is copied.
    Record(Meta),
    Uncommitted,
    /// The page went to another epoch meanwhile.
    Overwritten,
    /// Committed, and no record.
    Bad,
}

/// One step of the cursor from an entry that gave no record.
enum Step {
    Found(Found),
    Moved,
}

#[derive(Clone, Copy)]
enum Found {
    Lost(Gap),
    Abandoned(Gap),
    Stalled(Gap),
    NotYet { in_flight: bool },
}

/// The half of rule 2 that says what an uncommitted entry means.
enum Uncommitted {
    End,
    InFlight,
    NextPage(u64, TrustedPage),
    Lapped,
    Again,
}

impl Cursor {
    /// A cursor before sequence `seq`, on no page yet.
    pub(crate) fn at(seq: u64) -> Self {
        Self {
            epoch: 0,
            index: 0,
            known: 0,
            eager: false,
            seq,
            clock: [0; 2],
            hole: None,
            jumps: 0,
            patience: Patience::default(),
            counts: Counts::default(),
        }
    }

    /// The next sequence this cursor will give.
    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    /// Is there something new: the next record, or the page behind mine? HEAD is left to the writers, but by who does not
    /// map the ring. Who stands before a record in flight knows of that page, and asks for the record alone.
    #[cfg(not(all(test, loom)))]
    pub(crate) fn stirs(&self, ring: &Ring<'_>) -> bool {
        if self.epoch == 0 {
            return true;
        }
        let awaits = self.hole.is_some();
        if ring.fetch.is_some() {
            return !awaits && ring.head().is_none_or(|head| head.epoch != self.epoch || head.count > self.index);
        }
        let page = ring.page(self.epoch);
        self.index < self.known && page.load_entry(self.index).offset_in(self.epoch).is_some()
            || !awaits && ring.look_at_epoch(self.epoch + 1) > self.epoch
    }

    /// Whether it looks at entries that HEAD did not count when it was read last: sooner there, and always on the heels of
    /// the writers.
    pub(crate) fn set_eager(&mut self, ring: &Ring<'_>, eager: bool) {
        self.eager = eager;
        if eager && self.epoch != 0 {
            self.known = ring.geometry.index_len();
        }
    }

    /// Records that come next on the page on which HEAD was when it was read last: their writers are at work close by.
    #[cfg(not(all(test, loom)))]
    pub(crate) fn fresh(&self, ring: &Ring<'_>) -> u32 {
        if self.known < ring.geometry.index_len() { self.known.saturating_sub(self.index) } else { 0 }
    }

    /// When it was last asked, was the next record in flight?
    #[cfg(not(all(test, loom)))]
    pub(crate) fn awaits_commit(&self) -> bool {
        self.hole.is_some()
    }

    /// The page it stands on, 0 for none, and the place of the next record there.
    #[cfg(not(all(test, loom)))]
    pub(crate) fn place(&self) -> (u64, u32) {
        (self.epoch, self.index)
    }

    /// Would `next` give something? Then it stands as before; else it has come as far as `next` would.
    #[cfg(not(all(test, loom)))]
    pub(crate) fn peek(&mut self, ring: &Ring<'_>, buf: &mut [u64]) -> Result<bool, ReadError> {
        let before = self.clone();
        let entry = self.entry(ring, buf, true);
        match self.next_from(ring, buf, entry) {
            Ok(Read::NotYet { .. }) => return Ok(false),
            Ok(_) | Err(ReadError::BadRecord { .. }) => {}
            Err(error) => return Err(error),
        }
        *self = before;
        Ok(true)
    }

    /// The next record or gap; copies the record's words to `buf`, which has room for the largest.
    #[cfg(test)]
    pub(crate) fn next<'b>(&mut self, ring: &Ring<'_>, buf: &'b mut [u64]) -> Result<Read<'b>, ReadError> {
        let entry = self.entry(ring, buf, true);
        self.next_from(ring, buf, entry)
    }

    /// The next record or gap, from what [`Cursor::entry`] came to. Who wants records fast asks for [`Cursor::dress`] where
    /// that is one.
    pub(crate) fn next_from<'b>(
        &mut self,
        ring: &Ring<'_>,
        buf: &'b mut [u64],
        mut entry: Entry,
    ) -> Result<Read<'b>, ReadError> {
        for _ in 0..RETRIES {
            let found = match entry {
                Entry::Record(meta) => return Ok(Read::Record(self.dress(ring, meta, buf))),
                other => match self.step(ring, other)? {
                    Step::Found(found) => found,
                    Step::Moved => {
                        entry = self.entry(ring, buf, true);
                        continue;
                    }
                },
            };
            return Ok(match found {
                Found::NotYet { in_flight } => Read::NotYet { in_flight },
                Found::Lost(gap) => {
                    self.counts.lost = self.counts.lost.saturating_add(gap.count);
                    Read::Lost(gap)
                }
                Found::Abandoned(gap) => {
                    self.counts.abandoned += 1;
                    self.pass();
                    Read::Abandoned(gap)
                }
                Found::Stalled(gap) => {
                    self.counts.stalled += 1;
                    self.pass();
                    Read::Stalled(gap)
                }
            });
        }
        // The ring moved under every single look: as good as nothing, the caller comes again.
        Ok(Read::NotYet { in_flight: true })
    }

    /// As if `read` had not been given, for a ring that went away meanwhile: the cursor is good for nothing more.
    #[cold]
    pub(crate) fn take_back(&mut self, read: &Read<'_>) {
        let (first, count, counter) = match read {
            Read::Record(record) => (record.seq, 1, &mut self.counts.read),
            Read::Lost(gap) => (gap.first, gap.count, &mut self.counts.lost),
            Read::Abandoned(gap) => (gap.first, gap.count, &mut self.counts.abandoned),
            Read::Stalled(gap) => (gap.first, gap.count, &mut self.counts.stalled),
            Read::NotYet { .. } => return,
        };
        *counter = counter.saturating_sub(count);
        self.seq = first;
    }

    #[inline(always)]
    fn pass(&mut self) {
        self.seq = self.seq.wrapping_add(1);
        self.index += 1;
        self.hole = None;
    }

    /// The record that [`Cursor::entry`] copied to `buf`, and a step behind it.
    #[inline(always)]
    pub(crate) fn dress<'b>(&mut self, ring: &Ring<'_>, meta: Meta, buf: &'b [u64]) -> Record<'b> {
        let (mono_ns, real_ns) = ring.clock.convert(buf[0], self.clock);
        let bytes: &[u8] = bytemuck::cast_slice(buf);
        let body = &bytes[crate::layout::RECORD_HEADER_LEN..][..meta.len as usize];
        let (fields, payload) = split_body(meta.flags, body);
        let record = Record {
            seq: self.seq,
            mono_ns,
            real_ns,
            pid: (buf[1] >> 32) as u32,
            tid: buf[2] as u32,
            level: meta.level,
            source: meta.source,
            flags: meta.flags,
            fields,
            payload,
        };
        self.counts.read += 1;
        self.pass();
        record
    }

    /// Rule 1: committed in my page's epoch? `anew`: what a private copy lacks is looked for in the ring.
    #[inline(always)]
    pub(crate) fn entry(&mut self, ring: &Ring<'_>, buf: &mut [u64], anew: bool) -> Entry {
        if self.index >= self.known {
            return Entry::Uncommitted;
        }
        let page = ring.page(self.epoch);
        let mut entry = page.load_entry(self.index);
        // What a private copy holds of a page stays good.
        if anew && ring.fetch.is_some() && entry.offset_in(self.epoch).is_none() {
            // A page is much to copy, only to find that nothing came.
            if ring.head().is_some_and(|head| head.epoch == self.epoch && head.count <= self.index) {
                return Entry::Uncommitted;
            }
            ring.look(Look::Page(self.epoch));
            entry = page.load_entry(self.index);
        }
        fence_at("read:entry", Acquire);
        let Some(offset) = entry.offset_in(self.epoch) else { return Entry::Uncommitted };
        let meta = self.copy(ring, offset, buf);
        fence_at("read:record", Acquire);
        if page.epoch().load(Relaxed) != self.epoch {
            return Entry::Overwritten;
        }
        meta.map_or(Entry::Bad, Entry::Record)
    }

    fn step(&mut self, ring: &Ring<'_>, entry: Entry) -> Result<Step, ReadError> {
        match entry {
            Entry::Overwritten => return self.jump(ring),
            Entry::Bad => {
                let seq = self.seq;
                self.counts.lost = self.counts.lost.saturating_add(1);
                self.pass();
                return Err(ReadError::BadRecord { seq });
            }
            _ if self.epoch == 0 => return self.jump(ring),
            _ => {}
        }
        // Rule 2: what does it mean that it is not?
        match self.uncommitted(ring)? {
            Uncommitted::End => {
                self.hole = None;
                Ok(Step::Found(Found::NotYet { in_flight: false }))
            }
            Uncommitted::NextPage(epoch, page) => {
                self.enter(ring, epoch, page);
                self.jumps = 0;
                Ok(Step::Moved)
            }
            Uncommitted::Lapped => self.jump(ring),
            Uncommitted::Again => Ok(Step::Moved),
            Uncommitted::InFlight if self.index >= ring.geometry.index_len() => {
                Err(self.damaged("a page holds more records than its index"))
            }
            Uncommitted::InFlight if ring.saved => Ok(self.left_out(ring)),
            Uncommitted::InFlight => self.in_flight(ring),
        }
    }

    /// Copies the record at `offset` to `buf`. `None`: these bytes are no record, torn or damaged.
    #[inline(always)]
    fn copy(&self, ring: &Ring<'_>, offset: u32, buf: &mut [u64]) -> Option<Meta> {
        let data = ring.page(self.epoch).data().get(offset as usize..)?;
        let header = data.get(..3)?;
        let meta = Meta::unpack(header[1].load(Relaxed) as u32)?;
        let words = record_words(meta.len as usize).max(3) as usize;
        for line in [AHEAD, AHEAD + 8] {
            if let Some(word) = data.get(line) {
                prefetch_to_read(word);
            }
        }
        load_words(data.get(..words)?, buf.get_mut(..words)?, ring.body);
        // The length that was copied is the one that counts.
        Meta::unpack(buf[1] as u32).filter(|copied| copied.len == meta.len)
    }

    fn enter(&mut self, ring: &Ring<'_>, epoch: u64, page: TrustedPage) {
        (self.epoch, self.index, self.clock, self.hole) = (epoch, 0, page.clock, None);
        self.known = if self.eager { ring.geometry.index_len() } else { page.known };
    }

    fn damaged(&self, what: &'static str) -> ReadError {
        ReadError::Damaged { seq: self.seq, what }
    }

    /// Rule 2. Walks from my page towards HEAD to the first page that is not older than its place.
    fn uncommitted(&mut self, ring: &Ring<'_>) -> Result<Uncommitted, ReadError> {
        let Some(head) = ring.head() else { return self.unsettled(ring) };
        if head.epoch == self.epoch && head.count <= self.index {
            return Ok(Uncommitted::End);
        }
        if head.epoch < self.epoch {
            return Err(self.damaged("the ring went backwards"));
        }
        let known = head.known_of(self.epoch, &ring.geometry);
        if (self.known..known).contains(&self.index) {
            self.known = known;
            return Ok(Uncommitted::Again);
        }
        if head.epoch == self.epoch {
            return Ok(Uncommitted::InFlight);
        }
        if ring.look_at_epoch(self.epoch) != self.epoch {
            return Ok(Uncommitted::Lapped);
        }
        let last = head.epoch.min(self.epoch + ring.geometry.page_count() as u64 - 1);
        for epoch in self.epoch + 1..=last {
            let found = ring.look_at_epoch(epoch);
            if found > epoch {
                return Ok(Uncommitted::Lapped);
            }
            if found == epoch {
                // A page that is held for a stopped writer keeps its number: out of the ring, it says nothing.
                if epoch < head.oldest_epoch(&ring.geometry) {
                    return Ok(Uncommitted::Lapped);
                }
                let Some(page) = ring.trusted_base(epoch) else { return Ok(Uncommitted::Again) };
                return match page.base.cmp(&self.seq) {
                    std::cmp::Ordering::Equal => Ok(Uncommitted::NextPage(epoch, page)),
                    std::cmp::Ordering::Greater => Ok(Uncommitted::InFlight),
                    std::cmp::Ordering::Less => Err(self.damaged("a page begins before the one in front of it ends")),
                };
            }
        }
        // No successor within a lap: everything there was is gone.
        Ok(Uncommitted::Lapped)
    }

    /// HEAD and its page did not agree for many looks. Moving is fine, standing still is damage.
    fn unsettled(&self, ring: &Ring<'_>) -> Result<Uncommitted, ReadError> {
        ring.look(Look::Head);
        let before = ring.header.head.load(Relaxed);
        if ring.head().is_none() && ring.header.head.load(Relaxed) == before {
            return Err(self.damaged("HEAD names a page that does not exist"));
        }
        Ok(Uncommitted::Again)
    }

    /// A saved ring says what became of a record that is not in it.
    fn left_out(&mut self, ring: &Ring<'_>) -> Step {
        let gap = Gap { first: self.seq, count: 1 };
        Step::Found(match LeftOut::of(ring.page(self.epoch).load_entry(self.index)) {
            LeftOut::Abandoned => Found::Abandoned(gap),
            LeftOut::Stalled => Found::Stalled(gap),
            LeftOut::Lost => {
                self.pass();
                Found::Lost(gap)
            }
        })
    }

    /// Rule 3: a record in flight, or a hole that nobody will ever fill.
    fn in_flight(&mut self, ring: &Ring<'_>) -> Result<Step, ReadError> {
        let waiting = Ok(Step::Found(Found::NotYet { in_flight: true }));
        let now = if self.patience.give_up_after == 0 { 0 } else { crate::clock::monotonic_ns() };
        let seq = self.seq;
        let hole = self.hole.get_or_insert(Hole { seq, since: now, suspects: None });
        if hole.seq != seq {
            *hole = Hole { seq, since: now, suspects: None };
        }
        let waited = now.saturating_sub(hole.since);
        if waited < self.patience.scan_after {
            return waiting;
        }
        // The count was read before (read:head); now everybody who is inside this page could be the one.
        let epoch = self.epoch;
        ring.look(Look::Writers);
        let suspects = hole.suspects.get_or_insert_with(|| ring.inside(epoch));
        suspects.retain(|&(slot, word)| ring.may_be_inside(slot, word));
        let alive = !suspects.is_empty();
        if alive {
            let lag = ring.head().map_or(0, |head| head.epoch.saturating_sub(epoch));
            if waited < self.patience.give_up_after && lag < ring.geometry.page_count() as u64 / 2 {
                return waiting;
            }
        }
        fence_at("hole:announce", Acquire);
        // The second look: it may have been committed before its writer left.
        ring.look(Look::Page(epoch));
        let page = ring.page(epoch);
        if page.load_entry(self.index).offset_in(epoch).is_some() {
            return Ok(Step::Moved);
        }
        fence_at("hole:entry", Acquire);
        if ring.look_at_epoch(epoch) != epoch {
            return self.jump(ring);
        }
        let gap = Gap { first: seq, count: 1 };
        Ok(Step::Found(if alive { Found::Stalled(gap) } else { Found::Abandoned(gap) }))
    }

    /// Rule 4: lapped, or on no page yet. Goes to the oldest page behind mine whose base can be trusted.
    fn jump(&mut self, ring: &Ring<'_>) -> Result<Step, ReadError> {
        let pages = ring.geometry.page_count() as u64;
        for _ in 0..RETRIES {
            let Some(head) = ring.head() else {
                self.unsettled(ring)?;
                continue;
            };
            if head.epoch <= self.epoch {
                return Err(self.damaged("the ring went backwards"));
            }
            let oldest = head.oldest_epoch(&ring.geometry).max(self.epoch + 1).min(head.epoch);
            let find = |first: u64| (first..=head.epoch).find_map(|epoch| Some((epoch, ring.trusted_base(epoch)?)));
            let Some(mut found) = find(oldest) else { continue };
            // Who is lapped again and again lands further ahead each time, but gives up nothing where nothing is lost.
            let margin = self.jumps.min(pages / 4);
            if found.1.base > self.seq && margin > 0 {
                let Some(further) = find((oldest + margin).min(head.epoch)) else { continue };
                found = further;
            }
            let (epoch, page) = found;
            if page.base < self.seq && self.epoch != 0 {
                return Err(self.damaged("a later page begins before this place"));
            }
            let lost = page.base.saturating_sub(self.seq);
            if self.epoch != 0 {
                self.jumps += 1;
            }
            let first = self.seq;
            self.enter(ring, epoch, page);
            self.seq = page.base;
            return Ok(match lost {
                0 => Step::Moved,
                count => Step::Found(Found::Lost(Gap { first, count })),
            });
        }
        Ok(Step::Found(Found::NotYet { in_flight: true }))
    }

    /// Places the cursor; gives the sequence it stands before. Counts start anew.
    pub(crate) fn seek(&mut self, ring: &Ring<'_>, to: Seek) -> Result<u64, ReadError> {
        let (patience, eager) = (self.patience, self.eager);
        *self = Self { patience, eager, ..Self::at(0) };
        for _ in 0..RETRIES {
            let Some(head) = ring.head() else {
                self.unsettled(ring)?;
                continue;
            };
            let Some(newest) = ring.trusted_base(head.epoch) else { continue };
            let next_seq = newest.base.wrapping_add(head.count as u64);
            let oldest = head.oldest_epoch(&ring.geometry);
            let mut trusted = (oldest..=head.epoch).filter_map(|epoch| Some((epoch, ring.trusted_base(epoch)?)));
            let place = match to {
                Seek::Newest => Some((head.epoch, newest, head.count, next_seq)),
                Seek::Seq(seq) if seq >= next_seq => Some((head.epoch, newest, head.count, next_seq)),
                Seek::Oldest => trusted.next().map(|(epoch, page)| (epoch, page, 0, page.base)),
                Seek::Seq(seq) => match trusted.take_while(|(_, page)| page.base <= seq).last() {
                    // A page in between may just have gone: look again.
                    Some((_, page)) if seq - page.base >= ring.geometry.index_len() as u64 => continue,
                    Some((epoch, page)) => Some((epoch, page, (seq - page.base) as u32, seq)),
                    None => {
                        // Overwritten already: the first step is a jump, which reports what is lost.
                        self.seq = seq;
                        return Ok(seq);
                    }
                },
            };
            let Some((epoch, page, index, seq)) = place else { continue };
            self.enter(ring, epoch, page);
            (self.index, self.seq) = (index, seq);
            return Ok(seq);
        }
        Err(self.damaged("no page of the ring can be read"))
    }
}

/// The ends of the log at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The oldest record that can still be read (equal to `next_seq` when there is none).
    pub oldest_seq: u64,
    /// The sequence that the next record will get: so many were reserved so far.
    pub next_seq: u64,
}

impl Ring<'_> {
    /// Both ends of the log, or `None` when the ring is damaged.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        for _ in 0..RETRIES {
            // Who has not found HEAD's page in so many looks will not find it in more.
            let head = self.head()?;
            let Some(newest) = self.trusted_base(head.epoch) else { continue };
            let next_seq = newest.base.wrapping_add(head.count as u64);
            let oldest = head.oldest_epoch(&self.geometry);
            let Some(page) = (oldest..=head.epoch).find_map(|epoch| self.trusted_base(epoch)) else { continue };
            // Bases grow with their pages: other ends contradict each other.
            return (page.base <= next_seq).then_some(Bounds { oldest_seq: page.base, next_seq });
        }
        None
    }
}

//! Unfinished lines: room behind the pages for text that is no record yet, so that it outlives its writer.
//!
//! A place belongs to whom its holder word names, by slot and owner. What the holder leaves in it when he dies is taken by
//! whoever finds him dead, who appends it. Nobody trusts the words: a length is bounded before it is used.

#![forbid(unsafe_code)]

use crate::copy::{Body, Filler, load_words};
use crate::evidence::Verdict;
use crate::layout::LineHeader;
use crate::level::Level;
use crate::record::Source;
use crate::ring::{Look, Ring};
use crate::sync::{Atomic, at, fence_at};
use crate::word::OwnerWord;
use atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Places for unfinished lines, over borrowed words.
#[derive(Clone, Copy)]
pub(crate) struct Unfinished<'m> {
    pub(crate) headers: &'m [LineHeader],
    pub(crate) texts: &'m [Atomic<u64>],
}

/// A writer, named by the slot that he owns and by the owner word in it, as far as that fits. 0 is nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Holder(u64);

impl Holder {
    pub(crate) const NOBODY: Self = Self(0);
    /// Nobody's, and not free: no owner of slot 0 has such a pid.
    pub(crate) const GONE: Self = Self(1);
    const SLOT: u32 = 54;
    const PID: u32 = 32;
    const IMAGE: u32 = 24;

    pub(crate) fn new(slot: usize, owner: OwnerWord) -> Self {
        let start = owner.start() & ((1 << Self::IMAGE) - 1);
        let owner = u64::from(owner.pid()) << Self::PID | u64::from(owner.image()) << Self::IMAGE | start;
        Self((slot as u64) << Self::SLOT | owner)
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    pub(crate) fn slot(self) -> usize {
        (self.0 >> Self::SLOT) as usize
    }

    /// Is he gone? `None` if he may be alive. The verdict is kept by whoever acts on it.
    fn gone(self, ring: &Ring<'_>) -> Option<Option<Verdict>> {
        let Some(slot) = ring.slots.get(self.slot()) else { return Some(None) };
        // Whoever freed his slot had found him dead, and we have then seen all that he wrote.
        let owner = slot.owner.load(at("line:owner", Acquire));
        if !self.owns(owner) {
            return Some(None);
        }
        let verdict = ring.judge(self.slot(), owner);
        verdict.is_dead().then_some(Some(verdict))
    }

    pub(crate) fn owns(self, owner: OwnerWord) -> bool {
        !owner.is_free() && Self::new(self.slot(), owner) == self
    }
}

/// What is known of a line beside its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LineOf {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    pub(crate) uid: u32,
    pub(crate) comm: [u64; 2],
}

/// A line that somebody left behind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Left {
    pub(crate) of: LineOf,
    pub(crate) level: Level,
    pub(crate) source: Source,
    pub(crate) ticks: u64,
    pub(crate) text: Vec<u8>,
    /// Its holder is not known to be dead. Only where those of everybody were asked for.
    pub(crate) alive: bool,
}

/// A line at its place.
pub(crate) struct Placed {
    pub(crate) place: usize,
    stand: Stand,
    pub(crate) left: Left,
}

impl Placed {
    pub(crate) fn holder(&self) -> Holder {
        self.stand.holder
    }
}

/// How a line stands. The same again means that nothing was done to it, for nobody adds to a line twice at one time.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stand {
    holder: Holder,
    meta: u64,
    ticks: u64,
}

impl<'m> Unfinished<'m> {
    pub(crate) fn places(&self) -> usize {
        self.headers.len()
    }

    /// Does anybody hold a place?
    pub(crate) fn is_unused(&self) -> bool {
        self.headers.iter().all(|header| header.holder.load(Relaxed) == 0)
    }

    /// The places that somebody holds, by when their lines were last added to.
    pub(crate) fn by_time(&self) -> Vec<usize> {
        let is_held = |i: &usize| self.headers[*i].holder.load(Relaxed) != 0;
        let mut places: Vec<usize> = (0..self.headers.len()).filter(is_held).collect();
        places.sort_by_key(|&i| self.headers[i].ticks.load(Relaxed));
        places
    }

    /// Is there no place left?
    pub(crate) fn is_full(&self) -> bool {
        self.headers.iter().all(|header| header.holder.load(Relaxed) != 0)
    }

    fn text(&self, i: usize) -> &'m [Atomic<u64>] {
        let words = self.texts.len() / self.headers.len();
        &self.texts[i * words..(i + 1) * words]
    }

    /// The longest text of a line, bytes; 0 where there is no place.
    pub(crate) fn longest(&self) -> usize {
        self.texts.len().checked_div(self.headers.len()).unwrap_or(0) * 8
    }

    /// Takes a free place, one near `first` if there is a choice. `None`: there is none.
    pub(crate) fn claim(&self, holder: Holder, first: usize) -> Option<usize> {
        let count = self.headers.len();
        (0..count).map(|i| first.wrapping_add(i) % count).find(|&i| {
            let cell = &self.headers[i].holder;
            cell.load(Relaxed) == 0 && cell.compare_exchange(0, holder.0, at("line:claim", AcqRel), Relaxed).is_ok()
        })
    }

    /// Does `holder` have any place?
    pub(crate) fn has_any(&self, holder: Holder) -> bool {
        self.headers.iter().any(|header| header.holder.load(Relaxed) == holder.0)
    }

    pub(crate) fn is_held(&self, i: usize, holder: Holder) -> bool {
        self.headers.get(i).is_some_and(|header| header.holder.load(Relaxed) == holder.0)
    }

    /// Begins a line of `of` in place `i`.
    pub(crate) fn begin(&self, i: usize, of: &LineOf) {
        let header = &self.headers[i];
        // Who dies from here on has said nothing, rather than something of this line and something of the last.
        header.meta.store(0, Relaxed);
        fence_at("line:anew", Release);
        header.who.store(u64::from(of.pid) | u64::from(of.tid) << 32, Relaxed);
        header.uid.store(of.uid.into(), Relaxed);
        for (cell, half) in header.comm.iter().zip(of.comm) {
            cell.store(half, Relaxed);
        }
    }

    /// Makes the line in place `i` `text`, which is no longer than the longest, and whose first `from` bytes it has already.
    pub(crate) fn store(&self, i: usize, from: usize, text: &[u8], ticks: u64, kind: (Level, Source)) {
        let (header, words) = (&self.headers[i], self.text(i));
        let whole = from / 8;
        let mut filler = Filler::new(&words[whole..text.len().div_ceil(8)], Body::Words);
        filler.push(&text[whole * 8..]);
        filler.finish();
        header.ticks.store(ticks, Relaxed);
        let meta = u64::from(kind.0.number()) << 32 | (kind.1 as u64) << 40 | text.len() as u64;
        header.meta.store(meta, at("line:text", Release));
    }

    /// Gives place `i` back.
    pub(crate) fn free(&self, i: usize) {
        let header = &self.headers[i];
        header.meta.store(0, Relaxed);
        header.holder.store(0, at("line:free", Release));
    }

    /// Leaves place `i` with its text, as that of nobody who lives: the next who looks takes it.
    pub(crate) fn forsake(&self, i: usize) {
        self.headers[i].holder.store(Holder::GONE.0, Relaxed);
    }

    /// The same with every place of `holder`.
    pub(crate) fn forsake_all(&self, holder: Holder) {
        (0..self.headers.len()).filter(|&i| self.is_held(i, holder)).for_each(|i| self.forsake(i));
    }

    /// Whose place `i` is. Who reads that of somebody reads his slot as it was when he had claimed it, or newer.
    fn holder(&self, i: usize) -> Holder {
        Holder(self.headers[i].holder.load(at("line:holder", Acquire)))
    }

    /// Lines of those who are gone, for who only reads. Each may be taken meanwhile by somebody who appends it. `all`: of
    /// everybody, where nobody will go on.
    pub(crate) fn left(&self, ring: &Ring<'_>, all: bool) -> Vec<Left> {
        self.placed(ring, all).into_iter().map(|placed| placed.left).collect()
    }

    /// As [`Unfinished::left`], with the places.
    pub(crate) fn placed(&self, ring: &Ring<'_>, all: bool) -> Vec<Placed> {
        // How the lines stand comes first and last, the writers' table and the texts in between: also where each look is a
        // copy. Who begins a line meanwhile, adds to it or ends it changes how it stands.
        ring.look(Look::LineHeaders);
        let mut held: Vec<_> = (0..self.headers.len()).map(|i| (i, self.stand(i))).collect();
        held.retain(|(_, stand)| stand.holder != Holder::NOBODY);
        if held.is_empty() {
            return Vec::new();
        }
        ring.look(Look::Writers);
        let mut held: Vec<_> =
            held.into_iter().map(|(i, stand)| (i, stand, stand.holder.gone(ring).is_none())).collect();
        held.retain(|&(.., alive)| all || !alive);
        if held.is_empty() {
            return Vec::new();
        }
        ring.look(Look::Lines);
        let load = |(i, stand, alive)| Some(Placed { place: i, stand, left: Left { alive, ..self.load(i)? } });
        let mut placed: Vec<_> = held.into_iter().filter_map(load).collect();
        fence_at("line:look", Acquire);
        ring.look(Look::LineHeaders);
        placed.retain(|placed| self.stand(placed.place) == placed.stand);
        placed
    }

    /// Does the line still stand as it did? In a ring that is copied, `Look::LineHeaders` comes before.
    pub(crate) fn stands(&self, placed: &Placed) -> bool {
        self.stand(placed.place) == placed.stand
    }

    fn stand(&self, i: usize) -> Stand {
        let header = &self.headers[i];
        Stand { holder: self.holder(i), meta: header.meta.load(Relaxed), ticks: header.ticks.load(Relaxed) }
    }

    /// Makes place `i` that of `mine` if its holder is gone, and gives what he left. Of several who try one succeeds, and if
    /// he dies before he has freed it, the place is again that of somebody gone.
    pub(crate) fn take(&self, ring: &Ring<'_>, i: usize, mine: Holder) -> Option<Left> {
        let (cell, holder) = (&self.headers[i].holder, self.holder(i));
        if holder == Holder::NOBODY || holder == mine {
            return None;
        }
        let verdict = holder.gone(ring)?;
        cell.compare_exchange(holder.0, mine.0, Relaxed, Relaxed).ok()?;
        // Without a verdict on himself he may have given slot and place back while we looked, and have taken both again.
        let owner = ring.slots.get(holder.slot()).map(|slot| slot.owner.load(Relaxed));
        if verdict.is_none() && owner.is_some_and(|owner| holder.owns(owner)) {
            let _ = cell.compare_exchange(mine.0, holder.0, Relaxed, Relaxed);
            return None;
        }
        let left = self.load(i);
        if left.is_none() {
            self.free(i);
        }
        left
    }

    /// What is in place `i`; `None` if that is nothing.
    fn load(&self, i: usize) -> Option<Left> {
        let (header, words) = (&self.headers[i], self.text(i));
        let meta = header.meta.load(Relaxed);
        let len = (meta as u32 as usize).min(words.len() * 8);
        if len == 0 {
            return None;
        }
        let mut copy = vec![0; len.div_ceil(8)];
        load_words(&words[..copy.len()], &mut copy, Body::Words);
        let mut text: Vec<u8> = copy.into_iter().flat_map(u64::to_le_bytes).collect();
        text.truncate(len);
        let who = header.who.load(Relaxed);
        // What is no level and no source is damage, and the text is still worth having.
        let (level, source) = ((meta >> 32) as u8, (meta >> 40) as u8);
        Some(Left {
            of: LineOf {
                pid: who as u32,
                tid: (who >> 32) as u32,
                uid: header.uid.load(Relaxed) as u32,
                comm: header.comm.each_ref().map(|half| half.load(Relaxed)),
            },
            level: Level::new(level).unwrap_or(Level::INFO),
            source: Source::from_number(source).unwrap_or(Source::Api),
            ticks: header.ticks.load(Relaxed),
            text,
            alive: false,
        })
    }
}

#[cfg(all(test, loom))]
impl LineHeader {
    pub(crate) fn free() -> Self {
        let word = || Atomic::new(0);
        let comm = [word(), word()];
        Self { holder: word(), who: word(), meta: word(), ticks: word(), comm, uid: word(), reserved: 0 }
    }
}

impl LineOf {
    /// The name, without the zeros behind it.
    pub(crate) fn name(&self) -> Vec<u8> {
        let bytes: Vec<u8> = self.comm.into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
    }
}

//! The text of unfinished lines, kept in the ring's file while its writer lives, and found there when he is dead.

#![forbid(unsafe_code)]

use crate::error::{AppendError, ReadError};
use crate::follow::Reader;
use crate::handle::Log;
use crate::level::Level;
use crate::process::{pid_of, tid};
use crate::record::{Field, Flags, Source, Value};
use crate::unfinished::{Holder, Left, LineOf};
use crate::writer::{Draft, Origin};
use atomic::Ordering::Relaxed;

/// The key of the field that says when last words were written, CLOCK_REALTIME nanoseconds; the record's own time is when
/// they were found.
pub const WRITTEN: &str = "written_ns";
/// Room in a record for the fields that last words get.
const FIELDS: usize = 64;

/// Where the ring's file keeps an unfinished line of ours. All zeros are: nowhere yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct Kept {
    holder: u64,
    /// The place plus 1; 0 for none.
    place: u32,
    /// How many bytes of the line are there.
    len: u32,
}

impl Kept {
    /// Nowhere yet.
    pub const NOWHERE: Self = Self { holder: 0, place: 0, len: 0 };

    /// Is a line kept?
    pub const fn is_somewhere(&self) -> bool {
        self.place != 0
    }

    /// The line that is kept next is another one, not a continuation.
    pub const fn begin_anew(&mut self) {
        self.len = 0;
    }
}

/// What a writer had not finished when it died, as a reader finds it that cannot append it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct LastWords {
    /// In its own pid namespace.
    pub pid: u32,
    pub tid: u32,
    pub uid: u32,
    /// Its name, any bytes, at most 15.
    pub comm: Vec<u8>,
    pub level: Level,
    pub source: Source,
    /// When it last added to the line, CLOCK_REALTIME nanoseconds.
    pub real_ns: i64,
    /// Any bytes.
    pub text: Vec<u8>,
    /// It had not died when the ring was saved. Only in a saved ring.
    pub alive: bool,
}

impl Log {
    /// Keeps `text`, all of an unfinished line, in the ring's file, so that it outlives this process. Bytes that were kept
    /// before are not copied again; a line that does not continue the one in `kept` needs [`Kept::begin_anew`]. Tells
    /// whether it is kept: there may be no room, and of texts too long for one record the first part is.
    ///
    /// Async-signal-safe, no system call once this process has a slot. `kept` is the caller's own: one for each line, and
    /// a forked child begins with [`Kept::NOWHERE`].
    pub fn keep(&self, kept: &mut Kept, level: Level, source: Source, text: &[u8]) -> bool {
        let (attached, lines) = (&self.attached, self.attached.map.lines());
        let text = &text[..text.len().min(lines.longest()).min(attached.identity.geometry.max_body() - FIELDS)];
        let mut place = kept.place.checked_sub(1).map(|i| i as usize);
        if place.is_none_or(|i| !lines.is_held(i, Holder::from_bits(kept.holder))) {
            *kept = Kept::NOWHERE;
            place = self.claim_place(kept);
        }
        let Some(i) = place else { return false };
        let from = if kept.len as usize <= text.len() { kept.len as usize } else { 0 };
        if from == 0 {
            lines.begin(i, &self.line_of(Holder::from_bits(kept.holder)));
        }
        lines.store(i, from, text, attached.ring().clock.ticks(), (level, source));
        kept.len = text.len() as u32;
        true
    }

    #[cold]
    fn claim_place(&self, kept: &mut Kept) -> Option<usize> {
        let lines = self.attached.map.lines();
        if lines.places() == 0 {
            return None;
        }
        let near = pid_of(self.attached.process.generation()) as usize;
        // A slot of ours stays ours as long as a line is kept under it, and shows for this line whether we live.
        let found = self.with_lease(|_, lease, _| {
            let holder = Holder::new(lease.hold.slot, lease.hold.owner);
            Ok(lines.claim(holder, near).map(|i| (holder, i)))
        });
        let (holder, i) = found.ok()??;
        *kept = Kept { holder: holder.to_bits(), place: i as u32 + 1, len: 0 };
        Some(i)
    }

    /// Who we are, this thread included. `holder` has a slot of ours.
    fn line_of(&self, holder: Holder) -> LineOf {
        let slot = &self.attached.ring().slots[holder.slot()];
        let generation = self.attached.process.generation();
        let comm = slot.comm.each_ref().map(|half| half.load(Relaxed));
        LineOf { pid: pid_of(generation), tid: tid(generation), uid: slot.uid.load(Relaxed) as u32, comm }
    }

    /// The line is finished: its record was appended.
    pub fn let_go(&self, kept: &mut Kept) {
        let lines = self.attached.map.lines();
        if let Some(i) = kept.place.checked_sub(1).map(|i| i as usize)
            && lines.is_held(i, Holder::from_bits(kept.holder))
        {
            lines.free(i);
        }
        *kept = Kept::NOWHERE;
    }

    /// Is there no room for another unfinished line?
    pub fn is_full_of_lines(&self) -> bool {
        let lines = self.attached.map.lines();
        lines.places() != 0 && lines.is_full()
    }

    /// Appends the unfinished lines of writers that are dead, the oldest first, each a record of its writer's with the flags
    /// [`Flags::PARTIAL`] and [`Flags::LAST_WORDS`] and the field [`WRITTEN`]. Gives how many. A line whose writer dies
    /// between appending it and saying so comes out twice, one of somebody who dies here is found again by the next.
    ///
    /// Makes system calls and allocates.
    ///
    /// # Errors
    /// As [`Log::append`]; what was not appended stays where it is.
    pub fn append_last_words(&self) -> Result<usize, AppendError> {
        let (lines, ring) = (self.attached.map.lines(), self.attached.ring());
        if lines.is_unused() {
            return Ok(0);
        }
        let mut appended = 0;
        for i in lines.by_time() {
            let left = self.with_lease(|_, lease, _| {
                let mine = Holder::new(lease.hold.slot, lease.hold.owner);
                Ok(lines.take(ring, i, mine).map(|left| (mine, left)))
            })?;
            let Some((mine, left)) = left else { continue };
            let result = self.append_left(&left);
            if lines.is_held(i, mine) {
                match result {
                    Ok(_) => lines.free(i),
                    Err(_) => lines.forsake(i),
                }
            }
            result?;
            appended += 1;
        }
        Ok(appended)
    }

    fn append_left(&self, left: &Left) -> Result<u64, AppendError> {
        let clock = self.attached.ring().clock;
        let (_, written) = clock.convert(left.ticks, clock.offsets());
        let comm = left.of.name();
        let comm = (!comm.is_empty()).then_some(&comm[..]);
        let origin = Origin { pid: left.of.pid, tid: left.of.tid, comm, uid: Some(left.of.uid) };
        let draft = Draft {
            level: left.level,
            source: left.source,
            flags: Flags::PARTIAL | Flags::LAST_WORDS,
            fields: &[Field::KeyValue(WRITTEN.as_bytes(), Value::Int(written))],
        };
        // A damaged length may say more than a record can have.
        let longest = self.max_body() - FIELDS;
        self.append_for(&origin, &draft, &[&left.text[..left.text.len().min(longest)]])
    }
}

impl Reader {
    /// The unfinished lines of writers that are dead and that nobody has appended yet. In a copy of a ring, those of all.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn last_words(&self) -> Result<Vec<LastWords>, ReadError> {
        let (ring, lines) = (self.map.ring(), self.map.lines());
        let epoch = ring.head().map_or(0, |head| head.epoch);
        let offsets = ring.trusted_base(epoch).map_or([0; 2], |page| page.clock);
        let left = lines.left(ring, self.identity().copied);
        let words = left.into_iter().map(|left| LastWords {
            pid: left.of.pid,
            tid: left.of.tid,
            uid: left.of.uid,
            comm: left.of.name(),
            level: left.level,
            source: left.source,
            real_ns: ring.clock.convert(left.ticks, offsets).1,
            text: left.text,
            alive: left.alive && self.identity().saved_ns.is_some(),
        });
        let mut words: Vec<_> = words.collect();
        words.sort_by_key(|words| words.real_ns);
        self.checked(Ok(words))
    }

    /// Does anybody, dead or alive, have an unfinished line in the ring? Cheap, and of a mapped ring only; `true` where
    /// that is not known.
    pub fn may_have_last_words(&self) -> bool {
        self.access() == crate::map::Access::Copied || !self.map.lines().is_unused()
    }
}

//! The handle of readers, and how one waits without slowing the writers down.

#![forbid(unsafe_code)]

use crate::copy::Body;
use crate::error::{Error, ReadError};
use crate::handle::Log;
use crate::map::{Access, Identity, Mapping};
use crate::pace::{STREAM, burn, distance, spin};
use crate::private::Trouble;
use crate::reader::{Bounds, Counts, Cursor, Entry, Gap, Patience, Read, Seek};
use crate::record::Record;
use crate::ring::Ring;
use crate::stat::{Stat, stat};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One reader: its own place in a ring that it can only look at.
///
/// It maps the file read-only and needs no more than read permission; where it has more it [sleeps](Reader::pause) better.
/// It may stop, die or be a million records late without any writer noticing. New readers stand before sequence 0: what is
/// overwritten already comes out as lost.
///
/// If somebody truncates the file, touching the mapping raises SIGBUS, as it does with every mapped file, unless
/// [`guard_mappings`](crate::guard_mappings) makes that an error; [`Access::Copied`] needs no such thing.
pub struct Reader {
    pub(crate) map: Arc<Mapping>,
    identity: Identity,
    cursor: Cursor,
    buf: Vec<u64>,
    spin: bool,
    /// Pauses since the last record or gap.
    idle: u32,
    /// The sequence before which it was woken last.
    woken_at: Option<u64>,
    /// Woken for nothing: the next pause is not one by the bell.
    in_vain: bool,
    /// It has slept to the end since it set the bell.
    has_slept: bool,
}

/// Pauses that only burn a microsecond each, before the first that sleeps.
const SHORT_PAUSES: u32 = 32;
const SHORT_PAUSE: Duration = Duration::from_micros(1);
/// How long a reader that spins does so before it comes back.
const SPIN: Duration = Duration::from_micros(20);
/// The longest sleep that nobody ends early, and so nearly the longest that a record can go unnoticed.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_millis(6);
/// From this pause on a reader sleeps by the bell, where it can: shorter ones cost no more than being woken does.
pub(crate) const BELL_FROM: Duration = Duration::from_micros(512);
/// The first sleep behind setting the bell: a writer may have looked at it before, and its commit was on its way.
pub(crate) const FIRST_SLEEP: Duration = Duration::from_millis(10);
/// Further ones: for writers that ring no bell, or die before they do.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(25);

impl Reader {
    /// Attaches to the ring at `path`, before sequence 0. The file is mapped if it belongs to us or to root; what somebody
    /// else owns is [copied](Access::Copied), for its owner can take it away at any moment.
    ///
    /// # Errors
    /// Not a ring, another version, damaged geometry, no permission to read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_by(path, None)
    }

    /// As [`Reader::open`], but mapped or copied as `access` says, whoever owns the file.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub fn open_with(path: &Path, access: Access) -> Result<Self, Error> {
        Self::open_by(path, Some(access))
    }

    fn open_by(path: &Path, access: Option<Access>) -> Result<Self, Error> {
        let (map, identity) = Mapping::open_to_read(path, access)?;
        let words = crate::layout::record_words(identity.geometry.max_body()) as usize;
        // Any length that a record's header can hold, so that no damaged one is cut short.
        let buf = vec![0; words.max(crate::layout::record_words(0x7fff) as usize)];
        Ok(Self {
            map: Arc::new(map),
            identity,
            cursor: Cursor::at(0),
            buf,
            spin: false,
            idle: 0,
            woken_at: None,
            in_vain: false,
            has_slept: false,
        })
    }

    fn ring(&self) -> &Ring<'_> {
        self.map.ring()
    }

    /// Moves to `to` and gives the sequence it stands before now. [`Reader::counts`] start anew.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn seek(&mut self, to: Seek) -> Result<u64, ReadError> {
        self.idle = 0;
        let sought = self.cursor.seek(self.map.ring(), to);
        self.checked(sought)
    }

    /// What was read is worth nothing if the file went away meanwhile.
    pub(crate) fn checked<T>(&self, result: Result<T, ReadError>) -> Result<T, ReadError> {
        match self.map.trouble() {
            None => result,
            Some(trouble) => Err(gone(self.cursor.seq(), trouble)),
        }
    }

    /// The next record or gap, or that there is none yet; never sleeps.
    ///
    /// Where records come so fast that their writers are met, it waits 8 microseconds each time before it goes on behind
    /// them, unless it is to [spin](Reader::set_spin): a reader on their heels makes an append cost twice as much and more.
    ///
    /// A record in flight is `NotYet` until its writer commits it, until its writer is found dead (`Abandoned`), or until
    /// [patience](Reader::set_patience) ends (`Stalled`).
    ///
    /// # Errors
    /// The ring is damaged. After [`ReadError::BadRecord`] reading can go on.
    #[allow(clippy::should_implement_trait, reason = "lends its buffer, which Iterator cannot")]
    #[inline]
    pub fn next(&mut self) -> Result<Read<'_>, ReadError> {
        let ring = self.map.ring();
        match self.cursor.entry(ring, &mut self.buf, true) {
            Entry::Record(meta) if self.map.trouble().is_none() => {
                self.idle = 0;
                Ok(Read::Record(self.cursor.dress(ring, meta, &self.buf)))
            }
            other => self.next_from(other),
        }
    }

    /// [`Reader::next`] where the record cannot be had at once.
    #[cold]
    fn next_from(&mut self, entry: Entry) -> Result<Read<'_>, ReadError> {
        let read = self.cursor.next_from(self.map.ring(), &mut self.buf, entry);
        if let Some(trouble) = self.map.trouble() {
            // It was made of what is gone.
            match read {
                Ok(read) => self.cursor.take_back(&read),
                Err(ReadError::BadRecord { seq }) => {
                    self.cursor.take_back(&Read::Lost(Gap { first: seq, count: 1 }));
                }
                Err(_) => {}
            }
            return Err(gone(self.cursor.seq(), trouble));
        }
        let read = read?;
        let is_stream = self.cursor.fresh(self.map.ring()) >= STREAM;
        if is_stream && matches!(read, Read::Record(_)) && !self.spin && self.idle <= SHORT_PAUSES {
            burn(distance(&self.identity.geometry));
        }
        if !matches!(read, Read::NotYet { .. }) {
            self.idle = 0;
        }
        Ok(read)
    }

    /// The next record, if it can be had at once. If not, [`Reader::next`] says what there is instead.
    ///
    /// The same as `next` where that gives a record, and faster: all of it is inlined into whoever reads, so that the record
    /// is made in the places where it is looked at. Being moved about in memory costs it as much again.
    #[inline(always)]
    pub fn next_record(&mut self) -> Option<Record<'_>> {
        let ring = self.map.ring();
        let Entry::Record(meta) = self.cursor.entry(ring, &mut self.buf, false) else { return None };
        // What is made of something that is gone is for `next` to tell.
        if self.map.trouble().is_some() {
            return None;
        }
        self.idle = 0;
        Some(self.cursor.dress(ring, meta, &self.buf))
    }

    /// Hands up to `limit` records and gaps to `each`, until there is none or `each` breaks. Gives how many it handed out.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn batch(
        &mut self,
        limit: usize,
        mut each: impl FnMut(Read<'_>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        for done in 0..limit {
            let flow = match self.next_record() {
                Some(record) => each(Read::Record(record)),
                None => match self.next()? {
                    Read::NotYet { .. } => return Ok(done),
                    read => each(read),
                },
            };
            if flow.is_break() {
                return Ok(done + 1);
            }
        }
        Ok(limit)
    }

    /// Waits a little, to be called when there was nothing to read: a microsecond at first, longer each time, 6 ms at most.
    ///
    /// Where the ring is mapped, in memory (tmpfs) and may be written by us, it sleeps for 25 ms at most, and the next writer
    /// to commit wakes it: for that it sets a word of the header, which is no part of the log.
    ///
    /// A reader that never pauses takes the line of the next record from its writer again and again, which costs the
    /// writer 10 to 20 times its own price; [`Reader::set_spin`] is for those who pay that for latency.
    pub fn pause(&mut self) {
        self.pause_at_most(Duration::MAX);
    }

    /// Waits until there is something to read, `timeout` at most. True if there is: then [`Reader::next`] gives it, or the
    /// loss of it. Looks as often as with [`Reader::pause`]; signals do not end it.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool, ReadError> {
        let since = Instant::now();
        loop {
            let found = self.cursor.peek(self.map.ring(), &mut self.buf);
            if self.checked(found)? {
                self.idle = 0;
                return Ok(true);
            }
            let left = timeout.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            self.pause_at_most(left);
        }
    }

    /// As [`Reader::pause`], but for `limit` at most, for those who have more to look at than this ring.
    pub fn pause_at_most(&mut self, limit: Duration) {
        self.idle = self.idle.saturating_add(1);
        if self.spin {
            return spin(SPIN.min(limit), || self.cursor.stirs(self.map.ring()));
        }
        if self.idle <= SHORT_PAUSES {
            return burn(SHORT_PAUSE);
        }
        let doublings = (self.idle - SHORT_PAUSES).min(16);
        let pause = (SHORT_PAUSE * 2u32.pow(doublings)).min(LONGEST_PAUSE);
        if pause < BELL_FROM || !self.sleep(limit) {
            std::thread::sleep(pause.min(limit));
        }
    }

    /// A pause by the bell. False: it takes another one.
    fn sleep(&mut self, limit: Duration) -> bool {
        // Who waits for a commit is to see soon whether its writer died.
        if self.cursor.awaits_commit() || std::mem::take(&mut self.in_vain) {
            return false;
        }
        let Some(bell) = self.map.bell() else { return false };
        let is_anew = bell.set();
        match self.cursor.peek(self.map.ring(), &mut self.buf) {
            Ok(false) if self.cursor.awaits_commit() => return false,
            Ok(false) => {}
            // For `next` to tell.
            Ok(true) | Err(_) => return true,
        }
        let bound = if is_anew || !self.has_slept { FIRST_SLEEP } else { LONGEST_SLEEP };
        let is_woken = bell.sleep(bound.min(limit));
        self.has_slept = !is_woken;
        if is_woken {
            let seq = self.cursor.seq();
            // What it was woken for may be in flight for a moment. Woken twice at one place it was for nothing, and is not to
            // be kept busy by that.
            self.in_vain = self.woken_at.replace(seq) == Some(seq);
            if !self.in_vain {
                self.idle = SHORT_PAUSES;
            }
        }
        true
    }

    /// Never sleep in [`Reader::pause`], but look at the next record's place all the time, and come back when one is there or
    /// after 20 microseconds: for those to whom a hundred nanoseconds matter more than what writers pay.
    ///
    /// Every append needs HEAD, and [`Reader::next`] looks at it wherever it has no record. So the fastest way is to ask
    /// [`Reader::next_record`] until there is none, pause, and ask `next` only if there is still none then.
    pub fn set_spin(&mut self, spin: bool) {
        self.spin = spin;
        let Self { map, cursor, .. } = self;
        cursor.set_eager(map.ring(), spin);
    }

    /// How long to stand before a record whose writer is alive but stopped inside its append, until it counts as
    /// stalled. A second unless set. It ends earlier when the ring is half a lap ahead.
    pub fn set_patience(&mut self, patience: Duration) {
        let give_up_after = u64::try_from(patience.as_nanos()).unwrap_or(u64::MAX);
        let scan_after = give_up_after.min(Patience::default().scan_after);
        self.cursor.patience = Patience { scan_after, give_up_after };
    }

    pub(crate) fn patience(&self) -> Patience {
        self.cursor.patience
    }

    /// The sequence that comes next.
    pub fn seq(&self) -> u64 {
        self.cursor.seq()
    }

    /// The page and index it stands before.
    pub(crate) fn place(&self) -> (u64, u32) {
        self.cursor.place()
    }

    /// What this reader has passed since it was opened or last moved.
    pub fn counts(&self) -> Counts {
        self.cursor.counts
    }

    /// The ends of the log now.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn bounds(&self) -> Result<Bounds, ReadError> {
        let damaged = ReadError::Damaged { seq: self.seq(), what: "no page of the ring can be read" };
        self.checked(self.ring().bounds().ok_or(damaged))
    }

    /// What the header says of the ring.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Geometry, bounds, writers, refused records.
    ///
    /// # Errors
    /// The ring is damaged.
    pub fn stat(&self) -> Result<Stat, ReadError> {
        self.checked(stat(&self.map, self.identity))
    }

    /// Is the file mapped, or copied?
    pub fn access(&self) -> Access {
        self.map.access()
    }

    /// Is the ring at [`Reader::path`] still this one? No, once it was removed or replaced; what is left in this one, and
    /// what its writers still append, can be read all the same.
    ///
    /// # Errors
    /// The path cannot be looked at.
    pub fn is_current(&self) -> std::io::Result<bool> {
        self.map.has_its_path()
    }

    /// Is the ring at [`Reader::path`] still this one, and do we own the file?
    ///
    /// # Errors
    /// The path cannot be looked at.
    pub fn is_ours(&self) -> std::io::Result<bool> {
        self.map.has_its_path_and_is_ours()
    }

    /// Does `log` append to the ring that this reads? The path may have been given to another one before it was opened.
    pub fn is_of(&self, log: &Log) -> bool {
        self.map.is_file_of(&log.attached.map)
    }

    /// Where the ring is.
    pub fn path(&self) -> &Path {
        self.map.path()
    }

    /// Chooses how payload is copied; for tests and benches.
    #[doc(hidden)]
    pub fn set_copy_body(&mut self, body: Body) {
        if let Some(map) = Arc::get_mut(&mut self.map) {
            map.set_modes(body, true);
        }
    }
}

#[cold]
fn gone(seq: u64, trouble: Trouble) -> ReadError {
    match trouble {
        Trouble::Truncated => ReadError::Truncated { seq },
        Trouble::Errno(errno) => ReadError::Unreadable { seq, errno },
    }
}

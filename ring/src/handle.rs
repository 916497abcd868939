//! The two handles of writers: [`Writer`] owns one slot, [`Log`] shares a pool of them.

#![forbid(unsafe_code)]

use crate::clock::realtime_ns;
use crate::copy::Body;
use crate::error::{AppendError, Error, TooManyWriters};
use crate::level::Level;
use crate::liveness::owner_word;
use crate::lock::{SlotLock, Taken};
use crate::map::{Identity, Mapping};
use crate::pool::{Borrowed, FIRST, Lease, Pool, Spot};
use crate::process::{
    ForkPage, KeepErrno, comm, confine, effective_uid, is_confined, is_main_thread, pid_of, place, set_place, tid,
};
use crate::ring::Ring;
use crate::unfinished::Holder;
use crate::writer::{Draft, Hold, Origin};
use atomic::Ordering::Relaxed;
use std::path::Path;

/// Slots whose lock may be busy before one is claimed without.
const BUSY_SLOTS: u32 = 4;

/// What both handles have: the mapped ring and who we are.
pub(crate) struct Attached {
    pub(crate) map: Mapping,
    pub(crate) identity: Identity,
    pub(crate) process: &'static ForkPage,
}

impl Attached {
    fn open(path: &Path) -> Result<Self, Error> {
        let process = ForkPage::get().map_err(|source| Error::Os {
            path: path.to_owned(),
            call: "map a page that forks wipe",
            source,
        })?;
        let (map, identity) = Mapping::open_to_write(path)?;
        Ok(Self { map, identity, process })
    }

    #[inline(always)]
    pub(crate) fn ring(&self) -> &Ring<'_> {
        self.map.ring()
    }

    /// Claims a slot for the process that we are now.
    #[cold]
    fn claim(&self) -> Result<Lease, TooManyWriters> {
        let _errno = KeepErrno::new();
        let process = self.process.process();
        let ring = self.ring();
        let owner = owner_word(ring.header, &process);
        let (mut lock, mut busy) = (None, 0);
        let hold = ring.claim(|slot| {
            // The lock of a slot that somebody else got goes first.
            lock = None;
            match self.map.lock(slot) {
                Taken::Lock(taken) => {
                    lock = Some(taken);
                    Some(owner.locked())
                }
                // Another slot then; but not for ever, for a reader can keep all of them busy.
                Taken::Busy if busy < BUSY_SLOTS => {
                    busy += 1;
                    None
                }
                Taken::Busy | Taken::NoLocks => Some(owner),
            }
        })?;
        let slot = &ring.slots[hold.slot];
        let (name, _) = comm();
        let (halves, _) = name.as_chunks();
        for (cell, &half) in slot.comm.iter().zip(halves) {
            cell.store(u64::from_le_bytes(half), Relaxed);
        }
        slot.attached.store(realtime_ns(), Relaxed);
        slot.uid.store(effective_uid() as u64, Relaxed);
        slot.start.store(process.start, Relaxed);
        Ok(Lease { hold, generation: process.generation, lock: lock.map_or(0, SlotLock::into_bits) })
    }

    fn release(&self, lease: Lease) {
        if self.process.generation() == lease.generation {
            self.ring().release(lease.hold);
            // Not before: until here the slot says that whoever holds its lock lives.
            drop(SlotLock::from_bits(lease.lock));
        }
    }

    #[inline(always)]
    fn append(&self, lease: &mut Lease, tid: u32, draft: &Draft<'_>, payload: &[&[u8]]) -> Result<u64, AppendError> {
        let who = (pid_of(lease.generation), tid);
        self.ring().append(&mut lease.hold, who, draft, payload)
    }

    #[cold]
    fn refuse(&self, error: AppendError) -> AppendError {
        self.ring().header.refused[error.cause()].fetch_add(1, Relaxed);
        error
    }
}

/// The fast path: one slot of the ring, for one thread at a time.
///
/// After a fork the child's copy claims a slot of its own at its first append. An append makes no system call, unless it wakes
/// readers that sleep, allocates nothing and waits for nobody; it is *not* reentrant, so a signal handler needs a [`Log`].
pub struct Writer {
    attached: Attached,
    lease: Lease,
}

impl Writer {
    /// Attaches to the ring at `path`.
    ///
    /// # Errors
    /// Not a ring, another version, damaged geometry, no permission to write, all writer slots taken.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let attached = Attached::open(path)?;
        match attached.claim() {
            Ok(lease) => Ok(Self { attached, lease }),
            Err(error) => {
                attached.refuse(AppendError::TooManyWriters(error));
                Err(Error::TooManyWriters(error))
            }
        }
    }

    /// Appends `payload` at `level` and gives its sequence.
    ///
    /// # Errors
    /// Why the record did not enter the ring; the ring's header counts it under the same cause.
    #[inline]
    pub fn append(&mut self, level: Level, payload: &[u8]) -> Result<u64, AppendError> {
        self.append_slices(&Draft::new(level), &[payload])
    }

    /// Appends one record whose payload is all of `pieces`, one after the other.
    ///
    /// # Errors
    /// As [`Writer::append`].
    #[inline(always)]
    pub fn append_slices(&mut self, draft: &Draft<'_>, pieces: &[&[u8]]) -> Result<u64, AppendError> {
        if self.lease.generation != self.attached.process.generation() {
            self.lease =
                self.attached.claim().map_err(|error| self.attached.refuse(AppendError::TooManyWriters(error)))?;
        }
        let tid = tid(self.lease.generation);
        self.attached.append(&mut self.lease, tid, draft, pieces).map_err(|error| self.attached.refuse(error))
    }

    /// The longest payload with its fields, bytes.
    pub fn max_body(&self) -> usize {
        self.attached.identity.geometry.max_body()
    }

    /// Was the file cut short under a [guarded](crate::guard_mappings) mapping? What was appended since is lost.
    pub fn is_truncated(&self) -> bool {
        self.attached.map.trouble().is_some()
    }

    /// Chooses how payload is copied, and whether records get ticks; for tests and benches.
    #[doc(hidden)]
    pub fn set_modes(&mut self, body: Body, ticking: bool) {
        self.attached.map.set_modes(body, ticking);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.attached.release(self.lease);
    }
}

/// Slots that a process uses at one moment: its threads inside an append, plus signal handlers that came in between.
const POOL: usize = FIRST;

/// A handle for any number of threads, and for signal handlers: every append borrows a slot of a small pool.
///
/// An append makes no system call, allocates nothing and waits for nobody, except that it wakes readers that sleep, and that a
/// slot is claimed when there are more appends at once than ever before in this process. A child of a fork claims slots of its own; but a child of a fork *in a
/// signal handler* must not return from that handler, for what it interrupted is not its own. What runs in a thread's
/// memory beside that thread, thread-local variables included, as a bare clone(2) can have it, must not append.
///
/// If another process truncates the file, touching the mapping raises SIGBUS, as it does with every mapped file; a program
/// of its own can have [`guard_mappings`](crate::guard_mappings).
pub struct Log {
    pub(crate) attached: Attached,
    pool: Pool,
}

impl Log {
    /// Attaches to the ring at `path`. Slots are claimed when they are needed.
    ///
    /// # Errors
    /// Not a ring, another version, damaged geometry, no permission to write.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { attached: Attached::open(path)?, pool: Pool::new(POOL) })
    }

    /// Appends `payload` at `level` and gives its sequence.
    ///
    /// # Errors
    /// Why the record did not enter the ring; the ring's header counts it under the same cause.
    #[inline]
    pub fn append(&self, level: Level, payload: &[u8]) -> Result<u64, AppendError> {
        self.append_slices(&Draft::new(level), &[payload])
    }

    /// Appends one record whose payload is all of `pieces`, one after the other.
    ///
    /// # Errors
    /// As [`Log::append`].
    #[inline]
    pub fn append_slices(&self, draft: &Draft<'_>, pieces: &[&[u8]]) -> Result<u64, AppendError> {
        let result = self.with_lease(|attached, lease, tid| attached.append(lease, tid, draft, pieces));
        result.map_err(|error| self.attached.refuse(error))
    }

    /// As [`Log::append_slices`], for somebody else: the record has the pid, tid, name and user of `origin`. Allocates.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_for(&self, origin: &Origin<'_>, draft: &Draft<'_>, pieces: &[&[u8]]) -> Result<u64, AppendError> {
        let fields: Vec<_> = origin.fields().chain(draft.fields.iter().copied()).collect();
        let draft = Draft { fields: &fields, ..*draft };
        let result = self.with_lease(|attached, lease, _| {
            let introduced = std::mem::replace(&mut lease.hold.introduced, Hold::NEVER);
            let who = (origin.pid, origin.tid);
            let result = attached.ring().append(&mut lease.hold, who, &draft, pieces);
            lease.hold.introduced = introduced;
            result
        });
        result.map_err(|error| self.attached.refuse(error))
    }

    /// Acts as the owner of a slot of the pool; the last thing that `act` gets is the thread's id.
    #[inline(always)]
    pub(crate) fn with_lease<R>(
        &self,
        act: impl FnOnce(&Attached, &mut Lease, u32) -> Result<R, AppendError>,
    ) -> Result<R, AppendError> {
        let attached = &self.attached;
        let generation = attached.process.generation();
        // Asked once: in a library that is loaded, a thread's variable takes a call to find.
        let tid = tid(generation);
        let mut borrowed = if is_main_thread(generation, tid) { self.pool.borrow_own(generation) } else { None };
        if let Some(Borrowed::Vacant(spot)) = borrowed
            && is_confined()
        {
            self.pool.vacate(spot);
            borrowed = None;
        }
        let borrowed = match borrowed {
            None => self.pool.borrow_shared(generation, place(generation) as usize),
            own => own,
        };
        let (spot, mut lease) = match borrowed {
            Some(Borrowed::Lease(spot, lease)) => (spot, lease),
            Some(Borrowed::Vacant(spot)) if is_confined() => {
                self.pool.vacate(spot);
                return Err(AppendError::PoolBusy { size: self.pool.size() });
            }
            Some(Borrowed::Vacant(spot)) => match attached.claim() {
                Ok(lease) => (spot, lease),
                Err(error) => {
                    self.pool.vacate(spot);
                    return Err(AppendError::TooManyWriters(error));
                }
            },
            None => return Err(AppendError::PoolBusy { size: self.pool.size() }),
        };
        let result = act(attached, &mut lease, tid);
        self.pool.give_back(spot, &lease);
        // Not before: a handler that came in between has remembered its own place.
        if let Spot::Shared(i) = spot
            && place(generation) as usize != i
        {
            set_place(i as u32);
        }
        result
    }

    /// As [`Writer::set_modes`].
    #[doc(hidden)]
    pub fn set_modes(&mut self, body: Body, ticking: bool) {
        self.attached.map.set_modes(body, ticking);
    }

    /// The longest payload with its fields, bytes.
    pub fn max_body(&self) -> usize {
        self.attached.identity.geometry.max_body()
    }

    /// Where the ring is.
    pub fn path(&self) -> &Path {
        self.attached.map.path()
    }

    /// Was the file cut short under a [guarded](crate::guard_mappings) mapping? What was appended since is lost.
    pub fn is_truncated(&self) -> bool {
        self.attached.map.trouble().is_some()
    }

    /// Is there a slot for this process, or can one be claimed? If not, that counts as a refused record.
    pub fn can_append(&self) -> bool {
        self.with_lease(|_, _, _| Ok(())).map_err(|error| self.attached.refuse(error)).is_ok()
    }

    /// Claims as many slots as `appends` at once need, and makes no system call in this process any more from here on: for
    /// one that is about to be killed (seccomp) for each that it does not need itself. Further appends at once are refused,
    /// new threads have the tid 0, who is dead is not found out, and the slots are not given back. A child of a fork must not
    /// append.
    pub fn confine(&self, appends: usize) {
        // The main thread's own is for nobody else.
        let own = usize::from(self.is_main_thread());
        self.hold_at_once(appends.saturating_add(own));
        confine();
    }

    fn is_main_thread(&self) -> bool {
        let generation = self.attached.process.generation();
        is_main_thread(generation, tid(generation))
    }

    fn hold_at_once(&self, left: usize) {
        if left != 0 {
            let _ = self.with_lease(|_, _, _| {
                self.hold_at_once(left - 1);
                Ok(())
            });
        }
    }

    /// Gives the slots of this process back, but for those under which an unfinished line is [kept](Log::keep): they show
    /// that whoever will finish it lives. Another thread than the main one leaves that thread its slot. Appending claims
    /// new ones.
    pub fn release(&self) {
        if is_confined() {
            return;
        }
        let lines = self.attached.map.lines();
        let generation = self.attached.process.generation();
        self.pool.drain(generation, self.is_main_thread(), |lease| {
            if lines.has_any(Holder::new(lease.hold.slot, lease.hold.owner)) {
                return Some(lease);
            }
            self.attached.release(lease);
            None
        });
    }
}

impl Drop for Log {
    /// Gives all slots back. A line that is still kept is left behind, since nobody can finish it any more.
    fn drop(&mut self) {
        if is_confined() {
            return;
        }
        let lines = self.attached.map.lines();
        self.pool.drain(self.attached.process.generation(), true, |lease| {
            // Whoever has the slot next may be this process again, and would pass for the holder.
            lines.forsake_all(Holder::new(lease.hold.slot, lease.hold.owner));
            self.attached.release(lease);
            None
        });
    }
}

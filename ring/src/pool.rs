//! A process-local pool of slot leases: one is borrowed for the length of one append, so that a thread or a signal handler
//! that comes in between takes another one. Nothing here waits, and nothing needs to happen when a thread ends.
//!
//! One place is the main thread's own: most programs write by no other, and what no other thread touches takes no exchange.

#![forbid(unsafe_code)]

use crate::sync::{Atomic, at};
use crate::turns::Loss;
use crate::word::{AnnounceWord, OwnerWord};
use crate::writer::Hold;
use atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use crossbeam_utils::CachePadded;
use std::ops::Deref;
use std::sync::atomic::compiler_fence;

/// What a writer knows of its slot between two appends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    pub(crate) hold: Hold,
    /// The generation of the process that holds it; another one means that we are its child.
    pub(crate) generation: u64,
    /// The slot's lock as [`SlotLock::into_bits`](crate::lock::SlotLock::into_bits) gave it, 0 for none.
    pub(crate) lock: u64,
}

/// One lease as words, so that the holder of `state` has it to itself.
struct Place {
    /// 0: no lease. Else the generation it belongs to, plus 1 while it is borrowed.
    state: Atomic<u64>,
    slot: Atomic<u64>,
    owner: Atomic<OwnerWord>,
    announced: Atomic<AnnounceWord>,
    introduced: Atomic<u64>,
    lost: Atomic<u64>,
    lock: Atomic<u64>,
}

/// An expression, for a model's cells are no constants.
macro_rules! place {
    () => {
        Place {
            state: Atomic::new(0),
            slot: Atomic::new(0),
            owner: Atomic::new(OwnerWord::FREE),
            announced: Atomic::new(AnnounceWord::NEVER),
            introduced: Atomic::new(0),
            lost: Atomic::new(0),
            lock: Atomic::new(0),
        }
    };
}

impl Place {
    fn new() -> Self {
        place!()
    }

    /// The lease, for whoever has borrowed it.
    #[inline(always)]
    fn lease(&self, generation: u64) -> Lease {
        let hold = Hold {
            slot: self.slot.load(Relaxed) as usize,
            owner: self.owner.load(Relaxed),
            announced: self.announced.load(Relaxed),
            introduced: self.introduced.load(Relaxed),
            lost: Loss::from_bits(self.lost.load(Relaxed)),
        };
        Lease { hold, generation, lock: self.lock.load(Relaxed) }
    }

    /// Gives the lease back.
    #[inline(always)]
    fn give_back(&self, lease: &Lease) {
        self.slot.store(lease.hold.slot as u64, Relaxed);
        self.owner.store(lease.hold.owner, Relaxed);
        self.announced.store(lease.hold.announced, Relaxed);
        self.introduced.store(lease.hold.introduced, Relaxed);
        self.lost.store(lease.hold.lost.to_bits(), Relaxed);
        self.lock.store(lease.lock, Relaxed);
        self.state.store(lease.generation, at("pool:return", Release));
    }

    fn vacate(&self) {
        self.state.store(0, at("pool:return", Release));
    }
}

/// The places that all threads share.
enum Shared {
    #[cfg(not(all(test, loom)))]
    /// Of the first pool that is made: memory of the program's own file, of which a place that is not used takes none.
    First,
    Others(Box<[CachePadded<Place>]>),
}

/// How many places the first pool has, if it is to have the memory that is there for it.
pub(crate) const FIRST: usize = 64;

#[cfg(not(all(test, loom)))]
static FIRST_PLACES: [CachePadded<Place>; FIRST] = [const { CachePadded::new(place!()) }; FIRST];
#[cfg(not(all(test, loom)))]
static IS_FIRST: Atomic<bool> = Atomic::new(true);

impl Shared {
    fn new(size: usize) -> Self {
        #[cfg(not(all(test, loom)))]
        if size == FIRST && IS_FIRST.swap(false, Relaxed) {
            return Self::First;
        }
        Self::Others((0..size).map(|_| CachePadded::new(Place::new())).collect())
    }
}

impl Deref for Shared {
    type Target = [CachePadded<Place>];
    #[inline]
    fn deref(&self) -> &Self::Target {
        match self {
            #[cfg(not(all(test, loom)))]
            Self::First => &FIRST_PLACES,
            Self::Others(places) => places,
        }
    }
}

/// The main thread's own place. No other thread looks at it, only signal handlers of that one.
struct Own {
    /// The generation of the process whose main thread has borrowed it. Beside the state, so that setting it undoes nothing
    /// of what a handler did in between.
    borrowed: Atomic<u64>,
    place: Place,
}

pub(crate) struct Pool {
    shared: Shared,
    /// No shared place from here on was ever borrowed: giving leases back should not touch all that memory.
    end: Atomic<u64>,
    own: CachePadded<Own>,
}

/// Which place of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Spot {
    Shared(usize),
    Own,
}

/// What [`Pool::borrow_shared`] and [`Pool::borrow_own`] found.
#[derive(Debug)]
pub(crate) enum Borrowed {
    /// A lease of this process.
    Lease(Spot, Lease),
    /// A place without one; the borrower claims a slot, or gives the place up.
    Vacant(Spot),
}

impl Pool {
    /// A pool of `size` places that all threads share, a power of two, and the main thread's.
    pub(crate) fn new(size: usize) -> Self {
        assert!(size.is_power_of_two());
        let own = Own { borrowed: Atomic::new(0), place: Place::new() };
        Self { shared: Shared::new(size), end: Atomic::new(0), own: CachePadded::new(own) }
    }

    /// How many places are shared.
    pub(crate) fn size(&self) -> usize {
        self.shared.len()
    }

    /// Borrows a shared place for the process `generation`: one that has a lease before one that has none, so that there are
    /// never more leases than appends at once; the one at `first` if nobody has it. `None`: all are in use.
    #[inline]
    pub(crate) fn borrow_shared(&self, generation: u64, first: usize) -> Option<Borrowed> {
        let size = self.shared.len();
        let places = || (0..size).map(|i| (first + i) & (size - 1));
        let found = places().find_map(|i| Some(Borrowed::Lease(Spot::Shared(i), self.borrow_lease(generation, i)?)));
        if found.is_some() {
            return found;
        }
        // A state of another generation is our parent's: borrowed or not, nobody in this process has it.
        let vacant = places().find(|&i| {
            let state = self.shared[i].state.load(Relaxed);
            state & !1 != generation && self.take(i, state, generation)
        });
        let i = vacant?;
        self.end.fetch_max(i as u64 + 1, Relaxed);
        Some(Borrowed::Vacant(Spot::Shared(i)))
    }

    /// Borrows the main thread's place, for that thread. `None`: it has it already, and this is a signal handler.
    #[inline(always)]
    pub(crate) fn borrow_own(&self, generation: u64) -> Option<Borrowed> {
        let Own { borrowed, place } = &*self.own;
        if borrowed.load(Relaxed) == generation {
            return None;
        }
        // A handler that comes in between gives back what it borrows.
        borrowed.store(generation, Relaxed);
        compiler_fence(SeqCst);
        let has_lease = place.state.load(Relaxed) == generation;
        Some(if has_lease { Borrowed::Lease(Spot::Own, place.lease(generation)) } else { Borrowed::Vacant(Spot::Own) })
    }

    #[inline(always)]
    fn take(&self, i: usize, state: u64, generation: u64) -> bool {
        let cell = &self.shared[i].state;
        cell.compare_exchange(state, generation | 1, at("pool:borrow", Acquire), Relaxed).is_ok()
    }

    /// Borrows the lease in the shared place `i`, if there is one of `generation` and nobody has it.
    #[inline(always)]
    fn borrow_lease(&self, generation: u64, i: usize) -> Option<Lease> {
        let place = &self.shared[i];
        let is_there = place.state.load(Relaxed) == generation && self.take(i, generation, generation);
        is_there.then(|| place.lease(generation))
    }

    /// Gives a borrowed place back, with its lease.
    #[inline(always)]
    pub(crate) fn give_back(&self, spot: Spot, lease: &Lease) {
        match spot {
            Spot::Shared(i) => self.shared[i].give_back(lease),
            Spot::Own => {
                self.own.place.give_back(lease);
                self.return_own();
            }
        }
    }

    /// Gives a borrowed place back, without a lease.
    pub(crate) fn vacate(&self, spot: Spot) {
        match spot {
            Spot::Shared(i) => self.shared[i].vacate(),
            Spot::Own => {
                self.own.place.vacate();
                self.return_own();
            }
        }
    }

    #[inline(always)]
    fn return_own(&self) {
        compiler_fence(SeqCst);
        self.own.borrowed.store(0, Relaxed);
    }

    /// Takes every lease of `generation` that is not borrowed out of the pool, except what `each` gives back. `own`: also the
    /// main thread's, which is for that thread to say, or for whoever has the pool to himself.
    pub(crate) fn drain(&self, generation: u64, own: bool, mut each: impl FnMut(Lease) -> Option<Lease>) {
        let mut see = |spot, lease| match each(lease) {
            Some(lease) => self.give_back(spot, &lease),
            None => self.vacate(spot),
        };
        for i in 0..self.end.load(Relaxed) as usize {
            if let Some(lease) = self.borrow_lease(generation, i) {
                see(Spot::Shared(i), lease);
            }
        }
        match if own { self.borrow_own(generation) } else { None } {
            Some(Borrowed::Lease(spot, lease)) => see(spot, lease),
            Some(Borrowed::Vacant(spot)) => self.vacate(spot),
            None => {}
        }
    }
}

//! A process-local pool of slot leases: one is borrowed for the length of one append, so that a thread or a signal handler
//! that comes in between takes another one. Nothing here waits, and nothing needs to happen when a thread ends.

#![forbid(unsafe_code)]

use crate::sync::{Atomic, at};
use crate::word::{AnnounceWord, OwnerWord};
use crate::writer::Hold;
use atomic::Ordering::{Acquire, Relaxed, Release};
use crossbeam_utils::CachePadded;

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
    lock: Atomic<u64>,
}

pub(crate) struct Pool(Box<[CachePadded<Place>]>);

/// What [`Pool::borrow_place`] found.
#[derive(Debug)]
pub(crate) enum Borrowed {
    /// A lease of this process.
    Lease(usize, Lease),
    /// A place without one; the borrower claims a slot, or gives the place up.
    Vacant(usize),
}

impl Pool {
    /// A pool of `size` places, a power of two.
    pub(crate) fn new(size: usize) -> Self {
        assert!(size.is_power_of_two());
        let place = || Place {
            state: Atomic::new(0),
            slot: Atomic::new(0),
            owner: Atomic::new(OwnerWord::FREE),
            announced: Atomic::new(bytemuck::Zeroable::zeroed()),
            introduced: Atomic::new(0),
            lock: Atomic::new(0),
        };
        Self((0..size).map(|_| CachePadded::new(place())).collect())
    }

    pub(crate) fn size(&self) -> usize {
        self.0.len()
    }

    /// Borrows a place for the process `generation`: one that has a lease before one that has none, so that there are never
    /// more leases than appends at once; the one at `first` if nobody has it. `None`: all are in use.
    #[inline]
    pub(crate) fn borrow_place(&self, generation: u64, first: usize) -> Option<Borrowed> {
        let size = self.0.len();
        let places = || (0..size).map(|i| (first + i) & (size - 1));
        if let Some(found) = places().find_map(|i| Some(Borrowed::Lease(i, self.borrow_lease(generation, i)?))) {
            return Some(found);
        }
        // A state of another generation is our parent's: borrowed or not, nobody in this process has it.
        let vacant = places().find(|&i| {
            let state = self.0[i].state.load(Relaxed);
            state & !1 != generation && self.take(i, state, generation)
        });
        vacant.map(Borrowed::Vacant)
    }

    #[inline(always)]
    fn take(&self, i: usize, state: u64, generation: u64) -> bool {
        let cell = &self.0[i].state;
        cell.compare_exchange(state, generation | 1, at("pool:borrow", Acquire), Relaxed).is_ok()
    }

    /// Borrows the lease in place `i`, if there is one of `generation` and nobody has it.
    #[inline(always)]
    fn borrow_lease(&self, generation: u64, i: usize) -> Option<Lease> {
        let place = &self.0[i];
        if place.state.load(Relaxed) != generation || !self.take(i, generation, generation) {
            return None;
        }
        let hold = Hold {
            slot: place.slot.load(Relaxed) as usize,
            owner: place.owner.load(Relaxed),
            announced: place.announced.load(Relaxed),
            introduced: place.introduced.load(Relaxed),
        };
        Some(Lease { hold, generation, lock: place.lock.load(Relaxed) })
    }

    /// Gives a borrowed place back, with its lease.
    #[inline]
    pub(crate) fn give_back(&self, i: usize, lease: &Lease) {
        let place = &self.0[i];
        place.slot.store(lease.hold.slot as u64, Relaxed);
        place.owner.store(lease.hold.owner, Relaxed);
        place.announced.store(lease.hold.announced, Relaxed);
        place.introduced.store(lease.hold.introduced, Relaxed);
        place.lock.store(lease.lock, Relaxed);
        place.state.store(lease.generation, at("pool:return", Release));
    }

    /// Gives a borrowed place back, without a lease.
    pub(crate) fn vacate(&self, i: usize) {
        self.0[i].state.store(0, at("pool:return", Release));
    }

    /// Takes every lease of `generation` that is not borrowed out of the pool, except what `each` gives back.
    pub(crate) fn drain(&self, generation: u64, mut each: impl FnMut(Lease) -> Option<Lease>) {
        for i in 0..self.0.len() {
            if let Some(lease) = self.borrow_lease(generation, i) {
                match each(lease) {
                    Some(lease) => self.give_back(i, &lease),
                    None => self.vacate(i),
                }
            }
        }
    }
}

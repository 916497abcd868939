//! Who keeps losing the exchange of HEAD stays away from it for a while, so that another writer has its line to itself for
//! many records and not for one. writer.rs asks; no rule of the protocol depends on it.

#![forbid(unsafe_code)]

use crate::ring::Ring;
use crate::word::{AnnounceWord, HeadWord};
use crate::writer::Hold;
use atomic::Ordering::Relaxed;

/// How long a writer stays away, nanoseconds: some hundred records of another one. A change of hands, in which the lines that
/// two writers share move from one processor to the other, takes almost one of these microseconds.
const AWAY: u64 = 4000;
/// A loss that is longer ago than this, nanoseconds, was another matter. Two writers that take turns of [`AWAY`] lose after
/// little more than that.
const LATELY: u64 = 2 * AWAY;
/// Nanoseconds for each attempt since the last loss. Who takes longer does something else besides, and loses by chance.
const PACE: u64 = 1000;
/// Records that others must have reserved meanwhile. If they were fewer, nobody else writes in a loop, and staying away helped
/// nobody: the writer will not do so again for [`STAY`] nanoseconds.
const WORTH: u32 = 16;
const STAY: u64 = 100_000;
/// Looks at the clock before a writer goes on whatever it says: it may be a damaged one that stands still.
const LOOKS: u64 = AWAY / 8;

/// When a writer last lost, and the counter of its announcements then. In the future: until then it does not stay away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Loss(u64);

impl Loss {
    pub(crate) const NEVER: Self = Self(0);

    const fn new(ticks: u64, announced: AnnounceWord) -> Self {
        Self(ticks << AnnounceWord::COUNTER_BITS | announced.counter())
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// Ticks and announcements from this loss to `later`.
    const fn until(self, later: Self) -> (u64, u64) {
        let ticks = (later.0 >> AnnounceWord::COUNTER_BITS).wrapping_sub(self.0 >> AnnounceWord::COUNTER_BITS);
        let announcements = later.0.wrapping_sub(self.0) & ((1 << AnnounceWord::COUNTER_BITS) - 1);
        (ticks & (u64::MAX >> AnnounceWord::COUNTER_BITS), announcements)
    }
}

impl Ring<'_> {
    /// To be called when the exchange of HEAD from `head` on, that should have reserved a record, has failed. Gives the time if the writer has
    /// stayed away since.
    #[cold]
    #[inline(never)]
    pub(crate) fn lose(&self, hold: &mut Hold, head: HeadWord) -> Option<u64> {
        // No model needs it: time does not pass there.
        if cfg!(all(test, loom)) {
            return None;
        }
        let now = self.clock.ticks();
        let loss = Loss::new(now, hold.announced);
        let (ticks, attempts) = hold.lost.until(loss);
        let (ahead, _) = loss.until(hold.lost);
        if self.clock.tick_ns(ahead) <= STAY {
            return None;
        }
        hold.lost = loss;
        if self.clock.tick_ns(ticks) >= LATELY.min(attempts * PACE) {
            return None;
        }
        // For so long it must not pin a page, nor make readers wait.
        self.announce_idle(hold);
        let mut then = now;
        for _ in 0..LOOKS {
            std::hint::spin_loop();
            then = self.clock.ticks();
            if self.clock.tick_ns(then.wrapping_sub(now)) >= AWAY {
                break;
            }
        }
        let next = self.header.head.load(Relaxed);
        let is_worth_it = next.tag() != head.tag() || next.count().wrapping_sub(head.count()) >= WORTH;
        let until = if is_worth_it { then } else { then.wrapping_add(self.clock.ticks_in(STAY)) };
        hold.lost = Loss::new(until, hold.announced);
        Some(then)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::clock::{Clock, ClockKind};
    use crate::copy::Body;
    use crate::evidence::Evidence;
    use crate::heap::HeapRing;
    use crate::layout::Geometry;
    use crate::word::OwnerWord;
    use atomic::Ordering::Relaxed;
    use proptest::prelude::*;

    /// Has a writer announce page 1 and lose an exchange from `head` on, `times` times; gives what came of each, and how it stood
    /// then. HEAD is at the beginning of page 1.
    fn losses(clock: Clock, times: usize, head: HeadWord) -> Vec<(Option<u64>, AnnounceWord)> {
        let heap = HeapRing::new(Geometry::tiny(4, 8, 64, 3), 1, 0);
        let alive = |_: &_, _, _| Evidence::Running.into();
        let mut ring = heap.ring(Body::Words, &alive);
        ring.clock = clock;
        let mut hold = ring.claim(|_| Some(OwnerWord::new(7, 0, 0, 1))).unwrap();
        let lose = |_| {
            hold.announced = hold.announced.enter(1);
            ring.slots[hold.slot].announce.store(hold.announced, Relaxed);
            let gone_on = ring.lose(&mut hold, head);
            assert_eq!(hold.announced, ring.slots[hold.slot].announce.load(Relaxed));
            (gone_on, hold.announced)
        };
        (0..times).map(lose).collect()
    }

    /// Others have filled a page since.
    const ANOTHER_PAGE: HeadWord = HeadWord::open(2);
    /// Of a clock that is a million times too slow.
    const SLOW: u64 = (1 << 32) / 1_000_000;

    fn clock(ns_per_tick: u64) -> Clock {
        Clock::from_stored(ClockKind::Monotonic as u64, ns_per_tick).unwrap()
    }

    #[test]
    fn who_loses_in_a_loop_stays_away_and_announces_nothing_meanwhile() {
        // The machine may do something else between two losses, but not for ever.
        let best = Clock::best();
        let all = losses(best, 10_000, ANOTHER_PAGE);
        assert_eq!(all[0].0, None, "the first one is by chance");
        assert!(all.iter().any(|(gone_on, _)| gone_on.is_some()));
        for (gone_on, announced) in all {
            assert_eq!(announced.is_idle(), gone_on.is_some());
        }
    }

    #[test]
    fn who_stayed_away_for_nothing_does_not_do_so_again() {
        let all = losses(clock(SLOW), 100, HeadWord::open(1));
        assert_eq!(all.iter().filter(|(gone_on, _)| gone_on.is_some()).count(), 1);
    }

    #[test]
    fn a_clock_that_nearly_stands_still_keeps_nobody() {
        let all = losses(clock(SLOW), 4, ANOTHER_PAGE);
        // Nothing is long ago, but for the time before the first loss.
        assert!(all[1..].iter().all(|(gone_on, announced)| gone_on.is_some() && announced.is_idle()));
    }

    #[test]
    fn losses_that_are_far_apart_are_chance() {
        // A microsecond of this clock is a thousand seconds.
        let all = losses(clock(1 << 62), 100, ANOTHER_PAGE);
        assert!(all.iter().all(|(gone_on, announced)| gone_on.is_none() && announced.is_page(1)));
    }

    proptest! {
        #[test]
        fn a_loss_keeps_time_and_counter(ticks: u64, counter: u64, later in 0u64..1 << 48, more in 0u64..1 << 14) {
            let announced = |n: u64| bytemuck::cast::<u64, AnnounceWord>(n << (64 - AnnounceWord::COUNTER_BITS));
            let loss = Loss::new(ticks, announced(counter));
            let next = Loss::new(ticks.wrapping_add(later), announced(counter.wrapping_add(more)));
            prop_assert_eq!(loss.until(next), (later, more));
            prop_assert_eq!(Loss::from_bits(loss.to_bits()), loss);
        }
    }
}

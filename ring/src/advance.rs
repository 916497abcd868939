//! Advance: close a full page, decide the next one, open it. Every step can be repeated by anyone, so a writer that dies or
//! stops in the middle blocks nobody.

#![forbid(unsafe_code)]

use crate::error::AppendError;
use crate::layout::{MAX_SLOTS, Slot};
use crate::ring::Ring;
use crate::sync::{at, fence_at};
use crate::word::{HeadWord, OwnerWord};
use crate::writer::Hold;
use atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

/// Steps worth looking at: one more than there can be slots that pin a page.
const STEPS: usize = MAX_SLOTS as usize + 2;

/// The steps to the next page that some announcement forbids.
struct Pinned([u64; STEPS.div_ceil(64)]);

impl Pinned {
    fn add(&mut self, step: usize) {
        if let Some(word) = self.0.get_mut(step / 64) {
            *word |= 1 << (step % 64);
        }
    }

    /// The smallest step of 1 to `last` that is not pinned.
    fn first_free(&self, last: usize) -> Option<usize> {
        (1..=last.min(STEPS - 1)).find(|step| self.0[step / 64] & 1 << (step % 64) == 0)
    }
}

impl Ring<'_> {
    /// Moves HEAD off `head`'s page, which is full or closed, or finds that somebody else did.
    ///
    /// # Errors
    /// Every page is pinned by a live writer, or the ring is damaged.
    #[cold]
    #[inline(never)]
    pub(crate) fn advance(&self, hold: &mut Hold, head: HeadWord) -> Result<(), AppendError> {
        let word = &self.header.head;
        // A lost compare-exchange may have left our own announcement: it must not pin a page against us.
        self.announce_idle(hold);

        // 1. Close: the count is frozen, so the base of the next page is a fact.
        let mut head = head;
        if !head.closed() {
            let closed = head.close();
            // Relaxed: it adds nothing to what the word already carries, and the next step publishes what follows.
            if word.compare_exchange(head, closed, Relaxed, Relaxed).is_err() {
                return Ok(());
            }
            head = closed;
        }
        let Some(epoch) = self.epoch_of(head) else {
            // HEAD has moved on, which who has seen another epoch will see too; or it never pointed at a page.
            fence_at("head:miss", Acquire);
            return if word.load(Relaxed) == head { Err(AppendError::Damaged) } else { Ok(()) };
        };

        // 2. Decide the step, once for everybody.
        if head.step() == 0 {
            let step = self.choose_step(epoch)?;
            let decided = head.decide(step);
            if word.compare_exchange(head, decided, at("advance:decide", AcqRel), Relaxed).is_err() {
                return Ok(());
            }
            head = decided;
        }

        if head.step() >= self.geometry.page_count() {
            return Err(AppendError::Damaged);
        }

        // 3. Announce the new page before looking whether it is still to be opened.
        let next = epoch + head.step() as u64;
        hold.announced = hold.announced.enter(next);
        self.slots[hold.slot].announce.store(hold.announced, at("advance:announce", Release));
        // Store-load. A later scan that could miss the announcement looks at a page that was opened after this one, so
        // its opener came through here: either he sees what we announced, or we see that HEAD has left the page.
        fence_at("advance:recheck", SeqCst);
        let base = self.page(epoch).base_seq().load(Relaxed);
        fence_at("advance:base", Acquire);
        if word.load(Relaxed) != head {
            self.announce_idle(hold);
            return Ok(());
        }

        // 4. The same base and epoch whoever stores them; each clock word is valid by itself.
        let page = self.page(next);
        page.base_seq().store(base.wrapping_add(head.count() as u64), Relaxed);
        for (cell, value) in page.clock().into_iter().zip(self.clock.offsets()) {
            cell.store(value, Relaxed);
        }
        // HEAD publishes it; and it comes after the fence above, so who has seen it will see that HEAD was closed.
        page.epoch().store(next, Relaxed);

        // 5. Open. Losing means that another helper opened the same page.
        let _ = word.compare_exchange(head, HeadWord::open(next), at("advance:open", AcqRel), Relaxed);
        self.announce_idle(hold);
        Ok(())
    }

    pub(crate) fn announce_idle(&self, hold: &mut Hold) {
        if !hold.announced.is_idle() {
            hold.announced = hold.announced.idle();
            self.slots[hold.slot].announce.store(hold.announced, at("advance:idle", Release));
        }
    }

    /// The smallest step to a physical page that no live writer announces under an older epoch. Slots of the dead that
    /// stand in the way are freed.
    fn choose_step(&self, epoch: u64) -> Result<u32, AppendError> {
        let used = (self.header.slots_high.load(Relaxed) as usize).min(self.slots.len());
        let used = &self.slots[..used];
        let pages = self.geometry.page_count() as u64;
        // The announcement first, the owner second: who announces has owned the slot since before.
        let step_of = |slot: &Slot| {
            let back = slot.announce.load(at("advance:pin", Acquire)).pages_before(epoch)?;
            let owner = slot.owner.load(Relaxed);
            (!owner.is_free()).then_some(((pages - back % pages) as usize, owner))
        };
        // Each turn but the last frees somebody dead, so there are no more turns than slots.
        for _ in 0..=used.len() {
            let mut pinned = Pinned([0; STEPS.div_ceil(64)]);
            for (step, _) in used.iter().filter_map(step_of) {
                pinned.add(step);
            }
            let step = pinned.first_free(pages as usize - 1);
            // A verdict costs system calls, so it is asked only where it can help: about steps below the free one.
            let mut freed = false;
            for (i, slot) in used.iter().enumerate() {
                if let Some((pin, owner)) = step_of(slot)
                    && pin < step.unwrap_or(usize::MAX)
                {
                    freed |= self.free_if_dead(i, owner);
                }
            }
            if !freed && let Some(step) = step {
                return Ok(step as u32);
            }
            if !freed {
                break;
            }
        }
        Err(AppendError::AllPagesPinned { pages: pages as u32 })
    }

    /// Frees slot `i` of `owner` if that is dead; tells whether it is. Only the owner word: storing idle could wipe a live
    /// announcement of the next owner.
    pub(crate) fn free_if_dead(&self, i: usize, owner: OwnerWord) -> bool {
        // Kept until the exchange is done: so nobody claims the slot under the same word in between.
        let verdict = self.judge(i, owner);
        if verdict.is_dead() {
            let slot = &self.slots[i].owner;
            let _ = slot.compare_exchange(owner, OwnerWord::FREE, at("advance:free", AcqRel), Relaxed);
        }
        verdict.is_dead()
    }
}

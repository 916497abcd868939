//! Claim a writer slot, and give it back.

#![forbid(unsafe_code)]

use crate::error::TooManyWriters;
use crate::layout::Slot;
use crate::ring::Ring;
use crate::sync::at;
use crate::turns::Loss;
use crate::word::OwnerWord;
use crate::writer::Hold;
use atomic::Ordering::{AcqRel, Relaxed, Release};

impl Slot {
    /// What the owner calls itself, NUL-padded.
    pub(crate) fn name(&self) -> [u8; 16] {
        let mut name = [0; 16];
        for (half, cell) in name.as_chunks_mut().0.iter_mut().zip(&self.comm) {
            *half = cell.load(Relaxed).to_le_bytes();
        }
        name
    }
}

impl Ring<'_> {
    /// Claims a slot: a free one, else one of somebody dead, else one that nobody has used yet. In this order, so that a
    /// scan of the slots in use stays as short as there are writers alive at once. `owner_of` gives the word that owns a
    /// slot, just before it is claimed, or wants another slot.
    ///
    /// # Errors
    /// All slots belong to owners not proven dead.
    pub(crate) fn claim(&self, mut owner_of: impl FnMut(usize) -> Option<OwnerWord>) -> Result<Hold, TooManyWriters> {
        // Every turn frees a slot or adds one; more of them only where somebody takes each one before us.
        for _ in 0..2 * self.slots.len() + 2 {
            let high = self.header.slots_high.load(Relaxed);
            let used = &self.slots[..(high as usize).min(self.slots.len())];
            for (i, slot) in used.iter().enumerate() {
                if slot.owner.load(Relaxed).is_free()
                    && let Some(owner) = owner_of(i)
                    && let Some(hold) = self.take(i, owner)
                {
                    return Ok(hold);
                }
            }
            let freed = used.iter().enumerate().any(|(i, slot)| {
                let owner = slot.owner.load(Relaxed);
                !owner.is_free() && self.free_if_dead(i, owner)
            });
            if freed {
                continue;
            }
            if used.len() == self.slots.len() && !used.iter().any(|slot| slot.owner.load(Relaxed).is_free()) {
                break;
            }
            // A scan must see the mark before it can miss our announcement: HEAD carries it there, as it does the
            // announcement itself. Losing means that somebody else made room.
            let _ = self.header.slots_high.compare_exchange(high, high + 1, Relaxed, Relaxed);
        }
        Err(TooManyWriters { slots: self.slots.len() as u32 })
    }

    fn take(&self, i: usize, owner: OwnerWord) -> Option<Hold> {
        let slot = &self.slots[i].owner;
        let taken = slot.compare_exchange(OwnerWord::FREE, owner, at("claim:owner", AcqRel), Relaxed).is_ok();
        taken.then(|| self.settle(i, owner))
    }

    /// A claimed slot announces nothing, and continues its last owner's counter.
    fn settle(&self, i: usize, owner: OwnerWord) -> Hold {
        let slot = &self.slots[i];
        let announced = slot.announce.load(Relaxed).idle();
        slot.announce.store(announced, at("claim:idle", Release));
        slot.records.store(0, Relaxed);
        slot.bytes.store(0, Relaxed);
        Hold { slot: i, owner, announced, introduced: Hold::NOT_YET, lost: Loss::NEVER }
    }

    /// Gives back a slot that announces nothing.
    pub(crate) fn release(&self, hold: Hold) {
        // Losing means that somebody took us for dead; the slot is his.
        let slot = &self.slots[hold.slot].owner;
        let _ = slot.compare_exchange(hold.owner, OwnerWord::FREE, at("release:owner", Release), Relaxed);
    }
}

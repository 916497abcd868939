//! Claim a writer slot, and give it back.

#![forbid(unsafe_code)]

use crate::error::TooManyWriters;
use crate::layout::Slot;
use crate::ring::{Ring, Verdict};
use crate::sync::at;
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
    /// Claims a slot for `owner`: a free one, else one of somebody dead, else one that nobody has used yet. In this order,
    /// so that a scan of the slots in use stays as short as there are writers alive at once.
    ///
    /// # Errors
    /// All slots belong to owners not proven dead.
    pub(crate) fn claim(&self, owner: OwnerWord) -> Result<Hold, TooManyWriters> {
        loop {
            let high = self.header.slots_high.load(Relaxed);
            let used = &self.slots[..(high as usize).min(self.slots.len())];
            for (i, slot) in used.iter().enumerate() {
                if slot.owner.load(Relaxed).is_free() && self.take(i, OwnerWord::FREE, owner) {
                    return Ok(self.settle(i, owner));
                }
            }
            for (i, slot) in used.iter().enumerate() {
                let old = slot.owner.load(Relaxed);
                if !old.is_free() && self.judge(old) == Verdict::Dead && self.take(i, old, owner) {
                    return Ok(self.settle(i, owner));
                }
            }
            if used.len() == self.slots.len() {
                return Err(TooManyWriters { slots: self.slots.len() as u32 });
            }
            // A scan must see the mark before it can miss our announcement: HEAD carries it there, as it does the
            // announcement itself. Losing means that somebody else made room.
            let _ = self.header.slots_high.compare_exchange(high, high + 1, Relaxed, Relaxed);
        }
    }

    fn take(&self, slot: usize, old: OwnerWord, new: OwnerWord) -> bool {
        self.slots[slot].owner.compare_exchange(old, new, at("claim:owner", AcqRel), Relaxed).is_ok()
    }

    /// A claimed slot announces nothing, and continues its last owner's counter.
    fn settle(&self, i: usize, owner: OwnerWord) -> Hold {
        let slot = &self.slots[i];
        let announced = slot.announce.load(Relaxed).idle();
        slot.announce.store(announced, at("claim:idle", Release));
        slot.records.store(0, Relaxed);
        slot.bytes.store(0, Relaxed);
        Hold { slot: i, owner, announced, introduced: Hold::NOT_YET }
    }

    /// Gives back a slot that announces nothing.
    pub(crate) fn release(&self, hold: Hold) {
        // Losing means that somebody took us for dead; the slot is his.
        let slot = &self.slots[hold.slot].owner;
        let _ = slot.compare_exchange(hold.owner, OwnerWord::FREE, at("release:owner", Release), Relaxed);
    }
}

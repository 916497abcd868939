//! The four packed words of the protocol, each packed and unpacked here and nowhere else.
//!
//! ```text
//!            63                          27 26 25         16 15               0
//! HEAD      |        page tag (37)         |c|  count (10)  | next offset / k  |
//! entry     |              epoch tag (48)                   | offset + 1       |
//! announce  | counter (15) |a|            epoch tag (48)                       |
//! owner     | pid (22) | namespace (6) | image (8) | start time (27) | lock (1)|
//! ```

#![forbid(unsafe_code)]

use bytemuck::{Pod, Zeroable};

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// HEAD: which page is open, how many records it holds, where the next one goes.
///
/// While `closed` is set the low field is `k`, the decided step to the next page (0: not decided). Otherwise it is the
/// next free offset in the page's data region, in 8-byte units.
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct HeadWord(u64);

impl HeadWord {
    pub(crate) const LOW_BITS: u32 = 16;
    pub(crate) const COUNT_BITS: u32 = 10;
    pub(crate) const TAG_BITS: u32 = 64 - Self::LOW_BITS - Self::COUNT_BITS - 1;
    const CLOSED: u64 = 1 << (Self::LOW_BITS + Self::COUNT_BITS);
    const ONE_RECORD: u64 = 1 << Self::LOW_BITS;

    /// The open, empty page `epoch`.
    pub(crate) const fn open(epoch: u64) -> Self {
        Self((epoch & mask(Self::TAG_BITS)) << (64 - Self::TAG_BITS))
    }

    /// The low [`Self::TAG_BITS`] bits of the epoch of HEAD's page.
    pub(crate) const fn tag(self) -> u64 {
        self.0 >> (64 - Self::TAG_BITS)
    }

    /// Does `epoch` have this word's tag?
    pub(crate) const fn is_page(self, epoch: u64) -> bool {
        epoch & mask(Self::TAG_BITS) == self.tag()
    }

    pub(crate) const fn closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    /// Records reserved on the page so far.
    pub(crate) const fn count(self) -> u32 {
        ((self.0 >> Self::LOW_BITS) & mask(Self::COUNT_BITS)) as u32
    }

    const fn low(self) -> u32 {
        (self.0 & mask(Self::LOW_BITS)) as u32
    }

    /// The next free offset, in words of the data region. Only of an open page.
    pub(crate) const fn offset(self) -> u32 {
        self.low()
    }

    /// The decided step to the next page; 0 while open or undecided.
    pub(crate) const fn step(self) -> u32 {
        if self.closed() { self.low() } else { 0 }
    }

    /// This open page with one more record of `words` words.
    pub(crate) const fn with_record(self, words: u32) -> Self {
        Self(self.0 + Self::ONE_RECORD + words as u64)
    }

    /// This open page, closed and undecided: the count is frozen from here on.
    pub(crate) const fn close(self) -> Self {
        Self((self.0 & !mask(Self::LOW_BITS)) | Self::CLOSED)
    }

    /// This closed page with the step `k` decided.
    pub(crate) const fn decide(self, k: u32) -> Self {
        Self((self.0 & !mask(Self::LOW_BITS)) | k as u64)
    }
}

/// An index entry: the record at `offset` is committed in the page `epoch`. Zero is never a committed entry.
#[derive(Clone, Copy, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct EntryWord(u64);

impl EntryWord {
    const OFFSET_BITS: u32 = 16;
    const TAG_BITS: u32 = 64 - Self::OFFSET_BITS;

    pub(crate) const fn new(epoch: u64, offset: u32) -> Self {
        Self(epoch << Self::OFFSET_BITS | (offset as u64 + 1) & mask(Self::OFFSET_BITS))
    }

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn to_bits(self) -> u64 {
        self.0
    }

    /// The low 48 bits of the epoch under which something was committed here.
    #[cfg(not(all(test, loom)))]
    pub(crate) const fn tag(self) -> u64 {
        self.0 >> Self::OFFSET_BITS
    }

    /// The offset in words of the data region, if this entry was committed in `epoch`.
    pub(crate) const fn offset_in(self, epoch: u64) -> Option<u32> {
        let stored = self.0 & mask(Self::OFFSET_BITS);
        if stored != 0 && self.0 >> Self::OFFSET_BITS == epoch & mask(Self::TAG_BITS) {
            Some(stored as u32 - 1)
        } else {
            None
        }
    }
}

/// Why a saved ring does not have a record: what its index has instead of an entry. No page has the epoch 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub(crate) enum LeftOut {
    /// Its writer had died.
    Abandoned = 1,
    /// Its writer had stopped.
    Stalled = 2,
    /// It was damaged, or overwritten before it was known what became of it.
    Lost = 3,
}

impl LeftOut {
    /// What `entry`, which commits nothing, says.
    pub(crate) const fn of(entry: EntryWord) -> Self {
        match entry.0 {
            2 => Self::Stalled,
            3 => Self::Lost,
            _ => Self::Abandoned,
        }
    }

    /// Is `entry` one that only a saved ring has?
    #[cfg(not(all(test, loom)))]
    pub(crate) const fn is(entry: EntryWord) -> bool {
        matches!(entry.0, 1..=3)
    }
}

/// What a writer says it is inside of: one page, or nothing. The counter tells "still there" from "there again".
///
/// Never take an identity, an offset or a length from an announcement: the loser of a compare-exchange announces too.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct AnnounceWord(u64);

impl AnnounceWord {
    /// Of a slot that nobody has had.
    pub(crate) const NEVER: Self = Self(0);
    const TAG_BITS: u32 = 48;
    pub(crate) const COUNTER_BITS: u32 = 64 - 1 - Self::TAG_BITS;
    const ACTIVE: u64 = 1 << Self::TAG_BITS;
    const ONE: u64 = 1 << (Self::TAG_BITS + 1);

    /// The next announcement after `self`: page `epoch`.
    pub(crate) const fn enter(self, epoch: u64) -> Self {
        Self((self.0 & !mask(Self::TAG_BITS + 1)).wrapping_add(Self::ONE) | Self::ACTIVE | epoch & mask(Self::TAG_BITS))
    }

    /// The same counter, inside nothing.
    pub(crate) const fn idle(self) -> Self {
        Self(self.0 & !mask(Self::TAG_BITS + 1))
    }

    /// How often this slot has announced, modulo 2^15.
    pub(crate) const fn counter(self) -> u64 {
        self.0 >> (Self::TAG_BITS + 1)
    }

    pub(crate) const fn is_idle(self) -> bool {
        self.0 & Self::ACTIVE == 0
    }

    /// Idle, and nothing but the counter is set.
    #[cfg(not(all(test, loom)))]
    pub(crate) const fn is_blank(self) -> bool {
        self.0 & mask(Self::TAG_BITS + 1) == 0
    }

    /// Announces the page `epoch`?
    pub(crate) const fn is_page(self, epoch: u64) -> bool {
        !self.is_idle() && self.0 & mask(Self::TAG_BITS) == epoch & mask(Self::TAG_BITS)
    }

    /// How many pages before `epoch` the announced page lies; `None` when idle, at `epoch` or after it.
    pub(crate) const fn pages_before(self, epoch: u64) -> Option<u64> {
        let back = epoch.wrapping_sub(self.0) & mask(Self::TAG_BITS);
        if !self.is_idle() && back != 0 && back >> (Self::TAG_BITS - 1) == 0 { Some(back) } else { None }
    }
}

/// Who owns a writer slot, complete in one word so that one compare-exchange claims or frees it. Zero is a free slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub(crate) struct OwnerWord(u64);

impl OwnerWord {
    pub(crate) const FREE: Self = Self(0);
    pub(crate) const START_BITS: u32 = 27;
    /// A namespace index that says "not recorded": such an owner is never proven dead.
    pub(crate) const UNKNOWN_NAMESPACE: u32 = 63;

    /// `pid` below 2^22 and not 0, `namespace` an index below 64 into the header's table, `image` a hash of what this
    /// process image was given at exec, `start` the process start time in clock ticks since boot.
    pub(crate) const fn new(pid: u32, namespace: u32, image: u8, start: u64) -> Self {
        Self(
            (pid as u64 & mask(22)) << 42
                | (namespace as u64 & mask(6)) << 36
                | (image as u64) << 28
                | (start & mask(Self::START_BITS)) << 1,
        )
    }

    /// The same owner, who holds the slot's lock as long as its memory lasts.
    pub(crate) const fn locked(self) -> Self {
        Self(self.0 | 1)
    }

    pub(crate) const fn is_free(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn pid(self) -> u32 {
        (self.0 >> 42) as u32
    }

    pub(crate) const fn namespace(self) -> u32 {
        (self.0 >> 36 & mask(6)) as u32
    }

    pub(crate) const fn image(self) -> u8 {
        (self.0 >> 28) as u8
    }

    /// False when the owner could not find out when it started.
    pub(crate) const fn start(self) -> u64 {
        self.0 >> 1 & ((1 << 27) - 1)
    }

    pub(crate) const fn knows_start(self) -> bool {
        self.0 >> 1 & mask(Self::START_BITS) != 0
    }

    /// Does a process that started at `start` clock ticks have this word's start time?
    pub(crate) const fn started_at(self, start: u64) -> bool {
        self.0 >> 1 & mask(Self::START_BITS) == start & mask(Self::START_BITS)
    }

    /// Does its life show by a lock, or by its process alone?
    pub(crate) const fn is_locked(self) -> bool {
        self.0 & 1 != 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn head_keeps_every_field(epoch: u64, sizes in prop::collection::vec(1u32..60, 0..512), k in 0u32..65536) {
            let mut head = HeadWord::open(epoch);
            prop_assert!(head.is_page(epoch) && !head.closed());
            prop_assert_eq!((head.count(), head.offset(), head.step()), (0, 0, 0));
            for (i, words) in sizes.iter().enumerate() {
                head = head.with_record(*words);
                prop_assert_eq!(head.count() as usize, i + 1);
                prop_assert_eq!(head.offset(), sizes[..=i].iter().sum::<u32>());
                prop_assert!(head.is_page(epoch) && !head.closed());
            }
            let closed = head.close();
            prop_assert!(closed.closed() && closed.is_page(epoch));
            prop_assert_eq!((closed.count(), closed.step()), (sizes.len() as u32, 0));
            let decided = closed.decide(k);
            prop_assert!(decided.closed() && decided.is_page(epoch));
            prop_assert_eq!((decided.count(), decided.step()), (sizes.len() as u32, k));
        }

        #[test]
        fn head_tells_neighbouring_epochs_apart(epoch: u64, d in 1u64..1 << 36) {
            prop_assert!(!HeadWord::open(epoch).is_page(epoch.wrapping_add(d)));
        }

        #[test]
        fn entry_gives_the_offset_to_its_own_epoch_only(epoch: u64, offset in 0u32..65535, d in 1u64..1 << 47) {
            let entry = EntryWord::new(epoch, offset);
            prop_assert_eq!(EntryWord::from_bits(entry.to_bits()).offset_in(epoch), Some(offset));
            prop_assert_eq!(entry.offset_in(epoch.wrapping_add(d)), None);
            prop_assert_eq!(EntryWord::from_bits(0).offset_in(epoch), None);
        }

        #[test]
        fn announce_keeps_page_and_counter(bits: u64, epoch: u64, d in 1u64..1 << 46) {
            let before = AnnounceWord(bits);
            let inside = before.enter(epoch);
            prop_assert!(inside.is_page(epoch) && !inside.is_idle());
            prop_assert!(!inside.is_page(epoch.wrapping_add(d)));
            prop_assert!(inside != before.enter(epoch).enter(epoch), "again differs from still");
            prop_assert!(inside.idle().is_idle() && !inside.idle().is_page(epoch));
            prop_assert_eq!(inside.idle().enter(epoch), inside.enter(epoch), "idle continues the counter");
            prop_assert_eq!(inside.pages_before(epoch.wrapping_add(d)), Some(d));
            prop_assert_eq!(inside.pages_before(epoch), None);
            prop_assert_eq!(inside.pages_before(epoch.wrapping_sub(d)), None);
            prop_assert_eq!(inside.idle().pages_before(epoch.wrapping_add(d)), None);
        }

        #[test]
        fn owner_keeps_every_field(pid in 1u32..1 << 22, ns in 0u32..64, image: u8, start: u64, other: u64) {
            let owner = OwnerWord::new(pid, ns, image, start);
            prop_assert!(!owner.is_free());
            for owner in [owner, owner.locked()] {
                prop_assert_eq!((owner.pid(), owner.namespace(), owner.image()), (pid, ns, image));
                prop_assert!(owner.started_at(start));
            }
            prop_assert_eq!((owner.is_locked(), owner.locked().is_locked()), (false, true));
            prop_assert!(owner.started_at(start));
            prop_assert_eq!(owner.knows_start(), start & mask(OwnerWord::START_BITS) != 0);
            prop_assert_eq!(owner.started_at(other), (start ^ other) & mask(OwnerWord::START_BITS) == 0);
        }
    }
}

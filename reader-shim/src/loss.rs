//! Runs of records that a reader did not get, and how neighbours become one.

use lapwing_ring::Gap;

/// Why a reader did not get records.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LossKind {
    /// Overwritten before the reader came.
    Lost,
    /// The writer died inside its append.
    Abandoned,
    /// The writer stopped inside its append, and patience ended.
    Stalled,
}

impl LossKind {
    /// The word that output uses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Abandoned => "abandoned",
            Self::Stalled => "stalled",
        }
    }
}

/// A run of records of one kind that a reader did not get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Loss {
    pub kind: LossKind,
    pub gap: Gap,
}

impl Loss {
    /// Takes `next` in if it goes on where this ends, for the same reason.
    pub(crate) fn extend(&mut self, next: Self) -> bool {
        let follows = self.kind == next.kind && self.gap.first.wrapping_add(self.gap.count) == next.gap.first;
        // Where sequences end, a damaged ring can go around.
        let Some(count) = self.gap.count.checked_add(next.gap.count).filter(|_| follows) else { return false };
        self.gap.count = count;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neighbours_of_one_kind_become_one() {
        let loss = |kind, first, count| Loss { kind, gap: Gap { first, count } };
        let mut run = loss(LossKind::Abandoned, 5, 1);
        assert!(run.extend(loss(LossKind::Abandoned, 6, 2)));
        assert_eq!(run, loss(LossKind::Abandoned, 5, 3));
        assert!(!run.extend(loss(LossKind::Stalled, 8, 1)));
        assert!(!run.extend(loss(LossKind::Abandoned, 9, 1)));
        assert_eq!(run.gap.last(), 7);
        let mut all = loss(LossKind::Lost, 0, u64::MAX);
        assert!(!all.extend(loss(LossKind::Lost, u64::MAX, 1)), "more than can be counted are two");
        assert_eq!(all, loss(LossKind::Lost, 0, u64::MAX));
    }
}

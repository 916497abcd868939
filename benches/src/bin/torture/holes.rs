//! Sequences that no returned append owns: each must belong to an append that a kill cut short, and to one that can have
//! got it.

use crate::check::{Case, NOBODY};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

/// The books of unowned sequences.
pub(crate) struct Holes {
    by_writer: HashMap<u64, Vec<u32>>,
    /// Delivered records whose append did not return: sequence to append, and append to sequence.
    claims: HashMap<u64, u32>,
    claimed: HashMap<u32, u64>,
    /// Sequences found abandoned: when the first call that said so returned, and who said so.
    abandoned: BTreeMap<u64, (u64, String)>,
    delivered: HashMap<u64, String>,
    bounds: HashMap<u32, Bounds>,
}

/// What an append that never returned can have got: a sequence between these two, exclusive.
#[derive(Clone, Copy)]
struct Bounds {
    begun: u64,
    low: i64,
    high: i64,
}

impl Bounds {
    fn admit(self, seq: u64) -> bool {
        self.low < seq as i64 && (seq as i64) < self.high
    }
}

impl Holes {
    /// `returned`: begun, ended, sequence; in the order they began.
    pub(crate) fn new(case: &Case<'_>, returned: Vec<(u64, u64, u64)>) -> Self {
        let mut newest: Vec<(u64, i64)> = returned.iter().map(|&(_, ended, seq)| (ended, seq as i64)).collect();
        newest.sort_unstable();
        for i in 1..newest.len() {
            newest[i].1 = newest[i].1.max(newest[i - 1].1);
        }
        let mut oldest: Vec<(u64, i64)> = returned.into_iter().map(|(begun, _, seq)| (begun, seq as i64)).collect();
        for i in (1..oldest.len()).rev() {
            oldest[i - 1].1 = oldest[i - 1].1.min(oldest[i].1);
        }
        let bounds = case.unreturned.iter().map(|&i| {
            let append = case.append(i);
            let before = newest.partition_point(|&(ended, _)| ended < append.begun);
            let over = case.evidence.death(append).map_or(u64::MAX, |death| death.over);
            let after = oldest.partition_point(|&(begun, _)| begun <= over);
            let low = before.checked_sub(1).map_or(-1, |before| newest[before].1);
            let high = oldest.get(after).map_or(i64::MAX, |&(_, seq)| seq);
            (i, Bounds { begun: append.begun, low, high })
        });
        Self {
            bounds: bounds.collect(),
            by_writer: case.unreturned_by_writer(),
            claims: HashMap::new(),
            claimed: HashMap::new(),
            abandoned: BTreeMap::new(),
            delivered: HashMap::new(),
        }
    }

    /// How many appends that never returned had begun at `when`, and can have got a sequence behind `seq`.
    pub(crate) fn later(&self, seq: u64, when: u64) -> u64 {
        self.bounds.values().filter(|bounds| bounds.begun <= when && bounds.high > seq as i64).count() as u64
    }

    /// A record was delivered that no returned append owns. Tells whether an append that did not return explains it.
    pub(crate) fn deliver(&mut self, case: &Case<'_>, seq: u64, who: u64, len: u32, hash: u64, by: &str) -> bool {
        self.delivered.entry(seq).or_insert_with(|| by.to_owned());
        let fits = |&i: &u32| {
            let append = case.append(i);
            (append.len, append.hash) == (len, hash) && self.bounds[&i].admit(seq)
        };
        if let Some(i) = self.claims.get(&seq) {
            return fits(i) && case.evidence.writers[case.append(*i).writer as usize].who == who;
        }
        let candidates = self.by_writer.get(&who).into_iter().flatten();
        let Some(&i) = candidates.copied().filter(fits).find(|i| !self.claimed.contains_key(i)).as_ref() else {
            return false;
        };
        self.claims.insert(seq, i);
        self.claimed.insert(i, seq);
        true
    }

    /// A reader found `seq` abandoned, by a call that returned at `when`.
    pub(crate) fn abandon(&mut self, seq: u64, when: u64, by: &str) {
        let first = self.abandoned.entry(seq).or_insert_with(|| (when, by.to_owned()));
        if when < first.0 {
            *first = (when, by.to_owned());
        }
    }

    /// Every unowned sequence finds an append of its own, and every abandoned one a kill before it was called that.
    pub(crate) fn settle(self, case: &mut Case<'_>) {
        case.tally.abandoned = self.abandoned.len() as u64;
        for (&seq, (when, by)) in &self.abandoned {
            if let Some(append) = case.owner(seq) {
                let text = format!("{seq}, by {by} at {when}: {}", case.evidence.show(append));
                case.violation("abandoned, but appended", text);
            } else if let Some(other) = self.delivered.get(&seq) {
                case.violation("abandoned, but delivered", format!("{seq}, by {by} at {when}, delivered to {other}"));
            } else if !case.unreturned.iter().any(|i| {
                let death = case.evidence.death(case.append(*i));
                self.bounds[i].admit(seq) && death.is_some_and(|death| death.since <= *when)
            }) {
                case.violation("abandoned without a kill", format!("{seq}, by {by} at {when}"));
            }
        }
        let free = case.unreturned.iter().filter(|i| !self.claimed.contains_key(i));
        let mut waiting: Vec<Bounds> = free.map(|i| self.bounds[i]).collect();
        waiting.sort_unstable_by_key(|bounds| Reverse(bounds.low));
        let mut candidates = BinaryHeap::new();
        for seq in 0..case.owner.len() as u64 {
            if case.owner[seq as usize] != NOBODY || self.claims.contains_key(&seq) {
                continue;
            }
            while let Some(bounds) = waiting.pop_if(|bounds| bounds.low < seq as i64) {
                candidates.push(Reverse(bounds.high));
            }
            // Those whose time is over never reserved anything.
            while candidates.peek().is_some_and(|&Reverse(high)| high <= seq as i64) {
                candidates.pop();
            }
            if candidates.pop().is_none() {
                case.violation("a sequence that no append owns", format!("{seq} of {}", case.ring.next_seq));
            }
        }
    }
}

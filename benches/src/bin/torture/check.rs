//! The offline checker: everything that was appended to one ring and everything that was delivered from it, held against
//! the protocol's promises. docs/PROTOCOL.md, "What holds".

use crate::evidence::{Append, Evidence, Returned};
use crate::holes::Holes;
use crate::journal::REFUSALS;
use crate::streams;
use lapwing_ring::Geometry;
use std::collections::HashMap;

/// A promise that was broken.
pub(crate) struct Violation {
    /// Which check found it.
    pub(crate) check: &'static str,
    pub(crate) text: String,
}

/// What one ring said of itself when all was over.
pub(crate) struct RingFacts {
    pub(crate) id: [u64; 2],
    pub(crate) geometry: Geometry,
    pub(crate) next_seq: u64,
    /// Too large, too many writers, all pages pinned, damaged.
    pub(crate) refused: [u64; 4],
    /// Nobody may be refused for want of a page.
    pub(crate) never_refuses: bool,
    /// The most writers that can be inside an append at once.
    pub(crate) most_inside: u64,
}

/// What went through a ring.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) appends: u64,
    pub(crate) refused: u64,
    pub(crate) unreturned: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    /// Sequences that some reader found abandoned.
    pub(crate) abandoned: u64,
    pub(crate) stalled: u64,
}

/// No append owns this sequence.
pub(crate) const NOBODY: u32 = u32::MAX;

/// One ring under the checker.
pub(crate) struct Case<'a> {
    pub(crate) evidence: &'a Evidence,
    pub(crate) ring: &'a RingFacts,
    /// The append of each sequence that one returned with, as an index.
    pub(crate) owner: Vec<u32>,
    /// Appends to this ring that never returned.
    pub(crate) unreturned: Vec<u32>,
    pub(crate) found: Vec<Violation>,
    pub(crate) tally: Tally,
}

/// Checks one ring.
pub(crate) fn check(evidence: &Evidence, ring: &RingFacts) -> (Vec<Violation>, Tally) {
    let owner = vec![NOBODY; ring.next_seq as usize];
    let mut case = Case { evidence, ring, owner, unreturned: Vec::new(), found: Vec::new(), tally: Tally::default() };
    let mine: Vec<u32> = (0..evidence.appends.len() as u32)
        .filter(|&i| evidence.ring(&evidence.appends[i as usize]) == ring.id)
        .collect();
    case.owners(&mine);
    case.refusals(&mine);
    let mut returned: Vec<(u64, u64, u64)> = mine.iter().filter_map(|&i| times(case.append(i))).collect();
    drop(mine);
    case.real_time(&mut returned);
    let mut holes = Holes::new(&case, returned);
    streams::check(&mut case, &mut holes);
    holes.settle(&mut case);
    (case.found, case.tally)
}

/// Begun, ended and sequence of an append that returned with one.
fn times(append: &Append) -> Option<(u64, u64, u64)> {
    match append.result {
        Returned::Appended { ended, seq } => Some((append.begun, ended, seq)),
        _ => None,
    }
}

impl<'a> Case<'a> {
    pub(crate) fn append(&self, i: u32) -> &'a Append {
        &self.evidence.appends[i as usize]
    }

    pub(crate) fn violation(&mut self, check: &'static str, text: String) {
        self.found.push(Violation { check, text });
    }

    /// The append that returned with `seq`.
    pub(crate) fn owner(&self, seq: u64) -> Option<&'a Append> {
        match self.owner.get(usize::try_from(seq).ok()?) {
            None | Some(&NOBODY) => None,
            Some(&i) => Some(self.append(i)),
        }
    }

    /// Every sequence once, none beyond the end, each writer's ascending.
    fn owners(&mut self, mine: &[u32]) {
        let mut last: Option<(u32, u64)> = None;
        for &i in mine {
            let append = *self.append(i);
            match append.result {
                Returned::Refused(_) => self.tally.refused += 1,
                Returned::Never => {
                    self.tally.unreturned += 1;
                    self.unreturned.push(i);
                    if self.evidence.death(&append).is_none() {
                        let text = format!("nobody killed it: {}", self.evidence.show(&append));
                        self.violation("an append that never returned", text);
                    }
                }
                Returned::Appended { seq, .. } => {
                    self.tally.appends += 1;
                    if let Some((writer, before)) = last
                        && writer == append.writer
                        && seq <= before
                    {
                        let text = format!("{before}, and then {}", self.evidence.show(&append));
                        self.violation("per-writer order", text);
                    }
                    last = Some((append.writer, seq));
                    match self.owner.get(seq as usize) {
                        None => {
                            let text = format!("next is {}: {}", self.ring.next_seq, self.evidence.show(&append));
                            self.violation("a sequence beyond the end", text);
                        }
                        Some(&NOBODY) => self.owner[seq as usize] = i,
                        Some(&other) => {
                            let (one, two) = (self.evidence.show(self.append(other)), self.evidence.show(&append));
                            self.violation("a sequence used twice", format!("{one}\n    {two}"));
                        }
                    }
                }
            }
        }
    }

    /// Refused for a reason, and counted.
    fn refusals(&mut self, mine: &[u32]) {
        let mut counted = [0; REFUSALS.len()];
        for &i in mine {
            let append = *self.append(i);
            let max = self.evidence.writers[append.writer as usize].max_body;
            let too_large = append.len as u64 > max;
            let right = match append.result {
                Returned::Refused(cause) => {
                    counted[cause] += 1;
                    match cause {
                        0 => too_large,
                        2 => !self.ring.never_refuses,
                        _ => false,
                    }
                }
                _ => !(too_large && append.result != Returned::Never),
            };
            if !right {
                let cause = match append.result {
                    Returned::Refused(cause) => REFUSALS[cause],
                    _ => "not refused",
                };
                let text = format!("{cause}: {}", self.evidence.show(&append));
                self.violation("refused without cause", text);
            }
        }
        // The pool has no word of its own.
        let counted = [counted[0], counted[1] + counted[3], counted[2], counted[4]];
        for (cause, (&here, &there)) in counted.iter().zip(&self.ring.refused).enumerate() {
            if there < here || there > here + self.unreturned.len() as u64 {
                let text = format!("{}: {here} in journals, {there} in the ring", REFUSALS[cause]);
                self.violation("refused and not counted", text);
            }
        }
    }

    /// Who returned before another began has the smaller sequence. Leaves `returned` in the order they began.
    fn real_time(&mut self, returned: &mut [(u64, u64, u64)]) {
        let mut by_end: Vec<(u64, u64)> = returned.iter().map(|&(_, ended, seq)| (ended, seq)).collect();
        by_end.sort_unstable();
        returned.sort_unstable();
        let mut ends = by_end.into_iter().peekable();
        let mut newest: Option<u64> = None;
        let mut wrong = Vec::new();
        for &(begun, _, seq) in returned.iter() {
            while let Some((_, ended)) = ends.next_if(|&(ended, _)| ended < begun) {
                newest = newest.max(Some(ended));
            }
            if let Some(before) = newest
                && before >= seq
                && wrong.len() < 10
            {
                wrong.push((before, seq));
            }
        }
        for (before, seq) in wrong {
            let show = |seq| self.owner(seq).map_or(String::new(), |append| self.evidence.show(append));
            let text = format!("{before} had returned when {seq} began\n    {}\n    {}", show(before), show(seq));
            self.violation("real-time order", text);
        }
    }

    /// Writers by pid and tid.
    pub(crate) fn unreturned_by_writer(&self) -> HashMap<u64, Vec<u32>> {
        let mut by_writer: HashMap<u64, Vec<u32>> = HashMap::new();
        for &i in &self.unreturned {
            let who = self.evidence.writers[self.append(i).writer as usize].who;
            by_writer.entry(who).or_default().push(i);
        }
        by_writer
    }
}

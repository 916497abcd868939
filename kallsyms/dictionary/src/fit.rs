//! Which candidates are worth a code: tokens are dropped and tried until no change makes the names shorter.

#![forbid(unsafe_code)]

use crate::code::{Book, Classes};
use crate::corpus::Corpus;

/// One nibble, in the unit of costs.
const NIBBLE: u32 = 256;
/// Of what is no token.
const NEVER: u32 = u32::MAX;

/// What is being fitted.
pub struct Fit<'a> {
    corpus: &'a Corpus,
    classes: Classes,
    /// What a candidate's code costs; `NEVER` where it has none.
    costs: Vec<u32>,
}

/// What came of coding all names.
struct Parsed {
    /// In the unit of costs.
    total: u64,
    /// How often each candidate is used.
    uses: Vec<u64>,
    /// What it would save to have each candidate that has no code at the price of the longest codes.
    saved: Vec<u64>,
}

/// Chooses the tokens. `say` is told how it goes.
pub fn fit(corpus: &Corpus, classes: Classes, rounds: usize, mut say: impl FnMut(String)) -> Book {
    let mut fit = Fit { corpus, classes, costs: vec![4 * NIBBLE; corpus.candidates.len()] };
    let target = classes.capacity() + classes.capacity() / 20;
    let mut parsed = fit.parse(false);
    loop {
        fit.entropy(&parsed.uses);
        parsed = fit.parse(false);
        let alive = fit.alive();
        say(format!("{alive} tokens, {:.4} nibbles a name", fit.nibbles(&parsed)));
        if alive <= target {
            break;
        }
        fit.prune(&parsed, (alive * 3 / 4).max(target));
    }
    fit.book(&parsed.uses);
    let mut best: Option<(u64, Vec<u32>, Vec<u64>)> = None;
    let mut more = classes.capacity() / 8;
    for round in 0..rounds {
        parsed = fit.parse(true);
        fit.drop_unused(&parsed);
        let book = fit.book(&parsed.uses);
        parsed = fit.parse(true);
        drop(book);
        let total = parsed.total + fit.static_cost();
        say(format!("round {round}: {} tokens, {:.4} nibbles a name, more {more}", fit.alive(), fit.nibbles(&parsed)));
        if best.as_ref().is_none_or(|best| total < best.0) {
            best = Some((total, fit.costs.clone(), parsed.uses.clone()));
        } else {
            more = more * 3 / 4;
            if more < 8 {
                break;
            }
            if let Some((_, costs, _)) = &best {
                fit.costs.clone_from(costs);
                parsed = fit.parse(true);
            }
        }
        fit.grow(&parsed, more);
        parsed = fit.parse(false);
        fit.drop_unused(&parsed);
        fit.prune(&parsed, classes.capacity() - 100);
    }
    if let Some((_, costs, uses)) = best {
        fit.costs = costs;
        return fit.book(&uses);
    }
    fit.book(&parsed.uses)
}

impl Fit<'_> {
    fn alive(&self) -> usize {
        self.costs.iter().filter(|&&cost| cost != NEVER).count()
    }

    fn nibbles(&self, parsed: &Parsed) -> f64 {
        parsed.total as f64 / f64::from(NIBBLE) / self.corpus.stored() as f64
    }

    /// Costs as if a code could have any length from two nibbles to five.
    fn entropy(&mut self, uses: &[u64]) {
        let all: u64 = uses.iter().sum();
        for (cost, &uses) in self.costs.iter_mut().zip(uses) {
            if *cost != NEVER {
                *cost = ((log2(all) - log2(uses.max(1))) / 4).clamp(2 * NIBBLE, 5 * NIBBLE);
            }
        }
    }

    /// Costs as they are: gives out the codes.
    fn book(&mut self, uses: &[u64]) -> Book {
        let alive: Vec<_> = self.costs.iter().map(|&cost| cost != NEVER).collect();
        let book = Book::new(self.corpus, uses, &alive, self.classes);
        self.costs.fill(NEVER);
        for (id, nibbles) in book.tokens() {
            self.costs[id] = nibbles * NIBBLE;
        }
        book
    }

    /// What the tokens cost in the program, spread over the names of a kernel.
    fn static_cost(&self) -> u64 {
        (0..self.costs.len()).filter(|&id| self.costs[id] != NEVER).map(|id| self.price(id)).sum()
    }

    /// The bytes of a token in the program, as if they were nibbles of names. Half of its text lies in other tokens.
    fn price(&self, id: usize) -> u64 {
        let bytes = 4 + self.corpus.candidates[id].text.len() as u64;
        bytes * u64::from(NIBBLE) * self.corpus.stored() / 60_000
    }

    fn parse(&self, with_saved: bool) -> Parsed {
        let corpus = self.corpus;
        let mut parsed = Parsed { total: 0, uses: vec![0; self.costs.len()], saved: vec![0; self.costs.len()] };
        let (mut best, mut back) = (Vec::new(), Vec::new());
        let mut path = Vec::new();
        for &(start, length, weight) in &corpus.names {
            parsed.total += weight * u64::from(self.best(start, length, usize::MAX, &mut best, &mut back));
            path.clear();
            let mut end = length;
            while end > 0 {
                let id: usize = back[end];
                path.push((end, best[end]));
                parsed.uses[id] += weight;
                end -= corpus.candidates[id].text.len();
            }
            if !with_saved {
                continue;
            }
            path.push((0, 0));
            path.reverse();
            for (first, &(from, before)) in path.iter().enumerate() {
                for &(to, after) in path.iter().skip(first + 2).take(3) {
                    let saves = after - before;
                    if to - from > crate::corpus::LONGEST || saves <= 4 * NIBBLE {
                        continue;
                    }
                    let whole = corpus.matches(start + from).iter().find(|found| found.length() == to - from);
                    if let Some(found) = whole
                        && self.costs[found.candidate()] == NEVER
                    {
                        parsed.saved[found.candidate()] += weight * u64::from(saves - 4 * NIBBLE);
                    }
                }
            }
        }
        parsed
    }

    /// The cheapest way to write a part of the text without one of the candidates. `best` is what its beginnings cost, `back` the
    /// last token of each.
    fn best(&self, start: usize, length: usize, without: usize, best: &mut Vec<u32>, back: &mut Vec<usize>) -> u32 {
        best.clear();
        best.resize(length + 1, NEVER);
        best[0] = 0;
        back.clear();
        back.resize(length + 1, 0);
        for at in 0..length {
            let before = best[at];
            if before == NEVER {
                continue;
            }
            for found in self.corpus.matches(start + at) {
                let (id, end) = (found.candidate(), at + found.length());
                if end > length {
                    break;
                }
                if self.costs[id] != NEVER && id != without && before + self.costs[id] < best[end] {
                    best[end] = before + self.costs[id];
                    back[end] = id;
                }
            }
        }
        best[length]
    }

    fn is_byte(&self, id: usize) -> bool {
        self.corpus.candidates[id].text.len() == 1
    }

    fn drop_unused(&mut self, parsed: &Parsed) {
        for id in 0..self.costs.len() {
            if parsed.uses[id] == 0 && !self.is_byte(id) {
                self.costs[id] = NEVER;
            }
        }
    }

    /// Drops what is worth the least until `keep` are left, and what costs more than it is worth.
    fn prune(&mut self, parsed: &Parsed, keep: usize) {
        let (mut best, mut back) = (Vec::new(), Vec::new());
        let mut worth = Vec::new();
        for (id, candidate) in self.corpus.candidates.iter().enumerate() {
            if self.costs[id] == NEVER || self.is_byte(id) {
                continue;
            }
            let instead = self.best(candidate.at, candidate.text.len(), id, &mut best, &mut back);
            let saves = parsed.uses[id] as i64 * (i64::from(instead) - i64::from(self.costs[id]));
            worth.push((saves - self.price(id) as i64, id));
        }
        worth.sort_unstable();
        let too_many = self.alive().saturating_sub(keep);
        for (index, &(worth, id)) in worth.iter().enumerate() {
            if index < too_many || worth < 0 && uses_settled(index, &worth) {
                self.costs[id] = NEVER;
            }
        }
    }

    /// Tries those that would save the most.
    fn grow(&mut self, parsed: &Parsed, more: usize) {
        let mut worth: Vec<_> = (0..self.costs.len())
            .filter(|&id| parsed.saved[id] > self.price(id))
            .map(|id| (std::cmp::Reverse(parsed.saved[id] - self.price(id)), id))
            .collect();
        worth.sort_unstable();
        for &(_, id) in worth.iter().take(more) {
            self.costs[id] = 4 * NIBBLE;
        }
    }
}

fn uses_settled(_: usize, _: &i64) -> bool {
    false
}

/// The binary logarithm, in the unit of costs: in whole numbers, so that it is the same everywhere.
fn log2(value: u64) -> u32 {
    let whole = value.ilog2();
    let fraction = ((value << (63 - whole)) >> 47) as u32 & 0xffff;
    (whole * 0x1_0000 + fraction) / (0x1_0000 / NIBBLE)
}

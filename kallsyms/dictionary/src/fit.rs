//! Which candidates are worth a code, if names are coded as short as can be: first all are tokens, then those that save least are dropped.

#![forbid(unsafe_code)]

use crate::code::{Book, Classes, SPARE};
use crate::corpus::{Corpus, Match};

/// One nibble, in the unit of costs.
const NIBBLE: u32 = 256;
/// Of what is no token.
const NEVER: u32 = u32::MAX;

/// What is being fitted.
struct Fit<'a> {
    corpus: &'a Corpus,
    /// What a candidate's code costs; `NEVER` where it is no token.
    costs: Vec<u32>,
}

/// What came of coding all names.
struct Parsed {
    /// In the unit of costs.
    total: u64,
    /// How often each candidate is used.
    uses: Vec<u64>,
}

/// Chooses the tokens. `say` is told how it goes.
pub fn fit(corpus: &Corpus, classes: Classes, mut say: impl FnMut(String)) -> Book {
    let mut fit = Fit { corpus, costs: vec![4 * NIBBLE; corpus.candidates.len()] };
    let target = classes.capacity() - SPARE;
    let mut parsed = fit.parse();
    loop {
        fit.entropy(&parsed.uses);
        parsed = fit.parse();
        let tokens = fit.tokens();
        say(format!(
            "{tokens} tokens, {:.3} nibbles a name",
            parsed.total as f64 / f64::from(NIBBLE) / corpus.stored as f64
        ));
        if tokens <= target {
            let is_token: Vec<_> = fit.costs.iter().map(|&cost| cost != NEVER).collect();
            return Book::new(corpus, &parsed.uses, &is_token, classes);
        }
        fit.prune(&parsed, (tokens * 3 / 5).max(target));
    }
}

impl Fit<'_> {
    fn tokens(&self) -> usize {
        self.costs.iter().filter(|&&cost| cost != NEVER).count()
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

    fn parse(&self) -> Parsed {
        let corpus = self.corpus;
        let mut parsed = Parsed { total: 0, uses: vec![0; self.costs.len()] };
        let (mut best, mut back) = (Vec::new(), Vec::new());
        for &(start, length, weight) in &corpus.names {
            parsed.total += weight * u64::from(self.best(start, length, usize::MAX, &mut best, &mut back));
            let mut end = length;
            while end > 0 {
                let token = back[end];
                parsed.uses[token.candidate()] += weight;
                end -= token.length();
            }
        }
        parsed
    }

    /// The cheapest way to write a part of the text without one of the candidates. `best` is what its beginnings cost, `back` the
    /// last token of each.
    fn best(&self, start: usize, length: usize, without: usize, best: &mut Vec<u32>, back: &mut Vec<Match>) -> u32 {
        best.clear();
        best.resize(length + 1, NEVER);
        best[0] = 0;
        back.clear();
        back.resize(length + 1, Match::new(0, 0));
        for at in 0..length {
            let before = best[at];
            if before == NEVER {
                continue;
            }
            for &found in self.corpus.matches(start + at) {
                let (id, end) = (found.candidate(), at + found.length());
                if end > length {
                    break;
                }
                if self.costs[id] != NEVER && id != without && before + self.costs[id] < best[end] {
                    best[end] = before + self.costs[id];
                    back[end] = found;
                }
            }
        }
        best[length]
    }

    /// Drops what is worth the least until `keep` are left; no single byte, so that everything can be written.
    fn prune(&mut self, parsed: &Parsed, keep: usize) {
        let (mut best, mut back) = (Vec::new(), Vec::new());
        let mut worth = Vec::new();
        for (id, candidate) in self.corpus.candidates.iter().enumerate() {
            if self.costs[id] == NEVER || candidate.text.len() == 1 {
                continue;
            }
            let instead = self.best(candidate.at, candidate.text.len(), id, &mut best, &mut back);
            let saves = parsed.uses[id] * u64::from(instead.saturating_sub(self.costs[id]));
            worth.push((saves as i64 - (price(self.corpus, id) * u64::from(NIBBLE)) as i64, id));
        }
        worth.sort_unstable();
        let too_many = self.tokens().saturating_sub(keep);
        for &(_, id) in worth.iter().take(too_many) {
            self.costs[id] = NEVER;
        }
    }
}

/// The bytes of a token in the program, in nibbles of names of one kernel. Half of its text lies in other tokens.
pub fn price(corpus: &Corpus, id: usize) -> u64 {
    let bytes = 4 + corpus.candidates[id].text.len() as u64;
    bytes * corpus.stored / 60_000
}

/// The binary logarithm, in the unit of costs: in whole numbers, so that it is the same everywhere.
fn log2(value: u64) -> u32 {
    let whole = value.ilog2();
    let fraction = ((value << (63 - whole)) >> 47) as u32 & 0xffff;
    (whole * 0x1_0000 + fraction) / (0x1_0000 / NIBBLE)
}

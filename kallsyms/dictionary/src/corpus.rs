//! What is learnt from: every name once, how often it is stored, and which candidate tokens begin at each of its bytes.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// The longest token, in bytes: decoding copies this many at a time.
pub const LONGEST: usize = 16;

/// A part of a name that may become a token.
pub struct Candidate {
    pub text: Vec<u8>,
    /// Where it occurs for the first time, if it does.
    pub at: usize,
}

/// A candidate that begins at some byte.
#[derive(Clone, Copy)]
pub struct Match(u32);

pub struct Corpus {
    /// All names, one behind the other.
    text: Vec<u8>,
    /// Where each begins in `text`, how long it is, and how often it is stored.
    pub names: Vec<(usize, usize, u64)>,
    /// How many names are stored.
    pub stored: u64,
    pub candidates: Vec<Candidate>,
    /// Where the matches at each byte of `text` begin in `matches`; one more for the end.
    first: Vec<usize>,
    /// Shorter ones first.
    matches: Vec<Match>,
}

impl Match {
    pub fn new(candidate: usize, length: usize) -> Self {
        Self((candidate as u32) << 5 | length as u32)
    }

    pub fn candidate(self) -> usize {
        (self.0 >> 5) as usize
    }

    pub fn length(self) -> usize {
        (self.0 & 31) as usize
    }
}

impl Corpus {
    /// All bytes that occur and all of `bytes` are candidates, and longer parts of names that are stored at least `least` times.
    pub fn new<'a>(names: impl Iterator<Item = &'a str>, bytes: impl Iterator<Item = u8>, least: u64) -> Self {
        let mut weights = BTreeMap::new();
        for name in names {
            *weights.entry(name).or_insert(0) += 1;
        }
        let mut corpus = Self {
            text: Vec::new(),
            names: Vec::new(),
            stored: 0,
            candidates: Vec::new(),
            first: Vec::new(),
            matches: Vec::new(),
        };
        for (name, weight) in weights {
            corpus.stored += weight;
            corpus.names.push((corpus.text.len(), name.len(), weight));
            corpus.text.extend_from_slice(name.as_bytes());
        }
        corpus.find_candidates(least);
        let unused = bytes.filter(|byte| !corpus.text.contains(byte)).map(|byte| Candidate { text: vec![byte], at: 0 });
        corpus.candidates.extend(unused.collect::<Vec<_>>());
        corpus
    }

    /// What begins at a byte of the text, shorter ones first.
    pub fn matches(&self, at: usize) -> &[Match] {
        &self.matches[self.first[at]..self.first[at + 1]]
    }

    /// Bytes of all names.
    pub fn length(&self) -> usize {
        self.text.len()
    }

    fn find_candidates(&mut self, least: u64) {
        let mut suffixes = self.suffixes();
        suffixes.sort_unstable();
        // By length: which candidate begins where.
        let mut found: Vec<Vec<(usize, usize)>> = Vec::new();
        for length in 1..=LONGEST {
            let mut here = Vec::new();
            let prefix = |key: u128| key >> (8 * (LONGEST - length));
            for run in suffixes.chunk_by(|a, b| prefix(a.key) == prefix(b.key)) {
                if run[0].length < length {
                    continue;
                }
                let weight: u64 = run.iter().map(|suffix| suffix.weight).sum();
                let longer = |a: &Suffix, b: &Suffix| {
                    a.key >> (8 * (LONGEST - length - 1)) == b.key >> (8 * (LONGEST - length - 1))
                };
                // What always goes on with the same byte is better found with that byte.
                let always =
                    length > 1 && length < LONGEST && longer(&run[0], &run[run.len() - 1]) && run[0].length > length;
                if length > 1 && (weight < least || always) {
                    continue;
                }
                let at = run.iter().map(|suffix| suffix.at).min().unwrap_or(0);
                let id = self.candidates.len();
                self.candidates.push(Candidate { text: self.text[at..at + length].to_vec(), at });
                here.extend(run.iter().map(|suffix| (suffix.at, id)));
            }
            found.push(here);
        }
        drop(suffixes);
        let mut first = vec![0; self.text.len() + 1];
        for (at, _) in found.iter().flatten() {
            first[at + 1] += 1;
        }
        for at in 0..self.text.len() {
            first[at + 1] += first[at];
        }
        let mut next = first.clone();
        self.matches = vec![Match(0); first[self.text.len()]];
        for (length, here) in found.iter().enumerate() {
            for &(at, id) in here {
                self.matches[next[at]] = Match::new(id, length + 1);
                next[at] += 1;
            }
        }
        self.first = first;
    }

    fn suffixes(&self) -> Vec<Suffix> {
        let mut suffixes = Vec::with_capacity(self.text.len());
        for &(start, length, weight) in &self.names {
            for at in start..start + length {
                let bytes = &self.text[at..(start + length).min(at + LONGEST)];
                let mut key = [0; LONGEST];
                key[..bytes.len()].copy_from_slice(bytes);
                suffixes.push(Suffix { key: u128::from_be_bytes(key), at, length: bytes.len(), weight });
            }
        }
        suffixes
    }
}

/// What follows a byte of the text in its name.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Suffix {
    /// The bytes, zeros behind them.
    key: u128,
    at: usize,
    length: usize,
    weight: u64,
}

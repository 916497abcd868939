//! Better tokens for names that are coded with the longest token at each place: tokens are exchanged as long as that makes all names
//! together shorter.

#![forbid(unsafe_code)]

use crate::code::{Book, Classes, SPARE};
use crate::corpus::{Corpus, Match};
use crate::fit::price;

/// Of what is no token.
const NONE: u8 = 0;
/// Of a new token, until it has proved that it is used more.
const NEW: u8 = 4;

/// So many candidates that are no tokens are tried again and again: those that were worth the most when all were tried.
const WATCHED: usize = 8000;

struct Climb<'a> {
    corpus: &'a Corpus,
    classes: Classes,
    /// Nibbles of each candidate's code, or `NONE`.
    codes: Vec<u8>,
    /// The longest token at each byte of the text.
    longest: Vec<Match>,
    /// Where each candidate occurs: its first place in `places`; one more for the end.
    first: Vec<usize>,
    /// The bytes of the text where it begins, ascending.
    places: Vec<u32>,
    /// The name that each byte of the text is in.
    name_at: Vec<u32>,
    /// Candidates that are tried.
    watched: Vec<usize>,
}

/// All names, coded.
struct Coded {
    total: u64,
    uses: Vec<u64>,
    costs: Vec<u32>,
    /// The names that each token is used in.
    used_in: Vec<Vec<u32>>,
}

/// Exchanges tokens of the book, at most so many times. `say` is told how it goes.
pub fn climb(corpus: &Corpus, classes: Classes, book: Book, rounds: usize, mut say: impl FnMut(String)) -> Book {
    let mut climb = Climb::new(corpus, classes);
    climb.set(&book);
    // Codes were given out by how often tokens are used in the shortest codes, not in these.
    let mut book = climb.book(&climb.code());
    climb.set(&book);
    let mut coded = climb.code();
    let mut best = coded.total + climb.price();
    let mut more = classes.capacity() / 16;
    for _ in 0..rounds {
        let nibbles = coded.total as f64 / corpus.stored as f64;
        say(format!("{} tokens, {nibbles:.3} nibbles a name, up to {more} to be exchanged", climb.tokens()));
        climb.grow(&coded, more);
        climb.shrink(&climb.code(), classes.capacity() - SPARE);
        let next = climb.book(&climb.code());
        climb.set(&next);
        coded = climb.code();
        let total = coded.total + climb.price();
        if total < best {
            (best, book) = (total, next);
        } else {
            more /= 2;
            climb.set(&book);
            coded = climb.code();
        }
    }
    book
}

impl<'a> Climb<'a> {
    fn new(corpus: &'a Corpus, classes: Classes) -> Self {
        let count = corpus.candidates.len();
        let mut first = vec![0; count + 1];
        let length = corpus.length();
        for at in 0..length {
            for found in corpus.matches(at) {
                first[found.candidate() + 1] += 1;
            }
        }
        for id in 0..count {
            first[id + 1] += first[id];
        }
        let mut next = first.clone();
        let mut places = vec![0; first[count]];
        for at in 0..length {
            for found in corpus.matches(at) {
                places[next[found.candidate()]] = at as u32;
                next[found.candidate()] += 1;
            }
        }
        let mut name_at = vec![0; length];
        for (name, &(start, length, _)) in corpus.names.iter().enumerate() {
            name_at[start..start + length].fill(name as u32);
        }
        let longest = Vec::with_capacity(length);
        Self {
            corpus,
            classes,
            codes: vec![NONE; count],
            longest,
            first,
            places,
            name_at,
            watched: (0..count).collect(),
        }
    }

    fn set(&mut self, book: &Book) {
        self.codes.fill(NONE);
        for (id, nibbles) in book.tokens() {
            self.codes[id] = nibbles as u8;
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.longest.clear();
        for at in 0..self.corpus.length() {
            self.longest.push(self.longest_but(at, usize::MAX));
        }
    }

    /// The longest token at a byte of the text, but for one.
    fn longest_but(&self, at: usize, without: usize) -> Match {
        let is_token = |found: &&Match| self.codes[found.candidate()] != NONE && found.candidate() != without;
        *self.corpus.matches(at).iter().rev().find(is_token).expect("every byte is a token")
    }

    fn places_of(&self, id: usize) -> &[u32] {
        &self.places[self.first[id]..self.first[id + 1]]
    }

    fn tokens(&self) -> usize {
        self.codes.iter().filter(|&&code| code != NONE).count()
    }

    fn price(&self) -> u64 {
        (0..self.codes.len()).filter(|&id| self.codes[id] != NONE).map(|id| price(self.corpus, id)).sum()
    }

    fn book(&self, coded: &Coded) -> Book {
        let is_token: Vec<_> = self.codes.iter().map(|&code| code != NONE).collect();
        Book::new(self.corpus, &coded.uses, &is_token, self.classes)
    }

    fn code(&self) -> Coded {
        let count = self.codes.len();
        let mut coded = Coded { total: 0, uses: vec![0; count], costs: Vec::new(), used_in: vec![Vec::new(); count] };
        for (name, &(start, length, weight)) in self.corpus.names.iter().enumerate() {
            let mut cost = 0;
            let mut at = start;
            while at < start + length {
                let token = self.longest[at];
                let id = token.candidate();
                coded.uses[id] += weight;
                if coded.used_in[id].last() != Some(&(name as u32)) {
                    coded.used_in[id].push(name as u32);
                }
                cost += u32::from(self.codes[id]);
                at += token.length();
            }
            coded.costs.push(cost);
            coded.total += weight * u64::from(cost);
        }
        coded
    }

    /// What a name costs when other tokens are taken at some bytes.
    fn cost(&self, name: usize, instead: impl Fn(usize, Match) -> Match) -> u32 {
        let (start, length, _) = self.corpus.names[name];
        let (mut at, mut cost) = (start, 0);
        while at < start + length {
            let token = instead(at, self.longest[at]);
            let code = self.codes[token.candidate()];
            cost += u32::from(if code == NONE { NEW } else { code });
            at += token.length();
        }
        cost
    }

    /// What all names become longer without a token.
    fn loss(&self, coded: &Coded, id: usize) -> i64 {
        let mut loss = -(price(self.corpus, id) as i64);
        for &name in &coded.used_in[id] {
            let without = |at, token: Match| if token.candidate() == id { self.longest_but(at, id) } else { token };
            let (cost, weight) = (self.cost(name as usize, without), self.corpus.names[name as usize].2);
            loss += weight as i64 * (i64::from(cost) - i64::from(coded.costs[name as usize]));
        }
        loss
    }

    /// What all names become shorter with a token.
    fn gain(&self, coded: &Coded, id: usize) -> i64 {
        let mut gain = -(price(self.corpus, id) as i64);
        let length = self.corpus.candidates[id].text.len();
        for places in
            self.places_of(id).chunk_by(|&one, &other| self.name_at[one as usize] == self.name_at[other as usize])
        {
            if places.iter().all(|&at| self.longest[at as usize].length() > length) {
                continue;
            }
            let name = self.name_at[places[0] as usize] as usize;
            let with = |at: usize, token: Match| {
                if token.length() < length && places.contains(&(at as u32)) { Match::new(id, length) } else { token }
            };
            let weight = self.corpus.names[name].2;
            gain += weight as i64 * (i64::from(coded.costs[name]) - i64::from(self.cost(name, with)));
        }
        gain
    }

    fn grow(&mut self, coded: &Coded, more: usize) {
        let mut worth: Vec<_> = self
            .watched
            .iter()
            .filter(|&&id| self.codes[id] == NONE)
            .map(|&id| (std::cmp::Reverse(self.gain(coded, id)), id))
            .collect();
        worth.sort_unstable();
        worth.truncate(WATCHED);
        let tokens = (0..self.codes.len()).filter(|&id| self.codes[id] != NONE);
        self.watched = worth.iter().map(|&(_, id)| id).chain(tokens).collect();
        worth.retain(|(gain, _)| gain.0 > 0);
        // Tokens in the same names would be counted twice.
        let mut touched = vec![false; self.corpus.names.len()];
        let mut added = 0;
        for &(_, id) in &worth {
            let names: Vec<_> = self.places_of(id).iter().map(|&at| self.name_at[at as usize] as usize).collect();
            if names.iter().filter(|&&name| touched[name]).count() * 3 > names.len() {
                continue;
            }
            names.iter().for_each(|&name| touched[name] = true);
            self.codes[id] = NEW;
            added += 1;
            if added == more {
                break;
            }
        }
        self.settle();
    }

    fn shrink(&mut self, coded: &Coded, keep: usize) {
        let is_long = |id: usize| self.corpus.candidates[id].text.len() > 1;
        let mut worth: Vec<_> = (0..self.codes.len())
            .filter(|&id| self.codes[id] != NONE && is_long(id))
            .map(|id| (self.loss(coded, id), id))
            .collect();
        worth.sort_unstable();
        let too_many = self.tokens().saturating_sub(keep);
        for (index, &(loss, id)) in worth.iter().enumerate() {
            if index < too_many || loss < 0 {
                self.codes[id] = NONE;
            }
        }
        self.settle();
    }
}

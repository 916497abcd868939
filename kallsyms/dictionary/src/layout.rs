//! The dictionary as a file: what `kallsyms/src/names/dictionary.rs` reads.
//!
//! ```text
//!  0  u64  FNV-1a of everything behind it
//!  8  u8   how many of the 16 first nibbles begin codes of two nibbles; 9: of three; 10: of four; 11: 0
//! 12  u16  groups of 16 tokens
//! 14  u16  the group of the escape, whose first code is followed by two nibbles of a byte as it is
//! 16  u8   for each group: the length of its tokens in bytes; 0 for the escape's, and where there are no tokens
//!     u16  for each token: where it begins in the text
//!          the text: tokens lie in each other and overlap; at least 16 bytes follow the beginning of each
//! ```
//!
//! Numbers are little-endian. Tokens are numbered by their codes: first all of two nibbles, then of three, then of four. What is
//! left of a group that is not full begins at 0, and is a token like any other.

#![forbid(unsafe_code)]

use crate::code::{Book, Classes, GROUP};
use crate::corpus::{Corpus, LONGEST};
use std::collections::{BTreeMap, BTreeSet};

/// Which tokens there are, by their numbers.
pub struct Dictionary {
    classes: Classes,
    escape: usize,
    /// Groups of one length; none: no tokens.
    groups: Vec<Vec<Vec<u8>>>,
}

impl Dictionary {
    pub fn new(corpus: &Corpus, book: &Book, classes: Classes) -> Self {
        let mut groups = Vec::new();
        for (of_class, room) in book.groups.iter().zip(classes.groups()) {
            let mut all: Vec<Vec<Vec<u8>>> = of_class
                .iter()
                .map(|group| group.iter().map(|&id| corpus.candidates[id].text.clone()).collect())
                .collect();
            assert!(all.len() <= room, "{} groups, and room for {room}", all.len());
            all.resize(room, Vec::new());
            groups.append(&mut all);
        }
        let escape = groups.len();
        groups.push(Vec::new());
        Self { classes, escape, groups }
    }

    /// Every token, and how many nibbles its code has.
    pub fn tokens(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let [two, three, _] = self.classes.groups();
        self.groups.iter().enumerate().flat_map(move |(index, group)| {
            let nibbles = if index < two { 2 } else { 3 + usize::from(index >= two + three) };
            group.iter().map(move |token| (&token[..], nibbles))
        })
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let text = shortest_text(self.groups.iter().flatten());
        let mut file = Vec::new();
        file.extend(self.classes.0.map(|count| count as u8));
        file.push(0);
        file.extend((self.groups.len() as u16).to_le_bytes());
        file.extend((self.escape as u16).to_le_bytes());
        for group in &self.groups {
            file.push(group.first().map_or(0, |token| token.len() as u8));
        }
        for group in &self.groups {
            for index in 0..GROUP {
                let at = group.get(index).map_or(0, |token| find(&text, token));
                file.extend(u16::try_from(at).expect("a text of at most 64 KiB").to_le_bytes());
            }
        }
        file.extend(text);
        let mut whole = fnv(&file).to_le_bytes().to_vec();
        whole.extend(file);
        whole
    }
}

fn find(text: &[u8], token: &[u8]) -> usize {
    text.windows(token.len()).position(|window| window == token).expect("every token lies in the text")
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// A text that all tokens lie in: those that lie in no other are laid over each other, the longest overlaps first.
fn shortest_text<'a>(tokens: impl Iterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut tokens: Vec<&[u8]> = tokens.map(|token| &token[..]).collect();
    tokens.sort_by_key(|token| (std::cmp::Reverse(token.len()), *token));
    let mut parts = BTreeSet::new();
    let mut whole: Vec<&[u8]> = Vec::new();
    for token in tokens {
        if parts.contains(token) {
            continue;
        }
        whole.push(token);
        for start in 0..token.len() {
            for end in start + 1..=token.len() {
                parts.insert(&token[start..end]);
            }
        }
    }
    let mut next = vec![None; whole.len()];
    let mut has_previous = vec![false; whole.len()];
    // Of the last of a chain: its first.
    let mut chain: Vec<usize> = (0..whole.len()).collect();
    for overlap in (1..LONGEST).rev() {
        let mut beginnings: BTreeMap<&[u8], Vec<usize>> = BTreeMap::new();
        for (index, token) in whole.iter().enumerate().rev() {
            if !has_previous[index] && token.len() > overlap {
                beginnings.entry(&token[..overlap]).or_default().push(index);
            }
        }
        for index in 0..whole.len() {
            if next[index].is_some() || whole[index].len() <= overlap {
                continue;
            }
            let Some(found) = beginnings.get_mut(&whole[index][whole[index].len() - overlap..]) else { continue };
            let Some(place) = found.iter().rposition(|&other| other != chain[index]) else { continue };
            let other = found.remove(place);
            next[index] = Some((other, overlap));
            has_previous[other] = true;
            let mut last = other;
            while let Some((further, _)) = next[last] {
                last = further;
            }
            chain[last] = chain[index];
        }
    }
    let mut text = Vec::new();
    for first in (0..whole.len()).filter(|&index| !has_previous[index]) {
        text.extend_from_slice(whole[first]);
        let mut at = first;
        while let Some((further, overlap)) = next[at] {
            text.extend_from_slice(&whole[further][overlap..]);
            at = further;
        }
    }
    text.extend([0; LONGEST]);
    text
}

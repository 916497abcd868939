//! How long the code of a token is: the more it is used, the shorter.

#![forbid(unsafe_code)]

use crate::corpus::Corpus;

/// Tokens of one length that have codes of one length: their length is stored once.
pub const GROUP: usize = 16;

/// Codes that are left over, because groups of some lengths are not full.
pub const SPARE: usize = 100;

/// What the first nibble of a code says of its length: how many of the 16 begin codes of two, three and four nibbles.
#[derive(Clone, Copy, Debug)]
pub struct Classes(pub [usize; 3]);

impl Classes {
    /// Groups of codes of two, three and four nibbles.
    pub fn groups(self) -> [usize; 3] {
        let [two, three, four] = self.0;
        // The last group of all is the escape's.
        [two, 16 * three, (256 * four).saturating_sub(1)]
    }

    pub fn capacity(self) -> usize {
        self.groups().iter().sum::<usize>() * GROUP
    }
}

/// Candidates that are tokens: groups of one length, those with the shortest codes first.
pub struct Book {
    /// Of the codes of two, three and four nibbles.
    pub groups: [Vec<Vec<usize>>; 3],
}

impl Book {
    /// Gives the shortest codes to what is used most. What there is no code for is left out, but no single byte.
    pub fn new(corpus: &Corpus, uses: &[u64], is_token: &[bool], classes: Classes) -> Self {
        let mut by_length: Vec<Vec<usize>> = vec![Vec::new(); crate::corpus::LONGEST + 1];
        for (id, candidate) in corpus.candidates.iter().enumerate() {
            if is_token[id] {
                by_length[candidate.text.len()].push(id);
            }
        }
        let mut groups = Vec::new();
        for ids in &mut by_length {
            ids.sort_by_key(|&id| (std::cmp::Reverse(uses[id]), id));
            for group in ids.chunks(GROUP) {
                groups.push((group.iter().map(|&id| uses[id]).sum::<u64>(), group.to_vec()));
            }
        }
        groups.sort_by_key(|(uses, group)| (std::cmp::Reverse(*uses), group[0]));
        let [two, three, four] = classes.groups();
        let rest = groups.split_off(groups.len().min(two + three));
        let long = groups.split_off(groups.len().min(two));
        // Bytes come first among the rest, so that none is left out.
        let is_byte = |group: &(u64, Vec<usize>)| corpus.candidates[group.1[0]].text.len() == 1;
        let (bytes, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_byte);
        let only = |groups: Vec<(u64, Vec<usize>)>| groups.into_iter().map(|(_, group)| group).collect::<Vec<_>>();
        let longest = bytes.into_iter().chain(others).take(four).collect();
        Self { groups: [only(groups), only(long), only(longest)] }
    }

    /// Every token, with the nibbles of its code.
    pub fn tokens(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.groups.iter().zip(2..).flat_map(|(groups, nibbles)| groups.iter().flatten().map(move |&id| (id, nibbles)))
    }
}

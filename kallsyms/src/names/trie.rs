//! All tokens as a trie in arrays, quick to walk: the next node hangs on one load from a small one.

#![forbid(unsafe_code)]

use super::dictionary::LONGEST;

/// A token, where its code is asked for.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub code: u16,
    pub nibbles: u8,
    /// In bytes.
    pub length: u8,
}

/// A double array: the child of a node by a byte is the node's base XOR the byte, if that has the node as its parent.
pub(super) struct Trie {
    bases: Vec<u16>,
    parents: Vec<u16>,
    /// The longest token on the way to each node.
    ends: Vec<End>,
    /// A short cut: the node by two bytes of ASCII, the root where there is none.
    pairs: Vec<u16>,
}

/// Nodes that one base can lead to.
const BLOCK: usize = 256;
const ASCII: usize = 128;
/// The parent of the root, which is node 0, and of places where no node is.
const NOBODY: u16 = u16::MAX;

impl Trie {
    /// Tokens of at most [`LONGEST`] bytes, without NUL; of those that are the same the one with the shortest code. `none` is what
    /// texts get that begin with no token.
    pub(super) fn new(tokens: impl Iterator<Item = (&'static [u8], End)>, none: End) -> Self {
        let mut tokens: Vec<_> = tokens.map(|(text, end)| (key(text), end)).collect();
        tokens.sort_unstable_by_key(|(key, end)| (*key, end.nibbles, end.code));
        tokens.dedup_by_key(|(key, _)| *key);
        let mut builder = Builder {
            trie: Self { bases: Vec::new(), parents: Vec::new(), ends: Vec::new(), pairs: vec![0; ASCII * ASCII] },
            none,
            free: 1,
        };
        builder.grow(BLOCK);
        builder.add_children(&tokens, 0, 0);
        builder.add_pairs();
        assert!(builder.trie.bases.len() < usize::from(NOBODY), "a trie of less than 65,535 places");
        builder.trie
    }

    /// The longest token that `text` begins with.
    #[inline]
    pub(super) fn longest(&self, text: &[u8]) -> End {
        let (mut node, mut rest) = (0, text);
        if let [first, second, behind @ ..] = text
            && let Some(&pair) = self.pairs.get(usize::from(*first) * ASCII + usize::from(*second))
            && second.is_ascii()
            && pair != 0
        {
            (node, rest) = (pair, behind);
        }
        for &byte in rest {
            let Some(child) = self.child(node, byte) else { break };
            node = child;
        }
        self.ends[usize::from(node)]
    }

    #[inline]
    fn child(&self, node: u16, byte: u8) -> Option<u16> {
        let child = self.bases[usize::from(node)] ^ u16::from(byte);
        (self.parents[usize::from(child)] == node).then_some(child)
    }
}

fn key(text: &[u8]) -> u128 {
    let mut bytes = [0; LONGEST];
    bytes[..text.len()].copy_from_slice(text);
    u128::from_be_bytes(bytes)
}

struct Builder {
    trie: Trie,
    none: End,
    /// No place below is looked at any more.
    free: usize,
}

impl Builder {
    /// Places what follows a node: tokens in order, with the same `depth` bytes in front.
    fn add_children(&mut self, mut tokens: &[(u128, End)], node: usize, depth: usize) {
        if let Some((_, end)) = tokens.first().filter(|(_, end)| usize::from(end.length) == depth) {
            self.trie.ends[node] = *end;
            tokens = &tokens[1..];
        }
        if tokens.is_empty() {
            return;
        }
        let byte = |(key, _): &(u128, End)| key.to_be_bytes()[depth];
        let mut bytes = [0; BLOCK];
        let mut count = 0;
        for branch in tokens.chunk_by(|one, other| byte(one) == byte(other)) {
            bytes[count] = byte(&branch[0]);
            count += 1;
        }
        let base = self.base(&bytes[..count]);
        self.trie.bases[node] = base as u16;
        for &byte in &bytes[..count] {
            let child = base ^ usize::from(byte);
            self.trie.parents[child] = node as u16;
            self.trie.ends[child] = self.trie.ends[node];
        }
        for branch in tokens.chunk_by(|one, other| byte(one) == byte(other)) {
            self.add_children(branch, base ^ usize::from(byte(&branch[0])), depth + 1);
        }
    }

    fn add_pairs(&mut self) {
        for first in 0..ASCII {
            let Some(node) = self.trie.child(0, first as u8) else { continue };
            for second in 0..ASCII {
                self.trie.pairs[first * ASCII + second] = self.trie.child(node, second as u8).unwrap_or(0);
            }
        }
    }

    fn is_free(&self, place: usize) -> bool {
        place != 0 && self.trie.parents[place] == NOBODY
    }

    /// A base whose children by these bytes are all free.
    fn base(&mut self, bytes: &[u8]) -> usize {
        while self.free < self.trie.parents.len() && !self.is_free(self.free) {
            self.free += 1;
        }
        let mut at = self.free;
        loop {
            self.grow((at | (BLOCK - 1)) + 1);
            let base = at ^ usize::from(bytes[0]);
            if bytes.iter().all(|&byte| self.is_free(base ^ usize::from(byte))) {
                return base;
            }
            at += 1;
        }
    }

    fn grow(&mut self, length: usize) {
        if self.trie.bases.len() < length {
            self.trie.bases.resize(length, 0);
            self.trie.parents.resize(length, NOBODY);
            self.trie.ends.resize(length, self.none);
        }
    }
}

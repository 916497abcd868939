//! From a name to codes: the longest token at each place, found in a trie that exists while a table is being made.

#![forbid(unsafe_code)]

use super::Nibbles;
use super::dictionary::{ESCAPE, TOKENS, code, token};
use std::cell::OnceCell;

/// Codes names. To be dropped after loading: with the first name it makes its trie, 130 KB in half a millisecond.
#[derive(Default)]
pub(crate) struct Encoder {
    trie: OnceCell<Trie>,
}

/// A trie as a double array: the child of a node by a byte lies at the node's base XOR the byte, if it names the node as its parent.
struct Trie {
    nodes: Vec<Node>,
}

#[derive(Clone, Copy)]
#[repr(align(8))]
struct Node {
    base: u16,
    /// `NOBODY` where there is no node, and of the root, which is node 0.
    parent: u16,
    /// The code of the token that ends here, and its nibbles; 0 nibbles where none does.
    code: u16,
    nibbles: u8,
}

const NOBODY: u16 = u16::MAX;
const FREE: Node = Node { base: 0, parent: NOBODY, code: 0, nibbles: 0 };
/// Nibbles of a byte as it is.
const RAW: u32 = 2;

impl Encoder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Appends the codes of a name; any bytes are one.
    #[inline]
    pub(crate) fn encode(&self, name: &[u8], out: &mut Nibbles) {
        self.trie.get_or_init(Trie::new).encode(name, out);
    }
}

impl Trie {
    fn new() -> Self {
        let mut tokens: Vec<_> = (0..TOKENS).filter_map(|number| Some((token(number)?, number))).collect();
        tokens.sort_unstable();
        let mut trie = Builder { nodes: vec![FREE; 1 << 8], used: vec![false; 1 << 8], free: 1 };
        trie.used[0] = true;
        trie.children(&tokens, 0, 0);
        Self { nodes: trie.nodes }
    }

    fn encode(&self, name: &[u8], out: &mut Nibbles) {
        let mut rest = name;
        while let Some(&first) = rest.first() {
            let (found, length) = self.longest(rest);
            if length == 0 {
                let (code, nibbles) = code(ESCAPE);
                out.push(u32::from(code), u32::from(nibbles));
                out.push(u32::from(first), RAW);
                rest = &rest[1..];
            } else {
                out.push(u32::from(found.code), u32::from(found.nibbles));
                rest = &rest[length..];
            }
        }
    }

    /// The longest token that `text` begins with, and its length; 0 where there is none.
    #[inline]
    fn longest(&self, text: &[u8]) -> (Node, usize) {
        let (mut at, mut base) = (0, self.nodes[0].base);
        let mut found = (FREE, 0);
        for (index, &byte) in text.iter().enumerate() {
            let child = base ^ u16::from(byte);
            let Some(&node) = self.nodes.get(usize::from(child)).filter(|node| node.parent == at) else { break };
            if node.nibbles > 0 {
                found = (node, index + 1);
            }
            (at, base) = (child, node.base);
        }
        found
    }
}

struct Builder {
    nodes: Vec<Node>,
    used: Vec<bool>,
    /// No node below is free.
    free: usize,
}

impl Builder {
    /// Places the children of a node: tokens that are sorted, and begin with the same `depth` bytes.
    fn children(&mut self, tokens: &[(&[u8], usize)], node: usize, depth: usize) {
        let deeper = tokens.partition_point(|(text, _)| text.len() == depth);
        let tokens = &tokens[deeper..];
        let byte = |(text, _): &(&[u8], usize)| usize::from(text[depth]);
        let branches: Vec<_> = tokens.chunk_by(|a, b| byte(a) == byte(b)).collect();
        if branches.is_empty() {
            return;
        }
        let bytes: Vec<_> = branches.iter().map(|branch| byte(&branch[0])).collect();
        let base = self.base(&bytes);
        self.nodes[node].base = base as u16;
        for &byte in &bytes {
            self.used[base ^ byte] = true;
        }
        for (branch, byte) in branches.iter().zip(bytes) {
            let child = base ^ byte;
            self.nodes[child].parent = node as u16;
            if branch[0].0.len() == depth + 1 {
                (self.nodes[child].code, self.nodes[child].nibbles) = code(branch[0].1);
            }
            self.children(branch, child, depth + 1);
        }
    }

    /// A base whose children by these bytes are all free.
    fn base(&mut self, bytes: &[usize]) -> usize {
        while self.used.get(self.free) == Some(&true) {
            self.free += 1;
        }
        let mut at = self.free;
        loop {
            if at | 255 >= self.nodes.len() {
                self.nodes.resize((at | 255) + 1, FREE);
                self.used.resize(self.nodes.len(), false);
            }
            let base = at ^ bytes[0];
            if bytes.iter().all(|byte| !self.used[base ^ byte]) {
                return base;
            }
            at += 1;
        }
    }
}

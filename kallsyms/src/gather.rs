//! Brings the symbols of one module into order: by address, the one to name an address by last, `__pfx_` symbols derived
//! where that can be.

#![forbid(unsafe_code)]

use crate::block::{Block, Builder, PREFIX, Unfit};
use crate::names::{Encoder, NameBuffer};
use std::cmp::Reverse;
use std::ops::RangeInclusive;

/// A symbol with its name.
#[derive(Default, Clone)]
struct Held {
    address: u64,
    kind: u8,
    name: Vec<u8>,
}

/// The place of a symbol among those that share its address: the greatest one names it. A global function before a weak one
/// before a local one, what is no `__pfx_` symbol, fewer underscores in front, the shorter, the first by bytes.
fn preference(kind: u8, name: &[u8]) -> impl Ord + use<> {
    let rank = match kind {
        b'T' => 3,
        b'W' | b'V' => 2,
        b't' => 1,
        _ => 0,
    };
    let underscores = name.iter().take_while(|&&byte| byte == b'_').count();
    (rank, !name.starts_with(PREFIX), Reverse(underscores), Reverse(name.len()), Reverse(name.to_vec()))
}

/// Symbols by ascending addresses on their way into a block.
pub(crate) struct Ordered<'e> {
    block: Builder<'e>,
    /// The types of what is in the block, two a stored symbol: its own and that of the derived one.
    kinds: Vec<u8>,
    /// Those of the last address; the first `same` are in use.
    held: Vec<Held>,
    same: usize,
    /// A `__pfx_` symbol alone at its address, before the last address.
    prefix: Held,
    prefixed: bool,
}

impl<'e> Ordered<'e> {
    pub(crate) fn new(encoder: &'e Encoder) -> Self {
        Self {
            block: Builder::new(encoder),
            kinds: Vec::new(),
            held: vec![Held::default()],
            same: 0,
            prefix: Held::default(),
            prefixed: false,
        }
    }

    /// Adds a symbol; [`Unfit::Order`], and nothing is added, where its address is below the last one's.
    #[inline]
    pub(crate) fn push(&mut self, address: u64, kind: u8, name: &[u8]) -> Result<(), Unfit> {
        if self.same > 0 {
            let last = self.held[0].address;
            if address < last {
                return Err(Unfit::Order);
            }
            if address > last {
                self.settle()?;
            }
        }
        if self.same == self.held.len() {
            self.held.push(Held::default());
        }
        let held = &mut self.held[self.same];
        (held.address, held.kind) = (address, kind);
        held.name.clear();
        held.name.extend_from_slice(name);
        self.same += 1;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Unfit> {
        if self.same == 1 && self.prefixed {
            let (prefix, only) = (&self.prefix, &self.held[0]);
            if prefix.name[PREFIX.len()..] == only.name[..]
                && self.block.push_pair(prefix.address, only.address, &only.name)?
            {
                self.kinds.extend([only.kind, prefix.kind]);
                self.prefixed = false;
                self.same = 0;
                return Ok(());
            }
        }
        if std::mem::take(&mut self.prefixed) {
            self.block.push(self.prefix.address, &self.prefix.name)?;
            self.kinds.extend([self.prefix.kind, 0]);
        }
        if self.same == 1 {
            if self.held[0].name.len() > PREFIX.len() && self.held[0].name.starts_with(PREFIX) {
                std::mem::swap(&mut self.prefix, &mut self.held[0]);
                self.prefixed = true;
            } else {
                self.block.push(self.held[0].address, &self.held[0].name)?;
                self.kinds.extend([self.held[0].kind, 0]);
            }
        } else {
            let same = &mut self.held[..self.same];
            same.sort_by_cached_key(|held| preference(held.kind, &held.name));
            for at in 0..same.len() {
                let repeated = same[at + 1..].first().is_some_and(|next| next.name == same[at].name);
                if !repeated {
                    self.block.push(same[at].address, &same[at].name)?;
                    self.kinds.extend([same[at].kind, 0]);
                }
            }
        }
        self.same = 0;
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Vec<u8>, Unfit> {
        self.flush()?;
        let Self { block, kinds, .. } = self;
        // Not held while the block is put together: that is when a load takes most memory.
        drop(kinds);
        block.finish()
    }

    /// All of it again, for symbols that turn out to come in no order.
    pub(crate) fn unpack(mut self) -> Result<Unordered, Unfit> {
        self.flush()?;
        let bytes = self.block.finish()?;
        let block = Block::new(&bytes).ok_or(Unfit::TooMany)?;
        let mut all = Unordered::default();
        let mut name = NameBuffer::default();
        for (id, &kind) in (0..).zip(&self.kinds) {
            if let Some(address) = block.address(id) {
                block.name(id, &mut name).ok_or(Unfit::TooMany)?;
                all.push(address, kind, name.as_bytes())?;
            }
        }
        Ok(all)
    }

    fn flush(&mut self) -> Result<(), Unfit> {
        self.settle()?;
        // Once more, without a symbol: the prefix that waits for its function.
        self.settle()
    }
}

/// Address, where the name begins, its length, the type.
type Symbol = (u64, u32, u16, u8);

/// Symbols in any order.
#[derive(Default)]
pub(crate) struct Unordered {
    names: Vec<u8>,
    symbols: Vec<Symbol>,
}

impl Unordered {
    /// Adds a symbol. A name has 511 bytes at most, as [`mod@crate::parse`] sees to.
    pub(crate) fn push(&mut self, address: u64, kind: u8, name: &[u8]) -> Result<(), Unfit> {
        let at = u32::try_from(self.names.len()).map_err(|_| Unfit::TooMany)?;
        self.names.extend_from_slice(name);
        self.symbols.push((address, at, name.len() as u16, kind));
        Ok(())
    }

    /// The addresses, in the order they came in.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = u64> {
        self.symbols.iter().map(|&(address, ..)| address)
    }

    /// The block of those whose address `keep` takes. What was gathered is gone, the memory is kept for the next module.
    pub(crate) fn finish(&mut self, encoder: &Encoder, keep: impl Fn(u64) -> bool) -> Result<Vec<u8>, Unfit> {
        self.symbols.sort_unstable();
        let block = self.block(encoder, self.symbols.iter().filter(|(address, ..)| keep(*address)));
        self.clear();
        block
    }

    /// As [`Self::finish`], of all symbols, and with as many blocks as it takes that none reaches over 4 GiB; with the
    /// addresses of the first and the last symbol of each.
    pub(crate) fn finish_apart(&mut self, encoder: &Encoder) -> Result<Vec<Piece>, Unfit> {
        self.symbols.sort_unstable();
        let mut pieces = Vec::new();
        let mut rest = &self.symbols[..];
        while let Some(&(first, ..)) = rest.first() {
            if pieces.len() == PIECES_MAX {
                return Err(Unfit::TooFar);
            }
            let (piece, behind) = rest.split_at(rest.partition_point(|(address, ..)| address - first <= REACH));
            let last = piece.last().map_or(first, |(address, ..)| *address);
            pieces.push(Piece { addresses: first..=last, block: self.block(encoder, piece.iter())? });
            rest = behind;
        }
        self.clear();
        Ok(pieces)
    }

    fn block<'s>(&'s self, encoder: &Encoder, symbols: impl Iterator<Item = &'s Symbol>) -> Result<Vec<u8>, Unfit> {
        let mut ordered = Ordered::new(encoder);
        for &(address, at, len, kind) in symbols {
            ordered.push(address, kind, &self.names[at as usize..at as usize + usize::from(len)])?;
        }
        ordered.finish()
    }

    fn clear(&mut self) {
        self.symbols.clear();
        self.names.clear();
    }
}

/// What one block can reach from its first key: less than 4 GiB.
const REACH: u64 = u32::MAX as u64;

/// No kernel maps memory in more places so far apart.
const PIECES_MAX: usize = 1024;

/// Symbols of a module that lie near each other.
pub(crate) struct Piece {
    pub(crate) addresses: RangeInclusive<u64>,
    pub(crate) block: Vec<u8>,
}

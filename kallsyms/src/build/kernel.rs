//! The kernel's own lines.

#![forbid(unsafe_code)]

use super::{Failure, page_up};
use crate::block::Unfit;
use crate::gather::{Ordered, Unordered};
use crate::names::Encoder;
use crate::parse::Line;
use std::ops::Range;

enum Symbols<'e> {
    Ordered(Box<Ordered<'e>>),
    Unordered(Unordered),
}

/// The kernel itself, whose symbols come by ascending addresses on every kernel known.
pub(super) struct Kernel<'e> {
    encoder: &'e Encoder,
    start: Option<u64>,
    end: Option<u64>,
    last: u64,
    symbols: Symbols<'e>,
    listed: bool,
}

/// What its lines come to.
pub(super) struct Text {
    pub(super) range: Range<u64>,
    pub(super) block: Vec<u8>,
}

impl<'e> Kernel<'e> {
    pub(super) fn new(encoder: &'e Encoder) -> Self {
        let symbols = Symbols::Ordered(Box::new(Ordered::new(encoder)));
        Self { encoder, start: None, end: None, last: 0, symbols, listed: false }
    }

    #[inline]
    pub(super) fn take(&mut self, line: Line<'_>) -> Result<(), Failure> {
        self.listed = true;
        if line.address == 0 {
            return Ok(());
        }
        let address = line.address;
        match line.name {
            b"_stext" | b"_text" => self.begin(address),
            b"_etext" => self.end = self.end.or(Some(address)),
            b"_sinittext" | b"_einittext" => {}
            _ => {
                self.begin(address);
                self.add(line)?;
            }
        }
        Ok(())
    }

    /// Its text begins with the lowest symbol, or the mark where there is one.
    #[inline]
    fn begin(&mut self, address: u64) {
        self.start = Some(self.start.map_or(address, |start| start.min(address)));
    }

    #[inline]
    fn add(&mut self, line: Line<'_>) -> Result<(), Failure> {
        if let Symbols::Ordered(ordered) = &mut self.symbols {
            if self.end.is_some_and(|end| line.address >= end) {
                return Ok(());
            }
            match ordered.push(line.address, line.kind, line.name) {
                Ok(()) => {
                    self.last = self.last.max(line.address);
                    return Ok(());
                }
                Err(Unfit::Order) => {
                    let ordered = std::mem::replace(&mut **ordered, Ordered::new(self.encoder));
                    self.symbols = Symbols::Unordered(ordered.unpack()?);
                }
                Err(unfit) => return Err(unfit.into()),
            }
        }
        if let Symbols::Unordered(unordered) = &mut self.symbols {
            unordered.push(line.address, line.kind, line.name)?;
            self.last = self.last.max(line.address);
        }
        Ok(())
    }

    /// Its text.
    pub(super) fn finish(self) -> Result<Text, Failure> {
        let Some(start) = self.start else { return Err(if self.listed { Failure::Hidden } else { Failure::Empty }) };
        let end = self.end.unwrap_or_else(|| page_up(self.last.saturating_add(1)));
        if self.last == 0 || end <= start {
            return Err(Failure::Empty);
        }
        let block = match self.symbols {
            Symbols::Ordered(ordered) => ordered.finish()?,
            Symbols::Unordered(mut unordered) => {
                unordered.finish(self.encoder, |address| (start..end).contains(&address))?
            }
        };
        Ok(Text { range: start..end, block })
    }
}

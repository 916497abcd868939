//! Records as `--symbolize` has them: with symbols where their text has kernel addresses.

use crate::failure::say;
use crate::symbols::Symbols;
use lapwing_reader_shim::{Follow, FollowError, Item, Progress};
use lapwing_ring::{Reader, Record};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// What makes the records of one ring legible.
pub struct Legible {
    /// Of all rings the same ones; none where text stays as it is.
    symbols: Option<Rc<RefCell<Symbols>>>,
    /// The addresses in this ring are those that the symbols have.
    fits: bool,
    text: Vec<u8>,
}

impl Legible {
    pub fn new(symbols: Option<Rc<RefCell<Symbols>>>) -> Self {
        Self { symbols, fits: false, text: Vec::new() }
    }

    /// What comes is from this ring.
    pub fn look_at(&mut self, reader: &Reader) {
        let Some(symbols) = &self.symbols else { return };
        self.fits = !symbols.borrow().are_of_this_boot() || !reader.identity().is_of_another_boot();
        if !self.fits {
            say(format_args!(
                "{}: is of another boot, which had other addresses; they stay as they are, unless --kallsyms names that boot's symbols",
                reader.path().display()
            ));
        }
    }

    /// Reads once; whatever comes later, filters included, gets to see the legible text alone.
    pub fn step(
        &mut self,
        follow: &mut Follow,
        mut each: impl FnMut(&Item<'_>) -> io::Result<()>,
    ) -> Result<Progress, FollowError> {
        let Self { symbols: Some(symbols), fits: true, text } = self else { return follow.step(|item| each(&item)) };
        follow.step(|item| {
            let Item::Record(record, who) = item else { return each(&item) };
            text.clear();
            match symbols.borrow_mut().annotate(record.payload, text) {
                0 => each(&item),
                _ => each(&Item::Record(Record { payload: text, ..record }, who)),
            }
        })
    }
}

//! What no append can do without: memcpy of the record into a buffer as large as a ring, and one uncontended exchange.

use crate::Result;
use crate::peer::{Measure, Payload, Peer, Unread, Write};
use lapwing_benches::{Buffer, Word};
use std::path::Path;

/// memcpy.
pub struct Copy;
/// compare-exchange.
pub struct Exchange;
/// One after the other, where the processor overlaps them.
pub struct Both;

/// The name of [`Both`].
pub const OVERLAPPED: &str = "both in one loop";

macro_rules! part {
    ($part:ident, $name:expr, $about:literal) => {
        impl Peer for $part {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = $about;
            const MEASURES: &'static [Measure] = &[Measure::Append];
            type Channel = ();
            type Writer<'c> = Parts<$part>;
            type Reader<'c> = Unread;

            fn create(_: &Path) -> Result<()> {
                Ok(())
            }

            fn open(_: &Path) -> Result<()> {
                Ok(())
            }

            fn writer((): &(), _meta: bool) -> Result<Parts<$part>> {
                Ok(Parts { buffer: Buffer::default(), word: Word::default(), part: $part })
            }

            fn reader((): &()) -> Result<Unread> {
                Err("nobody reads it".into())
            }
        }
    };
}

part!(Copy, "memcpy", "100 bytes into a buffer of 16 MiB");
part!(Exchange, "compare-exchange", "of a word that nobody else uses");
part!(Both, OVERLAPPED, "where the processor overlaps them");

/// What the parts are done with.
pub struct Parts<P> {
    buffer: Buffer,
    word: Word,
    #[allow(dead_code, reason = "says which part")]
    part: P,
}

impl Write for Parts<Copy> {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        self.buffer.copy(payload);
    }
}

impl Write for Parts<Exchange> {
    #[inline(always)]
    fn append(&mut self, _: &Payload) {
        assert!(self.word.compare_exchange());
    }
}

impl Write for Parts<Both> {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        assert!(self.word.compare_exchange());
        self.buffer.copy(payload);
    }
}

//! What comes a second time is known by its hash: syslog's own copy on standard error (LOG_PERROR) is no second record.

#![forbid(unsafe_code)]

use lapwing_writer_shim::syslog::trimmed;
use std::cell::Cell;

thread_local! {
    /// Length and hash of the text that the C library is about to copy to standard error. Not just a mark: what a signal
    /// handler says meanwhile is something else.
    static EXPECTED: Cell<Option<(usize, u64)>> = const { Cell::new(None) };
}

/// This thread is about to call syslog(3) with this text, without newlines at its end.
pub(crate) fn expect(text: &[u8]) {
    let mut hash = Hash::new();
    hash.add(text);
    EXPECTED.set(Some((text.len(), hash.0)));
}

/// The call is over.
pub(crate) fn over() {
    if EXPECTED.get().is_some() {
        EXPECTED.set(None);
    }
}

/// Is this line the copy of what this thread says by syslog(3) just now? It has the tag in front.
#[inline]
pub(crate) fn is_copy(line: &[u8]) -> bool {
    let Some((len, expected)) = EXPECTED.get() else { return false };
    let line = trimmed(line);
    let Some(start) = line.len().checked_sub(len) else { return false };
    let mut hash = Hash::new();
    hash.add(&line[start..]);
    hash.0 == expected
}

/// FNV-1a: short, and nobody gains by two messages that collide.
pub(crate) struct Hash(pub(crate) u64);

impl Hash {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

//! Moves whole words between private memory and the ring, in one of two bodies.
//!
//! [`Body::Words`] loads and stores relaxed atomic words: the reference, and what loom, Miri and other machines run.
//! [`Body::Wide`] is x86-64 assembly that moves 16 bytes at a time. Racing copies are expected on both sides: a reader
//! checks the page's epoch after its copy and throws torn bytes away. So the assembly may be read as the same relaxed
//! word accesses in some order: it touches whole aligned 8-byte words only, and x86-64 never splits one of those.
//! Every test runs both bodies; the benches compare them with memcpy.
#![allow(unsafe_code)]

use crate::sync::Atomic;
use atomic::Ordering::Relaxed;

/// How words are moved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// One relaxed atomic access for each word.
    Words,
    /// 16-byte moves in assembly; the same as `Words` where there is no such assembly.
    Wide,
}

impl Body {
    /// The faster body of this machine.
    pub const BEST: Self =
        if cfg!(all(target_arch = "x86_64", not(miri), not(loom))) { Self::Wide } else { Self::Words };
}

/// Fills a stretch of ring words from byte slices, never storing less than a whole word.
pub(crate) struct Filler<'m> {
    words: &'m [Atomic<u64>],
    at: usize,
    /// Bytes that do not make a whole word yet, the first in the low byte.
    carry: u64,
    carried: usize,
    body: Body,
}

impl<'m> Filler<'m> {
    /// Begins at `words[0]`.
    #[inline(always)]
    pub(crate) fn new(words: &'m [Atomic<u64>], body: Body) -> Self {
        Self { words, at: 0, carry: 0, carried: 0, body }
    }

    #[inline(always)]
    fn word(&mut self, word: u64) {
        self.words[self.at].store(word, Relaxed);
        self.at += 1;
    }

    /// The three words of a record's header; the third stays open for the first four bytes of the body.
    #[inline(always)]
    pub(crate) fn header(&mut self, ticks: u64, meta: u32, pid: u32, tid: u32) {
        self.word(ticks);
        self.word(meta as u64 | (pid as u64) << 32);
        self.carry = tid as u64;
        self.carried = 4;
    }

    /// Appends `bytes`.
    #[inline(always)]
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        if self.carried != 0 {
            let take = bytes.len().min(8 - self.carried);
            self.carry |= partial_word(&bytes[..take]) << (8 * self.carried);
            self.carried += take;
            bytes = &bytes[take..];
            if self.carried < 8 {
                return;
            }
            let word = self.carry;
            self.word(word);
            self.carried = 0;
            self.carry = 0;
        }
        let whole = bytes.len() / 8;
        store_words(&self.words[self.at..self.at + whole], bytes, self.body);
        self.at += whole;
        let rest = bytes.len() % 8;
        if rest != 0 {
            // The last eight bytes in one load, the ones already stored shifted out.
            self.carry = match bytes.last_chunk() {
                Some(&last) => u64::from_le_bytes(last) >> (8 * (8 - rest)),
                None => partial_word(bytes),
            };
            self.carried = rest;
        }
    }

    /// Stores what is left, padded with zeros. Gives how many words were stored in all.
    #[inline(always)]
    pub(crate) fn finish(mut self) -> usize {
        if self.carried != 0 {
            let word = self.carry;
            self.word(word);
        }
        self.at
    }
}

/// How far behind a record [`prefetch_ahead`] reaches, bytes. A line that nobody has in his cache takes as long as several
/// appends: at 0 bytes an append to a ring of 16 MiB takes 4 ns more than at 1024, at 512 half a nanosecond more.
const AHEAD: usize = 1024;

/// Asks for as many cache lines as `words` are, [`AHEAD`] bytes behind them, since they will be written soon; at the cost of an
/// instruction for each.
#[inline(always)]
pub(crate) fn prefetch_ahead(words: &[Atomic<u64>]) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    for line in words.chunks(8) {
        let ahead = line.as_ptr().wrapping_byte_add(AHEAD);
        // SAFETY: a hint, which changes nothing but what the caches hold; at an address that is not mapped it does nothing.
        unsafe { core::arch::asm!("prefetchw [{}]", in(reg) ahead, options(nostack, preserves_flags)) };
    }
    let _ = words;
}

/// Asks for the cache line of `word`, which is about to be read, at the cost of an instruction.
#[inline(always)]
pub(crate) fn prefetch_to_read(word: &Atomic<u64>) {
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    // SAFETY: a hint, which changes nothing but what the caches hold, at an address that can be read.
    unsafe {
        core::arch::asm!("prefetcht0 [{}]", in(reg) word, options(nostack, preserves_flags, readonly));
    };
    let _ = word;
}

/// Stores a record that is nothing but its header and one piece of 12 bytes or more: what [`Filler`] would, but in fewer
/// instructions. False, and nothing done, where the piece is shorter.
///
/// # Panics
/// When `words` is not as long as the record.
#[inline(always)]
pub(crate) fn store_plain(
    words: &[Atomic<u64>],
    ticks: u64,
    meta: u32,
    (pid, tid): (u32, u32),
    piece: &[u8],
    body: Body,
) -> bool {
    let (Some((first, rest)), Some(&last)) = (piece.split_first_chunk(), piece.last_chunk()) else { return false };
    if rest.len() < 8 {
        return false;
    }
    let whole = rest.len() / 8;
    let [at_ticks, at_who, at_first, words @ ..] = words else { unreachable!("a record has three words of header") };
    at_ticks.store(ticks, Relaxed);
    at_who.store(meta as u64 | (pid as u64) << 32, Relaxed);
    at_first.store(tid as u64 | (u32::from_le_bytes(*first) as u64) << 32, Relaxed);
    debug_assert_eq!(words.len(), rest.len().div_ceil(8));
    let (whole_words, tail) = words.split_at(whole);
    store_words(whole_words, rest, body);
    if let [tail] = tail {
        // The last eight bytes in one load, the ones already stored shifted out.
        tail.store(u64::from_le_bytes(last) >> (8 * (8 - rest.len() % 8)), Relaxed);
    }
    true
}

/// Up to eight bytes as the low end of a word.
#[inline(always)]
fn partial_word(bytes: &[u8]) -> u64 {
    if let (Some(&first), Some(&last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // Four to eight bytes: two loads that may overlap.
        let shift = 8 * (bytes.len() - 4);
        return u32::from_le_bytes(first) as u64 | (u32::from_le_bytes(last) as u64) << shift;
    }
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | byte as u64)
}

/// Stores the first `words.len()` whole words of `bytes`.
///
/// # Panics
/// When `bytes` is shorter than that.
#[inline(always)]
fn store_words(words: &[Atomic<u64>], bytes: &[u8], body: Body) {
    let bytes = &bytes[..words.len() * 8];
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    if body == Body::Wide {
        // SAFETY: `words` is `words.len()` aligned words of interior mutability (Atomic<u64> is a transparent cell over
        // u64), `bytes` has eight times as many readable bytes, and private memory does not overlap the ring's words.
        return unsafe { move_words(words.as_ptr().cast_mut().cast(), bytes.as_ptr(), words.len()) };
    }
    let _ = body;
    let (chunks, _) = bytes.as_chunks();
    for (word, &chunk) in words.iter().zip(chunks) {
        word.store(u64::from_le_bytes(chunk), Relaxed);
    }
}

/// Copies `words` to the front of `out`.
///
/// # Panics
/// When `out` is shorter than `words`.
#[inline(always)]
pub(crate) fn load_words(words: &[Atomic<u64>], out: &mut [u64], body: Body) {
    let out = &mut out[..words.len()];
    #[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
    if body == Body::Wide {
        // SAFETY: `out` is exclusive and as many words long as `words`; Atomic<u64> has the size of u64.
        return unsafe { move_words(out.as_mut_ptr().cast(), words.as_ptr().cast(), words.len()) };
    }
    let _ = body;
    for (to, word) in out.iter_mut().zip(words) {
        *to = word.load(Relaxed);
    }
}

/// Moves `count` words from `from` to `to`: 64 bytes a turn, then 32, 16 and 8.
///
/// # Safety
/// `from` is readable and `to` writable for `count * 8` bytes, they do not overlap, and whichever of the two is the
/// ring's is aligned to 8 bytes.
#[cfg(all(target_arch = "x86_64", not(miri), not(loom)))]
#[inline(always)]
unsafe fn move_words(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the loads and stores below touch exactly the `count * 8` bytes that the caller vouches for; xmm0 to xmm3
    // and the scratch word are declared, the direction flag is not used, the stack is not touched.
    unsafe {
        core::arch::asm!(
            "sub {n}, 8",
            "jb 3f",
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "sub {n}, 8",
            "jae 2b",
            "3:",
            "test {n:l}, 4",
            "jz 4f",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "add {from}, 32",
            "add {to}, 32",
            "4:",
            "test {n:l}, 2",
            "jz 5f",
            "movups {a}, [{from}]",
            "movups [{to}], {a}",
            "add {from}, 16",
            "add {to}, 16",
            "5:",
            "test {n:l}, 1",
            "jz 6f",
            "mov {w}, [{from}]",
            "mov [{to}], {w}",
            "6:",
            n = inout(reg) count => _,
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            w = out(reg) _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn ring_words(n: usize) -> Vec<Atomic<u64>> {
        (0..n).map(|_| Atomic::new(u64::MAX)).collect()
    }

    #[test]
    fn both_bodies_store_any_cut_of_any_length_and_load_it_back() {
        let text: Vec<u8> = (0..700u32).map(|i| (i * 7 + 1) as u8).collect();
        for body in [Body::Words, Body::Wide] {
            let (short, long) =
                if cfg!(miri) { (20usize, &[257usize][..]) } else { (200, &[255, 256, 257, 640, 700][..]) };
            for len in (0..short).chain(long.iter().copied()) {
                for cut in [0, 1, 3, 4, 5, 8, 13, len / 2, len] {
                    let cut = cut.min(len);
                    let words = ring_words((20 + len).div_ceil(8) + 1);
                    let mut filler = Filler::new(&words[..words.len() - 1], body);
                    filler.header(0x0102_0304_0506_0708, 0xdead_beef, 77, 78);
                    filler.push(&text[..cut]);
                    filler.push(&text[cut..len]);
                    assert_eq!(filler.finish(), words.len() - 1);
                    let mut out = vec![0; words.len()];
                    load_words(&words, &mut out, body);
                    let bytes: Vec<u8> = out.iter().flat_map(|w| w.to_le_bytes()).collect();
                    let header = [0x0807_0605_0403_0201u64.swap_bytes(), 0xdead_beef | 77 << 32];
                    assert_eq!(out[..2], header);
                    assert_eq!(bytes[16..20], 78u32.to_le_bytes());
                    assert_eq!(bytes[20..20 + len], text[..len], "{body:?} {len} cut at {cut}");
                    assert!(bytes[20 + len..bytes.len() - 8].iter().all(|&b| b == 0), "the tail is padded");
                    assert_eq!(*out.last().unwrap(), u64::MAX, "nothing is stored behind the record");
                    let plain = ring_words(words.len());
                    let (place, piece) = (&plain[..words.len() - 1], &text[..len]);
                    let is_stored = store_plain(place, 0x0102_0304_0506_0708, 0xdead_beef, (77, 78), piece, body);
                    assert_eq!(is_stored, len >= 12);
                    let mut same = vec![0; words.len()];
                    load_words(&plain, &mut same, body);
                    assert_eq!(same == out, is_stored, "{body:?} {len}");
                }
            }
        }
    }
}

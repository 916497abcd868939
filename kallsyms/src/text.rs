//! Finds the kernel addresses in a line of text, so that symbols can be put in their place. It knows no symbols itself.
//!
//! ```text
//! Call Trace: [<ffffffff81234567>] [<ffffffffc0a01037>]     the brackets of old kernels belong to the address
//! fault at ip=0xffffffff81234567, called from ffffffff81234999
//! Call Trace: do_sys_open+0x1f dummy_setup+0x27 [dummy]
//! fault at ip=do_sys_open+0x1f, called from do_sys_open+0x451
//! ```
//!
//! An address is 16 hexadecimal digits, the first four of them `f` (or `F`), with or without `0x`, that stand as a word of
//! their own: the text of x86-64 and of arm64 kernels lies in the highest 2^48 bytes, also where page tables have five
//! levels or virtual addresses 52 bits. Everything else stays as it is, and so does an address that a symbol stands beside
//! already: `[<ffffffff81234567>] ? do_sys_open+0x1f/0x60`, as old kernels and perf have it, and
//! `do_sys_open+0x1f/0x60 <ffffffff81234567>`, as ftrace has it.

#![forbid(unsafe_code)]

use std::ops::Range;

/// Digits of an address.
const DIGITS: usize = 16;
/// Of those, so many at its beginning are `f`.
const BEGINNING: usize = 4;

/// Appends `line` to `out`, each kernel address in it replaced by what `resolve` appends for it; an address for which
/// `resolve` gives `false` stays as it is, and so does all else. Gives how many were replaced.
///
/// The replacement is meant to be `function+0x1f [module]`, as the kernel's `%pS` has it: that is no address, so what was
/// annotated is not changed by being annotated again. The time is linear in the line's length, whatever is in it.
pub fn annotate(line: &[u8], mut resolve: impl FnMut(u64, &mut Vec<u8>) -> bool, out: &mut Vec<u8>) -> usize {
    let (mut copied, mut count) = (0, 0);
    for (place, address) in Addresses::new(line) {
        out.extend_from_slice(&line[copied..place.start]);
        let len = out.len();
        if resolve(address, out) {
            count += 1;
            copied = place.end;
        } else {
            out.truncate(len);
            copied = place.start;
        }
    }
    out.extend_from_slice(&line[copied..]);
    count
}

/// The addresses of a line and where they stand, brackets included, from left to right.
struct Addresses<'a> {
    line: &'a [u8],
    /// No `f` stands directly in front of it, and all addresses that begin there were given.
    at: usize,
}

impl<'a> Addresses<'a> {
    fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }
}

impl Iterator for Addresses<'_> {
    /// Where it stands, and what it is.
    type Item = (Range<usize>, u64);

    fn next(&mut self) -> Option<Self::Item> {
        // Of four `f` in a row one stands at that place. Lines are short: this is faster than a search for all four.
        while let Some(&byte) = self.line.get(self.at + BEGINNING - 1) {
            if !is_f(byte) {
                self.at += BEGINNING;
                continue;
            }
            let front = self.line[self.at..self.at + BEGINNING].iter().rev().take_while(|&&byte| is_f(byte)).count();
            let start = self.at + BEGINNING - front;
            // A word is looked at once, however many addresses seem to begin in it.
            self.at = start + word_len(&self.line[start..]);
            let found = address(&self.line[start..self.at]).zip(place(self.line, start..self.at));
            if let Some((address, place)) = found {
                return Some((place, address));
            }
        }
        None
    }
}

fn is_f(digit: u8) -> bool {
    digit | 0x20 == b'f'
}

/// Is this byte part of a word? Those of other scripts are not: arrows and quotation marks are among them.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn word_len(text: &[u8]) -> usize {
    text.iter().position(|&byte| !is_word(byte)).unwrap_or(text.len())
}

fn address(digits: &[u8]) -> Option<u64> {
    let digits: &[u8; DIGITS] = digits.try_into().ok()?;
    if !digits[..BEGINNING].iter().all(|&digit| is_f(digit)) {
        return None;
    }
    digits.iter().try_fold(0, |address, &digit| Some(address << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// What is to be replaced of `line` where these digits, which end a word, are an address for which there is no symbol yet.
fn place(line: &[u8], digits: Range<usize>) -> Option<Range<usize>> {
    let start = match &line[..digits.start] {
        [.., b'0', b'x' | b'X'] => digits.start - 2,
        _ => digits.start,
    };
    let (before, behind) = (&line[..start], &line[digits.end..]);
    let in_word = match before {
        // Behind `+` it is an offset.
        [.., b'+'] => true,
        [.., byte, b'.'] | [.., byte] if is_word(*byte) => !ends_with_color(before),
        _ => false,
    };
    // With an offset behind it, it is the start of something, not a place in it.
    if in_word || matches!(behind, [b'.', byte, ..] if is_word(*byte)) || behind.starts_with(b"+0x") {
        return None;
    }
    let mut place = start..digits.end;
    match (before, behind) {
        ([outer @ .., b'[', b'<'], [b'>', b']', rest @ ..])
            if !outer.last().is_some_and(|&byte| is_word(byte)) && !rest.first().is_some_and(|&byte| is_word(byte)) =>
        {
            place = start - 2..digits.end + 2;
        }
        ([outer @ .., b' ', b'<'], [b'>', ..]) if ends_with_size(outer) => return None,
        _ => {}
    }
    (!begins_with_symbol(&line[place.end..])).then_some(place)
}

/// Does `text` end with what colors a terminal, `\x1b[1;31m`?
fn ends_with_color(text: &[u8]) -> bool {
    const LONGEST: usize = 24;
    let Some(text) = text.strip_suffix(b"m") else { return false };
    let numbers = text.iter().rev().take(LONGEST).take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    text[..text.len() - numbers].ends_with(b"\x1b[")
}

/// Does `text` end with what `%pS` ends with, `+0x1f/0x60`, as far as can be seen from the size?
fn ends_with_size(text: &[u8]) -> bool {
    // With as many digits as an address it would be one.
    let size = text.iter().rev().take(DIGITS - 1).take_while(|byte| byte.is_ascii_hexdigit()).count();
    size > 0 && text[..text.len() - size].ends_with(b"/0x")
}

/// Does a symbol with an offset follow, behind blanks and the `?` of a frame that is only a guess?
fn begins_with_symbol(text: &[u8]) -> bool {
    let blanks = text.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    if blanks == 0 {
        return false;
    }
    let name = text[blanks..].strip_prefix(b"? ").unwrap_or(&text[blanks..]);
    let len = name.iter().take_while(|&&byte| is_word(byte) || byte == b'.' || byte == b'$').count();
    len > 0 && name[len..].starts_with(b"+0x")
}

#[cfg(test)]
mod tests {
    use super::annotate;
    use proptest::prelude::*;

    /// Symbols with what is odd about them in real kernels; none of them for `..999`.
    fn resolve(address: u64, out: &mut Vec<u8>) -> bool {
        let symbol: &[u8] = match address {
            0xffff_ffff_8123_4567 => b"do_sys_open+0x1f",
            0xffff_8000_0801_0000 => b"el0_svc.isra.0+0x0 [nf_tables]",
            // What a resolver wrote before it gave up is none of the line.
            _ => {
                out.extend_from_slice(b"half a symbol");
                return false;
            }
        };
        out.extend_from_slice(symbol);
        true
    }

    fn annotated(line: &[u8]) -> (Vec<u8>, usize) {
        let mut out = Vec::new();
        let count = annotate(line, resolve, &mut out);
        (out, count)
    }

    #[track_caller]
    fn becomes(line: &str, expected: &str) {
        let (out, count) = annotated(line.as_bytes());
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(
            count,
            expected.matches("do_sys_open+0x1f").count() - line.matches("do_sys_open+0x1f").count()
                + expected.matches("el0_svc").count(),
            "{line}"
        );
    }

    #[track_caller]
    fn stays(line: &str) {
        becomes(line, line);
    }

    #[test]
    fn colors_are_no_part_of_a_word() {
        becomes("<\u{1b}[1mffffffff81234567\u{1b}[0m>", "<\u{1b}[1mdo_sys_open+0x1f\u{1b}[0m>");
        becomes("\u{1b}[38;5;9mffffffff81234567", "\u{1b}[38;5;9mdo_sys_open+0x1f");
        stays("[1mffffffff81234567");
        stays("\u{1b}[mxmffffffff81234567");
    }

    #[test]
    fn what_has_an_offset_behind_it_stays() {
        stays("ffffffff81234567+0x1f");
    }

    #[test]
    fn an_address_is_replaced_in_each_form_that_kernels_and_tools_write() {
        becomes("ffffffff81234567", "do_sys_open+0x1f");
        becomes("0xffffffff81234567\n", "do_sys_open+0x1f\n");
        becomes("0XFFFFFFFF81234567 FFFFFFFF81234567", "do_sys_open+0x1f do_sys_open+0x1f");
        becomes(" [<ffffffff81234567>] ", " do_sys_open+0x1f ");
        becomes(" [<0xffffffff81234567>] ", " do_sys_open+0x1f ");
        becomes("[<ffffffff81234567>][<ffffffff81234567>]", "do_sys_open+0x1fdo_sys_open+0x1f");
        becomes("ffff800008010000", "el0_svc.isra.0+0x0 [nf_tables]");
        becomes("[   12.5] RIP: 0010:ffffffff81234567", "[   12.5] RIP: 0010:do_sys_open+0x1f");
        becomes("ip=0xffffffff81234567,lr=ffffffff81234567.", "ip=do_sys_open+0x1f,lr=do_sys_open+0x1f.");
        becomes("(ffffffff81234567)", "(do_sys_open+0x1f)");
        becomes("foo <ffffffff81234567>", "foo <do_sys_open+0x1f>");
        becomes("foo/0x <ffffffff81234567>", "foo/0x <do_sys_open+0x1f>");
        becomes(" /0xffffffff81234567 <ffffffff81234567>", " /do_sys_open+0x1f <do_sys_open+0x1f>");
        becomes("0xffffffff81234567-0xffffffff81234567", "do_sys_open+0x1f-do_sys_open+0x1f");
        becomes("→ffffffff81234567…", "→do_sys_open+0x1f…");
        becomes(
            "Stack: 0000000000000001 ffffffff81234567 ffff888007fa0bd8",
            "Stack: 0000000000000001 do_sys_open+0x1f ffff888007fa0bd8",
        );
        becomes("ffffffff81234999 ffffffff81234567", "ffffffff81234999 do_sys_open+0x1f");
        becomes("fFfFFfFf81234567", "do_sys_open+0x1f");
        // Wherever it stands.
        for front in 0..20 {
            let front = "-f of ff- fff, -ff-ff"[..front].to_owned() + " ";
            becomes(&format!("{front}ffffffff81234567"), &format!("{front}do_sys_open+0x1f"));
        }
    }

    #[test]
    fn brackets_that_text_is_glued_to_stay() {
        becomes("[<ffffffff81234567>]x", "[<do_sys_open+0x1f>]x");
        becomes("x[<ffffffff81234567>]", "x[<do_sys_open+0x1f>]");
        becomes("[<ffffffff81234567>", "[<do_sys_open+0x1f>");
    }

    #[test]
    fn where_a_symbol_stands_already_nothing_is_changed() {
        stays(" [<ffffffff81234567>] do_sys_open+0x1f/0x60 [xfs]");
        stays(" [<ffffffff81234567>] ? do_sys_open+0x1f/0x60");
        becomes(
            "RIP: 0010:[<ffffffff81234567>]  [<ffffffff81234567>] do_sys_open+0x1f/0x60",
            "RIP: 0010:do_sys_open+0x1f  [<ffffffff81234567>] do_sys_open+0x1f/0x60",
        );
        stays("        ffffffff81234567 do_sys_open+0x1f ([kernel.kallsyms])");
        stays(" => do_sys_open+0x1f/0x60 <ffffffff81234567>");
        stays("do_sys_open+0x12/0x80");
        stays("[<0>] do_sys_open+0x12/0x80");
    }

    #[test]
    fn what_is_no_kernel_address_stays() {
        stays("");
        stays("ffff");
        stays("ffffffff8123456");
        stays("ffffffff812345678");
        stays("ffffffff8123456g");
        stays("0x0ffffffff81234567");
        stays("00ffffffff81234567");
        stays("xffffffff81234567 _ffffffff81234567 \\xffffffff81234567");
        stays("ffffffff81234567_x ffffffff81234567h");
        stays("fn.ffffffff81234567 ffffffff81234567.isra.0");
        stays("+ffffffff81234567 f+0xffffffff81234567");
        stays("00007f1234567890 0x7fffffffe000 fffefffe81234567");
        stays("ffffffff81234567ffffffff81234567");
        stays("0xffffffff81234567ffff");
        stays("ffffffff81234999");
    }

    /// Pieces of which lines are made that have much in them that nearly is an address.
    fn line() -> impl Strategy<Value = Vec<u8>> {
        let pieces: [&'static [u8]; 23] = [
            b"/0x",
            b"ffffffff81234567",
            b"0xffffffff81234567",
            b"[<ffffffff81234567>]",
            b"ffffffff81234999",
            b"FFFF800008010000",
            b"ffff",
            b"FFFF",
            b"0x",
            b"[<",
            b">]",
            b"<",
            b">",
            b" ",
            b" ? ",
            b"+",
            b"/0x60",
            b".",
            b"_",
            b"do_sys_open+0x1f",
            b"\xff",
            b"\n",
            b"?",
        ];
        let piece = prop_oneof![
            8 => prop::sample::select(pieces.to_vec()).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..4),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn text_without_addresses_is_unchanged(line in any::<Vec<u8>>()) {
            let mut out = b"in front ".to_vec();
            let is_asked = line.windows(4).any(|digits| digits.eq_ignore_ascii_case(b"ffff"));
            let count = annotate(&line, |_, _| { assert!(is_asked); false }, &mut out);
            prop_assert_eq!(count, 0);
            prop_assert_eq!(&out[..], &[b"in front ", &line[..]].concat()[..]);
        }

        #[test]
        fn without_symbols_every_line_is_unchanged(line in line()) {
            let mut out = Vec::new();
            prop_assert_eq!(annotate(&line, |_, out| { out.push(b'x'); false }, &mut out), 0);
            prop_assert_eq!(out, line);
        }

        #[test]
        fn what_was_annotated_is_not_changed_again(line in line()) {
            let (once, _) = annotated(&line);
            let (twice, count) = annotated(&once);
            prop_assert_eq!(count, 0);
            prop_assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&once));
        }

        #[test]
        fn an_address_between_blanks_is_found_whatever_stands_around(front in line(), behind in line()) {
            let line = [&front[..], b" \t:[<ffff800008010000>]: ", &behind[..]].concat();
            let (out, count) = annotated(&line);
            prop_assert!(count >= 1);
            let found = b" \t:el0_svc.isra.0+0x0 [nf_tables]: ";
            prop_assert!(out.windows(found.len()).any(|part| part == found));
        }
    }
}

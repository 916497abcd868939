//! What may not reach a terminal or a line-based tool as it is, and how it is written instead. Every text format goes
//! through here.

/// Would this character end a line, steer a terminal, or change the order in which the characters around it are shown?
///
/// C0 except tab, DEL, C1, the Unicode line and paragraph separators, and the bidirectional controls (UAX #9).
pub(crate) fn is_hidden(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0a'..='\x1f' | '\x7f'..='\u{9f}')
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends `bytes` as one line of text: hidden characters below 128, and bytes that are no UTF-8, as `\xNN`, other
/// hidden characters as `\u{N}`.
///
/// Backslashes stay as they are, unless what follows them is, or would look like, such an escape: then all that stand
/// in a row are doubled. So the output says exactly what the bytes were.
pub fn push_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    push(out, bytes, |byte| (byte == b'\t') | (is_visible(byte) & (byte != b'\\')), is_hidden);
}

/// [`push_escaped`] for what stands in front of `[pid]`: no bracket in it opens, so the first one that does is ours.
pub(crate) fn push_name(out: &mut Vec<u8>, name: &[u8]) {
    let plain = |byte| (byte == b'\t') | (is_visible(byte) & (byte != b'[') & (byte != b'\\'));
    push(out, name, plain, |c| c == '[' || is_hidden(c));
}

/// [`push_escaped`] with what counts as hidden, and which bytes are ASCII, not hidden and no backslash.
#[inline]
fn push(out: &mut Vec<u8>, bytes: &[u8], plain: impl Fn(u8) -> bool + Copy, is_hidden: impl Fn(char) -> bool) {
    let run = plain_run(bytes, plain);
    out.extend_from_slice(&bytes[..run]);
    if run < bytes.len() {
        push_rest(out, &bytes[run..], plain, is_hidden);
    }
}

#[cold]
fn push_rest(out: &mut Vec<u8>, bytes: &[u8], plain: impl Fn(u8) -> bool + Copy, is_hidden: impl Fn(char) -> bool) {
    // Backslashes directly in front of what comes next.
    let mut slashes = 0;
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some(c) = rest.chars().next() {
            if c.is_ascii() && plain(c as u8) {
                if slashes > 0 && looks_escaped(rest.as_bytes()) {
                    double(out, slashes);
                }
                slashes = 0;
                let (run, behind) = rest.split_at(plain_run(rest.as_bytes(), plain));
                out.extend_from_slice(run.as_bytes());
                rest = behind;
                continue;
            }
            rest = &rest[c.len_utf8()..];
            if c == '\\' {
                slashes += 1;
                out.push(b'\\');
                continue;
            }
            let hidden = is_hidden(c);
            if hidden {
                double(out, slashes);
            }
            slashes = 0;
            match c {
                _ if !hidden => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                '\0'..='\x7f' => push_byte(out, c as u8),
                _ => out.extend_from_slice(format!("\\u{{{:x}}}", c as u32).as_bytes()),
            }
        }
        for &byte in chunk.invalid() {
            double(out, slashes);
            slashes = 0;
            push_byte(out, byte);
        }
    }
}

/// ASCII that is neither a control character nor DEL.
#[inline(always)]
pub(crate) fn is_visible(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

/// How many bytes at the front are `plain`, which must hold for ASCII alone, and is best a formula without branches.
#[inline]
pub(crate) fn plain_run(bytes: &[u8], plain: impl Fn(u8) -> bool) -> usize {
    // Without a way out in between, which compilers make vector instructions of.
    let all = |bytes: &[u8; 16]| bytes.iter().fold(true, |all, &byte| all & plain(byte));
    let chunks = bytes.as_chunks().0;
    let whole = 16 * chunks.iter().position(|chunk| !all(chunk)).unwrap_or(chunks.len());
    // Where it ends, once more from 16 bytes in front of there.
    if let Some(last) = bytes.last_chunk()
        && whole + 16 > bytes.len()
        && all(last)
    {
        return bytes.len();
    }
    whole + bytes[whole..].iter().take_while(|&&byte| plain(byte)).count()
}

/// Behind a backslash, would this read as an escape?
fn looks_escaped(rest: &[u8]) -> bool {
    match rest {
        [b'x', high, low, ..] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        [b'u', b'{', ..] => true,
        _ => false,
    }
}

fn double(out: &mut Vec<u8>, slashes: usize) {
    out.extend(std::iter::repeat_n(b'\\', slashes));
}

fn push_byte(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(&[b'\\', b'x', DIGITS[byte as usize >> 4], DIGITS[byte as usize & 15]]);
}

/// `bytes` as text: as they are where they are UTF-8, escaped where not.
pub(crate) fn readable(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => escaped(bytes).into(),
    }
}

/// [`push_escaped`] as a string of its own.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    push_escaped(&mut out, bytes);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The inverse, by the rules in the documentation of [`push_escaped`].
    fn unescape(mut text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some((&first, rest)) = text.split_first() {
            let run = text.iter().take_while(|&&byte| byte == b'\\').count();
            let after = &text[run..];
            if run == 0 {
                out.push(first);
                text = rest;
            } else if !looks_escaped(after) {
                out.extend_from_slice(&text[..run]);
                text = after;
            } else {
                out.extend(std::iter::repeat_n(b'\\', run / 2));
                text = after;
                if run % 2 == 1 {
                    let (digits, skip) = match after[0] {
                        b'x' => (&after[1..3], 3),
                        _ => {
                            let end = after.iter().position(|&byte| byte == b'}').unwrap();
                            (&after[2..end], end + 1)
                        }
                    };
                    let code = u32::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
                    if after[0] == b'x' {
                        out.push(code as u8);
                    } else {
                        out.extend_from_slice(char::from_u32(code).unwrap().to_string().as_bytes());
                    }
                    text = &after[skip..];
                }
            }
        }
        out
    }

    /// Character by character, as the documentation of [`push_escaped`] has it.
    fn slowly(bytes: &[u8], is_hidden: impl Fn(char) -> bool) -> Vec<u8> {
        let mut out = Vec::new();
        let mut slashes = 0;
        for chunk in bytes.utf8_chunks() {
            let valid = chunk.valid();
            for (i, c) in valid.char_indices() {
                if c == '\\' {
                    slashes += 1;
                    out.push(b'\\');
                    continue;
                }
                if is_hidden(c) || looks_escaped(&valid.as_bytes()[i..]) {
                    double(&mut out, slashes);
                }
                slashes = 0;
                out.extend(
                    match c {
                        _ if !is_hidden(c) => c.to_string(),
                        '\0'..='\x7f' => format!("\\x{:02x}", c as u32),
                        _ => format!("\\u{{{:x}}}", c as u32),
                    }
                    .into_bytes(),
                );
            }
            for &byte in chunk.invalid() {
                double(&mut out, slashes);
                slashes = 0;
                push_byte(&mut out, byte);
            }
        }
        out
    }

    fn round_trip(bytes: &[u8]) {
        let text = escaped(bytes);
        assert!(!text.chars().any(is_hidden), "{text:?}");
        assert_eq!(unescape(text.as_bytes()), bytes, "{text:?}");
        assert_eq!(text.as_bytes(), slowly(bytes, is_hidden));
        let mut name = Vec::new();
        push_name(&mut name, bytes);
        assert_eq!(name, slowly(bytes, |c| c == '[' || is_hidden(c)));
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_their_escaped_form(bytes: Vec<u8>) {
            round_trip(&bytes);
        }

        #[test]
        fn text_with_a_little_of_everything_comes_back_too(text in "[ -~]{0,40}([\\\\xu{}0-9a-f\u{1b}\u{85}\u{202e}éя€😀\\[]{0,9}[ -~]{0,40}){0,3}") {
            round_trip(text.as_bytes());
        }

        #[test]
        fn text_that_looks_like_escapes_comes_back_too(text in "[\\\\xu{}0-9a-f\u{1b}\u{85}\u{202e}]{0,12}") {
            round_trip(text.as_bytes());
        }
    }

    #[test]
    fn every_byte_at_every_place_of_a_long_text_comes_back() {
        for len in [1, 15, 16, 17, 40] {
            for at in 0..len {
                for byte in 0..=255 {
                    let mut text = vec![b'a'; len];
                    text[at] = byte;
                    round_trip(&text);
                    // A character of two bytes, cut at no place and at every.
                    text.splice(at..at + 1, [0xc2, byte]);
                    round_trip(&text);
                }
            }
        }
    }

    #[test]
    fn a_name_opens_no_bracket_and_comes_back() {
        for name in [&b"init[1] <emerg>"[..], b"\\[\\x5b[", b"\xff["] {
            let mut out = Vec::new();
            push_name(&mut out, name);
            assert!(!out.contains(&b'['));
            assert_eq!(unescape(&out), name);
        }
    }

    #[test]
    fn hidden_characters_are_named_and_the_rest_is_left_alone() {
        assert_eq!(escaped(b"a\tb\x1b[31m\n\x7f"), "a\tb\\x1b[31m\\x0a\\x7f");
        assert_eq!(
            escaped("é\u{9b}31m \u{202e}\u{2066}\u{200f}\u{61c}".as_bytes()),
            "é\\u{9b}31m \\u{202e}\\u{2066}\\u{200f}\\u{61c}"
        );
        assert_eq!(escaped(b"\xff\xc3("), "\\xff\\xc3(");
        assert_eq!(escaped(b"C:\\new\\xampp 50\\"), "C:\\new\\xampp 50\\");
        assert_eq!(escaped(b"\\x1b is not \x1b"), "\\\\x1b is not \\x1b");
    }
}

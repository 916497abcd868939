//! The lines of `/proc/kallsyms`: an address, a type, a name, and the module in brackets where it is not the kernel itself.

#![forbid(unsafe_code)]

use std::io::{ErrorKind, Read};

/// The kernel's own limit on a symbol's name, `KSYM_NAME_LEN`, without the byte that ends it.
pub(crate) const NAME_MAX: usize = 511;
/// The longest name of a module, `MODULE_NAME_LEN`, without the byte that ends it.
pub(crate) const MODULE_MAX: usize = 63;
/// No line is longer: the address, the type, the name, the module, and what stands between them.
const LINE_MAX: usize = 16 + 1 + 1 + 1 + NAME_MAX + 1 + MODULE_MAX + 2;
/// The kernel hands out a page at a time; a file as much as fits.
const BUFFER: usize = 1 << 15;

/// One line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line<'l> {
    pub(crate) address: u64,
    pub(crate) kind: u8,
    pub(crate) name: &'l [u8],
    /// Empty for the kernel itself.
    pub(crate) module: &'l [u8],
}

impl Line<'_> {
    /// Whether it names code: a function, or a weak one.
    #[inline]
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.kind, b'T' | b't' | b'V' | b'v' | b'W' | b'w')
    }
}

/// Why the lines end before the input does.
#[derive(Debug)]
pub(crate) enum Broken {
    Read(std::io::Error),
    /// The number of the line, from 1, and what is wrong with it.
    Malformed(u64, &'static str),
}

/// Lines of an input, one after the other.
pub(crate) struct Lines<R> {
    input: R,
    buffer: Box<[u8]>,
    /// What of the buffer is still to be handed out.
    from: usize,
    to: usize,
    /// The number of the line that was handed out last, and where it begins.
    number: u64,
    last: usize,
}

impl<R: Read> Lines<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, buffer: vec![0; BUFFER].into_boxed_slice(), from: 0, to: 0, number: 0, last: 0 }
    }

    /// The next one, `None` at the end. Lines that are no text symbols come too.
    #[inline]
    pub(crate) fn next_line(&mut self) -> Result<Option<Line<'_>>, Broken> {
        let mut seen = 0;
        let len = loop {
            if let Some(newline) = memchr::memchr(b'\n', &self.buffer[self.from + seen..self.to]) {
                break seen + newline;
            }
            seen = self.to - self.from;
            if seen > LINE_MAX {
                break seen;
            }
            if self.refill()? == 0 {
                if seen == 0 {
                    return Ok(None);
                }
                break seen;
            }
        };
        self.number += 1;
        let line = &self.buffer[self.from..self.from + len];
        self.last = self.from;
        self.from = (self.from + len + 1).min(self.to);
        line_of(line).map(Some).map_err(|what| Broken::Malformed(self.number, what))
    }

    /// Takes the line back that was handed out last: it comes once more.
    pub(crate) fn again(&mut self) {
        self.from = self.last;
        self.number -= 1;
    }

    /// Passes over the lines of the kernel itself, which have no bracket: the next line is a module's. Nothing of what is passed
    /// over is looked at.
    pub(crate) fn skip_kernel(&mut self) -> Result<(), Broken> {
        loop {
            let rest = &self.buffer[self.from..self.to];
            let bracket = memchr::memchr(b'[', rest);
            let lines = &rest[..bracket.unwrap_or(rest.len())];
            self.number += memchr::memchr_iter(b'\n', lines).count() as u64;
            self.from += memchr::memrchr(b'\n', lines).map_or(0, |newline| newline + 1);
            if bracket.is_some() {
                return Ok(());
            }
            if self.to - self.from > LINE_MAX {
                return Err(Broken::Malformed(self.number + 1, TOO_LONG));
            }
            if self.refill()? == 0 {
                return Ok(());
            }
        }
    }

    /// Reads more behind what is left; how many bytes came, 0 at the end of the input.
    fn refill(&mut self) -> Result<usize, Broken> {
        self.buffer.copy_within(self.from..self.to, 0);
        self.to -= self.from;
        self.from = 0;
        loop {
            match self.input.read(&mut self.buffer[self.to..]) {
                Ok(more) => {
                    self.to += more;
                    return Ok(more);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Broken::Read(error)),
            }
        }
    }
}

const TOO_LONG: &str = "the line is longer than a symbol's can be";

#[inline]
fn line_of(line: &[u8]) -> Result<Line<'_>, &'static str> {
    if line.len() > LINE_MAX {
        return Err(TOO_LONG);
    }
    // As the kernel prints it on 64 bits; any number of digits is taken as well.
    let fixed = if line.get(16) == Some(&b' ') { hexadecimal(&line[..16]) } else { None };
    let (address, digits) = match fixed {
        Some(address) => (address, 16),
        None => {
            let digits = memchr::memchr(b' ', line).ok_or("no type and no name")?;
            (hexadecimal(&line[..digits]).ok_or("the address is no hexadecimal number of 64 bits")?, digits)
        }
    };
    let (&kind, rest) = line[digits + 1..].split_first().ok_or("no type and no name")?;
    let (b' ', rest) = rest.split_first().map_or((0, rest), |(&space, rest)| (space, rest)) else {
        return Err("no name");
    };
    let (name, module) = match memchr::memchr2(b'\t', b' ', rest) {
        None => (rest, None),
        Some(end) => (&rest[..end], Some(rest[end + 1..].trim_ascii())),
    };
    if name.is_empty() {
        return Err("no name");
    }
    if name.len() > NAME_MAX {
        return Err("the name is longer than a symbol's can be");
    }
    if !name.iter().all(u8::is_ascii_graphic) && !is_text(name) {
        return Err("the name has control characters, or is no UTF-8");
    }
    let module = match module {
        None | Some(b"") => &[],
        Some([b'[', module @ .., b']'])
            if (1..=MODULE_MAX).contains(&module.len()) && module.iter().all(is_of_module) =>
        {
            module
        }
        Some(_) => return Err("the module is no name in brackets"),
    };
    Ok(Line { address, kind, name, module })
}

/// Names of modules are printed and published: bytes that break out of a line, or are no text, are in none.
fn is_of_module(byte: &u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'[' | b']')
}

#[cold]
fn is_text(name: &[u8]) -> bool {
    str::from_utf8(name).is_ok_and(|name| !name.chars().any(char::is_control))
}

/// The number that `digits` are, in either case of letters; `None` where they are none, or more than 16.
#[inline]
pub(crate) fn hexadecimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut number = 0;
    let mut bad = 0;
    for &digit in digits {
        let value = VALUES[usize::from(digit)];
        bad |= value;
        number = number << 4 | u64::from(value & 15);
    }
    (bad & NO_DIGIT == 0).then_some(number)
}

const NO_DIGIT: u8 = 0x80;

static VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::{Broken, Line, Lines, line_of};
    use std::io::Read;

    fn line<'l>(address: u64, kind: u8, name: &'l str, module: &'l str) -> Line<'l> {
        Line { address, kind, name: name.as_bytes(), module: module.as_bytes() }
    }

    #[test]
    fn lines_as_the_kernel_prints_them() {
        assert_eq!(line_of(b"ffffffff81000000 T _text"), Ok(line(0xffff_ffff_8100_0000, b'T', "_text", "")));
        assert_eq!(
            line_of(b"ffffffffc0000010 t xfs_open\t[xfs]"),
            Ok(line(0xffff_ffff_c000_0010, b't', "xfs_open", "xfs"))
        );
        assert_eq!(line_of(b"0 A fixed_percpu_data"), Ok(line(0, b'A', "fixed_percpu_data", "")));
        assert_eq!(line_of(b"c0A0 d x"), Ok(line(0xc0a0, b'd', "x", "")));
        for digits in 1..=16 {
            let of = |rest: &str| format!("{}{rest}", "1".repeat(digits));
            let address = u64::from_str_radix(&of(""), 16).unwrap();
            assert_eq!(line_of(of(" t name").as_bytes()), Ok(line(address, b't', "name", "")), "{digits} digits");
            assert_eq!(line_of(of(" t n [m]").as_bytes()), Ok(line(address, b't', "n", "m")), "{digits} digits");
        }
    }

    #[test]
    fn what_is_no_line_is_malformed() {
        for bad in [
            "",
            " ",
            "ffffffff81000000",
            "ffffffff81000000 T",
            "ffffffff81000000 T ",
            "ffffffff8100000g T x",
            "-1 T x",
            "fffffffff81000000 T x",
            " T x",
            "1 T x\t[oops",
            "1 T x\toops]",
            "1 T x\t[]",
            "1 T x\t[a][b]",
            "1 T x\tmodule",
            "1 T x\r",
            "1 T \u{1b}[2J",
            "1 T \u{9b}2J",
        ] {
            assert!(line_of(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(line_of(b"1 T \xff\xfe").is_err());
        assert_eq!(line_of("1 T größe".as_bytes()), Ok(line(1, b'T', "größe", "")));
        let long = |len: usize| format!("1 T {}", "n".repeat(len));
        assert!(line_of(long(511).as_bytes()).is_ok());
        assert!(line_of(long(512).as_bytes()).is_err());
    }

    /// Hands out as many bytes at a time as it is told.
    struct Sips<'b>(&'b [u8], usize);

    impl Read for Sips<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let sip = self.1.min(self.0.len()).min(buffer.len());
            buffer[..sip].copy_from_slice(&self.0[..sip]);
            self.0 = &self.0[sip..];
            Ok(sip)
        }
    }

    fn all(input: impl Read, skip: bool) -> Vec<(u64, String, String)> {
        let mut lines = Lines::new(input);
        if skip {
            lines.skip_kernel().unwrap();
        }
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            all.push((line.address, text(line.name), text(line.module)));
        }
        all
    }

    #[test]
    fn lines_come_whole_however_the_input_is_cut() {
        let mut text = String::new();
        let mut expected = Vec::new();
        for number in 0..5000u64 {
            let module = ["", "\t[xfs]"][usize::from(number > 3000)];
            text += &format!("{number:016x} t function_{number}{module}\n");
            expected.push((number, format!("function_{number}"), module.trim_matches(['\t', '[', ']']).to_owned()));
        }
        for ending in ["", "\n"] {
            for sip in [1, 7, 40, 41, 4096, 1 << 20] {
                let text = format!("{}{ending}", text.trim_end());
                assert_eq!(all(Sips(text.as_bytes(), sip), false), expected, "{sip} at a time");
                assert_eq!(all(Sips(text.as_bytes(), sip), true), expected[3001..], "{sip} at a time, modules alone");
            }
        }
        assert_eq!(all(Sips(b"", 1), true), []);
    }

    #[test]
    fn the_number_of_the_malformed_line_is_told() {
        let text = b"1 T a\n2 T b\t[m]\n\n4 T d\n";
        for skip in [false, true] {
            let mut lines = Lines::new(&text[..]);
            if skip {
                lines.skip_kernel().unwrap();
            } else {
                lines.next_line().unwrap();
            }
            lines.next_line().unwrap();
            assert!(matches!(lines.next_line(), Err(Broken::Malformed(3, _))));
        }
    }

    #[test]
    fn an_endless_line_ends() {
        for skip in [false, true] {
            let mut lines = Lines::new(std::io::repeat(b'f'));
            let end = if skip { lines.skip_kernel().err() } else { lines.next_line().err() };
            assert!(matches!(end, Some(Broken::Malformed(1, _))), "{end:?}");
        }
    }
}

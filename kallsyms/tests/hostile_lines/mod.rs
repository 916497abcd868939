//! Lines that no kernel prints, as many as one likes, made while they are read.

use std::fmt::Write as _;
use std::io::{self, Read};

/// A kind of hostile input.
pub struct Shape {
    pub name: &'static str,
    /// Whether a table comes of it, however long it is.
    pub good: bool,
    line: fn(u64, &mut String),
}

const TEXT: u64 = 0xffff_ffff_8000_0000;
const MODULES: u64 = 0xffff_ffff_c000_0000;

pub const SHAPES: [Shape; 12] = [
    Shape { name: "one endless line", good: false, line: |_, line| line.push_str("ffffffff80000000") },
    Shape { name: "one address", good: true, line: |at, line| put(line, TEXT, "t", at, "") },
    Shape { name: "one address, one name", good: true, line: |_, line| put(line, TEXT, "t", 0, "") },
    Shape { name: "a module a line", good: false, line: |at, line| module(line, MODULES + at * 16, "s", "m", at) },
    Shape {
        name: "two modules in turns",
        good: true,
        line: |at, line| module(line, MODULES + at * 16, "s", "m", at & 1),
    },
    Shape {
        name: "one module, two pages in turns",
        good: true,
        line: |at, line| {
            put(line, MODULES + (at & 1) * 0x1000 + at % 4096, "t", at, "\t[m]");
        },
    },
    Shape { name: "descending", good: true, line: |at, line| put(line, TEXT + (1 << 30) - at * 64, "t", at, "") },
    Shape { name: "4 GiB apart", good: false, line: |at, line| put(line, (at + 1) << 32, "t", at, "") },
    Shape { name: "modules 4 GiB apart", good: false, line: |at, line| put(line, (at + 1) << 32, "t", at, "\t[m]") },
    Shape {
        name: "names of 511 bytes",
        good: true,
        line: |at, line| {
            let _ = writeln!(line, "{:x} t {at:Q>511}", TEXT + at * 16);
        },
    },
    Shape {
        name: "pairs with __pfx_",
        good: true,
        line: |at, line| {
            let _ =
                writeln!(line, "{:x} t __pfx_f{at}\t[m]\n{:x} t f{at}\t[m]", MODULES + at * 32, MODULES + at * 32 + 16);
        },
    },
    Shape {
        name: "__pfx_ alone",
        good: true,
        line: |at, line| {
            let _ = writeln!(line, "{:x} t __pfx_f{at}\t[m]", MODULES + at);
        },
    },
];

fn put(line: &mut String, address: u64, kind: &str, name: u64, module: &str) {
    let _ = writeln!(line, "{address:x} {kind} s{name}{module}");
}

fn module(line: &mut String, address: u64, name: &str, module: &str, number: u64) {
    let _ = writeln!(line, "{address:x} t {name}\t[{module}{number:x}]");
}

/// About `len` bytes of a shape, behind one line of a kernel.
pub struct Hostile<'s> {
    shape: &'s Shape,
    left: usize,
    next: u64,
    line: String,
    at: usize,
}

impl<'s> Hostile<'s> {
    pub fn new(shape: &'s Shape, len: usize) -> Self {
        Self { shape, left: len, next: 0, line: format!("{TEXT:x} T f\n"), at: 0 }
    }
}

impl Read for Hostile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            if self.at == self.line.len() {
                if self.left == 0 {
                    break;
                }
                self.line.clear();
                (self.shape.line)(self.next, &mut self.line);
                self.next += 1;
                self.left = self.left.saturating_sub(self.line.len());
                self.at = 0;
            }
            let len = (buffer.len() - filled).min(self.line.len() - self.at);
            buffer[filled..filled + len].copy_from_slice(&self.line.as_bytes()[self.at..self.at + len]);
            (filled, self.at) = (filled + len, self.at + len);
        }
        Ok(filled)
    }
}

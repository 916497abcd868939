//! /proc/kallsyms read line by line with nothing clever: what the symbolizer's answers are compared with.

#![forbid(unsafe_code)]

/// A symbol of a type that the symbolizer keeps.
pub struct Line {
    pub address: u64,
    pub name: String,
    /// `vmlinux` where the line names none.
    pub module: String,
}

/// The text symbols, in the kernel's order.
pub fn text_symbols() -> Vec<Line> {
    read().lines().filter_map(parse).collect()
}

/// The symbols of one module, by address.
pub fn of_module(name: &str) -> Vec<Line> {
    let end = format!("\t[{name}]");
    let mut lines: Vec<_> = read().lines().filter(|line| line.ends_with(&end)).filter_map(parse).collect();
    lines.sort_by_key(|line| line.address);
    lines
}

/// Where the symbol `name` is, whatever its type.
pub fn address_of(name: &str) -> u64 {
    let end = format!(" {name}");
    let found = read().lines().find(|line| line.ends_with(&end)).and_then(|line| hexadecimal(line.split(' ').next()?));
    found.unwrap_or_else(|| panic!("no {name}"))
}

fn read() -> String {
    std::fs::read_to_string("/proc/kallsyms").expect("/proc/kallsyms")
}

/// `None` for what is no text.
fn parse(line: &str) -> Option<Line> {
    let mut words = line.split_ascii_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    let module = words.next().map_or("vmlinux", |word| word.trim_matches(['[', ']']));
    let address = hexadecimal(address).expect("an address");
    "TtVvWw".contains(kind).then(|| Line { address, name: name.into(), module: module.into() })
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

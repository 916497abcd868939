//! The names of a kernel that a table stores: text symbols, without those that are derived from others.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

const DERIVED: &str = "__pfx_";

/// The names that are stored of a file in the form of `/proc/kallsyms`, in its order, as often as they are stored.
///
/// Text symbols (types T t V v W w), of vmlinux those from `_stext` or `_text` to `_etext`. A `__pfx_X` is left out where an `X`
/// lies 16 bytes behind it. Lines that are no symbols are passed over.
pub fn stored(kallsyms: &str) -> Vec<&str> {
    let symbols: Vec<_> = kallsyms.lines().filter_map(symbol).collect();
    let mark = |name| {
        symbols.iter().find(|symbol| symbol.module.is_none() && symbol.name == name).map(|symbol| symbol.address)
    };
    let start = mark("_stext").into_iter().chain(mark("_text")).min().unwrap_or(0);
    let end = mark("_etext").unwrap_or(u64::MAX);
    let kept: Vec<_> = symbols
        .iter()
        .filter(|symbol| symbol.is_text && (symbol.module.is_some() || (start..end).contains(&symbol.address)))
        .collect();
    let places: BTreeSet<_> = kept.iter().map(|symbol| (symbol.address, symbol.name)).collect();
    kept.iter()
        .filter(|symbol| {
            symbol
                .name
                .strip_prefix(DERIVED)
                .is_none_or(|rest| !places.contains(&(symbol.address.wrapping_add(16), rest)))
        })
        .map(|symbol| symbol.name)
        .collect()
}

struct Line<'a> {
    address: u64,
    is_text: bool,
    name: &'a str,
    module: Option<&'a str>,
}

fn symbol(line: &str) -> Option<Line<'_>> {
    let mut words = line.split_ascii_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let is_text = matches!(words.next()?, "T" | "t" | "V" | "v" | "W" | "w");
    Some(Line { address, is_text, name: words.next()?, module: words.next() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_names_and_all_that_is_no_text_of_the_table_are_left_out() {
        let kallsyms = "0000000000001000 A fixed_percpu_data\n\
            ffffffff81000000 T _stext\n\
            ffffffff81000010 t __pfx_one\n\
            ffffffff81000020 t one\n\
            ffffffff81000030 t __pfx_two\n\
            ffffffff81000050 t two\n\
            ffffffff81000060 T _etext\n\
            ffffffff81000070 t init_text\n\
            ffffffff81000080 D data\n\
            ffffffffc0000000 t __pfx_one\t[m]\n\
            ffffffffc0000010 t one\t[m]\n";
        assert_eq!(stored(kallsyms), ["_stext", "one", "__pfx_two", "two", "one"]);
    }
}

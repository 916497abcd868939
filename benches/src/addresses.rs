//! The addresses that are looked up: those of text symbols, and up to fifteen bytes behind them.

#![forbid(unsafe_code)]

use std::fs;
use std::path::Path;

/// The addresses of all text symbols between `_stext` and `_etext` and of those of modules, ascending.
///
/// # Panics
/// When the file cannot be read, or is none.
pub fn text(kallsyms: &Path) -> Vec<u64> {
    let text = fs::read_to_string(kallsyms).expect("the kernel's symbols");
    let (mut start, mut end) = (0, u64::MAX);
    let mut addresses = Vec::new();
    for line in text.lines() {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [address, kind, name, ref module @ ..] = words[..] else { continue };
        let address = u64::from_str_radix(address, 16).expect("a hexadecimal address");
        match name {
            "_stext" if module.is_empty() => start = address,
            "_etext" if module.is_empty() => end = address,
            _ if matches!(kind, "T" | "t" | "V" | "v" | "W" | "w") => addresses.push((address, module.is_empty())),
            _ => {}
        }
    }
    addresses.retain(|&(address, kernel)| address != 0 && (!kernel || (start..end).contains(&address)));
    let mut addresses: Vec<_> = addresses.into_iter().map(|(address, _)| address).collect();
    addresses.sort_unstable();
    addresses
}

/// So many of them in a disorder that is always the same, or, in order, again and again.
pub fn queries(addresses: &[u64], count: usize, random: bool) -> Vec<u64> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count)
        .map(|index| {
            let number = next();
            let place = if random { (number % addresses.len() as u64) as usize } else { index % addresses.len() };
            addresses[place] + (number >> 60)
        })
        .collect()
}

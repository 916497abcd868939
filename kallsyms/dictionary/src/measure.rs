//! What a dictionary makes of the names of a kernel.

#![forbid(unsafe_code)]

use crate::corpus::LONGEST;
use crate::layout::Dictionary;
use std::collections::BTreeMap;

/// Averages of a stored name.
pub struct Measured {
    pub bytes: f64,
    pub tokens: f64,
    /// Of its code, by the longest match at each place: as it is encoded.
    pub nibbles: f64,
    /// Of the shortest code that there is.
    pub shortest: f64,
}

pub fn measure(dictionary: &Dictionary, names: &[&str]) -> Measured {
    let tokens: BTreeMap<&[u8], usize> = dictionary.tokens().collect();
    let cost = |part: &[u8]| tokens.get(part).copied().or((part.len() == 1).then_some(6));
    let (mut bytes, mut used, mut nibbles, mut shortest) = (0, 0, 0, 0);
    for name in names.iter().map(|name| name.as_bytes()) {
        bytes += name.len();
        let mut at = 0;
        while at < name.len() {
            let longest = (1..=LONGEST.min(name.len() - at))
                .rev()
                .find_map(|length| Some((length, cost(&name[at..at + length])?)));
            let (length, cost) = longest.expect("every byte has a code");
            at += length;
            used += 1;
            nibbles += cost;
        }
        let mut best = vec![usize::MAX; name.len() + 1];
        best[0] = 0;
        for at in 0..name.len() {
            for length in 1..=LONGEST.min(name.len() - at) {
                if let Some(cost) = cost(&name[at..at + length]) {
                    best[at + length] = best[at + length].min(best[at] + cost);
                }
            }
        }
        shortest += best[name.len()];
    }
    let average = |sum: usize| sum as f64 / names.len().max(1) as f64;
    Measured { bytes: average(bytes), tokens: average(used), nibbles: average(nibbles), shortest: average(shortest) }
}

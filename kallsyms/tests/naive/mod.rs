//! The obvious way to look symbols up: all lines in memory, sorted.

use std::collections::BTreeMap;
use std::ops::Range;

/// The symbols of one module, by address; of several at one address the one to name it by comes first.
pub type Symbols = BTreeMap<u64, Vec<String>>;

/// The text symbols of every module of `kallsyms`, `vmlinux` for the kernel itself; repeated blocks of a module left out.
pub fn modules(kallsyms: &str) -> BTreeMap<String, Symbols> {
    let mut all: BTreeMap<String, BTreeMap<u64, Vec<(char, String)>>> = BTreeMap::new();
    let mut current = String::from("vmlinux");
    let mut repeated = false;
    for line in kallsyms.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let module = fields.get(3).map_or("vmlinux", |module| module.trim_matches(['[', ']']));
        if module != current {
            repeated = all.contains_key(module);
            module.clone_into(&mut current);
        }
        let symbols = if repeated { continue } else { all.entry(current.clone()).or_default() };
        let kind = fields[1].chars().next().unwrap();
        if "TtVvWw".contains(kind) && !["_stext", "_text", "_etext", "_sinittext", "_einittext"].contains(&fields[2]) {
            let address = u64::from_str_radix(fields[0], 16).unwrap();
            symbols.entry(address).or_default().push((kind, fields[2].to_owned()));
        }
    }
    all.into_iter()
        .map(|(module, symbols)| (module, symbols.into_iter().map(|(at, names)| (at, ordered(names))).collect()))
        .collect()
}

fn ordered(mut names: Vec<(char, String)>) -> Vec<String> {
    names.sort_by_key(|(kind, name)| {
        let rank = "TWVtwv".find(*kind).map(|rank| [0, 1, 1, 2, 3, 3][rank]);
        let underscores = name.len() - name.trim_start_matches('_').len();
        (rank, name.starts_with("__pfx_"), underscores, name.len(), name.clone())
    });
    let mut names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
    names.dedup();
    names
}

/// The symbol that `address` belongs to, if it lies in one of `ranges`: its address and its name.
pub fn lookup<'s>(symbols: &'s Symbols, ranges: &[Range<u64>], address: u64) -> Option<(u64, &'s str)> {
    let range = ranges.iter().find(|range| range.contains(&address))?;
    let (at, names) = symbols.range(range.start..=address).next_back()?;
    Some((*at, &names[0]))
}

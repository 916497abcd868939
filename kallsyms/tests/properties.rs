//! Symbols of any kind, in any order: every address is answered as the obvious way answers it.

mod naive;

use lapwing_kallsyms::parse;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Steps from one symbol to the next: as functions have them, none, odd ones, and the distances that need other codings.
fn step() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => (1..40u64).prop_map(|units| units * 16),
        2 => Just(0),
        2 => 1..300u64,
        1 => Just(4080),
        1 => 4081..70_000u64,
        1 => 70_000..3_000_000u64,
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-z_]{1,24}",
        2 => "(ext4|xfs|__x64_sys|tcp)_[a-z0-9_]{1,40}",
        1 => "[!-~]{1,60}",
        1 => "[a-zA-Z0-9_.$]{200,511}",
    ]
}

#[derive(Clone, Debug)]
struct Symbol {
    step: u64,
    kind: char,
    name: String,
    prefixed: bool,
}

fn symbol() -> impl Strategy<Value = Symbol> {
    let kind = prop::sample::select(vec!['T', 't', 't', 'W', 'V', 'w', 'v', 'D', 'r']);
    (step(), kind, name(), any::<bool>()).prop_map(|(step, kind, name, prefixed)| Symbol { step, kind, name, prefixed })
}

fn lines(symbols: &[Symbol], start: u64, distance: u64, module: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut at = start;
    for symbol in symbols {
        at += symbol.step;
        if symbol.prefixed && symbol.name.len() < 500 {
            lines.push(format!("{at:016x} t __pfx_{}{module}\n", symbol.name));
            at += distance;
        }
        lines.push(format!("{at:016x} {} {}{module}\n", symbol.kind, symbol.name));
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_address_is_answered(
        kernel in prop::collection::vec(symbol(), 1..200),
        module in prop::collection::vec(symbol(), 1..80),
        distance in prop::sample::select(vec![16u64, 16, 4, 250, 300]),
        shuffled in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let mut all = lines(&kernel, 0xffff_ffff_8100_0000, distance, "");
        let mut of_module = lines(&module, 0xffff_ffff_c000_0000, distance, "\t[m]");
        if shuffled {
            // Lines of the kernel come sorted, as a rule; those of a module do not.
            for lines in [&mut all, &mut of_module] {
                let mut state = seed | 1;
                for at in (1..lines.len()).rev() {
                    state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                    lines.swap(at, (state >> 33) as usize % (at + 1));
                }
            }
        }
        let text: String = all.into_iter().chain(of_module).fold(String::new(), |mut text, line| {
            write!(text, "{line}").unwrap();
            text
        });
        let expected = naive::modules(&text);
        let text_of_kernel = expected.get("vmlinux").is_some_and(|symbols| !symbols.is_empty());
        let parsed = parse(text.as_bytes());
        prop_assert_eq!(parsed.is_ok(), text_of_kernel, "{:?}", parsed);
        let Ok(table) = parsed else { return Ok(()) };

        for (name, symbols) in &expected {
            let Some(module) = table.module_named(name) else {
                prop_assert!(symbols.is_empty());
                continue;
            };
            let ranges: Vec<_> = module.ranges().collect();
            prop_assert_eq!(module.len(), symbols.values().map(Vec::len).sum::<usize>());
            let mut addresses = BTreeSet::new();
            let starts: Vec<u64> = symbols.keys().copied().collect();
            for pair in starts.windows(2).map(|pair| (pair[0], pair[1])).chain(starts.last().map(|last| (*last, last + 9000))) {
                addresses.extend([pair.0 - 1, pair.0, pair.0 + 1, pair.0.midpoint(pair.1), pair.1 - 1]);
            }
            for &address in &addresses {
                let got = table.lookup(address).ok().filter(|symbol| symbol.module().name() == name);
                let name_of = got.map(|symbol| (symbol.address(), symbol.name().as_str().to_owned()));
                let expected = naive::lookup(symbols, &ranges, address).map(|(at, name)| (at, name.to_owned()));
                prop_assert_eq!(name_of, expected, "{:#x} in {}", address, name);
            }
            for (&at, names) in symbols {
                let aliases: Vec<String> = table.aliases(at).unwrap().map(|symbol| symbol.name().as_str().to_owned()).collect();
                prop_assert_eq!(aliases.iter().collect::<BTreeSet<_>>(), names.iter().collect::<BTreeSet<_>>());
                prop_assert_eq!(&aliases[0], &names[0]);
                // By name every symbol of the table is looked at.
                for name in names.iter().filter(|_| at.is_multiple_of(7)) {
                    prop_assert!(table.find(name).any(|symbol| symbol.address() == at), "{}", name);
                    prop_assert!(table.find_prefix(name).any(|symbol| symbol.address() == at), "{}", name);
                }
            }
            let ids: Vec<_> = module.symbols().map(|symbol| (symbol.id(), symbol.address())).collect();
            prop_assert!(ids.iter().all(|&(id, at)| module.symbol_with_id(id).is_some_and(|symbol| symbol.address() == at)));
        }
    }
}

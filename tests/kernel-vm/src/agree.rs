//! Compares what a snapshot answers with every text symbol that /proc/kallsyms lists.

#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};

use lapwing_kallsyms::{Reason, Snapshot};

use crate::modules;
use crate::plain::{self, Line};

/// Where text begins and ends: names of places, which no function has.
const BOUNDS: [&str; 5] = ["_text", "_stext", "_etext", "_sinittext", "_einittext"];

/// How many symbols were compared, by what they are of.
#[derive(Default)]
pub struct Compared {
    pub kernel: usize,
    pub modules: usize,
    pub programs: usize,
}

/// Panics at the first symbol that is answered otherwise than it is listed, at its address and half way to the next one.
pub fn all(snapshot: &Snapshot) -> Compared {
    let lines = plain::text_symbols();
    let end_of_kernel = plain::address_of("_etext");
    let mut compared = Compared::default();
    let mut listed: HashMap<&str, Vec<&Line>> = HashMap::new();
    let mut closed: HashSet<&str> = HashSet::new();
    let mut current = "vmlinux";
    for line in &lines {
        if line.module != current {
            closed.insert(current);
            current = &line.module;
        }
        // Ftrace lists symbols of init text a second time, long after it is gone.
        if !closed.contains(current) {
            listed.entry(current).or_default().push(line);
        }
    }
    for (module, mut lines) in listed {
        // What kprobes and ftrace make at run time is no module's.
        if module.starts_with("__builtin__") {
            continue;
        }
        let (inside, outside) = match module {
            "vmlinux" => lines
                .into_iter()
                .filter(|line| !BOUNDS.contains(&line.name.as_str()))
                .partition(|line| line.address < end_of_kernel),
            _ => (std::mem::take(&mut lines), Vec::new()),
        };
        for line in outside {
            let found = snapshot.lookup(line.address).map(|symbol| symbol.to_string());
            assert_eq!(found.err(), Some(Reason::NoModule), "{} at {:x}", line.name, line.address);
        }
        *match module {
            "vmlinux" => &mut compared.kernel,
            "bpf" => &mut compared.programs,
            _ => &mut compared.modules,
        } += inside.len();
        compare(snapshot, module, inside);
    }
    compared
}

fn compare(snapshot: &Snapshot, module: &str, mut lines: Vec<&Line>) {
    lines.sort_by_key(|line| line.address);
    let breaks = match module {
        "vmlinux" => Vec::new(),
        // Each is an image of its own.
        "bpf" => lines.iter().map(|line| line.address + 1).collect(),
        _ => modules::sections(module),
    };
    for (at, line) in lines.iter().enumerate() {
        let (name, address) = (&line.name, line.address);
        let found = match snapshot.lookup(address) {
            Ok(found) => found,
            Err(reason) => panic!("{name} [{module}] at {address:x}: {reason}"),
        };
        assert_eq!(
            (found.module().name(), found.address(), found.offset()),
            (module, address, 0),
            "{name} at {address:x}"
        );
        let mut aliases = snapshot.aliases(address).expect("what was found has aliases");
        assert!(
            aliases.any(|alias| alias.name().as_str() == name),
            "{name} [{module}] at {address:x} is called {found}"
        );

        let next = lines[at..].iter().map(|next| next.address).find(|&next| next > address);
        let between = next.map_or(address, |next| address + (next - address) / 2);
        match snapshot.lookup(between) {
            Ok(found) => {
                assert_eq!(
                    (found.address(), found.offset()),
                    (address, between - address),
                    "behind {name} at {address:x}"
                )
            }
            // Between two functions something else may lie, which says where it begins, or nothing.
            Err(_) if breaks.iter().any(|&section| address < section && section <= between) => {}
            Err(reason) => panic!("{between:x}, behind {name} [{module}] at {address:x}, before {next:x?}: {reason}"),
        }
    }
}

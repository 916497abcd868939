//! A captured kernel as the command takes it, and what its list of symbols says, read line by line.
#![allow(dead_code, reason = "each test program uses a part of it")]

use crate::captured;
use std::fs;

/// In no module of any kernel here.
pub const NO_SYMBOL: &str = "fffffffffffff123";

/// Linux 6.12 in its third stage: with BPF programs, and a module that was loaded anew.
pub struct Kernel {
    pub kallsyms: String,
    /// As `--sys-module` takes it.
    pub modules: String,
    notes: Vec<u8>,
    lines: String,
}

impl Kernel {
    pub fn new() -> Self {
        let kernel = captured::kernel("6.12");
        let stage = kernel.stage(3);
        Self {
            kallsyms: stage.kallsyms().to_str().unwrap().to_owned(),
            modules: stage.sys_module().to_str().unwrap().to_owned(),
            notes: fs::read(kernel.notes()).unwrap(),
            lines: fs::read_to_string(stage.kallsyms()).unwrap(),
        }
    }

    /// The command, with the sources that it is to take.
    pub fn sym(&self) -> [&str; 5] {
        ["sym", "--kallsyms", &self.kallsyms, "--sys-module", &self.modules]
    }

    /// Of the only symbol of this name.
    pub fn address(&self, name: &str) -> u64 {
        let found: Vec<u64> =
            self.symbols().filter(|&(_, its_name, _)| its_name == name).map(|(address, ..)| address).collect();
        assert_eq!(found.len(), 1, "{name}");
        found[0]
    }

    /// What `--name` shows of this name, or of all that begin alike where a `*` ends it.
    pub fn text(&self, pattern: &str) -> Vec<String> {
        let is_meant = |name: &str| match pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == pattern,
        };
        let end = self.address("_etext");
        // Behind its end are the functions that a kernel throws away when it has started.
        let is_there = |address: u64, module: &str| !module.is_empty() || address < end;
        let found = self.symbols().filter(|&(address, name, module)| is_meant(name) && is_there(address, module));
        found
            .map(|(address, name, module)| match module {
                "" => format!("{address:#x} {name}"),
                module => format!("{address:#x} {name} {module}"),
            })
            .collect()
    }

    /// Address, name and module, in brackets, of each line that is a function's.
    fn symbols(&self) -> impl Iterator<Item = (u64, &str, &str)> {
        self.lines.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (address, kind) = (words.next()?, words.next()?);
            let is_text = "TtVvWw".contains(kind);
            let address = u64::from_str_radix(address, 16).ok()?;
            is_text.then_some((address, words.next()?, words.next().unwrap_or("")))
        })
    }

    /// The kernel's own: the description of its note of type 3.
    pub fn build_id(&self) -> String {
        let at = self.notes.windows(8).position(|bytes| bytes == b"\x03\0\0\0GNU\0").unwrap() + 8;
        self.notes[at..at + 20].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

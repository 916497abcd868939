//! blazesym, asked for one address at a time, and for sixty-four.

#![forbid(unsafe_code)]

use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Kernel, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};
use std::path::Path;

pub struct Blazesym {
    symbolizer: Symbolizer,
    source: Source<'static>,
}

impl Blazesym {
    /// It loads with the first lookup.
    pub fn load(kallsyms: &Path, address: u64) -> Self {
        let kernel = Kernel {
            kallsyms: MaybeDefault::Some(kallsyms.to_owned()),
            vmlinux: MaybeDefault::None,
            debug_syms: false,
            ..Kernel::default()
        };
        let loaded = Self { symbolizer: Symbolizer::new(), source: Source::Kernel(kernel) };
        loaded.lookup(address);
        loaded
    }

    /// The offset, and how long the name is.
    pub fn lookup(&self, address: u64) -> Option<(u64, usize)> {
        let found =
            self.symbolizer.symbolize_single(&self.source, Input::AbsAddr(address)).expect("the kernel's symbols");
        symbol(&found)
    }

    pub fn lookup_all(&self, addresses: &[u64]) -> usize {
        let found = self.symbolizer.symbolize(&self.source, Input::AbsAddr(addresses)).expect("the kernel's symbols");
        found.iter().filter_map(symbol).map(|(_, name)| name).sum()
    }
}

fn symbol(found: &Symbolized<'_>) -> Option<(u64, usize)> {
    match found {
        Symbolized::Sym(symbol) => Some((symbol.offset as u64, symbol.name.len())),
        Symbolized::Unknown(_) => None,
    }
}

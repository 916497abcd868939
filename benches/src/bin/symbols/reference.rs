//! The table that the OpenTelemetry profiler keeps, typed again in Rust: eight bytes a symbol (its offset from the start of its
//! module, and where its name is), and names with their length in front. As it is when every buffer has its exact size.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

struct Module {
    start: u64,
    end: u64,
    /// By descending offsets.
    symbols: Box<[(u32, u32)]>,
    /// The first is the module's own.
    names: Box<[u8]>,
}

/// By descending addresses.
pub struct Reference(Vec<Module>);

#[derive(Default)]
struct Gathered {
    name: Vec<u8>,
    symbols: Vec<(u64, u32)>,
    names: Vec<u8>,
}

impl Reference {
    pub fn load(kallsyms: &Path) -> Self {
        let mut lines = BufReader::with_capacity(1 << 16, File::open(kallsyms).expect("the kernel's symbols"));
        let (mut line, mut modules) = (Vec::new(), Vec::new());
        let mut gathered = Gathered::default();
        let mut bounds = (None, None);
        let mut seen: Vec<Vec<u8>> = Vec::new();
        while lines.read_until(b'\n', &mut line).expect("the kernel's symbols") > 0 {
            let mut words = line.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
            let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                panic!("a line without a symbol")
            };
            let module = words.next().unwrap_or_default();
            if module != gathered.name {
                let of_kernel = gathered.name.is_empty();
                let range = if of_kernel { bounds } else { (None, None) };
                modules.extend(gathered.finish(range));
                seen.push(std::mem::take(&mut gathered).name);
                gathered.name = module.to_vec();
            }
            if matches!(kind, b"T" | b"t" | b"V" | b"v" | b"W" | b"w") && !seen.contains(&gathered.name) {
                let address = hexadecimal(address);
                match name {
                    b"_stext" if module.is_empty() => bounds.0 = Some(address),
                    b"_etext" if module.is_empty() => bounds.1 = Some(address),
                    _ => gathered.add(address, name),
                }
            }
            line.clear();
        }
        let range = if gathered.name.is_empty() { bounds } else { (None, None) };
        modules.extend(gathered.finish(range));
        modules.sort_unstable_by_key(|module| std::cmp::Reverse(module.start));
        modules.shrink_to_fit();
        Self(modules)
    }

    pub fn symbols(&self) -> usize {
        self.0.iter().map(|module| module.symbols.len()).sum()
    }

    /// The offset, and the symbol's name.
    #[inline]
    pub fn lookup(&self, address: u64) -> Option<(u64, &[u8])> {
        let module = &self.0[self.0.partition_point(|module| module.start > address)..].first()?;
        if address >= module.end {
            return None;
        }
        let offset = (address - module.start) as u32;
        let (start, name) = module.symbols[module.symbols.partition_point(|&(start, _)| start > offset)..].first()?;
        let name = &module.names[*name as usize..];
        Some((u64::from(offset - start), &name[1..][..usize::from(name[0])]))
    }
}

impl Gathered {
    fn add(&mut self, address: u64, name: &[u8]) {
        if self.names.is_empty() {
            let own = self.name.clone();
            self.push_name(&own);
        }
        self.symbols.push((address, self.names.len() as u32));
        self.push_name(name);
    }

    fn push_name(&mut self, name: &[u8]) {
        let name = &name[..name.len().min(255)];
        self.names.push(name.len() as u8);
        self.names.extend_from_slice(name);
    }

    fn finish(&mut self, (start, end): (Option<u64>, Option<u64>)) -> Option<Module> {
        let lowest = self.symbols.iter().map(|symbol| symbol.0).min()?;
        let highest = self.symbols.iter().map(|symbol| symbol.0).max()?;
        let (start, end) = (start.unwrap_or(lowest), end.unwrap_or((highest | 4095) + 1));
        let inside = self.symbols.iter().filter(|symbol| (start..end).contains(&symbol.0));
        let mut symbols: Vec<_> = inside.map(|&(address, name)| ((address - start) as u32, name)).collect();
        symbols.sort_unstable_by_key(|&(offset, _)| std::cmp::Reverse(offset));
        Some(Module { start, end, symbols: symbols.into(), names: self.names.as_slice().into() })
    }
}

fn hexadecimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, &digit| {
        let value = if digit.is_ascii_digit() { digit - b'0' } else { (digit | 0x20) - b'a' + 10 };
        number << 4 | u64::from(value)
    })
}

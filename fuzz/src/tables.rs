//! Tables of kernel symbols for the fuzz targets: where they are published, and what is asked of one.

use lapwing_kallsyms::shared::{Options, publish};
use lapwing_kallsyms::{NameBuffer, Snapshot, Symbol, parse};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

/// A folder in memory.
pub struct Place {
    pub folder: PathBuf,
}

impl Place {
    /// A new one of this process.
    pub fn new(target: &str) -> Self {
        let folder = PathBuf::from(format!("/dev/shm/lapwing-fuzz-{target}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("room in /dev/shm");
        Self { folder }
    }

    /// Publishes `table`, in place of the one before.
    pub fn publish(&self, table: &Snapshot) -> PathBuf {
        let path = self.folder.join("table");
        publish(&path, table, &Options::default()).expect("our own folder");
        path
    }

    /// Writes `bytes` where a table was published.
    pub fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join("table");
        fs::write(&path, bytes).expect("our own file");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A table of a few symbols, and one with all codings of keys and names, hints, and modules in several ranges.
pub fn two_tables() -> [Snapshot; 2] {
    let small = "ffffffff81000000 T _text\nffffffff81000000 t __pfx_do_one\nffffffff81000010 T do_one\n\
        ffffffff81002000 W an_alias\nffffffff81002000 T do_another\nffffffff81003000 T _etext\n\
        ffffffffc0000000 t start_of_it\t[dummy]\nffffffffc0000f00 t b\t[other]\n";
    let mut large = String::from("ffffffff81000000 T _text\n");
    let mut at = 0xffff_ffff_8100_0000u64;
    for function in 0..200u64 {
        let name = if function == 77 { "long_".repeat(80) } else { format!("tcp_v4_function_{function}") };
        if function < 100 {
            writeln!(large, "{at:x} t __pfx_{name}").expect("memory");
            at += 16;
        }
        writeln!(large, "{at:x} T {name}").expect("memory");
        at += [16, 0, 48, 33, 4096, 70_000][function as usize / 35];
    }
    writeln!(large, "{at:x} T _etext").expect("memory");
    for symbol in 0..20u64 {
        let module = ["loop", "xfs"][symbol as usize / 3 % 2];
        writeln!(large, "{:x} t {module}_{symbol}\t[{module}]", 0xffff_ffff_c000_0000 + symbol * 0x700)
            .expect("memory");
    }
    [small, &large].map(|lines| parse(lines.as_bytes()).expect("lines as the kernel prints them"))
}

/// The checksum as docs say it is made, and not by the code that checks it.
pub fn mend(table: &mut [u8]) {
    if table.len() < 64 {
        return;
    }
    let mut sum = 0u64;
    for part in [&table[..16], &table[32..56], &table[64..]] {
        let (words, rest) = part.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        for word in words.iter().chain([&last]) {
            sum = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }
    table[56..64].copy_from_slice(&sum.to_le_bytes());
}

/// Asks everything that can be asked, and whether the answers agree.
pub fn ask(table: &Snapshot) {
    let mut name = NameBuffer::default();
    let mut known = 0;
    let mut before = 0;
    let mut ranges: Vec<_> = table.modules().flat_map(|module| module.ranges()).collect();
    ranges.sort_by_key(|range| range.start);
    for range in &ranges {
        assert!(before <= range.start && range.start < range.end);
        before = range.end;
        for at in [range.start.wrapping_sub(1), range.start, range.end - 1, range.end] {
            look_up(table, at);
        }
    }
    for address in [0, 1, u64::MAX, 1 << 63] {
        look_up(table, address);
    }
    for module in table.modules() {
        let _ = (module.build_id(), module.file_id(), module.start(), format!("{module:?}"));
        let mut symbols = 0;
        for symbol in module.symbols() {
            symbols += 1;
            assert_eq!(symbol.module().number(), module.number());
            let by_id = module.symbol_with_id(symbol.id()).expect("it was listed");
            assert_eq!((by_id.address(), by_id.id()), (symbol.address(), symbol.id()));
            symbol.name_into(&mut name);
            for at in [symbol.address().wrapping_sub(1), symbol.address(), symbol.address().wrapping_add(1)] {
                look_up(table, at);
            }
            // Each takes a walk through all of them.
            if known < 2 && !name.as_str().is_empty() {
                known += 1;
                let is = |found: &Symbol<'_>| {
                    (found.id(), found.address(), found.module().number())
                        == (symbol.id(), symbol.address(), module.number())
                };
                assert!(table.find(name.as_str()).any(|found| is(&found)));
                assert!(table.find_prefix(name.as_str()).any(|found| is(&found)));
                assert!(module.address_of(name.as_str()).is_some());
            }
        }
        assert!(!module.is_loaded() || symbols == module.len());
    }
}

fn look_up(table: &Snapshot, address: u64) {
    let module = table.module_at(address);
    let Ok(found) = table.lookup(address) else { return };
    assert_eq!(found.address() + found.offset(), address);
    assert_eq!(module.expect("it has a symbol there").number(), found.module().number());
    let _ = found.to_string();
    let by_id = found.module().symbol_with_id(found.id()).expect("it was found");
    assert_eq!(by_id.address(), found.address(), "{by_id}");
    let aliases: Vec<_> = table.aliases(address).expect("as before").collect();
    assert_eq!(aliases[0].id(), found.id());
    assert!(aliases.iter().all(|alias| alias.address() == found.address()));
    let exact = table.lookup(found.address()).expect("where it begins");
    assert_eq!((exact.id(), exact.offset()), (found.id(), 0));
}

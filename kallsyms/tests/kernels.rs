//! Two real kernels with their modules: every symbol, and what lies around it, is answered as the obvious way answers it.

mod captured;
mod naive;

use lapwing_kallsyms::{Reason, Snapshot, Sources, Symbolizer};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const VERSIONS: [&str; 2] = ["6.12", "6.1"];

fn load(version: &str, stage: u8) -> Snapshot {
    let kernel = captured::kernel(version);
    let files = kernel.stage(stage);
    let sources =
        Sources { kallsyms: files.kallsyms(), modules: Some(files.sys_module()), notes: Some(kernel.notes()) };
    Symbolizer::load_from(sources).unwrap().snapshot()
}

/// The number in a file of sysfs.
fn number(path: &Path) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

/// Symbols are `expected`, and nothing else is found at, between and around them.
fn compare(table: &Snapshot, name: &str, expected: &naive::Symbols) {
    let module = table.module_named(name).unwrap();
    let ranges: Vec<_> = module.ranges().collect();
    let starts: Vec<u64> = expected.keys().copied().collect();
    let mut addresses = BTreeSet::new();
    for pair in starts.windows(2) {
        addresses.extend([pair[0].wrapping_sub(1), pair[0], pair[0] + 1, pair[0].midpoint(pair[1]), pair[1] - 1]);
    }
    for range in &ranges {
        addresses.extend([range.start - 1, range.start, range.end - 1, range.end]);
    }
    for address in addresses {
        let inside = table.lookup(address);
        let found = inside.ok().filter(|symbol| symbol.module().name() == name);
        let found = found.map(|symbol| (symbol.address(), symbol.name().as_str().to_owned(), symbol.offset()));
        let expected = naive::lookup(expected, &ranges, address).map(|(at, name)| (at, name.to_owned(), address - at));
        assert_eq!(found, expected, "{address:#x} in {name} {ranges:x?}");
        if expected.is_none() && ranges.iter().any(|range| range.contains(&address)) {
            assert_eq!(inside.err(), Some(Reason::NoSymbol), "{address:#x} in {name}");
        }
    }
}

#[test]
fn every_symbol_of_every_module_is_found() {
    for version in VERSIONS {
        for stage in 1..=3 {
            let table = load(version, stage);
            let text = fs::read_to_string(captured::kernel(version).stage(stage).kallsyms()).unwrap();
            let mut compared = 0;
            for (name, symbols) in naive::modules(&text) {
                if symbols.is_empty() {
                    continue;
                }
                compare(&table, &name, &symbols);
                let module = table.module_named(&name).unwrap();
                let ranges: Vec<_> = module.ranges().collect();
                let inside = symbols.iter().filter(|(at, _)| ranges.iter().any(|range| range.contains(at)));
                let names: usize = inside.map(|(_, names)| names.len()).sum();
                assert_eq!(module.len(), names, "{name}");
                compared += names;
            }
            // Counted in the files without this code: the text symbols from _text to _etext, and those of the modules.
            let expected = match version {
                "6.12" => [132_523, 132_541, 132_556][usize::from(stage) - 1],
                _ => [62_000, 62_011, 62_026][usize::from(stage) - 1],
            };
            assert_eq!(compared, expected, "{version}, stage {stage}");
        }
    }
}

#[test]
fn aliases_and_names_lead_back_to_their_address() {
    for version in VERSIONS {
        let table = load(version, 3);
        let text = fs::read_to_string(captured::kernel(version).stage(3).kallsyms()).unwrap();
        let all = naive::modules(&text);
        let mut shared = 0;
        for names in all["vmlinux"].iter().filter(|(at, names)| names.len() > 1 && table.lookup(**at).is_ok()) {
            let aliases: BTreeSet<String> =
                table.aliases(*names.0).unwrap().map(|symbol| symbol.name().as_str().to_owned()).collect();
            assert_eq!(aliases, names.1.iter().cloned().collect());
            shared += 1;
        }
        assert!(shared > 50, "{shared} addresses have several names");
        for (module, symbols) in all.iter().filter(|(module, _)| ["dummy", "rfkill"].contains(&module.as_str())) {
            let found = table.module_named(module).unwrap();
            for (at, names) in symbols.iter().filter(|(at, _)| found.ranges().any(|range| range.contains(at))) {
                let one = table.find(&names[0]).filter(|symbol| symbol.module().name() == module);
                assert!(one.map(|symbol| symbol.address()).any(|address| address == *at), "{}", names[0]);
            }
        }
        let switches = table.find_prefix("finish_task_switch").count();
        assert!((1..=4).contains(&switches), "{switches}");
    }
}

#[test]
fn ranges_are_where_the_text_sections_are() {
    for version in VERSIONS {
        let table = load(version, 3);
        let stage = captured::kernel(version).stage(3);
        let mut last = 0;
        let mut all: Vec<_> =
            table.modules().flat_map(|module| module.ranges().map(move |range| (range, module))).collect();
        all.sort_by_key(|(range, _)| range.start);
        for (range, module) in &all {
            assert!(last <= range.start && range.start < range.end, "{module:?} {range:x?}");
            last = range.end;
        }
        let mut seen = 0;
        for folder in fs::read_dir(stage.sys_module()).unwrap().map(|entry| entry.unwrap().path()) {
            let Some(text) = number(&folder.join("sections/.text")) else { continue };
            let name = folder.file_name().unwrap().to_str().unwrap();
            let module = table.module_at(text).unwrap();
            assert_eq!(module.name(), name);
            assert_eq!(module.start(), text);
            for other in [".data", ".rodata", ".bss", ".init.text", ".gnu.linkonce.this_module"] {
                let Some(address) = number(&folder.join("sections").join(other)) else { continue };
                assert!(!module.ranges().any(|range| range.contains(&address)), "{other} of {name}");
            }
            let note = fs::read(folder.join("notes/.note.gnu.build-id")).ok();
            assert_eq!(module.build_id(), note.and_then(|note| lapwing_kallsyms::BuildId::in_notes(&note)), "{name}");
            seen += 1;
        }
        assert!(seen > 70, "{seen} modules");
        let kernel = table.module_named("vmlinux").unwrap();
        assert!(kernel.build_id().is_some());
        let ids: BTreeSet<_> = table.modules().map(|module| module.file_id().0).collect();
        assert_eq!(ids.len(), table.modules().count(), "every module has a file id of its own");
    }
}

#[test]
fn functions_behind_the_last_symbol_of_a_module_are_nobodys() {
    let table = load("6.12", 3);
    let stage = captured::kernel("6.12").stage(3);
    let mut beyond = 0;
    for folder in fs::read_dir(stage.sys_module()).unwrap().map(|entry| entry.unwrap().path()) {
        let Some(text) = number(&folder.join("sections/.text")) else { continue };
        let Some(size) = number(&folder.join("coresize")) else { continue };
        let name = folder.file_name().unwrap().to_str().unwrap();
        // Where the size of all parts together, added to the first one's start, reaches: another module, or nothing.
        if let Ok(other) = table.module_at(text + size - 1)
            && other.name() != name
        {
            beyond += 1;
        }
    }
    assert!(beyond > 0, "{beyond} modules reach into the next one by their sizes");
}

/// A folder that goes from one stage to the next as the kernel did: what the kernel kept keeps its folder.
struct Machine {
    folder: tempfile::TempDir,
    version: &'static str,
    inodes: BTreeMap<String, u64>,
}

impl Machine {
    fn new(version: &'static str) -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap(), version, inodes: BTreeMap::new() };
        fs::create_dir(machine.modules()).unwrap();
        machine
    }

    fn modules(&self) -> PathBuf {
        self.folder.path().join("module")
    }

    fn enter(&mut self, number: u8) {
        let stage = captured::kernel(self.version).stage(number);
        let inodes = stage.inodes();
        let gone = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        for (name, inode) in &self.inodes {
            if inodes.get(name) != Some(inode) {
                // Kept until the end, so that its inode is not used again.
                let _ = fs::rename(self.modules().join(name), gone.join(name));
            }
        }
        for (name, inode) in &inodes {
            if self.inodes.get(name) != Some(inode) && stage.sys_module().join(name).exists() {
                captured::copy(&stage.sys_module().join(name), &self.modules().join(name));
            }
        }
        self.inodes = inodes;
        fs::copy(stage.kallsyms(), self.folder.path().join("kallsyms")).unwrap();
    }

    fn load(&self) -> Symbolizer {
        let sources =
            Sources { kallsyms: self.folder.path().join("kallsyms"), modules: Some(self.modules()), notes: None };
        Symbolizer::load_from(sources).unwrap()
    }
}

#[test]
fn a_reload_gives_the_table_that_a_load_gives() {
    for version in VERSIONS {
        let mut machine = Machine::new(version);
        machine.enter(1);
        let symbolizer = machine.load();
        for stage in [2, 3, 1] {
            machine.enter(stage);
            assert!(symbolizer.reload().unwrap(), "{version}, stage {stage}");
            assert!(!symbolizer.reload().unwrap());
            let (reloaded, loaded) = (symbolizer.snapshot(), machine.load().snapshot());
            let all = |table: &Snapshot| -> BTreeMap<String, Vec<(u64, String)>> {
                let symbols = |module: lapwing_kallsyms::Module<'_>| {
                    module.symbols().map(|symbol| (symbol.address(), symbol.name().as_str().to_owned())).collect()
                };
                table.modules().map(|module| (module.name().to_owned(), symbols(module))).collect()
            };
            assert!(all(&reloaded) == all(&loaded), "{version}, stage {stage}");
            let ranges = |table: &Snapshot| -> BTreeMap<String, Vec<_>> {
                table.modules().map(|module| (module.name().to_owned(), module.ranges().collect())).collect()
            };
            assert_eq!(ranges(&reloaded), ranges(&loaded), "{version}, stage {stage}");
        }
    }
}

/// The reference enters a reused module a second time, empty, for the copy that ftrace keeps of its init function.
#[test]
fn a_module_that_is_kept_is_not_shadowed_by_what_ftrace_keeps_of_it() {
    for version in VERSIONS {
        let mut machine = Machine::new(version);
        machine.enter(2);
        let symbolizer = machine.load();
        let before = symbolizer.snapshot();
        let start = before.module_named("dummy").unwrap().start();
        machine.enter(3);
        symbolizer.reload().unwrap();
        let after = symbolizer.snapshot();
        assert_eq!(after.modules().filter(|module| module.name() == "dummy").count(), 1);
        let names = |table: &Snapshot| -> Vec<String> {
            (start..start + 0x400)
                .map(|address| table.lookup(address).map_or_else(|why| why.to_string(), |symbol| symbol.to_string()))
                .collect()
        };
        assert!(after.lookup(start + 0x20).is_ok());
        if captured::kernel(version).stage(2).inodes()["dummy"] == captured::kernel(version).stage(3).inodes()["dummy"]
        {
            assert_eq!(names(&before), names(&after));
        }
        assert!(after.find("dummy_init_module").count() == 0, "code that was freed");
        assert_eq!(after.module_named("bpf").unwrap().len(), 12);
    }
}

#[test]
fn hidden_addresses_are_told_from_none() {
    for version in VERSIONS {
        let kernel = captured::kernel(version);
        let sources = Sources { kallsyms: kernel.hidden_kallsyms(), modules: None, notes: None };
        match Symbolizer::load_from(sources) {
            Err(error @ lapwing_kallsyms::LoadError::Hidden { .. }) => {
                assert!(error.to_string().contains("kallsyms-kptr2"), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
}

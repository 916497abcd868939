//! Input that no kernel makes ends with an error or with true answers, and takes no more work than its length deserves.

mod hostile_lines;
#[path = "hostile_lines/memory.rs"]
mod memory;

use hostile_lines::{Hostile, SHAPES};
use lapwing_kallsyms::shared::{Attached, Options, publish};
use lapwing_kallsyms::{LoadError, Sources, Symbolizer, parse};
use memory::{Counting, counted};
use std::fmt::Write as _;
use std::fs;
use std::io::BufReader;
use std::path::Path;
use std::sync::Mutex;

#[global_allocator]
static MEMORY: Counting = Counting;

/// What is counted is counted for all threads.
static ALONE: Mutex<()> = Mutex::new(());

const KERNEL: &str = "ffffffff81000000 T _text\nffffffff81000010 t f\nffffffff81002000 T _etext\n";

/// Time is not looked at here: examples/hostile-lines.rs shows it. What is copied and kept is, and that is where parsing
/// spends its time.
#[test]
fn four_times_as_many_hostile_lines_take_four_times_the_memory_and_the_allocations() {
    let _alone = ALONE.lock().unwrap();
    for shape in &SHAPES {
        let take = |len: usize| {
            counted(|| parse(BufReader::with_capacity(1 << 16, Hostile::new(shape, len))).map(|table| table.size()))
        };
        let (_, little) = take(256 << 10);
        let (parsed, much) = take(1 << 20);
        assert_eq!(parsed.is_ok(), shape.good || shape.name == "a module a line", "{}: {parsed:?}", shape.name);
        // Vectors double: what is a little more than a power of two takes twice as much.
        for (what, little, much, fixed) in [
            ("at one time", little.peak, much.peak, 1 << 20),
            ("together", little.bytes, much.bytes, 1 << 20),
            ("calls", little.calls, much.calls, 1000),
        ] {
            assert!(much <= 8 * little + fixed, "{}, {what}: {little}, then {much}", shape.name);
        }
        assert!(much.peak <= 64 << 20, "{}: {} bytes for a megabyte", shape.name, much.peak);
    }
}

#[test]
fn more_modules_than_any_kernel_has_are_an_error_before_they_take_memory() {
    let _alone = ALONE.lock().unwrap();
    let shape = SHAPES.iter().find(|shape| shape.name == "a module a line").unwrap();
    let (parsed, taken) = counted(|| parse(BufReader::new(Hostile::new(shape, 8 << 20))));
    assert!(matches!(parsed, Err(LoadError::TooLarge { .. })), "{parsed:?}");
    assert!(taken.peak < 100 << 20, "{taken:?}");
}

#[test]
fn a_module_whose_name_would_break_out_of_a_line_is_malformed() {
    for name in ["\u{1b}[2J", "a\u{7f}", "ä", "a b", "a\0"] {
        let parsed = parse(format!("{KERNEL}ffffffffc0000000 t g\t[{name}]\n").as_bytes());
        assert!(matches!(parsed, Err(LoadError::Malformed { line: 4, .. })), "{name:?}: {parsed:?}");
    }
    let mut lines = Vec::from(KERNEL);
    lines.extend(b"ffffffffc0000000 t g\t[\xff]\n");
    assert!(matches!(parse(&lines[..]), Err(LoadError::Malformed { line: 4, .. })));
}

#[test]
fn whatever_is_a_table_can_be_published_and_attached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table");
    let mut lines = Vec::from(KERNEL);
    lines.extend("ffffffffc0000000 t größe\t[m]\nffffffffffffffff t last\t[n]\n1 t first\t[o]\n".as_bytes());
    publish(&path, &parse(&lines[..]).unwrap(), &Options::default()).unwrap();
    let attached = Attached::open_of_any_boot(&path).unwrap().snapshot();
    assert_eq!(attached.lookup(0xffff_ffff_c000_0004).unwrap().offset(), 4);
    assert_eq!(attached.lookup(1).unwrap().to_string(), "first+0x0 [o]");
}

#[test]
fn an_address_more_than_4_gib_behind_a_symbol_is_that_far_behind_it() {
    let table = parse("1000 T _stext\n1010 t __pfx_f\n1020 t f\n900001000 T _etext\n".as_bytes()).unwrap();
    for address in [0x1_0000_100f, 0x1_0000_1010, 0x1_0000_1020, 0x7_0000_0000, 0x9_0000_0fff] {
        let found = table.lookup(address).unwrap();
        assert_eq!((found.address(), found.offset()), (0x1020, address - 0x1020), "{address:#x}");
        assert_eq!(found.name().as_str(), "f");
    }
}

/// A tree as /sys/module has it.
fn module(root: &Path, name: &str, state: &str, sections: &[(&str, u64)]) {
    let folder = root.join(name);
    let _ = fs::remove_dir_all(folder.join("sections"));
    fs::create_dir_all(folder.join("sections")).unwrap();
    fs::write(folder.join("initstate"), format!("{state}\n")).unwrap();
    fs::write(folder.join("coresize"), "16384\n").unwrap();
    for (section, address) in sections {
        fs::write(folder.join("sections").join(section), format!("{address:#x}\n")).unwrap();
    }
}

fn sources(folder: &Path, lines: &str) -> Sources {
    let (kallsyms, modules) = (folder.join("kallsyms"), folder.join("module"));
    fs::create_dir_all(&modules).unwrap();
    fs::write(&kallsyms, lines).unwrap();
    Sources { kallsyms, modules: Some(modules), notes: None }
}

#[test]
fn sections_at_the_end_of_all_addresses_are_sections() {
    let folder = tempfile::tempdir().unwrap();
    let sources = sources(folder.path(), &format!("{KERNEL}ffffffffffffffff t g\t[m]\nfffffffffffff000 t h\t[n]\n"));
    module(&folder.path().join("module"), "m", "live", &[(".text", u64::MAX)]);
    module(&folder.path().join("module"), "n", "live", &[(".text", u64::MAX - 0xfff), (".data", u64::MAX)]);
    let table = Symbolizer::load_from(sources).unwrap().snapshot();
    assert_eq!(table.lookup(u64::MAX - 0xffe).unwrap().to_string(), "h+0x1 [n]");
    assert!(table.module_named("m").is_some());
}

/// Its sections appear one after the other.
#[test]
fn what_was_known_of_a_module_on_its_way_in_is_asked_for_again_when_it_has_arrived() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("module");
    let lines = "ffffffffc0000000 t g\t[m]\nffffffffc0008000 t cold\t[m]\n";
    let sources = sources(folder.path(), &format!("{KERNEL}{lines}"));
    let (text, data, unlikely) = (0xffff_ffff_c000_0000, 0xffff_ffff_c000_4000, 0xffff_ffff_c000_8000);
    module(&root, "m", "coming", &[(".text", text), (".data", data)]);
    let symbolizer = Symbolizer::load_from(sources).unwrap();
    assert!(symbolizer.snapshot().lookup(unlikely).is_err());
    module(&root, "m", "live", &[(".text", text), (".data", data), (".text.unlikely", unlikely)]);
    assert!(symbolizer.reload().unwrap());
    assert_eq!(symbolizer.snapshot().lookup(unlikely).unwrap().to_string(), "cold+0x0 [m]");
    assert!(!symbolizer.reload().unwrap());
}

/// A copy of kallsyms need not have kept its tabs.
#[test]
fn modules_behind_a_space_are_modules_when_the_kernel_is_passed_over_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = format!("{KERNEL}ffffffffc0000000 t g [m]\n");
    let sources = Sources { modules: None, ..sources(folder.path(), &lines) };
    let symbolizer = Symbolizer::load_from(sources.clone()).unwrap();
    assert!(!symbolizer.reload().unwrap());
    writeln!(lines, "ffffffffc0010000 t h [n]").unwrap();
    fs::write(&sources.kallsyms, lines).unwrap();
    assert!(symbolizer.reload().unwrap());
    let table = symbolizer.snapshot();
    assert_eq!(table.lookup(0xffff_ffff_c000_0001).unwrap().to_string(), "g+0x1 [m]");
    assert_eq!(table.lookup(0xffff_ffff_c001_0001).unwrap().to_string(), "h+0x1 [n]");
}

//! Whether a table is of the modules that are loaded.

mod captured;

use lapwing_kallsyms::sysfs::{self, ModuleFacts};
use lapwing_kallsyms::{Snapshot, Sources, Symbolizer, parse};
use std::fs::File;
use std::io::BufReader;

fn stage(number: u8) -> (Snapshot, Vec<ModuleFacts>) {
    let stage = captured::kernel("6.12").stage(number);
    let sources = Sources { kallsyms: stage.kallsyms(), modules: Some(stage.sys_module()), notes: None };
    let listing = sysfs::read_all(&stage.sys_module()).unwrap();
    (Symbolizer::load_from(sources).unwrap().snapshot(), listing.modules)
}

#[test]
fn a_table_is_of_the_very_modules_that_it_was_made_of() {
    let (table, modules) = stage(3);
    assert!(table.is_of(&modules));
    // The same names, but for one: other loadings.
    let (_, earlier) = stage(1);
    assert!(!table.is_of(&earlier));

    let without_one = &modules[1..];
    assert!(!table.is_of(without_one), "one was unloaded");
    let mut anew = modules.clone();
    anew[7].identity.inode += 1;
    assert!(!table.is_of(&anew), "one was loaded anew");
    let mut more = modules.clone();
    more.push(ModuleFacts { name: "another".to_owned(), ..modules[0].clone() });
    assert!(!table.is_of(&more), "one has come");
    more.last_mut().unwrap().sections = None;
    assert!(table.is_of(&more), "one has come that may have no text");
}

#[test]
fn a_table_that_knows_nothing_of_sysfs_is_of_no_modules() {
    let kallsyms = captured::kernel("6.12").stage(3).kallsyms();
    let table = parse(BufReader::new(File::open(kallsyms).unwrap())).unwrap();
    assert!(table.is_of(&[]));
    assert!(!table.is_of(&stage(3).1));
}

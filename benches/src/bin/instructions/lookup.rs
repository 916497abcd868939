//! Finding the symbols of random addresses of a kernel that was captured: the mean of many, for no two are alike.

use crate::{Case, lapwing_counted};
use lapwing_benches::{Folder, addresses, captured};
use lapwing_kallsyms::{NameBuffer, Snapshot, Sources, Symbolizer};

/// Addresses that are looked up.
const ADDRESSES: usize = 10_000;

pub(crate) fn cases() -> [Case; 2] {
    [
        Case::new("symbolize/lookup", ADDRESSES, || {
            ask(|table, address, _| table.lookup(address).map_or(0, |found| found.offset() as usize));
        }),
        Case::new("symbolize/lookup-with-name", ADDRESSES, || {
            ask(|table, address, name| table.lookup(address).map_or(0, |found| found.name_into(name).len()));
        }),
    ]
}

fn ask(lookup: impl Fn(&Snapshot, u64, &mut NameBuffer) -> usize) {
    let folder = Folder::new_in("/dev/shm".as_ref(), "instructions");
    let [kernel, _] = captured::unpack(folder.path());
    let sources =
        Sources { kallsyms: kernel.kallsyms.clone(), modules: Some(kernel.modules), notes: Some(kernel.notes) };
    let table = Symbolizer::load_from(sources).expect("the kernel's symbols").snapshot();
    let mut name = NameBuffer::default();
    let mut found = 0;
    for address in addresses::queries(&addresses::text(&kernel.kallsyms), ADDRESSES, true) {
        lapwing_counted(&mut || found += lookup(&table, address, &mut name));
    }
    assert!(found > 0, "nothing was found");
}

//! Bytes as /proc/kallsyms: an error, or a table that can be published and says the same however it is asked.

#![no_main]

use lapwing_fuzz::tables::{Place, ask};
use lapwing_kallsyms::shared::Attached;
use lapwing_kallsyms::{LoadError, parse};
use libfuzzer_sys::fuzz_target;
use std::io::BufReader;
use std::sync::OnceLock;

fuzz_target!(|input: &[u8]| {
    static PLACE: OnceLock<Place> = OnceLock::new();
    let parsed = parse(input);
    let sipped = parse(BufReader::with_capacity(7, input));
    assert_eq!(parsed.is_ok(), sipped.is_ok(), "however the input is cut");
    let table = match parsed {
        Ok(table) => table,
        Err(LoadError::Malformed { line, .. }) => {
            let lines = input.split(|&byte| byte == b'\n').count() as u64;
            assert!((1..=lines).contains(&line));
            return;
        }
        Err(_) => return,
    };
    assert_eq!(table.size(), sipped.expect("as above").size());
    ask(&table);
    let place = PLACE.get_or_init(|| Place::new("kallsyms"));
    let file = place.publish(&table);
    let attached = Attached::open_of_any_boot(&file).expect("what is published can be attached");
    assert_eq!(attached.snapshot().size(), table.size());
});

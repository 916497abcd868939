//! Any text as an expression of `tail -q`: it is one, and reads back as itself when it is printed, or the place is named where it
//! goes wrong.

#![no_main]

use lapwing_reader_shim::Query;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match text.parse::<Query>() {
        Ok(query) => assert_eq!(query.to_string().parse::<Query>().as_ref(), Ok(&query)),
        Err(error) => assert!(text.is_char_boundary(error.at()) && !error.to_string().is_empty()),
    }
});

//! Bytes as one read of /dev/kmsg: what is found in them lies in them, and undoing escapes never makes anything longer.

#![no_main]

use lapwing_writer_shim::kmsg::{KernelRecord, unescaped};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    assert!(unescaped(input).len() <= input.len());
    let Some(record) = KernelRecord::parse(input) else { return };
    let inside = |part: &[u8]| part.is_empty() || input.as_ptr_range().contains(&part.as_ptr());
    assert!(inside(record.text) && inside(record.flags));
    assert!(record.pairs().all(|(key, value)| !key.is_empty() && inside(key) && inside(value)));
    let pairs: usize = record.pairs().map(|(key, value)| key.len() + value.len()).sum();
    assert!(pairs + record.text.len() + record.flags.len() <= input.len());
});

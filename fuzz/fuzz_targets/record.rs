//! Bytes as the body of a committed record: its fields and payload are what any format shows, and nothing else.
//!
//! Three bytes of level, source and flags come first, the body is the rest.

#![no_main]

use lapwing_fuzz::{HEAD, PAGE, PAGES, Ring};
use lapwing_reader_shim::{Follow, Item, Progress};
use lapwing_ring::Reader;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

#[path = "../../reader-shim/tests/lines/mod.rs"]
mod lines;

/// The longest body that fits behind a page's index.
const MOST: usize = 8 * 472 - 20;

fuzz_target!(|input: &[u8]| {
    static RING: OnceLock<Ring> = OnceLock::new();
    let ring = RING.get_or_init(|| Ring::new("record"));
    let Some((&[level, source, flags], body)) = input.split_first_chunk() else { return };
    let body = &body[..body.len().min(MOST)];
    // Page 1 holds one record, at the beginning of its data.
    let (page, words) = (PAGES + PAGE, (20 + body.len()).div_ceil(8) as u64);
    let meta =
        body.len() as u64 | u64::from(level % 24 + 1) << 15 | u64::from(source % 7) << 20 | u64::from(flags) << 24;
    let mut record = 1_000_000u64.to_le_bytes().to_vec();
    record.extend(meta.to_le_bytes());
    record[12..].copy_from_slice(&4242u32.to_le_bytes());
    record.extend(4243u32.to_le_bytes());
    record.extend(body);
    record.resize(record.len().next_multiple_of(8), 0);
    ring.put(page + 64 + 256, &record);
    ring.put(page + 64, &(1u64 << 16 | 1).to_le_bytes());
    ring.put(HEAD, &(1u64 << 27 | 1 << 16 | words).to_le_bytes());

    let mut follow = Follow::new(Reader::open(&ring.path).expect("a valid ring"));
    let mut seen = 0;
    let step = follow.step(|item| {
        let Item::Record(record, who) = item else { panic!("{item:?}") };
        assert_eq!((record.seq, record.pid, record.tid, record.level.number()), (0, 4242, 4243, level % 24 + 1));
        assert!(record.payload.len() <= body.len() && body.ends_with(record.payload));
        lines::check(&record, &who);
        seen += 1;
        Ok(())
    });
    assert_eq!((step.expect("a valid record"), seen), (Progress::Moved, 1));
});

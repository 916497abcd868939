//! The file of a published table, changed as the input says: it is refused, or it answers everything.
//!
//! The first byte chooses the table (bit 0), whether its checksum (bit 1) and its length (bit 2) are left wrong. Changes of
//! six bytes follow: kind, place in two, value in three.

#![no_main]

use lapwing_fuzz::tables::{Place, ask, mend, two_tables};
use lapwing_kallsyms::shared::Attached;
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

fn change(table: &mut Vec<u8>, kind: u8, place: usize, value: [u8; 3]) {
    // Parts that decide what others mean are changed as often as all the rest.
    let modules = 128 + 96 * 3;
    let at = match kind >> 4 & 3 {
        0 => place % 128,
        1 => 128 + place % (modules - 128),
        2 => modules + place % 256,
        _ => place,
    } % table.len();
    let count = usize::from(value[2]) % 64 + 1;
    match kind & 7 {
        0 => table[at] = value[0],
        1 => table[at] ^= 1 << (value[0] & 7),
        2 => table[at] = table[at].wrapping_add(value[0]),
        3 => {
            let end = (at + 4).min(table.len());
            let word = u32::from_le_bytes([value[0], value[1], 0, 0]).wrapping_sub(u32::from(value[2] & 1) << 16);
            table[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
        }
        4 => {
            let end = (at + 8).min(table.len());
            let word = u64::from(u16::from_le_bytes([value[0], value[1]])).rotate_right(value[2].into());
            table[at..end].copy_from_slice(&word.to_le_bytes()[..end - at]);
        }
        5 => drop(table.drain(at..(at + count).min(table.len() - 1).max(at))),
        6 => drop(table.splice(at..at, vec![value[0]; count])),
        _ => table.truncate(at.max(1)),
    }
}

fuzz_target!(|input: &[u8]| {
    static PLACE: OnceLock<(Place, [Vec<u8>; 2])> = OnceLock::new();
    let (place, images) = PLACE.get_or_init(|| {
        let place = Place::new("table");
        let images = two_tables().map(|table| std::fs::read(place.publish(&table)).expect("our own file"));
        (place, images)
    });
    let Some((&first, changes)) = input.split_first() else { return };
    let mut table = images[usize::from(first & 1)].clone();
    for &[kind, low, high, ref value @ ..] in changes.as_chunks::<6>().0.iter().take(32) {
        change(&mut table, kind, usize::from(u16::from_le_bytes([low, high])), *value);
    }
    if first & 4 == 0 && table.len() >= 40 {
        let len = table.len() as u64;
        table[32..40].copy_from_slice(&len.to_le_bytes());
    }
    if first & 2 == 0 {
        mend(&mut table);
    }
    if let Ok(attached) = Attached::open_of_any_boot(&place.write(&table)) {
        ask(&attached.snapshot());
    }
});

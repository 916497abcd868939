//! A ring file whose words are changed as the input says: readers, a writer and stat come to an end, whatever they say.
//!
//! The first byte chooses a valid ring, mapped or copied; then come changes of eleven bytes: kind, place, word. A change
//! of kind 255 lets everybody read before the next one.

#![no_main]

use lapwing_fuzz::{HEAD, LEN, PAGE, PAGES, Ring, SLOTS, images};
use lapwing_ring::{Access, Level, Read, ReadError, Reader, Seek, Writer};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;
use std::time::Duration;

/// Reads to the end, an error, or a record in flight; a ring of this size has no more to tell.
fn read(reader: &mut Reader, to: Seek) {
    if reader.seek(to).is_err() {
        return;
    }
    for _ in 0..16 * (32 + 1) + 2 {
        let seq = reader.seq();
        match reader.next() {
            Ok(Read::Record(record)) => {
                assert_eq!(record.seq, seq);
                assert!(record.fields.count() <= 0x7fff && record.payload.len() <= 0x7fff);
            }
            Ok(Read::Lost(gap) | Read::Abandoned(gap) | Read::Stalled(gap)) => {
                assert!(gap.first == seq && gap.count > 0)
            }
            Ok(Read::NotYet { in_flight }) => {
                assert!(!in_flight, "a ring at rest hides nothing from a reader without patience");
                return;
            }
            Err(ReadError::BadRecord { seq: bad }) => assert_eq!(bad, seq),
            Err(_) => return,
        }
    }
    panic!("a ring has an end");
}

fn read_and_write(ring: &Ring, access: Access) {
    let Ok(mut reader) = Reader::open_with(&ring.path, access) else { return };
    reader.set_patience(Duration::ZERO);
    for to in [Seek::Seq(0), Seek::Oldest, Seek::Newest, Seek::Seq(500)] {
        read(&mut reader, to);
    }
    if let Ok(bounds) = reader.bounds() {
        assert!(bounds.oldest_seq <= bounds.next_seq);
    }
    let _ = reader.stat();
    if let Ok(snapshot) = reader.snapshot(|_, _| {}) {
        snapshot.write(&mut std::io::sink(), |_, _| {}).expect("a sink takes everything");
    }
    if let Ok(mut writer) = Writer::open(&ring.path) {
        for i in 0..8 {
            let _ = writer.append(Level::INFO, &vec![b'q'; i * 230]);
        }
    }
    read(&mut reader, Seek::Oldest);
}

fuzz_target!(|input: &[u8]| {
    static RING: OnceLock<(Ring, Vec<Vec<u8>>)> = OnceLock::new();
    let (ring, images) = RING.get_or_init(|| (Ring::new("read"), images()));
    let Some((&first, changes)) = input.split_first() else { return };
    let access = if first & 128 == 0 { Access::Mapped } else { Access::Copied };
    ring.put(0, &images[first as usize % images.len()]);
    for change in changes.chunks(11).take(64) {
        let Some((&[kind, low, high], word)) = change.split_first_chunk() else { break };
        let number = usize::from(u16::from_le_bytes([low, high]));
        let (page, i) = (PAGES + PAGE * (number % 16), number / 16);
        let place = match kind % 8 {
            0 => HEAD,
            1 => 8 * (number % (HEAD / 8)),
            2 => SLOTS + 8 * (number % 1024),
            3 => page + 8 * (i % 4),
            4 => page + 64 + 8 * (i % 32),
            5 => page + 64 + 256 + 8 * (i % 472),
            // Where the first and the second record of a page say how long they are.
            6 => page + 64 + 256 + 8 * (1 + i % 12),
            _ => number * 8 % LEN,
        };
        ring.put(place, &word[..word.len().min(LEN - place)]);
        if kind == 255 {
            read_and_write(ring, access);
        }
    }
    read_and_write(ring, access);
});

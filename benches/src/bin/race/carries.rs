//! What every contestant is tested for: records come as they were appended, whole and in order, and what does not come is
//! counted where the channel counts.

use crate::peer::{LEN, Measure, Payload, Peer, Read, Write};
use crate::place::Place;
use crate::{Result, peers};
use std::time::{Duration, Instant};

/// Records between two times of reading, where the channel holds so many.
const BURST: usize = 100;
/// How long a record may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Record number `seq`: no two are the same within 2^64, and all bytes are in some of them.
fn record(seq: u64) -> Payload {
    let mut payload = [0; LEN];
    payload.iter_mut().enumerate().for_each(|(at, byte)| *byte = (seq as u8).wrapping_add(at as u8));
    payload[..8].copy_from_slice(&seq.to_le_bytes());
    payload
}

/// [`Entry::carries`](crate::peer::Entry::carries).
pub fn carries<P: Peer>(folder: &std::path::Path) -> Result<()> {
    let (read, alone) = (folder.join("read"), folder.join("alone"));
    P::create(&read)?;
    let channel = P::open(&read)?;
    let mut reader = P::reader(&channel)?;
    let mut writer = P::writer(&channel, true)?;
    let burst = P::HOLDS.unwrap_or(BURST).min(BURST);
    let (mut sent, mut got) = (0, 0);
    for _ in 0..10_000 / burst {
        (0..burst as u64).for_each(|next| writer.append(&record(sent + next)));
        sent += burst as u64;
        let until = Instant::now() + PATIENCE;
        while got < sent {
            let each = |bytes: &[u8]| {
                assert_eq!(bytes, record(got), "{}: record {got}", P::NAME);
                got += 1;
            };
            if reader.poll(each) == 0 {
                assert!(Instant::now() < until, "{}: of {sent} records {got} came", P::NAME);
                reader.idle();
            }
        }
    }
    if reader.lost().is_some() {
        let more = 400_000;
        (0..more).for_each(|next| writer.append(&record(sent + next)));
        let before = got;
        while reader.poll(|_| got += 1) > 0 {}
        assert_eq!(reader.lost(), Some(more - (got - before)), "{}: not every loss is counted", P::NAME);
    }
    drop((reader, writer));
    drop(channel);
    if let Some(holds) = P::HOLDS {
        P::create(&alone)?;
        let channel = P::open(&alone)?;
        let mut writer = P::alone(&channel, true)?;
        // It would wait for ever if the room were not made.
        for _ in 0..10 {
            (0..holds as u64).for_each(|seq| writer.append(&record(seq)));
            writer.settle();
        }
    }
    Ok(())
}

#[test]
fn everybody_gives_what_was_appended() {
    for entry in peers::all() {
        if !entry.measures.contains(&Measure::Deliver) {
            println!("skipped: {}: {}", entry.name, entry.missing().unwrap_or("nobody reads it".into()));
            continue;
        }
        let place = Place::new().unwrap();
        let setting = entry.missing().map_or_else(|| entry.set_up(place.folder()).map_err(|e| e.to_string()), Err);
        match setting {
            Ok(_setting) => (entry.carries)(place.folder()).unwrap_or_else(|error| panic!("{}: {error}", entry.name)),
            Err(why) => println!("skipped: {}: {why}", entry.name),
        }
    }
}

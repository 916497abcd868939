//! Reading a record of 100 bytes, neither the first nor the last of its page.

use crate::{Case, TIMES, lapwing_counted};
use lapwing_benches::{Ring, begins_page};
use lapwing_ring::{Level, Read, Reader, Seek};

pub(crate) fn cases() -> [Case; 2] {
    [
        Case::new("read/next/100", TIMES, || {
            read(|reader| {
                let Ok(Read::Record(record)) = reader.next() else { panic!("a record is missing") };
                record.seq
            });
        }),
        Case::new("read/next-record/100", TIMES, || {
            read(|reader| reader.next_record().expect("a record").seq);
        }),
    ]
}

fn read(next: impl Fn(&mut Reader) -> u64) {
    let ring = Ring::new("instructions");
    let mut writer = ring.writer();
    let mut reader = Reader::open(ring.path()).unwrap();
    reader.seek(Seek::Newest).unwrap();
    let mut append = || writer.append(Level::INFO, &[b'x'; 100]).unwrap();
    while !begins_page(&mut reader, append()) {}
    for _ in 0..2 * TIMES {
        append();
    }
    // Looks at HEAD; what it counts is read without another look.
    assert!(matches!(reader.next(), Ok(Read::Record(_))));
    for _ in 0..TIMES {
        lapwing_counted(&mut || next(&mut reader));
    }
}

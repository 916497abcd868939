//! What one damaged record costs: itself.

use lapwing_ring::{Access, Create, Level, Read, ReadError, Reader, Seek, Writer};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const PAGE: u64 = 12288 + 4096;
const DATA: u64 = PAGE + 64 + 256;

struct TestRing(PathBuf);

impl Drop for TestRing {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Ten records in the first page of a ring of 64 KiB, the header of number 3 made impossible.
fn damaged_ring(name: &str) -> TestRing {
    let ring = TestRing(format!("/dev/shm/lapwing-damage-{}-{name}", std::process::id()).into());
    Create::new().size(64 << 10).create(&ring.0).unwrap();
    let mut writer = Writer::open(&ring.0).unwrap();
    for i in 0..10u8 {
        writer.append(Level::INFO, &[i; 20]).unwrap();
    }
    let file = File::options().read(true).write(true).open(&ring.0).unwrap();
    let mut entry = [0; 8];
    file.read_exact_at(&mut entry, PAGE + 64 + 3 * 8).unwrap();
    let offset = (u64::from_le_bytes(entry) & 0xffff) - 1;
    file.write_all_at(&[0xff; 4], DATA + offset * 8 + 8).unwrap();
    ring
}

#[test]
fn a_damaged_record_is_named_counted_as_lost_and_passed() {
    for access in [Access::Mapped, Access::Copied] {
        let ring = damaged_ring("record");
        let mut reader = Reader::open_with(&ring.0, access).unwrap();
        for seq in 0..10 {
            match reader.next() {
                Err(error) => assert_eq!((seq, error), (3, ReadError::BadRecord { seq: 3 })),
                Ok(Read::Record(record)) => assert_eq!((record.seq, record.payload), (seq, &[seq as u8; 20][..])),
                Ok(other) => panic!("{other:?}"),
            }
            assert_eq!(reader.seq(), seq + 1);
        }
        assert_eq!((reader.counts().read, reader.counts().lost), (9, 1));
        assert_eq!(reader.next(), Ok(Read::NotYet { in_flight: false }));
        assert_eq!(reader.seek(Seek::Seq(3)), Ok(3));
        assert_eq!(reader.next(), Err(ReadError::BadRecord { seq: 3 }), "it stays damaged");
    }
}

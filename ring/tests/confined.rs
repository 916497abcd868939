//! A process that may make no system call any more: what it has claimed it can use, and nothing else.
//! In a program of its own, for that is for good.

use lapwing_ring::{AppendError, Create, Level, Log, Reader};
use std::os::unix::fs::FileExt;
use std::sync::Barrier;

#[test]
fn a_confined_process_appends_with_the_slots_that_it_has() {
    let folder = std::env::temp_dir().join(format!("lapwing-confined-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("ring");
    Create::new().size(1 << 20).create(&path).unwrap();
    let log = Log::open(&path).unwrap();
    assert!(log.can_append());
    log.confine(2);
    for seq in 0..3 {
        assert_eq!(log.append(Level::INFO, b"text").unwrap(), seq);
    }
    // A thread that has never asked who it is has no number.
    let all = Barrier::new(2);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                all.wait();
                log.append(Level::INFO, b"of a thread").unwrap();
            });
        }
    });
    let mut reader = Reader::open(&path).unwrap();
    let tids: Vec<_> = (0..5)
        .map(|_| match reader.next().unwrap() {
            lapwing_ring::Read::Record(record) => record.tid,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(tids[..3].iter().all(|&tid| tid != 0) && tids[3..] == [0, 0], "{tids:?}");

    // It wakes nobody, and leaves that to the next one. The word is that of docs/FORMAT.md.
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    file.write_all_at(&1u64.to_le_bytes(), 1152).unwrap();
    log.append(Level::INFO, b"without a bell").unwrap();
    let mut bell = [0; 8];
    file.read_exact_at(&mut bell, 1152).unwrap();
    assert_eq!(u64::from_le_bytes(bell), 1);

    log.release();
    assert_eq!(reader.stat().unwrap().writers.len(), 2, "what takes a system call is not done");
    let other = Log::open(&path);
    if let Ok(other) = other {
        assert!(!other.can_append());
        assert!(matches!(other.append(Level::INFO, b"no slot"), Err(AppendError::PoolBusy { .. })));
    }
    std::fs::remove_dir_all(folder).unwrap();
}

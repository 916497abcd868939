//! What a look at the newest records tells: when each process wrote, how fast, at which levels.

use lapwing_reader_shim::{LastWrite, Survey};
use lapwing_ring::{Create, Draft, Level, Log, Origin, Read, Reader, Seek};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// More than are looked at for the rate.
const MANY: u64 = 100_000;
const SECOND: u64 = 1_000_000_000;

struct Fixture {
    path: PathBuf,
    log: Log,
    _folder: TempDir,
}

impl Fixture {
    fn new(size: u64) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("ring");
        Create::new().size(size).create(&path).unwrap();
        Self { log: Log::open(&path).unwrap(), path, _folder: folder }
    }

    fn write(&self, pid: u32, level: Level, text: &[u8]) {
        let name = format!("process {pid}");
        let origin = Origin { pid, tid: pid, comm: Some(name.as_bytes()), uid: None };
        self.log.append_for(&origin, &Draft::new(level), &[text]).unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.path).unwrap()
    }

    /// As if taken so long after the newest record.
    fn survey(&self, later: u64, pids: &[u32]) -> Survey {
        let mut reader = self.reader();
        let now = self.time(reader.bounds().unwrap().next_seq - 1) + later;
        Survey::take(&mut reader, Some(now), pids).unwrap()
    }

    /// When the record was written, by the clock that does not jump.
    fn time(&self, seq: u64) -> u64 {
        let mut reader = self.reader();
        reader.seek(Seek::Seq(seq)).unwrap();
        match reader.next().unwrap() {
            Read::Record(record) => record.mono_ns,
            other => panic!("{other:?}"),
        }
    }
}

fn at(last: LastWrite) -> u64 {
    match last {
        LastWrite::At(moment) => moment.mono_ns,
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_counts_what_was_written_in_the_last_second_and_nothing_older() {
    let fixture = Fixture::new(1 << 20);
    let survey = Survey::take(&mut fixture.reader(), None, &[1]).unwrap();
    assert_eq!((survey.window, survey.oldest, survey.last_write(1)), (None, None, LastWrite::Unknown));
    for _ in 0..7 {
        fixture.write(1, Level::WARN, b"four");
    }
    std::thread::sleep(Duration::from_millis(300));
    for _ in 0..3 {
        fixture.write(2, Level::INFO, b"seven..");
    }
    // The first seven are more than a second old, the other three less.
    let survey = fixture.survey(SECOND - 200_000_000, &[]);
    let window = survey.window.unwrap();
    let levels: u64 = window.levels.iter().sum();
    assert_eq!((window.ns, window.records, window.bytes, window.levels[8], levels), (SECOND, 3, 21, 3, 3));
    assert_eq!((at(survey.last_write(1)), at(survey.last_write(2))), (fixture.time(6), fixture.time(9)));
    assert_eq!(survey.oldest.unwrap().mono_ns, fixture.time(0));
    assert_eq!(survey.newest.unwrap().mono_ns, fixture.time(9));
    let mut processes: Vec<_> = survey.processes().map(|(pid, p)| (pid, p.records, p.bytes, &p.comm[..])).collect();
    processes.sort_unstable();
    assert_eq!(processes, [(1, 0, 0, &b"process 1"[..]), (2, 3, 21, b"process 2")]);
    assert_eq!(fixture.survey(10 * SECOND, &[]).window.unwrap().records, 0);
    // The last second of the log itself has all ten, unless the sleep took longer than it should.
    let early = (0..7).filter(|&seq| fixture.time(seq) + SECOND >= fixture.time(9)).count() as u64;
    let last = Survey::take(&mut fixture.reader(), None, &[]).unwrap().window.unwrap();
    let expected = (SECOND, 3 + early, 21 + 4 * early, early);
    assert_eq!((last.ns, last.records, last.bytes, last.levels[12]), expected);
}

#[test]
fn where_records_come_fast_the_window_is_shorter_and_says_how_short() {
    let fixture = Fixture::new(16 << 20);
    let mut end = 0;
    // A machine that has much else to do may need a second for them now and then.
    while end == 0 || fixture.time(end - 1) - fixture.time(end - (1 << 16)) >= SECOND {
        assert!(end < 30 * MANY, "this machine is too slow for the question");
        for _ in 0..MANY {
            fixture.write(1, Level::INFO, b"eight...");
        }
        end += MANY;
    }
    let mut reader = fixture.reader();
    let survey = Survey::take(&mut reader, None, &[]).unwrap();
    let window = survey.window.unwrap();
    let first = end - window.records;
    assert_eq!((window.records, window.bytes), (1 << 16, 8 << 16));
    assert_eq!(window.ns, fixture.time(end - 1) - fixture.time(first), "back to the oldest that was looked at");
    assert_eq!((survey.counts.read, survey.counts.lost, reader.seq()), (1 << 16, 0, end));
}

#[test]
fn who_has_been_silent_for_long_is_found_if_he_is_asked_for() {
    let fixture = Fixture::new(16 << 20);
    fixture.write(7, Level::INFO, b"long ago");
    for _ in 0..MANY {
        fixture.write(1, Level::INFO, b"x");
    }
    // It gives up after a while, which may be soon where others have the processor.
    let found = (0..100).map(|_| fixture.survey(0, &[7]).last_write(7)).find(|last| matches!(last, LastWrite::At(_)));
    assert_eq!(at(found.expect("a last record")), fixture.time(0));
    let since = fixture.time(MANY + 1 - (1 << 16));
    match fixture.survey(0, &[1]).last_write(7) {
        LastWrite::NoneSince(moment) => assert_eq!(moment.mono_ns, since),
        other => panic!("{other:?}"),
    }
    // And who has no record at all: not since the oldest.
    let oldest = fixture.time(0);
    let is_oldest = |last| matches!(last, LastWrite::NoneSince(moment) if moment.mono_ns == oldest);
    assert!((0..100).any(|_| is_oldest(fixture.survey(0, &[8]).last_write(8))));
}

#[test]
fn what_nobody_will_commit_is_counted_and_not_waited_for() {
    let fixture = Fixture::new(64 << 10);
    for text in ["0", "1", "2", "3"] {
        fixture.write(1, Level::INFO, text.as_bytes());
    }
    // Records 1 and 3 never got their index entries.
    let file = File::options().write(true).open(&fixture.path).unwrap();
    for seq in [1, 3] {
        file.write_all_at(&[0; 8], 12288 + 4096 + 64 + seq * 8).unwrap();
    }
    let mut reader = fixture.reader();
    let survey = Survey::take(&mut reader, None, &[]).unwrap();
    assert_eq!((survey.counts.read, survey.counts.abandoned), (2, 2));
    assert_eq!(survey.newest.unwrap().mono_ns, fixture.time(2));
    let window = survey.window.unwrap();
    assert_eq!((window.records, window.bytes), (4, 4));
}

#[test]
fn an_overwritten_log_begins_with_what_is_left() {
    let fixture = Fixture::new(64 << 10);
    for _ in 0..5000 {
        fixture.write(1, Level::INFO, b"a text of some length, so that pages are full soon");
    }
    let survey = fixture.survey(0, &[]);
    let oldest = fixture.reader().bounds().unwrap().oldest_seq;
    assert!(oldest > 0);
    assert_eq!(survey.oldest.unwrap().mono_ns, fixture.time(oldest));
    let window = survey.window.unwrap();
    assert_eq!((window.records, window.ns), (5000 - oldest, fixture.time(4999) - fixture.time(oldest)));
}

//! Records that one process writes down for another.

mod folder;

use folder::{Folder, small};
use lapwing_ring::{Draft, Field, Level, Log, Origin, Read, Reader, Seek, Source};

/// Pid, tid, comm, uid and start time, and the text of one record.
type Seen = (u32, u32, Option<Vec<u8>>, Option<u32>, bool, Vec<u8>);

fn all(path: &std::path::Path) -> Vec<Seen> {
    let mut reader = Reader::open(path).unwrap();
    reader.seek(Seek::Oldest).unwrap();
    let mut seen = Vec::new();
    while let Ok(Read::Record(record)) = reader.next() {
        let comm = record.fields.into_iter().find_map(|field| match field {
            Field::Comm(comm) => Some(comm.to_vec()),
            _ => None,
        });
        let uid = record.fields.into_iter().find_map(|field| match field {
            Field::Uid(uid) => Some(uid),
            _ => None,
        });
        let start = record.fields.into_iter().any(|field| matches!(field, Field::Start(_)));
        seen.push((record.pid, record.tid, comm, uid, start, record.payload.to_vec()));
    }
    seen
}

#[test]
fn a_record_for_another_names_the_other_and_introduces_nobody() {
    let folder = Folder::new("origin");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let log = Log::open(&path).unwrap();
    let me = std::process::id();
    let draft = Draft { source: Source::Stdout, ..Draft::new(Level::INFO) };
    let other = Origin { pid: 7, tid: 8, comm: Some(b"other"), uid: Some(99) };
    let nobody = Origin::default();
    log.append_for(&other, &draft, &[b"from ", b"7"]).unwrap();
    log.append_for(&nobody, &draft, &[b"from 0"]).unwrap();
    log.append(Level::INFO, b"mine").unwrap();
    log.append(Level::INFO, b"mine again").unwrap();
    log.append_for(&other, &draft, &[b"7 again"]).unwrap();
    let seen = all(&path);
    let theirs = |text: &[u8]| (7, 8, Some(b"other".to_vec()), Some(99), false, text.to_vec());
    assert_eq!(seen[0], theirs(b"from 7"));
    assert_eq!(seen[1], (0, 0, None, None, false, b"from 0".to_vec()));
    let (pid, _, comm, uid, start, text) = &seen[2];
    assert_eq!((*pid, comm.is_some(), uid.is_some(), *start, &text[..]), (me, true, true, true, &b"mine"[..]));
    assert_eq!((seen[3].0, seen[3].4), (me, false), "one introduction on a page");
    assert_eq!(seen[4], theirs(b"7 again"));
    assert_eq!(seen.len(), 5);
}

#[test]
fn a_record_for_another_that_is_too_large_is_refused_and_leaves_the_writer_as_it_was() {
    let folder = Folder::new("origin-large");
    let path = folder.join("ring");
    small().create(&path).unwrap();
    let log = Log::open(&path).unwrap();
    let text = vec![b'x'; log.max_body()];
    let other = Origin { pid: 7, tid: 8, comm: Some(b"other"), uid: Some(99) };
    assert!(log.append_for(&other, &Draft::new(Level::INFO), &[&text]).is_err());
    log.append(Level::INFO, b"mine").unwrap();
    let seen = all(&path);
    assert_eq!(seen.len(), 1);
    assert!(seen[0].4, "the writer introduces itself as ever");
}

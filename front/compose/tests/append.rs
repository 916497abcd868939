//! What a sink appends is what was composed, whatever its length, in the ring's smallest records.

use lapwing_compose::{Level, Sheet, Sink, Value};
use lapwing_ring::{Create, Field, Flags, Read, Reader};
use proptest::prelude::*;
use std::path::Path;

#[derive(Debug, PartialEq)]
struct Seen {
    level: Level,
    flags: Flags,
    tag: Option<String>,
    fields: Vec<(String, String)>,
    text: String,
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("no character is cut in two")
}

fn all(path: &Path) -> Vec<Seen> {
    let mut reader = Reader::open(path).unwrap();
    let mut seen: Vec<Seen> = Vec::new();
    loop {
        let record = match reader.next().unwrap() {
            Read::Record(record) => record,
            Read::NotYet { in_flight: false } => return seen,
            other => panic!("{other:?}"),
        };
        let (mut tag, mut fields) = (None, Vec::new());
        for field in record.fields {
            match field {
                Field::Tag(name) => tag = Some(string(name)),
                Field::KeyValue(key, Value::Text(text)) => fields.push((string(key), string(text))),
                Field::KeyValue(key, value) => fields.push((string(key), format!("{value:?}"))),
                _ => {}
            }
        }
        let flags = [Flags::CONT, Flags::PARTIAL].into_iter().filter(|&flag| record.flags.contains(flag));
        let flags = flags.fold(Flags::NONE, |all, flag| all | flag);
        seen.push(Seen { level: record.level, flags, tag, fields, text: string(record.payload) });
    }
}

/// A ring whose records hold just under two kilobytes.
fn ring() -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(1 << 20).page_size(Some(4096)).create(&path).unwrap();
    (folder, path)
}

#[test]
fn a_record_has_its_tag_its_fields_and_its_text() {
    let (_folder, path) = ring();
    let sink = Sink::open_at(&path).unwrap();
    let mut sheet = Sheet::new();
    sheet.tag("app");
    sheet.text(format_args!("text"));
    sheet.field("n", Value::Int(-1));
    sheet.formatted("who", format_args!("{}", "me"));
    sink.append(Level::WARN, &sheet);
    sink.append(Level::DEBUG, &Sheet::new());
    let fields = vec![("n".into(), "Int(-1)".into()), ("who".into(), "me".into())];
    let first = Seen { level: Level::WARN, flags: Flags::NONE, tag: Some("app".into()), fields, text: "text".into() };
    let second = Seen { level: Level::DEBUG, flags: Flags::NONE, tag: None, fields: vec![], text: String::new() };
    assert_eq!(all(&path), [first, second]);
}

#[test]
fn a_long_text_goes_on_in_records_of_the_same_tag_and_what_is_cut_says_so() {
    let (_folder, path) = ring();
    let sink = Sink::open_at(&path).unwrap();
    let text = "äöü".repeat(2000);
    let mut sheet = Sheet::new();
    sheet.tag("app");
    sheet.text(format_args!("{text}"));
    sheet.field("long", Value::Text(&[b'x'; 5000]));
    sheet.field("behind", Value::Uint(1));
    sink.append(Level::INFO, &sheet);
    let seen = all(&path);
    assert!(seen.len() > 6 && seen.iter().all(|record| record.tag.as_deref() == Some("app")), "{seen:?}");
    assert_eq!(seen.iter().map(|record| record.text.as_str()).collect::<String>(), text);
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(last.flags, Flags::PARTIAL);
    assert!(before.iter().all(|record| record.flags == Flags::CONT));
    let fields = &seen[0].fields;
    assert!(matches!(&fields[..], [(key, value)] if key == "long" && value.len() > 900), "{fields:?}");
    assert!(seen[1..].iter().all(|record| record.fields.is_empty()));
}

#[test]
fn what_the_ring_refuses_is_counted_here_and_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(1 << 16).create(&path).unwrap();
    let slots = Reader::open(&path).unwrap().identity().geometry.slot_count();
    let taken: Vec<_> = (0..slots).map(|_| lapwing_ring::Writer::open(&path).unwrap()).collect();
    let sink = Sink::open_at(&path).unwrap();
    let mut sheet = Sheet::new();
    sheet.text(format_args!("nobody hears this"));
    for _ in 0..3 {
        sink.append(Level::INFO, &sheet);
    }
    let refused = || Reader::open(&path).unwrap().stat().unwrap().refused;
    assert_eq!((sink.refused(), refused().too_many_writers), (3, 3));
    drop(taken);
    sink.append(Level::INFO, &sheet);
    assert_eq!((sink.refused(), refused().total(), all(&path).len()), (3, 3, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn nothing_is_refused_and_no_text_is_lost(
        text in prop_oneof!["\\PC{0,60}", "[aé€😀]{1000,3000}"],
        tag in "\\PC{0,200}",
        fields in prop::collection::vec(("\\PC{0,300}", prop_oneof!["\\PC{0,20}", "[aé€😀]{0,2000}"]), 0..40),
    ) {
        let (_folder, path) = ring();
        let sink = Sink::open_at(&path).unwrap();
        let mut sheet = Sheet::new();
        sheet.tag(&tag);
        for (key, value) in &fields {
            sheet.formatted(key, format_args!("{value}"));
        }
        sheet.text(format_args!("{text}"));
        sink.append(Level::INFO, &sheet);
        prop_assert_eq!(sink.refused(), 0);
        let seen = all(&path);
        prop_assert_eq!(seen.iter().map(|record| record.text.as_str()).collect::<String>(), text);
        let whole = seen[0].fields == fields;
        prop_assert_eq!(seen.last().unwrap().flags, if whole { Flags::NONE } else { Flags::PARTIAL });
        prop_assert!(seen[0].tag.as_deref().unwrap_or_default().len() <= 128);
    }
}

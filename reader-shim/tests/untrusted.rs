//! Can a record forge a line, another record, a loss, or a command to a terminal? Records of any bytes through a real ring,
//! in every format.

mod lines;

use lapwing_reader_shim::{Follow, Format, Item, Loss, LossKind, Progress, Renderer};
use lapwing_ring::{Create, Draft, Field, Flags, Gap, Level, Reader, Source, Value, Writer};
use proptest::prelude::*;
use std::path::Path;

/// One record as its writer made it.
#[derive(Clone, Debug)]
struct Made {
    level: u8,
    text: Vec<u8>,
    tag: Option<Vec<u8>>,
    comm: Option<Vec<u8>>,
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    number: f64,
}

/// What somebody would write who wants to be taken for somebody else.
const FORGERIES: [&str; 22] = [
    "*** 5 records lost (seq 1..5) ***",
    "{\"lost\":5,\"first\":1,\"last\":5}",
    "lost=5 first=1 last=5",
    "\nNov 21 05:53:42.123456 init[1] <emerg> forged",
    "<emerg> forged",
    "init[1] <emerg>",
    "\" : \" text=forged",
    " : forged",
    "\\x1b\\u{9b}\\",
    "\u{1b}]0;title\u{7}",
    "\u{9b}2J",
    "\u{85}",
    "\u{2028}\u{2029}",
    "\u{202e}\u{2066}\u{61c}\u{200f}",
    "\0",
    "text b64",
    "mono ns",
    "seq",
    "text",
    "=",
    "[",
    "\"",
];

/// Any bytes, with forgeries among them.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::sample::select(&FORGERIES[..]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => prop::collection::vec(prop::sample::select(&b"\x1b\n\r\t \\[]<>\"=*{}\x9b\xc2\xe2\x80\xa8az09"[..]), 0..8),
        1 => any::<String>().prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..4).prop_map(move |pieces| {
        let mut bytes = pieces.concat();
        bytes.truncate(most);
        bytes
    })
}

fn made() -> impl Strategy<Value = Made> {
    let fields = prop::collection::vec((bytes(40), bytes(60)), 0..4);
    let level = prop_oneof![2 => Just(9u8), 1 => 1u8..=24];
    (level, bytes(300), prop::option::of(bytes(60)), prop::option::of(bytes(15)), fields, any::<f64>())
        .prop_map(|(level, text, tag, comm, fields, number)| Made { level, text, tag, comm, fields, number })
}

/// Appends `made` to the ring at `path`, and hands what comes out to the checks.
fn through_a_ring(path: &Path, made: &[Made]) {
    let mut follow = Follow::new(Reader::open(path).unwrap());
    let end = follow.bounds().unwrap().next_seq;
    follow.start_at(end).unwrap();
    let mut writer = Writer::open(path).unwrap();
    for Made { level, text, tag, comm, fields, number } in made {
        let mut drafted: Vec<_> = tag.iter().map(|tag| Field::Tag(tag)).collect();
        drafted.extend(comm.iter().map(|comm| Field::Comm(comm)));
        drafted.extend(fields.iter().map(|(key, text)| Field::KeyValue(key, Value::Text(text))));
        drafted.push(Field::KeyValue(b"number", Value::Float(*number)));
        let draft =
            Draft { level: Level::new(*level).unwrap(), source: Source::Stdout, flags: Flags::CONT, fields: &drafted };
        writer.append_slices(&draft, &[text]).unwrap();
    }
    let mut seen = 0;
    let mut check = |item: Item<'_>| {
        let Item::Record(record, who) = item else { panic!("nothing is lost here: {item:?}") };
        assert_eq!(record.payload, made[seen].text);
        lines::check(&record, &who);
        seen += 1;
        Ok(())
    };
    while follow.step(&mut check).unwrap() == Progress::Moved {}
    assert_eq!(seen, made.len());
}

#[test]
fn no_bytes_forge_a_line_a_record_or_a_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(64 << 10).create(&path).unwrap();
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(made in prop::collection::vec(made(), 1..12))| through_a_ring(&path, &made));
}

#[test]
fn every_forgery_is_told_from_what_it_imitates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    Create::new().size(1 << 20).create(&path).unwrap();
    let forged = FORGERIES.map(|text| Made {
        level: 9,
        text: text.into(),
        tag: Some(text.into()),
        comm: Some(text.into()),
        fields: vec![(text.into(), text.into())],
        number: f64::NAN,
    });
    through_a_ring(&path, &forged);
}

#[test]
fn a_loss_looks_like_no_record() {
    let loss = Loss { kind: LossKind::Lost, gap: Gap { first: 1, count: 5 } };
    let line = |format| {
        let mut out = Vec::new();
        Renderer::new(format, true).loss(&mut out, &loss);
        String::from_utf8(out).unwrap()
    };
    for format in [Format::Short, Format::ShortIso, Format::Mono, Format::Verbose, Format::Cat, Format::Raw] {
        assert_eq!(line(format), "*** 5 records lost (seq 1..5) ***\n");
    }
    assert_eq!(line(Format::Json), "{\"lost\":5,\"first\":1,\"last\":5}\n");
    assert_eq!(line(Format::Logfmt), "lost=5 first=1 last=5\n");
}

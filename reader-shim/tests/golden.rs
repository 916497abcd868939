//! Every format, byte for byte, over payloads that make trouble: tests/golden/FORMAT holds what was written before.
//!
//! A change that is meant is taken over by `LAPWING_BLESS=1 cargo test -p lapwing-reader-shim --test golden`.

use lapwing_reader_shim::{Format, Loss, LossKind, Renderer, Who};
use lapwing_ring::{Create, Draft, Field, Flags, Gap, Level, Log, Read, Reader, Record, Source, Value};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Half an hour off, so that hours and minutes both have to be right.
const ZONE: &str = "XYZ-3:30";

fn payloads() -> Vec<Vec<u8>> {
    let c0: Vec<u8> = (0..0x20).chain([0x7f]).collect();
    let c1: String = ('\u{80}'..='\u{a0}').collect();
    let bidi = "a\u{61c}b\u{200e}\u{200f}c\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}d\u{2066}\u{2067}\u{2068}\u{2069}";
    let near: String =
        ["\u{61b}\u{61d}\u{200d}\u{2010}\u{2027}\u{202f}\u{2065}\u{206a}", "é€\u{1f600}\u{10ffff}"].concat();
    let mut payloads: Vec<Vec<u8>> = [
        &b""[..],
        b"plain text of the usual kind, with nothing in it",
        b" ",
        b"\n",
        b"two\nlines",
        b"ends in one\n",
        b"a\tb",
        b"\x1b[31mred\x1b[0m",
        &c0,
        c1.as_bytes(),
        bidi.as_bytes(),
        near.as_bytes(),
        b"\xff",
        b"\xc3(",
        b"cut \xe2\x82",
        b"over \xc0\x80 long \xed\xa0\x80 surrogate \xf4\x90\x80\x80",
        b"quote \" backslash \\ both \\\" slash / equals =",
        b"looks \\x1b escaped, \\\\x1b twice, \\u{202e}, \\xzz not",
        b"slashes before \\\\\\\x1b",
        b"<warn> like a level",
        b"<14> like one too",
        b"<x> unlike one",
        b"*** 7 records lost (seq 1..7) ***",
        b"*** like nothing",
        b"key=value",
        b"nospace",
        b"[bracket]",
    ]
    .map(<[u8]>::to_vec)
    .into();
    // A byte that has to be escaped at each place of a word, and of the end of a text.
    for len in [7, 16, 17] {
        for at in 0..len {
            let mut text = vec![b'.'; len];
            text[at] = [b'"', b'\\', 0x1f, 0x7f, 0x80][at % 5];
            payloads.push(text);
        }
    }
    payloads.push(b"0123456789abcdef".repeat(1024));
    payloads.push([&b"x".repeat(16_000)[..], "é\u{1b}\u{9b}\u{202e}\"\\\n".as_bytes()].concat());
    payloads.push((0..=255).cycle().take(16 << 10).collect());
    payloads
}

fn drafts() -> Vec<(Level, Source, Flags, Vec<Field<'static>>)> {
    let fields = vec![
        Field::Tag(b"disk"),
        Field::KeyValue(b"path", Value::Text(b"/tmp/a b")),
        Field::KeyValue(b"nasty\xff\x1b= \"", Value::Text(b"\x1b\xff\n")),
        Field::KeyValue(b"n", Value::Int(i64::MIN)),
        Field::KeyValue(b"u", Value::Uint(u64::MAX)),
        Field::KeyValue(b"load", Value::Float(0.1)),
        Field::KeyValue(b"nan", Value::Float(f64::NAN)),
        Field::KeyValue(b"whole", Value::Float(3.0)),
        Field::KeyValue(b"ok", Value::Bool(true)),
        Field::KeyValue(b"seq", Value::Uint(7)),
        Field::KeyValue(b"", Value::Text(b"")),
    ];
    vec![
        (Level::INFO, Source::Api, Flags::NONE, vec![]),
        (Level::WARN, Source::Log, Flags::CONT, vec![Field::Tag(b"nasty \x1b\xff\"\\tag")]),
        (Level::EMERG, Source::Stderr, Flags::CONT | Flags::PARTIAL | Flags::LAST_WORDS | Flags::ATTESTED, fields),
        (Level::TRACE, Source::Kmsg, Flags::NONE, vec![Field::Tag(b"first"), Field::Tag(b"")]),
    ]
}

const NAMES: [&[u8]; 5] = [b"nginx", b"my prog", b"init[1] <emerg>", b"\x1b\xff\\x1b", b"?"];

const TIMES: [i64; 8] = [
    1_795_240_422_123_456_789,
    1_795_240_422_123_456_790,
    1_795_240_423_000_000_000,
    1_795_240_422_999_999_999,
    0,
    -1,
    i64::MIN,
    i64::MAX,
];

const NUMBERS: [u64; 6] = [0, 7, 999_999_999, 123_456_789_012, u64::MAX / 3, u64::MAX];

/// Every payload once with plain everything, then some with all the rest.
fn render(format: Format, to_terminal: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ring");
    // Large enough for a record of 16 KiB and fields.
    Create::new().size(8 << 20).create(&path).unwrap();
    let log = Log::open(&path).unwrap();
    for payload in payloads() {
        for (level, source, flags, fields) in drafts() {
            let draft = Draft { level, source, flags, fields: &fields };
            log.append_slices(&draft, &[&payload]).unwrap();
        }
    }
    let mut reader = Reader::open(&path).unwrap();
    let mut renderer = Renderer::new(format, to_terminal);
    let mut text = String::new();
    for n in 0.. {
        let Read::Record(record) = reader.next().unwrap() else { break };
        let pick = |len: usize| if n % 4 == 0 { 0 } else { n / 4 % len };
        let record = Record {
            seq: NUMBERS[pick(6)],
            mono_ns: NUMBERS[(pick(6) + 3) % 6],
            real_ns: TIMES[pick(8)],
            pid: NUMBERS[pick(6)] as u32,
            tid: NUMBERS[pick(5)] as u32,
            ..record
        };
        let who = Who { comm: NAMES[pick(5)], uid: (n % 3 == 0).then_some(n as u32 * 500) };
        let mut out = b"kept".to_vec();
        renderer.record(&mut out, &record, &who);
        show(&mut text, out.strip_prefix(b"kept").expect("what stood in front stays"));
    }
    for kind in [LossKind::Lost, LossKind::Abandoned, LossKind::Stalled] {
        let mut out = Vec::new();
        renderer.loss(&mut out, &Loss { kind, gap: Gap { first: 77, count: 1234 } });
        show(&mut text, &out);
    }
    text
}

/// Appends `bytes` to `text` as a line; long ones as their ends, their length and a sum of all of them (FNV-1a).
fn show(text: &mut String, bytes: &[u8]) {
    if bytes.len() <= 1000 {
        writeln!(text, "{}", bytes.escape_ascii()).unwrap();
        return;
    }
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum: u64, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let (front, end) = (bytes[..200].escape_ascii(), bytes[bytes.len() - 200..].escape_ascii());
    writeln!(text, "{front} .. {} bytes, sum {sum:x} .. {end}", bytes.len()).unwrap();
}

#[test]
fn every_format_writes_what_it_wrote_before() {
    if std::env::var("TZ").as_deref() != Ok(ZONE) {
        // The zone is the process's, so it takes another process.
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "every_format_writes_what_it_wrote_before"]).env("TZ", ZONE);
        let output = again.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let terminal = Format::ALL.map(|format| (format, true));
    for (format, to_terminal) in Format::ALL.map(|format| (format, false)).into_iter().chain(terminal) {
        let path = golden(format, to_terminal);
        let text = render(format, to_terminal);
        if std::env::var_os("LAPWING_BLESS").is_some() {
            std::fs::write(&path, text).unwrap();
            continue;
        }
        let before = std::fs::read_to_string(&path).unwrap();
        let differs = before.lines().zip(text.lines()).position(|(before, now)| before != now);
        if let Some(n) = differs {
            let (before, now) = (before.lines().nth(n).unwrap(), text.lines().nth(n).unwrap());
            panic!("{format}, line {}:\n{before}\nis now\n{now}", n + 1);
        }
        assert_eq!(before.len(), text.len(), "{format}");
    }
}

/// Only `cat` asks whether it writes to a terminal.
fn golden(format: Format, to_terminal: bool) -> PathBuf {
    let terminal = if to_terminal && format == Format::Cat { "-terminal" } else { "" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{format}{terminal}"))
}

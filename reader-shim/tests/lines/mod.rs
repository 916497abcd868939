//! What has to hold of every rendering of one record, whatever bytes it is made of: read back here by the rules of the
//! contract, not by the code that wrote it. The fuzz target `record` asks the same.

use lapwing_reader_shim::{Format, Renderer, Who};
use lapwing_ring::{Field, Level, Record};
use serde_json::Value as Json;
use std::cell::RefCell;

/// C0 except tab, DEL, C1, line and paragraph separators, bidirectional controls.
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\t')
        || ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'].contains(&c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
        || ('\u{2066}'..='\u{2069}').contains(&c)
}

/// Renders `record` in every format.
///
/// # Panics
/// When one of them says something else than the record does, or more.
pub fn check(record: &Record<'_>, who: &Who<'_>) {
    thread_local!(static RENDERERS: RefCell<Vec<(Format, bool, Renderer)>> = RefCell::new(
        Format::ALL.into_iter().flat_map(|format| [false, true].map(|tty| (format, tty, Renderer::new(format, tty)))).collect()
    ));
    RENDERERS.with_borrow_mut(|renderers| {
        for (format, to_terminal, renderer) in renderers {
            check_one(*format, *to_terminal, renderer, record, who);
        }
    });
}

fn check_one(format: Format, to_terminal: bool, renderer: &mut Renderer, record: &Record<'_>, who: &Who<'_>) {
    let mut out = Vec::new();
    renderer.record(&mut out, record, who);
    if format == Format::Raw {
        assert_eq!(out, record.payload);
        return;
    }
    assert_eq!(out.pop(), Some(b'\n'));
    if format == Format::Cat && !to_terminal {
        assert_eq!(out, record.payload);
        return;
    }
    let line = String::from_utf8(out).expect("text is UTF-8");
    assert_eq!(line.chars().find(|&c| is_hidden(c)), None, "{format}: {line:?}");
    assert!(!is_loss(format, &line), "{format}: {line:?}");
    match format {
        Format::Short => check_short(line.get(23..).expect("a time"), record),
        Format::ShortIso => check_short(line.get(33..).expect("a time"), record),
        Format::Mono => check_short(line.split_once("] ").expect("a time").1, record),
        Format::Verbose => check_verbose(&line, record, who),
        Format::Json => check_json(&line, record),
        Format::Logfmt => check_logfmt(&line, record, who),
        Format::Cat | Format::Raw => {}
    }
}

/// Would a reader of this format take the line for a loss?
fn is_loss(format: Format, line: &str) -> bool {
    let kinds = ["lost", "abandoned", "stalled"];
    match format {
        Format::Json => kinds.iter().any(|kind| line.starts_with(&format!("{{\"{kind}\""))),
        Format::Logfmt => kinds.iter().any(|kind| line.starts_with(&format!("{kind}="))),
        _ => line.strip_prefix("*** ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())),
    }
}

/// `comm[pid] <level> text`, where the first bracket that opens is the pid's.
fn check_short(rest: &str, record: &Record<'_>) {
    let (_, rest) = rest.split_once('[').expect("a pid");
    let (pid, rest) = rest.split_once("] ").expect("a pid");
    assert_eq!(pid.parse(), Ok(record.pid), "{rest:?}");
    let level = rest.strip_prefix('<').and_then(|rest| rest.split_once("> "));
    let level = level.and_then(|(name, _)| name.parse::<Level>().ok()).unwrap_or(Level::INFO);
    assert_eq!(level, record.level, "{rest:?}");
}

fn check_verbose(line: &str, record: &Record<'_>, who: &Who<'_>) {
    let rest = line.strip_prefix(&format!("seq={} ", record.seq)).expect("its sequence");
    // A time of this format has this length.
    let rest = rest.get(26..).expect("a time");
    let (comm, rest) = value(rest, '[');
    if let Ok(text) = std::str::from_utf8(who.comm) {
        assert_eq!(comm, text);
    }
    let (pid, tid, level, source) = (record.pid, record.tid, record.level, record.source);
    let rest = rest.strip_prefix(&format!("{pid}] tid={tid} level={level} src={source}"));
    pairs(rest.expect("what the record says"), " : ");
}

fn check_json(line: &str, record: &Record<'_>) {
    let json: Json = serde_json::from_str(line).expect("JSON");
    assert_eq!((&json["seq"], &json["pid"]), (&Json::from(record.seq), &Json::from(record.pid)));
    assert_eq!((&json["level"], &json["src"]), (&Json::from(record.level.name()), &Json::from(record.source.name())));
    let payload = match json.get("text") {
        Some(text) => text.as_str().expect("text").as_bytes().to_vec(),
        None => decoded(json["text_b64"].as_str().expect("text or its bytes")),
    };
    assert_eq!(payload, record.payload);
    assert_eq!(json.get("tag").is_some(), record.fields.into_iter().any(|field| matches!(field, Field::Tag(_))));
}

fn check_logfmt(line: &str, record: &Record<'_>, who: &Who<'_>) {
    let all = format!(" {line}");
    let (pairs, rest) = pairs(&all, "");
    assert_eq!(rest, "");
    let ours =
        ["seq", "time", "mono_ns", "pid", "tid", "comm", "level", "levelnum", "src", "tag", "uid", "flags", "text"];
    for key in ours.into_iter().chain(["text_b64", "ring"]) {
        assert!(pairs.iter().filter(|(found, _)| found == key).count() <= 1, "two of {key}: {line:?}");
    }
    let get = |key: &str| pairs.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone());
    let says = |key: &str, value: String| assert_eq!(get(key), Some(value), "{key} of {line:?}");
    assert_eq!(pairs[0].0, "seq");
    says("seq", record.seq.to_string());
    says("pid", record.pid.to_string());
    says("tid", record.tid.to_string());
    says("level", record.level.name().to_owned());
    says("src", record.source.name().to_owned());
    if let Ok(comm) = std::str::from_utf8(who.comm) {
        says("comm", comm.to_owned());
    }
    let payload = get("text").map(String::into_bytes).or_else(|| get("text_b64").map(|text| decoded(&text)));
    assert_eq!(payload.as_deref(), Some(record.payload));
}

/// ` key=value` as often as it is there, up to `end`; and what is behind that.
fn pairs<'a>(mut rest: &'a str, end: &str) -> (Vec<(String, String)>, &'a str) {
    let mut pairs = Vec::new();
    while end.is_empty() && !rest.is_empty() || !end.is_empty() && !rest.starts_with(end) {
        let (key, behind) = rest.strip_prefix(' ').and_then(|rest| rest.split_once('=')).expect("a pair");
        assert!(!key.contains([' ', '"']), "{key:?}");
        let (text, behind) = value(behind, ' ');
        pairs.push((key.to_owned(), text));
        // What ended a bare value begins what follows.
        rest = behind;
    }
    (pairs, rest)
}

/// A JSON string, or everything up to `end`; with what is behind: behind `end` itself where that is no space.
fn value(rest: &str, end: char) -> (String, &str) {
    let (text, behind) = if rest.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        let text = values.next().expect("a string").expect("a string");
        (text, &rest[values.byte_offset()..])
    } else {
        let at = rest.find(end).unwrap_or(rest.len());
        (rest[..at].to_owned(), &rest[at..])
    };
    (text, if end == ' ' { behind } else { behind.strip_prefix(end).expect("its end") })
}

/// RFC 4648 base64.
fn decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("{other} is no digit"),
    };
    let bits =
        |four: &[u8]| four.iter().filter(|&&byte| byte != b'=').fold(0u32, |bits, &b| bits << 6 | digit(b) as u32);
    let four = |four: &[u8]| {
        let digits = four.iter().filter(|&&byte| byte != b'=').count();
        let bits = bits(four) << (6 * (4 - digits)) << 8;
        bits.to_be_bytes()[..digits * 6 / 8].to_vec()
    };
    text.as_bytes().chunks(4).flat_map(four).collect()
}

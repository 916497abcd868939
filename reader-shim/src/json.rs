//! One JSON object a line, keys in the order of the contract, and nothing in it that a terminal would obey.
//!
//! Records are written by hand, which takes a third of the time; the tests hold that against what serde_json writes.

use crate::digits;
use crate::escape::{is_hidden, is_visible, plain_run, readable};
use crate::loss::Loss;
use crate::wall_clock::WallClock;
use lapwing_ring::{Field, Flags, Record, Value, Who};
use serde::Serialize;
use std::io::{self, Write};

/// Escapes C1 and bidirectional controls too, which JSON itself lets pass.
struct Visible;

impl serde_json::ser::Formatter for Visible {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((i, c)) = rest.char_indices().find(|&(_, c)| is_hidden(c)) {
            // serde_json has dealt with C0 itself, and every other hidden character has a code of four digits.
            write!(out, "{}\\u{:04x}", &rest[..i], c as u32)?;
            rest = &rest[i + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

/// `value` as JSON on one line, without a newline at its end.
pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, value);
    out
}

pub(crate) fn push(out: &mut Vec<u8>, value: &impl Serialize) {
    // A Vec takes everything, and every map in this crate has text for keys.
    let _ = value.serialize(&mut serde_json::Serializer::with_formatter(out, Visible));
}

/// The fields that the writing program chose.
pub(crate) fn key_values<'a>(record: &Record<'a>) -> impl Iterator<Item = (&'a [u8], Value<'a>)> + use<'a> {
    record.fields.filter_map(|field| match field {
        Field::KeyValue(key, value) => Some((key, value)),
        _ => None,
    })
}

/// The record's tag, the last one if there are several.
pub(crate) fn tag<'a>(record: &Record<'a>) -> Option<&'a [u8]> {
    let tags = record.fields.filter_map(|field| match field {
        Field::Tag(tag) => Some(tag),
        _ => None,
    });
    tags.last()
}

/// `ring`: which one, where there are several.
pub(crate) fn push_record(
    out: &mut Vec<u8>,
    clock: &mut WallClock,
    record: &Record<'_>,
    who: &Who<'_>,
    ring: Option<&[u8]>,
) {
    out.extend_from_slice(br#"{"seq":"#);
    digits::push(out, record.seq);
    out.extend_from_slice(br#","time":""#);
    clock.push(out, record.real_ns);
    out.extend_from_slice(br#"","mono_ns":"#);
    digits::push(out, record.mono_ns);
    out.extend_from_slice(br#","pid":"#);
    digits::push(out, record.pid);
    out.extend_from_slice(br#","tid":"#);
    digits::push(out, record.tid);
    out.extend_from_slice(br#","comm":"#);
    push_readable(out, who.comm);
    out.extend_from_slice(br#","level":""#);
    out.extend_from_slice(record.level.name().as_bytes());
    out.extend_from_slice(br#"","levelnum":"#);
    digits::push(out, record.level.number());
    out.extend_from_slice(br#","src":""#);
    out.extend_from_slice(record.source.name().as_bytes());
    out.extend_from_slice(br#"","#);
    push_payload(out, record.payload);
    if let Some(tag) = tag(record) {
        out.extend_from_slice(br#","tag":"#);
        push_readable(out, tag);
    }
    if let Some(uid) = who.uid {
        out.extend_from_slice(br#","uid":"#);
        digits::push(out, uid);
    }
    if record.flags != Flags::NONE {
        push_flags(out, record.flags);
        push_fields(out, record);
    }
    if let Some(ring) = ring {
        out.extend_from_slice(br#","ring":"#);
        push_readable(out, ring);
    }
    out.push(b'}');
}

/// `"text":".."`, or `"text_b64":".."` where it is no UTF-8.
#[inline]
fn push_payload(out: &mut Vec<u8>, payload: &[u8]) {
    let run = plain_run(payload, is_plain);
    if run == payload.len() {
        out.extend_from_slice(br#""text":""#);
        out.extend_from_slice(payload);
        out.push(b'"');
    } else if let Ok(text) = std::str::from_utf8(payload) {
        out.extend_from_slice(br#""text":"#);
        push_string(out, text);
    } else {
        out.extend_from_slice(br#""text_b64":""#);
        out.extend_from_slice(base64(payload).as_bytes());
        out.push(b'"');
    }
}

/// `,"flags":["..",..]`, if there are any that have names.
fn push_flags(out: &mut Vec<u8>, flags: Flags) {
    for (i, flag) in flags.names().enumerate() {
        out.extend_from_slice(if i == 0 { br#","flags":[""# } else { br#",""# });
        out.extend_from_slice(flag.as_bytes());
        out.push(b'"');
    }
    if flags.names().next().is_some() {
        out.push(b']');
    }
}

/// `,"fields":{..}`, if there are any.
fn push_fields(out: &mut Vec<u8>, record: &Record<'_>) {
    for (i, (key, value)) in key_values(record).enumerate() {
        out.extend_from_slice(if i == 0 { br#","fields":{"# } else { b"," });
        push_readable(out, key);
        out.push(b':');
        match value {
            Value::Text(text) => push_readable(out, text),
            Value::Int(n) => digits::push(out, n),
            Value::Uint(n) => digits::push(out, n),
            Value::Float(n) => push(out, &n),
            Value::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        }
    }
    if key_values(record).next().is_some() {
        out.push(b'}');
    }
}

/// `bytes` as a string: as they are where they are UTF-8, escaped where not.
#[inline]
pub(crate) fn push_readable(out: &mut Vec<u8>, bytes: &[u8]) {
    if plain_run(bytes, is_plain) == bytes.len() {
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
    } else {
        push_string(out, &readable(bytes));
    }
}

/// Stands in a string as it is: visible ASCII that JSON has no use for.
#[inline(always)]
fn is_plain(byte: u8) -> bool {
    is_visible(byte) & (byte != b'"') & (byte != b'\\')
}

/// `text` as a string, in which C1 and bidirectional controls are escaped too.
fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c.is_ascii() && is_plain(c as u8) {
            let (run, behind) = rest.split_at(plain_run(rest.as_bytes(), is_plain));
            out.extend_from_slice(run.as_bytes());
            rest = behind;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\x08' => out.extend_from_slice(br"\b"),
            '\t' => out.extend_from_slice(br"\t"),
            '\n' => out.extend_from_slice(br"\n"),
            '\x0c' => out.extend_from_slice(br"\f"),
            '\r' => out.extend_from_slice(br"\r"),
            // Every hidden character has a code of four digits.
            c if is_hidden(c) => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

pub(crate) fn push_loss(out: &mut Vec<u8>, loss: &Loss, ring: Option<&[u8]>) {
    // The first key is the kind, so no struct has its name.
    let (kind, gap) = (loss.kind.name(), loss.gap);
    let _ = write!(out, r#"{{"{kind}":{},"first":{},"last":{}"#, gap.count, gap.first, gap.last());
    if let Some(ring) = ring {
        out.extend_from_slice(br#","ring":"#);
        push_readable(out, ring);
    }
    out.push(b'}');
}

/// RFC 4648 base64, padded.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapwing_ring::{Create, Draft, Level, Log, Read, Reader, Seek, Source};
    use proptest::prelude::*;
    use serde::ser::{SerializeMap, Serializer};
    use std::borrow::Cow;

    #[derive(serde::Serialize)]
    struct JsonRecord<'a> {
        seq: u64,
        time: Cow<'a, str>,
        mono_ns: u64,
        pid: u32,
        tid: u32,
        comm: Cow<'a, str>,
        level: &'static str,
        levelnum: u8,
        src: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text_b64: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tag: Option<Cow<'a, str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        uid: Option<u32>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        flags: Vec<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        fields: Option<JsonFields<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ring: Option<Cow<'a, str>>,
    }

    struct JsonFields<'a>(&'a Record<'a>);

    impl Serialize for JsonFields<'_> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut map = serializer.serialize_map(None)?;
            for (key, value) in key_values(self.0) {
                let key = readable(key);
                match value {
                    Value::Text(text) => map.serialize_entry(&key, &readable(text))?,
                    Value::Int(n) => map.serialize_entry(&key, &n)?,
                    Value::Uint(n) => map.serialize_entry(&key, &n)?,
                    Value::Float(n) => map.serialize_entry(&key, &n)?,
                    Value::Bool(b) => map.serialize_entry(&key, &b)?,
                }
            }
            map.end()
        }
    }

    /// What serde_json makes of a record.
    fn reference(clock: &mut WallClock, record: &Record<'_>, who: &Who<'_>, ring: Option<&[u8]>) -> Vec<u8> {
        let mut time = Vec::with_capacity(32);
        clock.push(&mut time, record.real_ns);
        let text = std::str::from_utf8(record.payload).ok();
        let json = JsonRecord {
            seq: record.seq,
            time: String::from_utf8_lossy(&time),
            mono_ns: record.mono_ns,
            pid: record.pid,
            tid: record.tid,
            comm: readable(who.comm),
            level: record.level.name(),
            levelnum: record.level.number(),
            src: record.source.name(),
            text,
            text_b64: text.is_none().then(|| base64(record.payload)),
            tag: tag(record).map(readable),
            uid: who.uid,
            flags: record.flags.names().collect(),
            fields: key_values(record).next().map(|_| JsonFields(record)),
            ring: ring.map(readable),
        };
        to_json(&json)
    }

    /// Any bytes, or text with much in it that is escaped.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let mixed =
            "([ -~]{0,40}[\"\\\\/\u{0}-\u{1f}\u{7f}-\u{9f}é\u{200e}\u{2028}\u{202e}\u{2066}\u{ffff}😀]{0,3}){0,4}";
        prop_oneof![any::<Vec<u8>>(), mixed.prop_map(String::into_bytes)]
    }

    /// A field's value: of each kind, one that is made of `n` and `text`.
    fn value(kind: u8, n: u64, text: &[u8]) -> Value<'_> {
        match kind {
            0 => Value::Text(text),
            1 => Value::Int(n as i64),
            2 => Value::Uint(n),
            3 => Value::Float(f64::from_bits(n)),
            _ => Value::Bool(n.is_multiple_of(2)),
        }
    }

    proptest! {
        #[test]
        fn records_are_written_as_serde_json_would(
            payload in bytes(),
            (comm, ring) in (bytes(), prop::option::of(bytes())),
            tag in prop::option::of(bytes()),
            fields in prop::collection::vec((bytes(), 0u8..5, any::<u64>(), bytes()), 0..3),
            (seq, mono_ns, real_ns) in any::<(u64, u64, i64)>(),
            (pid, tid, uid) in any::<(u32, u32, Option<u32>)>(),
            (level, flags) in (1u8..=24, 0usize..16),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("ring");
            Create::new().size(1 << 20).create(&path).unwrap();
            let chosen: Vec<Field<'_>> = tag
                .iter()
                .map(|tag| Field::Tag(tag))
                .chain(fields.iter().map(|(key, kind, n, text)| Field::KeyValue(key, value(*kind, *n, text))))
                .collect();
            let all = [Flags::CONT, Flags::PARTIAL, Flags::LAST_WORDS, Flags::ATTESTED];
            let flags = (0..4).filter(|bit| flags >> bit & 1 != 0).fold(Flags::NONE, |set, bit| set | all[bit]);
            let draft = Draft { level: Level::new(level).unwrap(), source: Source::Stderr, flags, fields: &chosen };
            Log::open(&path).unwrap().append_slices(&draft, &[&payload]).unwrap();
            let mut reader = Reader::open(&path).unwrap();
            reader.seek(Seek::Oldest).unwrap();
            let Read::Record(record) = reader.next().unwrap() else { panic!("a record") };
            let record = Record { seq, mono_ns, real_ns, pid, tid, ..record };
            let who = Who { comm: &comm, uid };
            let mut out = Vec::new();
            push_record(&mut out, &mut WallClock::utc(), &record, &who, ring.as_deref());
            let expected = reference(&mut WallClock::utc(), &record, &who, ring.as_deref());
            prop_assert_eq!(String::from_utf8(out).unwrap(), String::from_utf8(expected).unwrap());
        }
    }

    #[test]
    fn base64_gives_the_examples_of_rfc_4648() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn strings_hide_no_controls_and_read_back_as_they_were() {
        let text = "a\"\\\n\u{1b}\u{7f}\u{85}\u{9b}é\u{202e}\u{2066}\u{61c}b";
        let json = String::from_utf8(to_json(&text)).unwrap();
        assert!(!json.chars().any(is_hidden), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}

//! One JSON object a line, keys in the order of the contract, and nothing in it that a terminal would obey.

use crate::escape::{is_hidden, readable};
use crate::loss::Loss;
use crate::names::Who;
use crate::wall_clock::WallClock;
use lapwing_ring::{Field, Record, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::borrow::Cow;
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
    push(out, &json);
}

pub(crate) fn push_loss(out: &mut Vec<u8>, loss: &Loss, ring: Option<&[u8]>) {
    // The first key is the kind, so no struct has its name.
    let (kind, gap) = (loss.kind.name(), loss.gap);
    let _ = write!(out, r#"{{"{kind}":{},"first":{},"last":{}"#, gap.count, gap.first, gap.last());
    if let Some(ring) = ring {
        out.extend_from_slice(br#","ring":"#);
        push(out, &readable(ring));
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

//! `key=value` pairs: the `logfmt` format, and the middle of `verbose`.

use crate::digits;
use crate::escape::{is_visible, plain_run};
use crate::json;
use crate::loss::Loss;
use crate::wall_clock::WallClock;
use lapwing_ring::{Record, Value, Who};
use std::io::Write;

/// Keys that a field of the writing program cannot take for itself; it is written `field.KEY` then.
const TAKEN: [&[u8]; 15] = [
    b"seq",
    b"time",
    b"mono_ns",
    b"pid",
    b"tid",
    b"comm",
    b"level",
    b"levelnum",
    b"src",
    b"text",
    b"text_b64",
    b"tag",
    b"uid",
    b"flags",
    b"ring",
];

/// The value of a pair: bare where it can be, else as a JSON string.
pub(crate) fn push_value(out: &mut Vec<u8>, value: &[u8]) {
    let bare = |byte| is_visible(byte) & (byte != b' ') & (byte != b'"') & (byte != b'=') & (byte != b'\\');
    if !value.is_empty() && plain_run(value, bare) == value.len() {
        out.extend_from_slice(value);
    } else {
        json::push_readable(out, value);
    }
}

pub(crate) fn push_pair(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    out.push(b' ');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    push_value(out, value);
}

/// `key` as it stands, and `n`.
#[inline]
pub(crate) fn push_digits(out: &mut Vec<u8>, key: &str, n: impl itoa::Integer) {
    out.extend_from_slice(key.as_bytes());
    digits::push(out, n);
}

/// ` level=.. src=..`
#[inline]
pub(crate) fn push_kind(out: &mut Vec<u8>, record: &Record<'_>) {
    out.extend_from_slice(b" level=");
    out.extend_from_slice(record.level.name().as_bytes());
    out.extend_from_slice(b" src=");
    out.extend_from_slice(record.source.name().as_bytes());
}

/// ` tag=.. flags=.. key=value ..`, as far as there are any.
pub(crate) fn push_extras(out: &mut Vec<u8>, record: &Record<'_>, who: Option<&Who<'_>>) {
    if let Some(tag) = json::tag(record) {
        push_pair(out, "tag", tag);
    }
    if let Some(uid) = who.and_then(|who| who.uid) {
        push_digits(out, " uid=", uid);
    }
    for (i, flag) in record.flags.names().enumerate() {
        out.extend_from_slice(if i == 0 { b" flags=" } else { b"," });
        out.extend_from_slice(flag.as_bytes());
    }
    for (key, value) in json::key_values(record) {
        out.push(b' ');
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'=' | b'\\');
        let key: Vec<u8> = key.iter().map(|&byte| if plain(byte) { byte } else { b'_' }).collect();
        if key.is_empty() || TAKEN.contains(&key.as_slice()) {
            out.extend_from_slice(b"field.");
        }
        out.extend_from_slice(&key);
        out.push(b'=');
        let _ = match value {
            Value::Text(text) => {
                push_value(out, text);
                Ok(())
            }
            Value::Int(n) => write!(out, "{n}"),
            Value::Uint(n) => write!(out, "{n}"),
            Value::Float(n) => write!(out, "{n}"),
            Value::Bool(b) => write!(out, "{b}"),
        };
    }
}

/// `ring`: which one, where there are several.
pub(crate) fn push_record(
    out: &mut Vec<u8>,
    clock: &mut WallClock,
    record: &Record<'_>,
    who: &Who<'_>,
    ring: Option<&[u8]>,
) {
    push_digits(out, "seq=", record.seq);
    out.extend_from_slice(b" time=");
    clock.push(out, record.real_ns);
    push_digits(out, " mono_ns=", record.mono_ns);
    push_digits(out, " pid=", record.pid);
    push_digits(out, " tid=", record.tid);
    push_pair(out, "comm", who.comm);
    push_kind(out, record);
    if let Some(ring) = ring {
        push_pair(out, "ring", ring);
    }
    push_extras(out, record, Some(who));
    match std::str::from_utf8(record.payload) {
        Ok(text) => push_pair(out, "text", text.as_bytes()),
        Err(_) => push_pair(out, "text_b64", json::base64(record.payload).as_bytes()),
    }
}

pub(crate) fn push_loss(out: &mut Vec<u8>, loss: &Loss, ring: Option<&[u8]>) {
    let (kind, gap) = (loss.kind.name(), loss.gap);
    let _ = write!(out, "{kind}={} first={} last={}", gap.count, gap.first, gap.last());
    if let Some(ring) = ring {
        push_pair(out, "ring", ring);
    }
}

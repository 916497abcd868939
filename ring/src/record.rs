//! What a record is made of: fixed header, typed fields, payload; and how each is encoded.
//!
//! ```text
//! word 0   ticks
//! word 1   pid (32) | flags (8) | source (4) | level (5) | body length (15)
//! word 2   first four bytes of the body | tid (32)
//! word 3.. the rest of the body, padded with zeros to a whole word
//!
//! body     payload                                          without Flags::FIELDS
//!          fields length (u16) | field .. | payload         with it
//! field    kind (u8) | length (u16) | bytes
//! ```

#![forbid(unsafe_code)]

use crate::level::Level;
use std::fmt;
use std::ops::BitOr;

/// Where a record came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Source {
    /// Written through this library.
    Api = 0,
    /// Captured from a program's standard output.
    Stdout = 1,
    /// Captured from a program's standard error.
    Stderr = 2,
    /// Written by `lapwing log`.
    Log = 3,
    /// From syslog(3).
    Syslog = 4,
    /// In the journal's native protocol.
    Journal = 5,
    /// From the kernel log.
    Kmsg = 6,
}

const SOURCES: [Source; 7] =
    [Source::Api, Source::Stdout, Source::Stderr, Source::Log, Source::Syslog, Source::Journal, Source::Kmsg];

impl Source {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        SOURCES.get(number as usize).copied()
    }

    /// The name, for instance `stdout`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Log => "log",
            Self::Syslog => "syslog",
            Self::Journal => "journal",
            Self::Kmsg => "kmsg",
        }
    }
}

/// What else is true of a record. A set of bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Flags(u8);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Typed fields stand in front of the payload. Set by the ring, not by callers.
    pub const FIELDS: Self = Self(1);
    /// The text goes on in the next record of this process and source.
    pub const CONT: Self = Self(2);
    /// The text did not end in a newline.
    pub const PARTIAL: Self = Self(4);
    /// The last text of a process that died.
    pub const LAST_WORDS: Self = Self(8);
    /// Pid and uid were vouched for by the kernel.
    pub const ATTESTED: Self = Self(16);

    const NAMES: [(Self, &'static str); 5] = [
        (Self::FIELDS, "fields"),
        (Self::CONT, "cont"),
        (Self::PARTIAL, "partial"),
        (Self::LAST_WORDS, "last-words"),
        (Self::ATTESTED, "attested"),
    ];

    /// Is some bit set that has no name?
    #[cfg(not(all(test, loom)))]
    pub(crate) fn has_unknown(self) -> bool {
        self.without(Self::NAMES.into_iter().fold(Self::NONE, |all, (flag, _)| all | flag)) != Self::NONE
    }

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Are all of `other` set?
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These without those of `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The names of the flags that are set, [`Flags::FIELDS`] left out: it says how a record is stored, not what it is.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .filter(move |&(flag, _)| flag != Self::FIELDS && self.contains(flag))
            .map(|(_, name)| name)
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The value of a key/value field.
#[derive(Clone, Copy, PartialEq, Debug)]
#[allow(missing_docs)]
pub enum Value<'a> {
    Text(&'a [u8]),
    Int(i64),
    Uint(u64),
    Float(f64),
    Bool(bool),
}

/// What not every record has, typed, in front of the payload.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Field<'a> {
    /// What the writer calls the subject.
    Tag(&'a [u8]),
    /// The name of the process, at most 15 bytes.
    Comm(&'a [u8]),
    /// The user that the process runs as.
    Uid(u32),
    /// When the process started, clock ticks since boot; with the pid it tells processes apart.
    Start(u64),
    /// Anything else; the key is at most 255 bytes.
    KeyValue(&'a [u8], Value<'a>),
}

impl<'a> Field<'a> {
    const TAG: u8 = 1;
    const COMM: u8 = 2;
    const UID: u8 = 3;
    const START: u8 = 4;
    const TEXT: u8 = 16;
    const INT: u8 = 17;
    const UINT: u8 = 18;
    const FLOAT: u8 = 19;
    const BOOL: u8 = 20;

    /// Hands the encoded field to `put`, piece by piece. Data beyond 60 KiB, and keys beyond 255 bytes, are cut.
    pub(crate) fn encode(&self, put: &mut impl FnMut(&[u8])) {
        let mut field = |kind: u8, key: &[u8], data: &[u8]| {
            let keyed = kind >= Self::TEXT;
            let key = &key[..key.len().min(255)];
            let data = &data[..data.len().min(60 << 10)];
            let len = (data.len() + if keyed { 1 + key.len() } else { 0 }) as u16;
            let [low, high] = len.to_le_bytes();
            // As few pieces as there can be: each costs several times what its bytes do.
            if keyed {
                put(&[kind, low, high, key.len() as u8]);
                put(key);
            } else {
                put(&[kind, low, high]);
            }
            put(data);
        };
        match *self {
            Self::Tag(tag) => field(Self::TAG, b"", tag),
            Self::Comm(comm) => field(Self::COMM, b"", &comm[..comm.len().min(15)]),
            Self::Uid(uid) => field(Self::UID, b"", &uid.to_le_bytes()),
            Self::Start(start) => field(Self::START, b"", &start.to_le_bytes()),
            Self::KeyValue(key, Value::Text(text)) => field(Self::TEXT, key, text),
            Self::KeyValue(key, Value::Int(n)) => field(Self::INT, key, &n.to_le_bytes()),
            Self::KeyValue(key, Value::Uint(n)) => field(Self::UINT, key, &n.to_le_bytes()),
            Self::KeyValue(key, Value::Float(n)) => field(Self::FLOAT, key, &n.to_le_bytes()),
            Self::KeyValue(key, Value::Bool(b)) => field(Self::BOOL, key, &[b as u8]),
        }
    }

    fn encoded_len(&self) -> usize {
        let mut len = 0;
        self.encode(&mut |bytes| len += bytes.len());
        len
    }

    fn decode(kind: u8, data: &'a [u8]) -> Option<Self> {
        if kind < Self::TEXT {
            return match kind {
                Self::TAG => Some(Self::Tag(data)),
                Self::COMM => Some(Self::Comm(data)),
                Self::UID => Some(Self::Uid(u32::from_le_bytes(data.try_into().ok()?))),
                Self::START => Some(Self::Start(u64::from_le_bytes(data.try_into().ok()?))),
                _ => None,
            };
        }
        let (&key_len, rest) = data.split_first()?;
        let (key, value) = rest.split_at_checked(key_len as usize)?;
        let value = match kind {
            Self::TEXT => Value::Text(value),
            Self::INT => Value::Int(i64::from_le_bytes(value.try_into().ok()?)),
            Self::UINT => Value::Uint(u64::from_le_bytes(value.try_into().ok()?)),
            Self::FLOAT => Value::Float(f64::from_le_bytes(value.try_into().ok()?)),
            Self::BOOL => Value::Bool(*value.first()? != 0),
            _ => return None,
        };
        Some(Self::KeyValue(key, value))
    }
}

/// Bytes of `fields`, encoded, without the length word in front of them.
pub(crate) fn encoded_len(fields: &[Field<'_>]) -> usize {
    fields.iter().map(Field::encoded_len).sum()
}

/// Bytes of the length word in front of the fields of a record that has any.
pub(crate) const FIELDS_LEN: usize = 2;

/// The typed fields of a record, in the order they were written. Kinds this version does not know are passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let (&[kind, low, high], rest) = self.0.split_first_chunk()?;
            let Some((data, rest)) = rest.split_at_checked(u16::from_le_bytes([low, high]) as usize) else {
                self.0 = &[];
                return None;
            };
            self.0 = rest;
            if let Some(field) = Field::decode(kind, data) {
                return Some(field);
            }
        }
    }
}

/// Where the encoded `fields` stop making sense, bytes from their start: a field that ends behind them, or one of a known
/// kind whose data cannot be of that kind.
#[cfg(not(all(test, loom)))]
pub(crate) fn broken_field(fields: &[u8]) -> Option<usize> {
    let mut rest = fields;
    while !rest.is_empty() {
        let at = fields.len() - rest.len();
        let Some((&[kind, low, high], data)) = rest.split_first_chunk() else { return Some(at) };
        let Some((data, behind)) = data.split_at_checked(u16::from_le_bytes([low, high]) as usize) else {
            return Some(at);
        };
        let known = matches!(kind, Field::TAG..=Field::START | Field::TEXT..=Field::BOOL);
        if known && Field::decode(kind, data).is_none() {
            return Some(at);
        }
        rest = behind;
    }
    None
}

/// Splits a body into its fields and its payload. A field length beyond the body makes all of it payload.
#[inline(always)]
pub(crate) fn split_body(flags: Flags, body: &[u8]) -> (Fields<'_>, &[u8]) {
    if flags.contains(Flags::FIELDS)
        && let Some((&len, rest)) = body.split_first_chunk()
        && let Some((fields, payload)) = rest.split_at_checked(u16::from_le_bytes(len) as usize)
    {
        return (Fields(fields), payload);
    }
    (Fields(&[]), body)
}

/// Level, source, flags and body length: the low half of a record's second word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Meta {
    pub(crate) len: u32,
    pub(crate) level: Level,
    pub(crate) source: Source,
    pub(crate) flags: Flags,
}

impl Meta {
    pub(crate) const fn pack(self) -> u32 {
        self.len & 0x7fff
            | (self.level.number() as u32) << 15
            | (self.source as u32) << 20
            | (self.flags.bits() as u32) << 24
    }

    /// What [`Meta::pack`] packed; `None` for a level or a source that does not exist.
    #[inline(always)]
    pub(crate) fn unpack(bits: u32) -> Option<Self> {
        Some(Self {
            len: bits & 0x7fff,
            level: Level::new((bits >> 15 & 31) as u8)?,
            source: Source::from_number((bits >> 20 & 15) as u8)?,
            flags: Flags((bits >> 24) as u8),
        })
    }
}

/// One record, as every reader sees it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Record<'a> {
    /// The sequence: 0 for the ring's first record, then one more for each.
    pub seq: u64,
    /// CLOCK_MONOTONIC of the writing, nanoseconds.
    pub mono_ns: u64,
    /// CLOCK_REALTIME of the writing, nanoseconds since the Unix epoch, as the clock stood when the page was opened.
    pub real_ns: i64,
    /// The writing process, in its own pid namespace.
    pub pid: u32,
    /// The writing thread.
    pub tid: u32,
    #[allow(missing_docs)]
    pub level: Level,
    #[allow(missing_docs)]
    pub source: Source,
    #[allow(missing_docs)]
    pub flags: Flags,
    /// Typed fields, if any.
    pub fields: Fields<'a>,
    /// The text, any bytes.
    pub payload: &'a [u8],
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn meta_keeps_every_field(len in 0u32..1 << 15, level in 1u8..=24, source in 0usize..7, flags: u8) {
            let meta = Meta { len, level: Level::new(level).unwrap(), source: SOURCES[source], flags: Flags(flags) };
            prop_assert_eq!(Meta::unpack(meta.pack()), Some(meta));
        }

        #[test]
        fn any_bytes_decode_to_fields_without_panic(body: Vec<u8>) {
            let (fields, payload) = split_body(Flags::FIELDS, &body);
            prop_assert!(fields.count() <= body.len() && payload.len() <= body.len());
        }
    }

    #[test]
    fn fields_read_back_as_written() {
        let written = [
            Field::Tag(b"disk"),
            Field::Comm(b"sh"),
            Field::Uid(1000),
            Field::Start(u64::MAX),
            Field::KeyValue(b"path", Value::Text(b"/tmp")),
            Field::KeyValue(b"n", Value::Int(-1)),
            Field::KeyValue(b"", Value::Uint(7)),
            Field::KeyValue(b"load", Value::Float(0.5)),
            Field::KeyValue(b"ok", Value::Bool(true)),
        ];
        let mut body = (encoded_len(&written) as u16).to_le_bytes().to_vec();
        for field in &written {
            field.encode(&mut |bytes| body.extend_from_slice(bytes));
        }
        assert_eq!(body.len(), FIELDS_LEN + encoded_len(&written));
        body.extend_from_slice(b"text");
        let (fields, payload) = split_body(Flags::FIELDS, &body);
        assert_eq!((fields.collect::<Vec<_>>().as_slice(), payload), (&written[..], &b"text"[..]));
        assert_eq!(split_body(Flags::NONE, b"text").1, b"text");
    }

    #[test]
    fn a_field_of_an_unknown_kind_is_passed_over() {
        let body = [9, 0, 200, 1, 0, 0, 1, 2, 0, b'a', b'b', b'!'];
        let (fields, payload) = split_body(Flags::FIELDS, &body);
        assert_eq!(fields.collect::<Vec<_>>(), [Field::Tag(b"ab")]);
        assert_eq!(payload, b"!");
    }
}

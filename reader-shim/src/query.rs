//! The language of `tail -q`: which records an expression means.
//!
//! ```text
//! expression  both { "or" both }
//! both        one { "and" one }
//! one         "not" one | "(" expression ")" | field operator value
//! field       a word; level, pid, tid, uid, tag, comm, src and text are the record's own, others the writing program's, as
//!             is what stands behind "field."
//! operator    = != < <= > >= ~ !~
//! value       a word, or any text in " or ', with \ in front of either, of itself, and n, t, r, xNN
//! ```
//!
//! A record that has several values of a field has all of them: it is enough that one equals, or matches. `!=` and `!~` are
//! exactly what `=` and `~` are not, so they hold for what is not there.

mod parse;

use lapwing_ring::Who;
use lapwing_ring::{Field, Level, Record, Source, Value};
use regex::bytes::Regex;
use std::cmp::Ordering;
use std::fmt;

pub use parse::QueryError;

/// An expression that a record fulfils or does not.
#[derive(Clone, PartialEq, Debug)]
pub struct Query(Expr);

#[derive(Clone, PartialEq, Debug)]
enum Expr {
    /// At least two.
    Or(Vec<Expr>),
    /// At least two.
    And(Vec<Expr>),
    Not(Box<Expr>),
    Level(Compare, Level),
    Source(bool, Source),
    Number(NumberKey, Compare, u64),
    Text(TextKey, TextTest),
    /// A field of the writing program's.
    Field(String, FieldTest),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Compare {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NumberKey {
    Pid,
    Tid,
    Uid,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum TextKey {
    Tag,
    Comm,
    Text,
}

#[derive(Clone, PartialEq, Debug)]
enum TextTest {
    Is(bool, Vec<u8>),
    Matches(bool, Pattern),
}

#[derive(Clone, PartialEq, Debug)]
enum FieldTest {
    /// With what it is as a number, where it is one.
    Is(bool, Vec<u8>, Option<Number>),
    Order(Compare, Number),
    Matches(bool, Pattern),
}

#[derive(Clone, Debug)]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// Whole numbers are compared as such, whatever type they are stored as.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Number {
    Whole(i128),
    Real(f64),
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        // Not `inf` and `nan`, which are words.
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
        let whole = || text.parse().ok().map(Self::Whole);
        let real = || text.parse().ok().filter(|real: &f64| real.is_finite()).map(Self::Real);
        if is_number { whole().or_else(real) } else { None }
    }

    fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Some(a.cmp(&b)),
            (a, b) => a.real().partial_cmp(&b.real()),
        }
    }

    fn real(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(n) => n,
        }
    }
}

impl Compare {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Is => order.is_eq(),
            Self::IsNot => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::More => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }

    const fn sign(self) -> &'static str {
        match self {
            Self::Is => "=",
            Self::IsNot => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::More => ">",
            Self::AtLeast => ">=",
        }
    }
}

impl Query {
    /// Is it true of this record?
    pub fn holds(&self, record: &Record<'_>, who: &Who<'_>) -> bool {
        self.0.holds(record, who)
    }
}

impl Expr {
    fn holds(&self, record: &Record<'_>, who: &Who<'_>) -> bool {
        match self {
            Self::Or(parts) => parts.iter().any(|part| part.holds(record, who)),
            Self::And(parts) => parts.iter().all(|part| part.holds(record, who)),
            Self::Not(part) => !part.holds(record, who),
            Self::Level(compare, level) => compare.holds(record.level.cmp(level)),
            Self::Source(is, source) => (record.source == *source) == *is,
            Self::Number(key, compare, number) => {
                let value = match key {
                    NumberKey::Pid => Some(record.pid),
                    NumberKey::Tid => Some(record.tid),
                    NumberKey::Uid => who.uid,
                };
                value.map_or(*compare == Compare::IsNot, |value| compare.holds(u64::from(value).cmp(number)))
            }
            Self::Text(key, test) => match key {
                TextKey::Comm => test.holds(std::iter::once(who.comm)),
                TextKey::Text => test.holds(std::iter::once(record.payload)),
                TextKey::Tag => test.holds(record.fields.filter_map(|field| match field {
                    Field::Tag(tag) => Some(tag),
                    _ => None,
                })),
            },
            Self::Field(key, test) => test.holds(record.fields.filter_map(|field| match field {
                Field::KeyValue(name, value) if name == key.as_bytes() => Some(value),
                _ => None,
            })),
        }
    }
}

impl TextTest {
    fn holds<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            Self::Is(is, text) => values.any(|value| value == text) == *is,
            Self::Matches(does, pattern) => values.any(|value| pattern.0.is_match(value)) == *does,
        }
    }
}

impl FieldTest {
    fn holds<'a>(&self, mut values: impl Iterator<Item = Value<'a>>) -> bool {
        match self {
            Self::Is(is, text, number) => {
                let equals = |value| match value {
                    Value::Text(value) => value == text,
                    Value::Bool(value) => text == if value { &b"true"[..] } else { b"false" },
                    value => number.zip(number_of(value)).is_some_and(|(a, b)| a.compare(b) == Some(Ordering::Equal)),
                };
                values.any(equals) == *is
            }
            Self::Order(compare, number) => values.any(|value| {
                number_of(value).and_then(|value| value.compare(*number)).is_some_and(|order| compare.holds(order))
            }),
            // What is no text has no text to match.
            Self::Matches(does, pattern) => {
                values.any(|value| matches!(value, Value::Text(text) if pattern.0.is_match(text))) == *does
            }
        }
    }
}

/// The journal's fields are text, also where they are numbers.
fn number_of(value: Value<'_>) -> Option<Number> {
    match value {
        Value::Int(n) => Some(Number::Whole(n.into())),
        Value::Uint(n) => Some(Number::Whole(n.into())),
        Value::Float(n) => Some(Number::Real(n)),
        Value::Text(text) => std::str::from_utf8(text).ok().and_then(Number::parse),
        Value::Bool(_) => None,
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = |is: bool, yes, no| if is { yes } else { no };
        match self {
            Self::Or(parts) => joined(f, parts, " or ", |part| matches!(part, Self::Or(_))),
            Self::And(parts) => joined(f, parts, " and ", |part| matches!(part, Self::Or(_) | Self::And(_))),
            Self::Not(part) if matches!(**part, Self::Or(_) | Self::And(_)) => write!(f, "not ({part})"),
            Self::Not(part) => write!(f, "not {part}"),
            Self::Level(compare, level) => write!(f, "level{}{level}", compare.sign()),
            Self::Source(is, source) => write!(f, "src{}{source}", sign(*is, "=", "!=")),
            Self::Number(key, compare, number) => {
                let key = match key {
                    NumberKey::Pid => "pid",
                    NumberKey::Tid => "tid",
                    NumberKey::Uid => "uid",
                };
                write!(f, "{key}{}{number}", compare.sign())
            }
            Self::Text(key, test) => {
                f.write_str(match key {
                    TextKey::Tag => "tag",
                    TextKey::Comm => "comm",
                    TextKey::Text => "text",
                })?;
                match test {
                    TextTest::Is(is, text) => write!(f, "{}{}", sign(*is, "=", "!="), Quoted(text)),
                    TextTest::Matches(does, pattern) => write!(f, "{}{}", sign(*does, "~", "!~"), pattern.quoted()),
                }
            }
            Self::Field(key, test) => {
                write!(f, "{}{key}", if parse::is_own(key) { "field." } else { "" })?;
                match test {
                    FieldTest::Is(is, text, _) => write!(f, "{}{}", sign(*is, "=", "!="), Quoted(text)),
                    FieldTest::Order(compare, Number::Whole(n)) => write!(f, "{}{n}", compare.sign()),
                    FieldTest::Order(compare, Number::Real(n)) => write!(f, "{}{n:?}", compare.sign()),
                    FieldTest::Matches(does, pattern) => write!(f, "{}{}", sign(*does, "~", "!~"), pattern.quoted()),
                }
            }
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    word: &str,
    in_parentheses: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (i, part) in parts.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { word })?;
        match in_parentheses(part) {
            true => write!(f, "({part})")?,
            false => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl Pattern {
    fn quoted(&self) -> Quoted<'_> {
        Quoted(self.0.as_str().as_bytes())
    }
}

/// A value in quotes, readable by the parser.
struct Quoted<'a>(&'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    '\0'..='\x1f' | '\x7f' => write!(f, "\\x{:02x}", c as u32)?,
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        f.write_str("\"")
    }
}

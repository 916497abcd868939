//! One record while it is composed: its text and its fields, side by side in one buffer on the stack.

use lapwing_ring::Value;
use smallvec::SmallVec;
use std::fmt::{self, Write};
use std::ops::Range;

/// Bytes of text, keys and values that take no allocation.
const INLINE: usize = 1024;
/// Fields that take no allocation.
const FIELDS: usize = 16;
/// What is kept of a text, bytes: eight records of the usual length.
const LONGEST_TEXT: usize = 64 << 10;
/// What is kept of one field's value, bytes.
const LONGEST_VALUE: usize = 16 << 10;
/// A tag is a name.
const LONGEST_TAG: usize = 128;
/// The ring takes no longer key.
const LONGEST_KEY: usize = 255;

/// A record that is being composed. Up to a kilobyte of text and fields, and 16 fields, it allocates nothing.
///
/// Nothing here fails or panics: what is too long is cut, which the record says by its flag `partial`, and a value whose
/// `Display` fails has what it had written by then.
#[derive(Debug, Default)]
pub struct Sheet {
    bytes: SmallVec<[u8; INLINE]>,
    tag: Range<usize>,
    text: Range<usize>,
    fields: SmallVec<[(Range<usize>, Kept); FIELDS]>,
    is_cut: bool,
}

#[derive(Clone, Debug)]
enum Kept {
    Text(Range<usize>),
    Int(i64),
    Uint(u64),
    Float(f64),
    Bool(bool),
}

impl Sheet {
    /// No text, no fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `tag` the record's tag; 128 bytes of it are kept.
    #[inline]
    pub fn tag(&mut self, tag: &str) {
        self.tag = self.put(&tag.as_bytes()[..tag.floor_char_boundary(LONGEST_TAG)]);
    }

    /// Makes `text` the record's text; 64 KiB of it are kept.
    #[inline]
    pub fn text(&mut self, text: fmt::Arguments<'_>) {
        self.text = self.write(LONGEST_TEXT, text);
    }

    /// Adds a field.
    pub fn field(&mut self, key: &str, value: Value<'_>) {
        let key = self.key(key);
        let kept = match value {
            Value::Text(text) => {
                let len = text.len().min(LONGEST_VALUE);
                self.is_cut |= len < text.len();
                Kept::Text(self.put(&text[..len]))
            }
            Value::Int(n) => Kept::Int(n),
            Value::Uint(n) => Kept::Uint(n),
            Value::Float(n) => Kept::Float(n),
            Value::Bool(b) => Kept::Bool(b),
        };
        self.fields.push((key, kept));
    }

    /// Adds a field whose value is formatted here; 16 KiB of it are kept.
    pub fn formatted(&mut self, key: &str, value: fmt::Arguments<'_>) {
        let key = self.key(key);
        let value = self.write(LONGEST_VALUE, value);
        self.fields.push((key, Kept::Text(value)));
    }

    /// Adds the fields `module`, unless the tag says the same, `file` and `line`: where in the source the record comes from.
    /// Fields of these names that are there already stay.
    pub fn place(&mut self, module: Option<&str>, file: Option<&str>, line: Option<u32>) {
        let module = module.filter(|module| self.bytes[self.tag.clone()] != *module.as_bytes());
        for (key, text) in [("module", module), ("file", file)] {
            if let Some(text) = text.filter(|_| !self.has(key)) {
                self.field(key, Value::Text(text.as_bytes()));
            }
        }
        if let Some(line) = line.filter(|_| !self.has("line")) {
            self.field("line", Value::Uint(line.into()));
        }
    }

    /// Has it a field of that name?
    pub fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(known, _)| self.bytes[known.clone()] == *key.as_bytes())
    }

    /// Was something too long?
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Empty where there is none.
    pub(crate) fn tag_bytes(&self) -> &[u8] {
        &self.bytes[self.tag.clone()]
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.bytes[self.text.clone()]
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = (&[u8], Value<'_>)> {
        self.fields.iter().map(|(key, value)| {
            let value = match value {
                Kept::Text(text) => Value::Text(&self.bytes[text.clone()]),
                Kept::Int(n) => Value::Int(*n),
                Kept::Uint(n) => Value::Uint(*n),
                Kept::Float(n) => Value::Float(*n),
                Kept::Bool(b) => Value::Bool(*b),
            };
            (&self.bytes[key.clone()], value)
        })
    }

    fn key(&mut self, key: &str) -> Range<usize> {
        let len = key.floor_char_boundary(LONGEST_KEY);
        self.is_cut |= len < key.len();
        self.put(&key.as_bytes()[..len])
    }

    fn put(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    #[inline]
    fn write(&mut self, longest: usize, text: fmt::Arguments<'_>) -> Range<usize> {
        let start = self.bytes.len();
        let mut room = Room { bytes: &mut self.bytes, end: start + longest, is_full: false };
        // A text that needs no formatting is the commonest.
        let _ = match text.as_str() {
            Some(text) => room.write_str(text),
            None => room.write_fmt(text),
        };
        self.is_cut |= room.is_full;
        start..self.bytes.len()
    }
}

/// Takes what fits, and forgets the rest.
struct Room<'a> {
    bytes: &'a mut SmallVec<[u8; INLINE]>,
    end: usize,
    is_full: bool,
}

impl Write for Room<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.end.saturating_sub(self.bytes.len());
        if text.len() <= room && !self.is_full {
            self.bytes.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        if !self.is_full {
            self.bytes.extend_from_slice(&text.as_bytes()[..text.floor_char_boundary(room)]);
            self.is_full = true;
        }
        // Nobody needs to format what nobody keeps.
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails;

    impl fmt::Display for Fails {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }

    #[test]
    fn text_and_fields_come_out_as_they_went_in() {
        let mut sheet = Sheet::new();
        sheet.field("a", Value::Text(b"1"));
        sheet.text(format_args!("{} and {}", 1, 2));
        sheet.formatted("b", format_args!("{:?}", Some(3)));
        sheet.field("c", Value::Float(0.5));
        sheet.tag("tag");
        assert_eq!((sheet.tag_bytes(), sheet.payload(), sheet.is_cut()), (&b"tag"[..], &b"1 and 2"[..], false));
        let fields: Vec<_> = sheet.fields().collect();
        let expected: [(&[u8], _); 3] =
            [(b"a", Value::Text(b"1")), (b"b", Value::Text(b"Some(3)")), (b"c", Value::Float(0.5))];
        assert_eq!(fields, expected);
        assert!(sheet.has("b") && !sheet.has("d") && !sheet.has("1"));
    }

    #[test]
    fn the_place_is_said_once() {
        let mut sheet = Sheet::new();
        sheet.tag("app::disk");
        sheet.field("file", Value::Text(b"the program's own"));
        sheet.place(Some("app::disk"), Some("disk.rs"), Some(7));
        sheet.place(Some("app::net"), None, Some(8));
        let fields: Vec<_> = sheet.fields().map(|(key, _)| str::from_utf8(key).unwrap()).collect();
        assert_eq!(fields, ["file", "line", "module"]);
    }

    #[test]
    fn what_is_too_long_is_cut_between_two_characters() {
        let mut sheet = Sheet::new();
        // One byte, then two for each character: the limit falls into one.
        sheet.text(format_args!("x{}{}", "é".repeat(LONGEST_TEXT / 2), "more"));
        assert_eq!((sheet.payload().len(), sheet.is_cut()), (LONGEST_TEXT - 1, true));
        assert!(std::str::from_utf8(sheet.payload()).is_ok());
        let mut sheet = Sheet::new();
        sheet.text(format_args!("{}", "y".repeat(LONGEST_TEXT)));
        assert_eq!((sheet.payload().len(), sheet.is_cut()), (LONGEST_TEXT, false));
        sheet.field("long", Value::Text(&[b'z'; LONGEST_VALUE + 1]));
        assert!(sheet.is_cut());
    }

    #[test]
    fn a_value_that_fails_leaves_what_it_wrote() {
        let mut sheet = Sheet::new();
        sheet.text(format_args!("a {Fails} b"));
        assert_eq!((sheet.payload(), sheet.is_cut()), (&b"a half"[..], false));
    }
}

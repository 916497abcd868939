//! The fields of a record that a program logged: its tag, and as many others as leave room for the text.

#![forbid(unsafe_code)]

use crate::capture::Capture;
use crate::confine;
use lapwing_ring::{Draft, Field, Flags, Level, Log, Source, Value};
use lapwing_writer_shim::journal::OTHERS;
use lapwing_writer_shim::lines::{limit_for, pieces};
use std::sync::atomic::Ordering::Relaxed;

/// The longest tag, bytes.
const LONGEST_TAG: usize = 128;
/// Kind and length of an encoded field, and the length of its key.
const HEADER: usize = 4;

pub(crate) struct Labels<'a> {
    fields: [Field<'a>; 1 + OTHERS],
    len: usize,
    has_tag: bool,
    /// How many bytes they take, and how many they may.
    bytes: usize,
    room: usize,
}

impl<'a> Labels<'a> {
    pub(crate) fn new(log: &Log, tag: Option<&'a [u8]>) -> Self {
        let room = log.max_body() / 4;
        let mut labels = Self { fields: [Field::Uid(0); 1 + OTHERS], len: 0, has_tag: false, bytes: 2, room };
        if let Some(tag) = tag {
            let tag = &tag[..tag.len().min(LONGEST_TAG)];
            labels.push(Field::Tag(tag), tag.len());
            labels.has_tag = true;
        }
        labels
    }

    /// Adds one if there is room.
    pub(crate) fn add(&mut self, key: &'a [u8], value: Value<'a>) {
        let len = match value {
            Value::Text(text) => text.len(),
            _ => 8,
        };
        self.push(Field::KeyValue(key, value), key.len() + len);
    }

    fn push(&mut self, field: Field<'a>, len: usize) {
        let bytes = self.bytes.saturating_add(len).saturating_add(HEADER);
        if let Some(place) = self.fields.get_mut(self.len)
            && bytes <= self.room
        {
            *place = field;
            self.len += 1;
            self.bytes = bytes;
        }
    }
}

impl Capture {
    /// Appends a text, in as many records as it takes: all have the tag, the first one has the other fields.
    pub(crate) fn log(&self, source: Source, level: Level, labels: &Labels<'_>, text: &[u8], end: Flags) {
        if confine::is_on() && !self.state.is_claimed() {
            return;
        }
        // For children made without the C library's fork.
        self.state.claim();
        let limit = limit_for(self.log.max_body() - labels.bytes);
        let mut fields = &labels.fields[..labels.len];
        pieces(text, limit, end, |now, flags| {
            // The ring counts what it refuses; there is nobody else to tell.
            let _ = self.log.append_slices(&Draft { level, source, flags, fields }, &[now]);
            fields = &labels.fields[..usize::from(labels.has_tag)];
        });
        if self.is_ending.load(Relaxed) {
            self.log.release();
        }
    }
}

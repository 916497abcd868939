//! What is kept of a span: its path, and its fields as they will stand in records.

use lapwing_compose::{Sheet, Value};
use std::fmt::{Debug, Write};
use tracing_core::field::{Field, Visit};

/// Lies in a span's extensions.
#[derive(Debug, Default)]
pub(crate) struct SpanFields {
    path: String,
    fields: Vec<(&'static str, Kept)>,
}

#[derive(Debug)]
enum Kept {
    Text(String),
    Int(i64),
    Uint(u64),
    Float(f64),
    Bool(bool),
}

impl SpanFields {
    /// Those of a new span called `name`.
    pub(crate) fn inside(parent: Option<&Self>, name: &str) -> Self {
        let path = match parent {
            Some(parent) => format!("{}:{name}", parent.path),
            None => name.to_owned(),
        };
        Self { path, fields: Vec::new() }
    }

    /// The names of the spans that it is in, and its own.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Takes the fields of `new` in place of those of the same names.
    pub(crate) fn take(&mut self, new: Self) {
        for (name, value) in new.fields {
            self.keep(name, value);
        }
    }

    /// Adds the fields to a record, except where it has one of that name.
    pub(crate) fn add_to(&self, sheet: &mut Sheet) {
        for (name, value) in &self.fields {
            if sheet.has(name) {
                continue;
            }
            let value = match value {
                Kept::Text(text) => Value::Text(text.as_bytes()),
                Kept::Int(n) => Value::Int(*n),
                Kept::Uint(n) => Value::Uint(*n),
                Kept::Float(n) => Value::Float(*n),
                Kept::Bool(b) => Value::Bool(*b),
            };
            sheet.field(name, value);
        }
    }

    fn keep(&mut self, name: &'static str, value: Kept) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }
}

impl Visit for SpanFields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Not format!, which panics where a Debug fails: that leaves what it has written.
        let _ = write!(text, "{value:?}");
        self.keep(field.name(), Kept::Text(text));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field.name(), Kept::Text(value.to_owned()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field.name(), Kept::Uint(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field.name(), Kept::Int(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field.name(), Kept::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field.name(), Kept::Bool(value));
    }
}

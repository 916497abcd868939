//! The fields of what is logged, as fields of a record.

use lapwing_compose::{Sheet, Value};
use std::fmt::Debug;
use tracing_core::field::{Field, Visit};

/// Puts fields on a sheet.
pub(crate) struct Fields<'a>(pub(crate) &'a mut Sheet);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value<'_>) {
        self.0.field(field.name(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.0.text(format_args!("{value:?}")),
            name => self.0.formatted(name, format_args!("{value:?}")),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.0.text(format_args!("{value}")),
            // What the `log` facade logs comes with these names, by way of tracing-log.
            "log.target" => self.0.tag(value),
            "log.module_path" => self.0.place(Some(value), None, None),
            "log.file" => self.0.place(None, Some(value), None),
            name => self.0.field(name, Value::Text(value.as_bytes())),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "log.line" => self.0.place(None, None, u32::try_from(value).ok()),
            _ => self.put(field, Value::Uint(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, Value::Int(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, Value::Bool(value));
    }
}

//! The key-values of a record, as fields.

use lapwing_compose::{Sheet, Value};
use log::kv::{self, Key, Source, VisitSource, VisitValue};

pub(crate) fn add(sheet: &mut Sheet, source: &dyn Source) {
    // Nothing here fails, and a source that does has given what it has.
    let _ = source.visit(&mut Fields(sheet));
}

struct Fields<'a>(&'a mut Sheet);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        value.visit(One { key: key.as_str(), sheet: self.0 })
    }
}

struct One<'a, 'k> {
    sheet: &'a mut Sheet,
    key: &'k str,
}

impl One<'_, '_> {
    fn put(&mut self, value: Value<'_>) -> Result<(), kv::Error> {
        self.sheet.field(self.key, value);
        Ok(())
    }

    fn format(&mut self, value: std::fmt::Arguments<'_>) -> Result<(), kv::Error> {
        self.sheet.formatted(self.key, value);
        Ok(())
    }
}

impl VisitValue<'_> for One<'_, '_> {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.format(format_args!("{value}"))
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.put(Value::Uint(value))
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.put(Value::Int(value))
    }

    fn visit_u128(&mut self, value: u128) -> Result<(), kv::Error> {
        self.format(format_args!("{value}"))
    }

    fn visit_i128(&mut self, value: i128) -> Result<(), kv::Error> {
        self.format(format_args!("{value}"))
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.put(Value::Float(value))
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.put(Value::Bool(value))
    }

    fn visit_str(&mut self, value: &str) -> Result<(), kv::Error> {
        self.put(Value::Text(value.as_bytes()))
    }
}

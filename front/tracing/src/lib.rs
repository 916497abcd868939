//! A `tracing` layer that writes to a Lapwing ring.
//!
//! ```
//! # use std::error::Error;
//! use tracing_subscriber::prelude::*;
//! # let folder = std::env::temp_dir().join(format!("lapwing-tracing-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let ring = folder.join("ring");
//! # lapwing_ring::Create::new().size(1 << 16).create(&ring)?;
//! let layer = lapwing_tracing::layer_at(&ring)?; // or layer(), for the default ring
//! let sink = layer.sink().clone();
//! tracing_subscriber::registry().with(layer).init();
//!
//! let _request = tracing::info_span!("request", id = 7).entered();
//! tracing::warn!(disk = "sda", free = 12, "almost full");
//! assert_eq!(sink.refused(), 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn Error>>(())
//! ```
//!
//! | of what is logged | becomes |
//! |---|---|
//! | level | `err`, `warn`, `info`, `debug`, `trace` |
//! | target | the tag |
//! | `message` | the text |
//! | the other fields | fields of their names: numbers and truth values as such, everything else as text |
//! | module, if it is not the target; file and line | the fields `module`, `file`, `line` |
//! | the spans it is in | the field `span`, from the outermost to the innermost, `request:query`; and their fields, unless the record or a span further in has one of that name |
//!
//! A span's fields are formatted once, when the span is made or they are recorded; spans themselves make no records.
//! Logging never blocks, except for a span's fields while another thread records one of them, and never panics, unless a
//! value's own `Debug` does. It makes no system call, and allocates nothing for records of up to a kilobyte, except that a
//! thread's or a child's first record claims a writer slot. A forked child goes on with the same layer.

#![forbid(unsafe_code)]

mod fields;
mod span;

pub use lapwing_compose::{Error, Sink};

use crate::fields::Fields;
use crate::span::SpanFields;
use lapwing_compose::{Level, Sheet, Value};
use std::path::Path;
use std::sync::Arc;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// A layer that writes to the default ring, which is made if it is missing.
///
/// # Errors
/// The ring cannot be opened.
pub fn layer() -> Result<RingLayer, Error> {
    Sink::open().map(RingLayer::new)
}

/// A layer that writes to the ring `ring`: a path, or a bare name beside the default ring. There has to be one.
///
/// # Errors
/// The ring cannot be opened.
pub fn layer_at(ring: impl AsRef<Path>) -> Result<RingLayer, Error> {
    Sink::open_at(ring).map(RingLayer::new)
}

/// Writes what is logged inside its subscriber to a ring. What is to be left out is for `with_filter` to say.
#[derive(Clone, Debug)]
pub struct RingLayer {
    sink: Arc<Sink>,
}

impl RingLayer {
    /// A layer that appends to `sink`.
    pub fn new(sink: Arc<Sink>) -> Self {
        Self { sink }
    }

    /// The ring, for instance for `lapwing_panic::install`.
    pub fn sink(&self) -> &Arc<Sink> {
        &self.sink
    }

    /// How many records of this process the ring refused.
    pub fn refused(&self) -> u64 {
        self.sink.refused()
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RingLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent();
        let mut fields = match &parent {
            Some(parent) => SpanFields::inside(parent.extensions().get(), span.name()),
            None => SpanFields::inside(None, span.name()),
        };
        attributes.record(&mut fields);
        // Another layer of ours has made the same.
        span.extensions_mut().replace(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        // Formatted before the span is held: a value's Debug may log.
        let mut new = SpanFields::default();
        values.record(&mut new);
        if let Some(fields) = span.extensions_mut().get_mut::<SpanFields>() {
            fields.take(new);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut sheet = Sheet::new();
        sheet.tag(metadata.target());
        event.record(&mut Fields(&mut sheet));
        sheet.place(metadata.module_path(), metadata.file(), metadata.line());
        let spans = context.event_scope(event).into_iter().flatten();
        for (i, span) in spans.enumerate() {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                if i == 0 {
                    sheet.field("span", Value::Text(fields.path().as_bytes()));
                }
                fields.add_to(&mut sheet);
            }
        }
        let level = match *metadata.level() {
            tracing_core::Level::ERROR => Level::ERR,
            tracing_core::Level::WARN => Level::WARN,
            tracing_core::Level::INFO => Level::INFO,
            tracing_core::Level::DEBUG => Level::DEBUG,
            tracing_core::Level::TRACE => Level::TRACE,
        };
        self.sink.append(level, &sheet);
    }
}

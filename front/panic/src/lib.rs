//! Panics as records of a Lapwing ring: the last words of a Rust program.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("lapwing-panic-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let ring = folder.join("ring");
//! # lapwing_ring::Create::new().size(1 << 16).create(&ring)?;
//! let sink = lapwing_panic::init_at(&ring)?; // or init(), for the default ring; or install(logger.sink())
//! assert!(std::thread::spawn(|| panic!("disk {}", "full")).join().is_err());
//! assert_eq!(sink.refused(), 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

/// The examples of the book's chapter on Rust are compiled here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/RUST.md")]
struct Chapter;

pub use lapwing_compose::{Error, Sink};

use lapwing_compose::{Level, Sheet, Value};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{PanicHookInfo, set_hook, take_hook};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// The tag of the records.
pub const TAG: &str = "panic";

/// As [`install`], with the default ring, which is made if it is missing.
///
/// # Errors
/// The ring cannot be opened. Nothing has changed then.
pub fn init() -> Result<Arc<Sink>, Error> {
    let sink = Sink::open()?;
    install(&sink);
    Ok(sink)
}

/// As [`install`], with the ring `ring`: a path, or a bare name beside the default ring. There has to be one.
///
/// # Errors
/// The ring cannot be opened. Nothing has changed then.
pub fn init_at(ring: impl AsRef<Path>) -> Result<Arc<Sink>, Error> {
    let sink = Sink::open_at(ring)?;
    install(&sink);
    Ok(sink)
}

/// From here on every panic of this program is a record of `sink`: level `crit`, tag `panic`, text
/// `thread 'NAME' panicked at FILE:LINE:COLUMN: TEXT`, and the fields `thread`, `file`, `line`, `column`; `backtrace` too
/// where `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asks for one, as far as it takes half of the longest record. Then the
/// hook runs that was there before, so what is printed is as ever.
///
/// # Panics
/// When called by a thread that is panicking, as [`set_hook`].
pub fn install(sink: &Arc<Sink>) {
    let (sink, previous) = (sink.clone(), take_hook());
    set_hook(Box::new(move |info| {
        record(&sink, info);
        previous(info);
    }));
}

fn record(sink: &Sink, info: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    // As the standard library's own hook has it.
    let text = info.payload_as_str().unwrap_or("Box<dyn Any>");
    let mut sheet = Sheet::new();
    sheet.tag(TAG);
    match info.location() {
        Some(place) => sheet.text(format_args!("thread '{name}' panicked at {place}: {text}")),
        None => sheet.text(format_args!("thread '{name}' panicked: {text}")),
    }
    sheet.field("thread", Value::Text(name.as_bytes()));
    if let Some(place) = info.location() {
        sheet.place(None, Some(place.file()), Some(place.line()));
        sheet.field("column", Value::Uint(place.column().into()));
    }
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        sheet.formatted("backtrace", format_args!("{backtrace}"));
    }
    sink.append(Level::CRIT, &sheet);
}

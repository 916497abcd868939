//! The `log` facade, into a Lapwing ring.
//!
//! ```
//! # let folder = std::env::temp_dir().join(format!("lapwing-log-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let ring = folder.join("ring");
//! # lapwing_ring::Create::new().size(1 << 16).create(&ring)?;
//! let logger = lapwing_log::init_at(&ring)?; // or init(), for the default ring
//! log::warn!(disk = "sda", free = 12; "almost full");
//! assert_eq!(logger.refused(), 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | of the record | becomes |
//! |---|---|
//! | level | `err`, `warn`, `info`, `debug`, `trace` |
//! | target | the tag |
//! | module, if it is not the target; file and line | the fields `module`, `file`, `line` |
//! | key-values | fields of their names: numbers and truth values as such, everything else as text |
//!
//! Logging never blocks and never panics, unless a value's own `Display` does. It makes no system call, and allocates
//! nothing for records of up to a kilobyte, except that a thread's or a child's first record claims a writer slot. A forked
//! child goes on with the same logger.

#![forbid(unsafe_code)]

#[cfg(feature = "kv")]
mod key_values;

pub use lapwing_compose::{Error, Sink};

use lapwing_compose::{Level, Sheet};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};
use std::path::Path;
use std::sync::Arc;

/// Why there is no logger now.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The ring could not be opened.
    #[error(transparent)]
    Ring(#[from] Error),
    /// The program has another logger already.
    #[error(transparent)]
    Taken(#[from] SetLoggerError),
}

/// Logs to the default ring from here on, and makes it if it is missing: debug and worse, until `log::set_max_level` says
/// otherwise.
///
/// # Errors
/// The ring cannot be opened, or there is a logger already. The program goes on without.
pub fn init() -> Result<&'static Logger, InitError> {
    Ok(Logger::new(Sink::open()?).install()?)
}

/// As [`init`], to the ring `ring`: a path, or a bare name beside the default ring. There has to be one.
///
/// # Errors
/// As [`init`].
pub fn init_at(ring: impl AsRef<Path>) -> Result<&'static Logger, InitError> {
    Ok(Logger::new(Sink::open_at(ring)?).install()?)
}

/// A logger for the `log` facade.
#[derive(Debug)]
pub struct Logger {
    sink: Arc<Sink>,
}

impl Logger {
    /// A logger that appends to `sink`.
    pub fn new(sink: Arc<Sink>) -> Self {
        Self { sink }
    }

    /// Makes it the program's logger, for debug and worse.
    ///
    /// # Errors
    /// The program has one already.
    pub fn install(self) -> Result<&'static Self, SetLoggerError> {
        let logger: &'static Self = Box::leak(Box::new(self));
        log::set_logger(logger)?;
        log::set_max_level(LevelFilter::Debug);
        Ok(logger)
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

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            log::Level::Error => Level::ERR,
            log::Level::Warn => Level::WARN,
            log::Level::Info => Level::INFO,
            log::Level::Debug => Level::DEBUG,
            log::Level::Trace => Level::TRACE,
        };
        let mut sheet = Sheet::new();
        sheet.tag(record.target());
        sheet.text(*record.args());
        #[cfg(feature = "kv")]
        key_values::add(&mut sheet, record.key_values());
        sheet.place(record.module_path(), record.file(), record.line());
        self.sink.append(level, &sheet);
    }

    fn flush(&self) {}
}

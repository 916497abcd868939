//! What Lapwing's front ends for Rust share: a [`Sheet`] on which one record is composed, and a [`Sink`], an open ring that
//! counts what it refused.
//!
//! Programs use `lapwing-log`, `lapwing-tracing` and `lapwing-panic`. This is for who writes another front end.
//!
//! ```
//! use lapwing_compose::{Level, Sheet, Sink, Value};
//! # let folder = std::env::temp_dir().join(format!("lapwing-compose-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! # let path = folder.join("ring");
//! # lapwing_ring::Create::new().size(1 << 16).create(&path)?;
//!
//! let sink = Sink::open_at(&path)?;
//! let mut sheet = Sheet::new();
//! sheet.tag("disk");
//! sheet.text(format_args!("disk {} almost full", "sda"));
//! sheet.field("free", Value::Uint(12));
//! sink.append(Level::WARN, &sheet);
//! assert_eq!(sink.refused(), 0);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod sheet;
mod sink;

pub use lapwing_ring::{Error, Level, Location, Purpose, Value};
pub use sheet::Sheet;
pub use sink::Sink;

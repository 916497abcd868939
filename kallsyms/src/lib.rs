//! Symbols of the running kernel: which function an address lies in, and in which module.
//!
//! ```no_run
//! use lapwing_kallsyms::{Monitor, MonitorOptions, Symbolizer};
//! use std::sync::Arc;
//!
//! let symbolizer = Arc::new(Symbolizer::load()?);
//! // From here on it follows modules and BPF programs that come and go.
//! let monitor = Monitor::start(Arc::clone(&symbolizer), MonitorOptions::default())?;
//! let table = symbolizer.snapshot();
//! match table.lookup(0xffff_ffff_8123_4567) {
//!     Ok(symbol) => println!("{symbol}"), // do_sys_openat2+0x1f, or nvme_probe+0x8 [nvme]
//!     Err(why) => println!("{why}"),
//! }
//! # monitor.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//!  /proc/kallsyms ── parse ─ gather ─ block ─┐                       ┌─ Snapshot: lookup, find, modules
//!  /sys/module ───── sysfs ──────────────────┼─ build ─ table ───────┤
//!  bpf(2), perf ──── bpf ────────────────────┘    (one string        └─ shared: published as a file,
//!  uevents, parked descriptor ── monitor            of bytes)           attached by any process
//! ```
//!
//! - **One string of bytes** is the whole table ([`Snapshot`]): in this process's memory or in a file that many processes map,
//!   read by the same lines. Five bytes a symbol on a kernel with `__pfx_` symbols, nine on one without.
//! - **Readers take no lock** and are never waited for: a [`Snapshot`] stays as it was; a reload makes a new table of what is
//!   new and of the blocks of all modules that are as they were, and swaps one pointer.
//! - **A module is attributable at once** by its sections in sysfs, before its symbols are read ([`Reason::NotYet`]).
//! - **No answer is a guess**: what lies outside every text range has no module, what lies before the first symbol no symbol,
//!   hidden addresses are an error that says which setting hides them.
//! - **`unsafe` is in `kernel` alone**: mapping a table, `bpf(2)`, perf events.

mod ahead;
mod block;
pub mod bpf;
mod build;
#[cfg(test)]
#[path = "../tests/captured/mod.rs"]
mod captured;
mod error;
mod gather;
pub mod hidden;
mod ids;
mod kernel;
mod monitor;
mod names;
mod parked;
mod parse;
pub mod shared;
mod snapshot;
mod symbolizer;
pub mod sysfs;
mod table;
mod text;
pub mod uevents;

pub use build::Function;
pub use error::{Hidden, LoadError, Reason};
pub use ids::{BuildId, FileId};
pub use monitor::{Monitor, MonitorState, Options as MonitorOptions};
pub use names::NameBuffer;
pub use snapshot::{Module, Snapshot, Symbol};
pub use symbolizer::{Sources, Symbolizer, parse};
pub use table::Damage;
pub use text::annotate;

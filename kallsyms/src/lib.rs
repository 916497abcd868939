//! Symbols of the running kernel: which function an address lies in, and in which module.

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
pub mod uevents;

pub use build::Function;
pub use error::{Hidden, LoadError, Reason};
pub use ids::{BuildId, FileId};
pub use monitor::{Monitor, MonitorState, Options as MonitorOptions};
pub use names::NameBuffer;
pub use snapshot::{Module, Snapshot, Symbol};
pub use symbolizer::{Sources, Symbolizer, parse};
pub use table::Damage;

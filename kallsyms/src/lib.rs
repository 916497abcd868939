//! Symbols of the running kernel: which function an address lies in, and in which module.

mod error;
mod ids;

pub use error::{Hidden, LoadError, Reason};
pub use ids::{BuildId, FileId};

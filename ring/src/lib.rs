//! A log ring in shared memory: any process appends, any number of readers follow, nobody serves.
//!
//! Every record has a 64-bit sequence, contiguous from 0, so each reader knows exactly which records it lost. Writers
//! may be killed or stopped at any instruction and nobody else is harmed.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("lapwing needs a 64-bit little-endian Linux");

mod advance;
mod clock;
mod copy;
mod error;
mod layout;
mod level;
mod pool;
mod reader;
mod record;
mod ring;
mod slots;
mod sync;
mod word;
mod writer;

// Files and processes: what loom cannot model.
#[cfg(not(all(test, loom)))]
mod follow;
#[cfg(not(all(test, loom)))]
mod handle;
#[cfg(not(all(test, loom)))]
mod liveness;
#[cfg(not(all(test, loom)))]
mod location;
#[cfg(not(all(test, loom)))]
mod map;
#[cfg(not(all(test, loom)))]
mod process;
#[cfg(not(all(test, loom)))]
mod stat;

#[cfg(test)]
mod heap;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod sequential;

pub use clock::{Clock, ClockKind};
#[doc(hidden)]
pub use copy::Body;
pub use error::{AppendError, Error, GeometryError, ReadError, TooManyWriters};
pub use layout::{
    DEFAULT_SIZE, FORMAT_VERSION, Geometry, HEADER_LEN, MAGIC, MAX_PAGE_SIZE, MAX_PAGES, MAX_SLOTS, MIN_PAGE_SIZE,
    MIN_SIZE, PAGE_HEADER_WORDS, RECORD_HEADER_LEN, SLOT_LEN,
};
pub use level::{Level, UnknownLevel};
pub use reader::{Bounds, Counts, Gap, Read, Seek};
pub use record::{Field, Fields, Flags, Record, Source, Value};
pub use writer::Draft;

#[cfg(not(all(test, loom)))]
pub use {
    follow::Reader,
    handle::{Log, Writer},
    location::{Location, Purpose, RING_VARIABLE, SYSTEM_RING},
    map::{Create, Identity, identify_path},
    stat::{Refused, Stat, WriterStat},
};

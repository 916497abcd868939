//! A log ring in shared memory: any process appends, any number of readers follow, nobody serves.
//!
//! Every record has a 64-bit sequence, contiguous from 0, so each reader knows exactly which records it lost. Writers may
//! be killed or stopped at any instruction and nobody else is harmed. Readers map the file read-only, but for a word by which
//! they are woken, where they may write it.
//!
//! ```text
//!  file    | header | writer slots | page 0 | page 1 | ..            | page B-1 | unfinished lines |
//!              |            |
//!              HEAD         who may still write to which page
//!
//!  page    | epoch, base_seq, clock | index: one word a record | records ->          |
//!  record  | ticks, length, level, source, flags, pid, tid | fields, if any | payload |
//!
//!  sequence of a record = base_seq of its page + its place in the index
//! ```
//!
//! A writer reserves a record with one compare-exchange on HEAD, stores its words, and commits it with one store into the
//! index. A full page is closed, and any writer opens the next one over the oldest.
//!
//! # Writing and reading
//!
//! ```
//! use lapwing_ring::{Create, Level, Read, Reader, Writer};
//! # let folder = std::env::temp_dir().join(format!("lapwing-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let path = folder.join("ring");
//! Create::new().size(1 << 20).create(&path)?;
//!
//! let mut writer = Writer::open(&path)?;
//! assert_eq!(writer.append(Level::INFO, b"the first record")?, 0);
//! assert_eq!(writer.append(Level::WARN, b"and another")?, 1);
//!
//! let mut reader = Reader::open(&path)?;
//! loop {
//!     match reader.next()? {
//!         Read::Record(record) => println!("{} {:?}", record.seq, record.payload.escape_ascii()),
//!         Read::Lost(gap) => println!("{} records lost from {} on", gap.count, gap.first),
//!         Read::Abandoned(gap) | Read::Stalled(gap) => println!("no record {}", gap.first),
//!         Read::NotYet { .. } => break, // or reader.pause(), to follow
//!     }
//! }
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Who may change what
//!
//! | word | states | who |
//! |---|---|---|
//! | HEAD | open, n records → n + 1 | the writer that reserves |
//! | | open → closed → closed with k → open page e + k | any writer: every step can be repeated |
//! | page epoch, base | n, its base | whoever opens page n; all store the same |
//! | index entry | of this epoch: committed | the writer that reserved it, once |
//! | announcement | idle, or inside page e | the slot's owner |
//! | owner | free → owned → free | who claims it, who holds it; who needs a dead owner's page |
//! | bell | 0 → set → 0 | a reader that is about to sleep; a writer that has committed |
//!
//! The ordering of every access has a label; docs/PROTOCOL.md lists them with what each one carries and the loom model that
//! fails without it.
//!
//! # Signals and forks
//!
//! [`Log`] may be used in signal handlers and by any number of threads; [`Writer`] by one at a time. An append makes no
//! system call unless it wakes readers that sleep, allocates nothing and waits for nobody; claiming a slot, at the first append
//! of a process, makes a few system calls. A forked child claims slots of its own at its first append.

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("lapwing needs a 64-bit little-endian Linux");

// What is shared with test programs of other crates names this one as they do.
#[cfg(all(test, not(loom)))]
extern crate self as lapwing_ring;

mod advance;
mod bell;
mod clock;
mod copy;
#[cfg_attr(all(test, loom), allow(dead_code))]
mod descriptor;
mod error;
mod evidence;
mod layout;
mod level;
mod pool;
mod reader;
mod record;
mod ring;
mod slots;
mod sync;
mod turns;
#[cfg_attr(all(test, loom), allow(dead_code))]
mod unfinished;
mod word;
mod writer;

// Files and processes: what loom cannot model.
#[cfg(not(all(test, loom)))]
mod check;
#[cfg(not(all(test, loom)))]
mod create;
#[cfg(not(all(test, loom)))]
mod file;
#[cfg(not(all(test, loom)))]
mod follow;
#[cfg(not(all(test, loom)))]
mod guard;
#[cfg(not(all(test, loom)))]
mod handle;
#[cfg(not(all(test, loom)))]
mod last_words;
#[cfg(not(all(test, loom)))]
mod liveness;
#[cfg(not(all(test, loom)))]
mod location;
#[cfg(not(all(test, loom)))]
mod lock;
#[cfg(not(all(test, loom)))]
mod map;
#[cfg(not(all(test, loom)))]
mod memory;
#[cfg(not(all(test, loom)))]
mod names;
#[cfg(not(all(test, loom)))]
mod pace;
#[cfg(not(all(test, loom)))]
mod private;
#[cfg(not(all(test, loom)))]
mod process;
#[cfg(not(all(test, loom)))]
mod sleep;
#[cfg(not(all(test, loom)))]
mod snapshot;
#[cfg(not(all(test, loom)))]
mod stat;
#[cfg(not(all(test, loom)))]
mod unused;
#[cfg(not(all(test, loom)))]
mod watch;

#[cfg(all(test, not(loom), not(miri)))]
mod deaths;
#[cfg(all(test, not(loom), not(miri)))]
mod guarded;
#[cfg(test)]
mod heap;
#[cfg(all(test, not(loom), not(miri)))]
mod hostile;
#[cfg(all(test, loom))]
mod model;
#[cfg(all(test, not(loom)))]
mod sequential;
#[cfg(all(test, not(loom)))]
mod threads;

pub use clock::{Clock, ClockKind};
#[doc(hidden)]
pub use copy::Body;
pub use error::{AppendError, Error, GeometryError, ReadError, TooManyWriters};
pub use evidence::{Evidence, Life};
pub use layout::{
    DEFAULT_SIZE, FORMAT_VERSION, Geometry, HEADER_LEN, LINE_HEADER_LEN, MAGIC, MAX_LINES, MAX_PAGE_SIZE, MAX_PAGES,
    MAX_SLOTS, MIN_PAGE_SIZE, MIN_SIZE, PAGE_HEADER_WORDS, RECORD_HEADER_LEN, SLOT_LEN,
};
pub use level::{Level, UnknownLevel};
pub use reader::{Bounds, Counts, Gap, Read, Seek};
pub use record::{Field, Fields, Flags, Record, Source, Value};
pub use writer::{Draft, Origin};

#[cfg(not(all(test, loom)))]
pub use {
    check::{Checked, Expected, Finding, Tally, Uncommitted, check},
    create::Create,
    follow::Reader,
    guard::guard_mappings,
    handle::{Log, Writer},
    last_words::{Kept, LastWords, WRITTEN},
    location::{Location, Purpose, RING_VARIABLE, SYSTEM_RING},
    map::{Access, Identity, identify_path},
    names::{Names, Who},
    process::wiped_on_fork,
    snapshot::Snapshot,
    stat::{Refused, Stat, WriterStat},
    unused::{Leftover, Unused},
    watch::Watch,
};

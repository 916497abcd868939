//! One table for the whole host: a file that one process publishes and any number of processes map.
//!
//! A table's file is complete before it has its name, and never changed afterwards, but for one word of its header: the
//! successor. To publish is to make a new file beside the old one, to store the new generation into the successor of the old
//! one, and to give the new file the old one's name. A reader looks at that word once a batch; when it is no longer zero it
//! opens the path again.
//!
//! | a publisher dies                        | at the path | readers                                               | the next publisher               |
//! |-----------------------------------------|-------------|-------------------------------------------------------|----------------------------------|
//! | before it has stored the successor      | old         | keep the old table                                    | removes the unfinished file      |
//! | between that and the renaming           | old         | keep the old table and look again, every 10 ms at most | the same; the generation is free |
//! | after the renaming                      | new         | have seen the successor, and attach the new table     | goes on                          |
//!
//! The other order would leave readers of the old file without a word of the new one if the publisher died between the two.
//! Nothing is synchronised to a disk: a table means nothing after a restart.
//!
//! Publishers exclude each other by a lock (flock(2)) on `PATH.lock`, which nobody else can open. It is not the table that is
//! locked: who may read a file may lock it, and so every reader could stop its publisher for good. Where nothing is at the
//! path, the first generation is the time since the host started, in microseconds: no generation comes twice on a host, though
//! its table was removed meanwhile, since nobody publishes every microsecond.
//!
//! Kernel addresses are a secret, so a table is for its owner alone unless the publisher says otherwise. Readers need no more
//! than read permission.

//! ```no_run
//! use lapwing_kallsyms::Symbolizer;
//! use lapwing_kallsyms::shared::{Attached, Options, default_path, make_default_folder, publish};
//!
//! // One process, with CAP_SYSLOG, whenever its table has changed:
//! make_default_folder()?;
//! publish(&default_path(), &Symbolizer::load()?.snapshot(), &Options::default())?;
//!
//! // Any number of others, without:
//! let table = Attached::open(&default_path())?;
//! for batch in [[0xffff_ffff_8123_4567]] {
//!     table.refresh()?;
//!     let symbols = table.snapshot();
//!     batch.iter().for_each(|&address| println!("{:?}", symbols.lookup(address)));
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod attach;
mod error;
mod place;
mod publish;
mod trusted;

pub use attach::Attached;
pub use error::{AttachError, PublishError};
pub use place::{SYSTEM_TABLE, TABLE_VARIABLE, default_path, make_default_folder};
pub use publish::{Options, publish};
pub(crate) use trusted::Trusted;

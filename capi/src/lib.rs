//! The C library: `liblapwing.so`, `liblapwing.a` and `lapwing.h`, which cbindgen makes out of this crate.
//!
//! `error` has the codes, `level` the levels, `record` the structs, `writer` and `reader` the functions, `reading` what is
//! behind those of readers. What C calls has the name that C gives it, and its documentation is for readers of the header.
//!
//! Rules for every function: no panic leaves it, errno is as before, and no thread is cancelled inside it
//! (`lapwing_writer_shim::calm`; what appends has the last two from the ring). A number that is no member of an enum is an
//! error and never a value of the enum's type.

mod argument;
mod error;
mod level;
mod reader;
mod reading;
mod record;
mod thread;
mod writer;

pub use error::{lapwing_error, lapwing_strerror};
pub use level::lapwing_level;
pub use reader::{
    lapwing_reader_bounds, lapwing_reader_close, lapwing_reader_counts, lapwing_reader_fd, lapwing_reader_next,
    lapwing_reader_open, lapwing_reader_seek, lapwing_reader_seq, lapwing_reader_wait,
};
pub use reading::lapwing_reader_t;
pub use record::{
    LAPWING_NO_UID, lapwing_access, lapwing_counts_t, lapwing_flag, lapwing_gap_kind, lapwing_gap_t, lapwing_read,
    lapwing_record_t, lapwing_seek, lapwing_source,
};
pub use thread::lapwing_prepare_thread;
pub use writer::{
    LAPWING_MAX_PIECES, lapwing_writer_close, lapwing_writer_max, lapwing_writer_open, lapwing_writer_puts,
    lapwing_writer_t, lapwing_writer_text, lapwing_writer_write, lapwing_writer_writev,
};

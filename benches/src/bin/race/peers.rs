//! Who races.

mod datagram;
mod file;
mod floor;
mod lapwing;
mod pipe;
mod syslog;

use crate::peer::Entry;
pub use floor::OVERLAPPED;

/// Everybody, in the order of the tables.
pub fn all() -> Vec<Entry> {
    let mut all = vec![
        Entry::of::<floor::Copy>(),
        Entry::of::<floor::Exchange>(),
        Entry::of::<floor::Both>(),
        Entry::of::<lapwing::Lapwing>(),
        Entry::of::<pipe::Pipe>(),
        Entry::of::<datagram::Datagram>(),
        Entry::of::<syslog::Syslog>(),
        Entry::of::<file::Appended>(),
    ];
    all.extend(from_the_registry());
    all
}

#[cfg(not(feature = "peers"))]
fn from_the_registry() -> Vec<Entry> {
    ["iceoryx2", "ArrayQueue", "disruptor", "rtrb"].map(Entry::left_out).into()
}

#[cfg(feature = "peers")]
fn from_the_registry() -> Vec<Entry> {
    vec![]
}

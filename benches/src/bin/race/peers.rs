//! Who races.

#[cfg(feature = "peers")]
mod array_queue;
mod datagram;
#[cfg(feature = "peers")]
mod disruptor;
mod file;
mod floor;
#[cfg(feature = "peers")]
mod iceoryx2;
mod lapwing;
mod lttng;
mod pipe;
#[cfg(feature = "peers")]
mod rtrb;
mod spdlog;
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
        Entry::of::<lttng::Snapshot>(),
        Entry::of::<lttng::Discard>(),
        Entry::of::<spdlog::Spdlog>(),
    ];
    all.extend(from_the_registry());
    all
}

#[cfg(not(feature = "peers"))]
fn from_the_registry() -> Vec<Entry> {
    ["iceoryx2", "iceoryx2, kept", "ArrayQueue", "disruptor", "rtrb"].map(Entry::left_out).into()
}

#[cfg(feature = "peers")]
fn from_the_registry() -> Vec<Entry> {
    vec![
        Entry::of::<iceoryx2::Iceoryx2>(),
        Entry::of::<iceoryx2::Kept>(),
        Entry::of::<array_queue::ArrayQueue>(),
        Entry::of::<disruptor::Disruptor>(),
        Entry::of::<rtrb::Rtrb>(),
    ]
}

//! Rings over heap words, for tests and loom.

#![forbid(unsafe_code)]

use crate::clock::Clock;
use crate::copy::Body;
use crate::layout::{Geometry, Header, Slot};
use crate::ring::{Judge, Ring};
use crate::sync::Atomic;
use crate::word::{AnnounceWord, HeadWord, OwnerWord};

pub(crate) struct HeapRing {
    header: Box<Header>,
    slots: Vec<Slot>,
    pages: Vec<Atomic<u64>>,
    geometry: Geometry,
}

fn word(value: u64) -> Atomic<u64> {
    Atomic::new(value)
}

impl HeapRing {
    /// An empty ring whose first page has the number `first_epoch` and whose first record the sequence `first_seq`.
    pub(crate) fn new(geometry: Geometry, first_epoch: u64, first_seq: u64) -> Self {
        let header = Box::new(Header {
            magic: word(0),
            format_version: word(0),
            header_len: word(0),
            page_size: word(0),
            page_count: word(0),
            slot_count: word(0),
            slot_len: word(0),
            index_len: word(0),
            ring_id: std::array::from_fn(|_| word(0)),
            boot_id: std::array::from_fn(|_| word(0)),
            clock_kind: word(0),
            ns_per_tick: word(0),
            created: word(0),
            file: std::array::from_fn(|_| word(0)),
            line_count: word(0),
            saved: word(0),
            reserved_a: [0; 13],
            refused: std::array::from_fn(|_| word(0)),
            reserved_b: [0; 12],
            slots_high: word(0),
            reserved_c: [0; 15],
            namespaces: std::array::from_fn(|_| word(0)),
            reserved_d: [0; _],
            head: Atomic::new(HeadWord::open(first_epoch)),
            reserved_e: [0; 15],
            bell: word(0),
            reserved_f: [0; 367],
        });
        let slots = (0..geometry.slot_count()).map(|_| Slot {
            owner: Atomic::new(OwnerWord::FREE),
            announce: Atomic::new(bytemuck::Zeroable::zeroed()) as Atomic<AnnounceWord>,
            records: word(0),
            bytes: word(0),
            comm: std::array::from_fn(|_| word(0)),
            attached: word(0),
            uid: word(0),
            start: word(0),
            evidence: word(0),
            reserved: [0; 6],
        });
        let first = geometry.physical(first_epoch) * geometry.page_words();
        let words = geometry.page_words() * geometry.page_count() as usize;
        let pages = (0..words).map(|i| {
            word(match i.wrapping_sub(first) {
                0 => first_epoch,
                1 => first_seq,
                _ => 0,
            })
        });
        Self { header, slots: slots.collect(), pages: pages.collect(), geometry }
    }

    pub(crate) fn ring<'m>(&'m self, body: Body, judge: Judge<'m>) -> Ring<'m> {
        Ring {
            header: &self.header,
            slots: &self.slots,
            pages: &self.pages,
            geometry: self.geometry,
            clock: Clock::MONOTONIC,
            body,
            ticking: true,
            judge,
            waker: || Some(|_| ()),
            fetch: None,
            saved: false,
        }
    }
}

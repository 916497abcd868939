//! A line that is kept for later, because others may have to stand in front of it.

use lapwing_reader_shim::{Item, Renderer};

/// A record or a loss, rendered.
pub struct Entry {
    /// Number of the ring it is from.
    pub ring: usize,
    /// The record's time; of a loss, the time of the record behind it, once that is known.
    pub time: Option<i64>,
    /// The sequence behind it.
    pub next_seq: u64,
    /// How many records were lost; 0: it is a record.
    pub lost: u64,
    pub line: Vec<u8>,
}

impl Entry {
    pub fn new(ring: usize, renderer: &mut Renderer, item: &Item<'_>) -> Option<Self> {
        let mut line = Vec::new();
        let (time, next_seq, lost) = match item {
            Item::Record(record, who) => {
                renderer.record(&mut line, record, who);
                (Some(record.real_ns), record.seq.wrapping_add(1), 0)
            }
            Item::Loss(loss) => {
                renderer.loss(&mut line, loss);
                (None, loss.gap.last().wrapping_add(1), loss.gap.count)
            }
            Item::Damage(_) => return None,
        };
        Some(Self { ring, time, next_seq, lost, line })
    }

    /// The first sequence of it.
    pub fn first_seq(&self) -> u64 {
        self.next_seq.wrapping_sub(self.lost.max(1))
    }
}

//! The last lines of what is walked along, kept until all of it is known: for `-n` and `-r`.

use super::entry::Entry;
use super::output::Output;
use std::collections::VecDeque;
use std::io;

/// The last records, and the losses between them.
pub struct Window {
    count: usize,
    records: usize,
    /// Records that came by, of each ring.
    taken: Vec<usize>,
    /// Something in front was dropped.
    cut: bool,
    entries: VecDeque<Entry>,
}

impl Window {
    /// For the last `count` records of so many rings. `cut`: there may be more in front of what this is given.
    pub fn new(count: usize, rings: usize, cut: bool) -> Self {
        Self { count, records: 0, taken: vec![0; rings], cut: cut || count == 0, entries: VecDeque::new() }
    }

    /// Did it get so many of this ring that it needs none from further in front?
    pub fn has_enough_of(&self, ring: usize) -> bool {
        self.taken[ring] >= self.count
    }

    pub fn take(&mut self, entry: Entry) {
        if entry.lost == 0 {
            self.records += 1;
            self.taken[entry.ring] += 1;
        }
        self.entries.push_back(entry);
        while self.records > self.count {
            self.cut = true;
            if self.entries.pop_front().is_some_and(|entry| entry.lost == 0) {
                self.records -= 1;
            }
        }
        // What was lost in front of the first record that is shown is not part of what is shown.
        while self.cut && self.entries.front().is_some_and(|entry| entry.lost != 0) {
            self.entries.pop_front();
        }
    }

    pub fn write(self, output: &mut Output, reverse: bool) -> io::Result<()> {
        let mut entries = self.entries;
        if reverse {
            entries.make_contiguous().reverse();
        }
        entries.iter().try_for_each(|entry| output.entry(entry))
    }
}

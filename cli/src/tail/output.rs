//! Where `lapwing tail` writes: whole lines, and what was written is known by its sequences.

use super::entry::Entry;
use super::places::Places;
use lapwing_reader_shim::{Item, Renderer};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Written when there is more than this; a pipe takes as much.
const BUFFER: usize = 64 << 10;
/// No line waits for longer than this while others come.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// Standard output, or the pager.
pub struct Output {
    file: File,
    /// A write failed, so nobody knows what of the buffer arrived.
    is_broken: bool,
    buffer: Vec<u8>,
    /// Somebody watches: no line waits for others.
    watched: bool,
    flushed: Instant,
    /// A loss is no part of the data, so it goes to standard error.
    loss_is_notice: bool,
    /// How far each ring is once the buffer is written.
    passed: Vec<u64>,
    places: Option<Places>,
    pub records: u64,
    pub losses: u64,
}

impl Output {
    /// `rings`: how many there are. `places`: who wants to know what was written.
    pub fn new(file: File, watched: bool, loss_is_notice: bool, rings: usize, places: Option<Places>) -> Self {
        Self {
            file,
            is_broken: false,
            buffer: Vec::with_capacity(2 * BUFFER),
            watched,
            flushed: Instant::now(),
            loss_is_notice,
            passed: vec![0; rings],
            places,
            records: 0,
            losses: 0,
        }
    }

    /// Writes `item` of the ring with this number.
    pub fn item(&mut self, ring: usize, renderer: &mut Renderer, item: &Item<'_>) -> io::Result<()> {
        match item {
            Item::Record(record, who) => {
                renderer.record(&mut self.buffer, record, who);
                self.record(ring, record.seq.wrapping_add(1))
            }
            Item::Loss(loss) => {
                let mut line = Vec::new();
                renderer.loss(&mut line, loss);
                self.loss(ring, loss.gap.last().wrapping_add(1), loss.gap.count, &line)
            }
            Item::Damage(_) => Ok(()),
        }
    }

    /// Writes what was rendered before.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        if entry.lost != 0 {
            return self.loss(entry.ring, entry.next_seq, entry.lost, &entry.line);
        }
        self.buffer.extend_from_slice(&entry.line);
        self.record(entry.ring, entry.next_seq)
    }

    fn record(&mut self, ring: usize, next_seq: u64) -> io::Result<()> {
        self.records += 1;
        self.passed[ring] = next_seq;
        if self.buffer.len() < BUFFER { Ok(()) } else { self.flush() }
    }

    fn loss(&mut self, ring: usize, next_seq: u64, count: u64, line: &[u8]) -> io::Result<()> {
        self.losses = self.losses.saturating_add(count);
        if self.loss_is_notice {
            self.flush()?;
            // Nobody may be listening there, and the data is what counts.
            let _ = io::stderr().write_all(line);
        } else {
            self.buffer.extend_from_slice(line);
        }
        self.passed[ring] = next_seq;
        Ok(())
    }

    /// All of the ring with this number in front of `seq` was given to this, or was not wanted.
    pub fn passed(&mut self, ring: usize, seq: u64) {
        self.passed[ring] = seq;
    }

    /// Has whoever read it gone? A write would say so too, but a quiet ring gives nothing to write.
    pub fn is_deserted(&self) -> bool {
        let mut polled = [PollFd::new(&self.file, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::ERR | PollFlags::HUP;
        poll(&mut polled, Some(&now)).is_ok() && polled[0].revents().intersects(gone)
    }

    /// Writes what waits, where somebody watches and it has waited long enough.
    pub fn flush_in_time(&mut self) -> io::Result<()> {
        if self.watched && self.flushed.elapsed() >= LONGEST_WAIT { self.flush() } else { Ok(()) }
    }

    /// Writes what waits, where somebody watches.
    pub fn flush_if_watched(&mut self) -> io::Result<()> {
        if self.watched { self.flush() } else { Ok(()) }
    }

    /// Writes what waits.
    pub fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        if !self.buffer.is_empty() {
            let written = self.file.write_all(&self.buffer);
            // What was written in part is not written again.
            self.buffer.clear();
            self.is_broken |= written.is_err();
            written?;
        }
        if let Some(places) = self.places.as_ref().filter(|_| !self.is_broken) {
            places.note(&self.passed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    fn line() -> Entry {
        Entry { ring: 0, time: None, next_seq: 1, lost: 0, line: b"line\n".to_vec() }
    }

    #[test]
    fn while_others_come_a_line_waits_no_longer_than_it_may_where_somebody_watches() {
        for (watched, expected) in [(true, "line\nline\n"), (false, "")] {
            let (mut reader, writer) = io::pipe().unwrap();
            let mut output = Output::new(File::from(OwnedFd::from(writer)), watched, false, 1, None);
            output.entry(&line()).unwrap();
            std::thread::sleep(LONGEST_WAIT);
            output.entry(&line()).unwrap();
            output.flush_in_time().unwrap();
            // Not long enough.
            output.entry(&line()).unwrap();
            output.flushed = Instant::now();
            output.flush_in_time().unwrap();
            drop(output);
            let mut written = String::new();
            reader.read_to_string(&mut written).unwrap();
            assert_eq!(written, expected);
        }
    }
}

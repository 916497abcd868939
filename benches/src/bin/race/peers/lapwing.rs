//! The ring itself, 16 MiB.

use crate::Result;
use crate::peer::{Measure, Payload, Peer, Read, Write};
use lapwing_benches::SIZE;
use lapwing_ring::{Body, Create, Level, Read as Next, Reader, Seek, Writer};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub struct Lapwing;

impl Peer for Lapwing {
    const NAME: &'static str = "lapwing";
    const ABOUT: &'static str = "any processes, one total order, overwrites the oldest, every loss is counted";
    const MEASURES: &'static [Measure] =
        &[Measure::Append, Measure::AppendMeta, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    type Channel = PathBuf;
    type Writer<'c> = Writer;
    type Reader<'c> = Follower;

    fn create(place: &Path) -> Result<()> {
        Ok(Create::new().size(SIZE as u64).create(place)?)
    }

    fn open(place: &Path) -> Result<PathBuf> {
        Ok(place.into())
    }

    fn writer(place: &PathBuf, meta: bool) -> Result<Writer> {
        let mut writer = Writer::open(place)?;
        // Process, thread and level are part of every record.
        writer.set_modes(Body::BEST, meta);
        Ok(writer)
    }

    fn reader(place: &PathBuf) -> Result<Follower> {
        let mut reader = Reader::open(place)?;
        reader.seek(Seek::Newest)?;
        Ok(Follower { reader, spins: false, in_vain: false })
    }
}

impl Write for Writer {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        Self::append(self, Level::INFO, payload).expect("a record that fits");
    }
}

/// The ring's reader, in the fastest of its ways.
pub struct Follower {
    reader: Reader,
    spins: bool,
    /// A pause has brought nothing.
    in_vain: bool,
}

impl Read for Follower {
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        if self.spins {
            return self.poll_one(each);
        }
        let give = |read: Next<'_>| {
            // What is no record is counted in `lost`.
            if let Next::Record(record) = read {
                each(record.payload);
            }
            ControlFlow::Continue(())
        };
        self.reader.batch(usize::MAX, give).expect("a ring that can be read")
    }

    fn idle(&mut self) {
        self.reader.pause();
    }

    fn set_spin(&mut self) {
        self.spins = true;
        self.reader.set_spin(true);
    }

    fn spin(&mut self) {
        self.reader.pause();
    }

    fn lost(&self) -> Option<u64> {
        let counts = self.reader.counts();
        Some(counts.lost + counts.abandoned + counts.stalled)
    }
}

impl Follower {
    /// As `Reader::set_spin` says: it is asked for more than the next record only where a pause has brought none.
    #[inline(always)]
    fn poll_one(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        if let Some(record) = self.reader.next_record() {
            each(record.payload);
            self.in_vain = false;
            return 1;
        }
        self.in_vain = !self.in_vain;
        if self.in_vain {
            return 0;
        }
        match self.reader.next().expect("a ring that can be read") {
            Next::Record(record) => {
                each(record.payload);
                1
            }
            Next::Lost(_) | Next::Abandoned(_) | Next::Stalled(_) => 1,
            Next::NotYet { .. } => 0,
        }
    }
}

//! The ring itself, 16 MiB.

use crate::Result;
use crate::peer::{Measure, Payload, Peer, Read, Write};
use lapwing_benches::SIZE;
use lapwing_ring::{Body, Create, Level, Read as Next, Reader, Seek, Writer};
use std::path::{Path, PathBuf};

pub struct Lapwing;

impl Peer for Lapwing {
    const NAME: &'static str = "lapwing";
    const ABOUT: &'static str = "any processes, one total order, overwrites the oldest, every loss is counted";
    const MEASURES: &'static [Measure] =
        &[Measure::Append, Measure::AppendMeta, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    type Channel = PathBuf;
    type Writer<'c> = Writer;
    type Reader<'c> = Reader;

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

    fn reader(place: &PathBuf) -> Result<Reader> {
        let mut reader = Reader::open(place)?;
        reader.seek(Seek::Newest)?;
        Ok(reader)
    }
}

impl Write for Writer {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        Self::append(self, Level::INFO, payload).expect("a record that fits");
    }
}

impl Read for Reader {
    #[inline(always)]
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        match self.next().expect("a ring that can be read") {
            Next::Record(record) => {
                each(record.payload);
                1
            }
            // Counted in `lost`.
            Next::Lost(_) | Next::Abandoned(_) | Next::Stalled(_) => 1,
            Next::NotYet { .. } => 0,
        }
    }

    fn idle(&mut self) {
        self.pause();
    }

    fn lost(&self) -> Option<u64> {
        let counts = self.counts();
        Some(counts.lost + counts.abandoned + counts.stalled)
    }
}

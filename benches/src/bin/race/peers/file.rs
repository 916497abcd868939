//! A file that grows in memory: write(2) with O_APPEND for each record, a reader that asks for more with reads of 64 KiB.

use crate::Result;
use crate::peer::{LEN, Measure, Payload, Peer, Read, Write};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Bytes of a read.
const CHUNK: usize = 1 << 16;
/// Bytes that make a file that nobody reads large.
const LARGE: u64 = 64 << 20;

pub struct Appended;

impl Peer for Appended {
    const NAME: &'static str = "file";
    const ABOUT: &'static str =
        "O_APPEND: any writers, any readers, one total order, grows without end; a reader may see half a record";
    const MEASURES: &'static [Measure] = &[Measure::Append, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    type Channel = PathBuf;
    type Writer<'c> = Writer;
    type Reader<'c> = Reader;

    fn create(place: &Path) -> Result<()> {
        File::create_new(place)?;
        Ok(())
    }

    fn open(place: &Path) -> Result<PathBuf> {
        Ok(place.into())
    }

    fn writer(place: &PathBuf, _meta: bool) -> Result<Writer> {
        Ok(Writer(File::options().append(true).open(place)?))
    }

    fn reader(place: &PathBuf) -> Result<Reader> {
        let mut file = File::open(place)?;
        // The last record may be there in part.
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(end - end % LEN as u64))?;
        Ok(Reader { file, buf: vec![0; CHUNK], rest: 0 })
    }
}

pub struct Writer(File);

impl Write for Writer {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        // One write(2), or records would mix.
        let wrote = self.0.write(payload).expect("a file with room");
        assert_eq!(wrote, LEN, "room for a whole record");
    }

    fn settle(&mut self) {
        if self.0.metadata().expect("an open file").len() > LARGE {
            self.0.set_len(0).expect("a file of ours");
        }
    }
}

pub struct Reader {
    file: File,
    buf: Vec<u8>,
    /// Bytes in `buf` of a record that has not come to its end.
    rest: usize,
}

impl Read for Reader {
    fn poll(&mut self, each: impl FnMut(&[u8])) -> usize {
        self.rest += self.file.read(&mut self.buf[self.rest..]).expect("a file can be read");
        let records = self.buf[..self.rest].chunks_exact(LEN);
        let count = records.len();
        records.for_each(each);
        self.buf.copy_within(count * LEN..self.rest, 0);
        self.rest -= count * LEN;
        count
    }
}

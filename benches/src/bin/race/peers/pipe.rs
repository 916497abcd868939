//! A named pipe; a write(2) for each record, reads of 64 KiB.

use crate::Result;
use crate::peer::{LEN, Measure, Payload, Peer, Read, Write};
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes that a pipe holds unless told otherwise; whole pages of whole records go into it.
const CAPACITY: usize = 1 << 16;

pub struct Pipe;

impl Peer for Pipe {
    const NAME: &'static str = "pipe";
    const ABOUT: &'static str = "any writers, one reader, one total order, writers wait";
    const MEASURES: &'static [Measure] = &[Measure::Append, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    const HOLDS: Option<usize> = Some(CAPACITY / 4096 * (4096 / LEN));
    type Channel = PathBuf;
    type Writer<'c> = End;
    type Reader<'c> = End;

    fn create(place: &Path) -> Result<()> {
        Ok(rustix::fs::mkfifoat(rustix::fs::CWD, place, rustix::fs::Mode::from(0o600))?)
    }

    fn open(place: &Path) -> Result<PathBuf> {
        Ok(place.into())
    }

    fn writer(place: &PathBuf, _meta: bool) -> Result<End> {
        End::open(place, 0)
    }

    fn reader(place: &PathBuf) -> Result<End> {
        End::open(place, rustix::fs::OFlags::NONBLOCK.bits() as i32)
    }
}

/// One that can do both, so that opening it waits for nobody.
pub struct End {
    file: File,
    /// What was read: `buf[from..to]` is not given yet.
    buf: Vec<u8>,
    from: usize,
    to: usize,
}

impl End {
    fn open(place: &Path, flags: i32) -> Result<Self> {
        let file = File::options().read(true).write(true).custom_flags(flags).open(place)?;
        Ok(Self { file, buf: vec![0; CAPACITY], from: 0, to: 0 })
    }
}

impl Write for End {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        self.file.write_all(payload).expect("a pipe with a reader");
    }

    fn settle(&mut self) {
        let mut waiting = rustix::io::ioctl_fionread(&self.file).expect("a pipe says what it holds");
        while waiting > 0 {
            waiting -= self.file.read(&mut self.buf).expect("what is there") as u64;
        }
    }
}

impl Read for End {
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        self.buf.copy_within(self.from..self.to, 0);
        (self.to, self.from) = (self.to - self.from, 0);
        match self.file.read(&mut self.buf[self.to..]) {
            Ok(len) => self.to += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return 0,
            Err(error) => panic!("a pipe cannot be read: {error}"),
        }
        let records = self.buf[..self.to].chunks_exact(LEN);
        let count = records.len();
        records.for_each(&mut each);
        self.from = count * LEN;
        count
    }
}

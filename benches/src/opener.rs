//! A writer that knows which of its appends opens a page: the one whose record says who wrote it.

use crate::Ring;
use lapwing_ring::{Field, Level, Read, Reader, Seek, Writer};

/// A writer of records of one length, the only one that appends to its ring.
pub struct Opener {
    writer: Writer,
    reader: Reader,
    payload: Vec<u8>,
    /// Records that one page holds.
    per_page: u64,
    /// The first sequence of some page.
    first: u64,
    /// The sequence of its last record.
    last: u64,
}

impl Opener {
    /// Of records with a payload of `len` bytes.
    ///
    /// # Panics
    /// When the ring cannot be attached to, or its pages differ.
    pub fn new(ring: &Ring, len: usize) -> Self {
        let (mut writer, payload) = (ring.writer(), vec![b'x'; len]);
        let mut reader = Reader::open(ring.path()).unwrap();
        reader.seek(Seek::Newest).unwrap();
        let mut introduced = Vec::new();
        // The page that it begins in the middle of does not count.
        while introduced.len() < 3 {
            let seq = writer.append(Level::INFO, &payload).unwrap();
            introduced.extend(begins_page(&mut reader, seq).then_some(seq));
        }
        let (first, last) = (introduced[1], introduced[2]);
        Self { writer, reader, payload, per_page: last - first, first, last }
    }

    /// Records that one page holds.
    pub fn per_page(&self) -> u64 {
        self.per_page
    }

    /// The next append.
    #[inline(always)]
    pub fn append(&mut self) {
        self.last = self.writer.append(Level::INFO, std::hint::black_box(&self.payload)).unwrap();
    }

    /// Appends until the next one opens a page.
    pub fn fill(&mut self) {
        let used = (self.last - self.first) % self.per_page + 1;
        for _ in used..self.per_page {
            self.append();
        }
    }

    /// Another writer has appended to the page: finds the next one.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn find_page(&mut self) {
        self.reader.seek(Seek::Newest).unwrap();
        loop {
            self.append();
            if begins_page(&mut self.reader, self.last) {
                self.first = self.last;
                return;
            }
        }
    }

    /// Appends until half of a page is full.
    pub fn fill_half(&mut self) {
        self.fill();
        for _ in 0..self.per_page / 2 {
            self.append();
        }
    }

    /// Did the last append open a page?
    ///
    /// # Panics
    /// When its record cannot be read.
    pub fn has_opened(&mut self) -> bool {
        self.reader.seek(Seek::Seq(self.last)).unwrap();
        begins_page(&mut self.reader, self.last)
    }
}

/// Reads the record that `reader` stands before, which has this sequence: is it its writer's first on a page? That one says
/// who wrote it.
///
/// # Panics
/// When that is not the record that comes.
pub fn begins_page(reader: &mut Reader, seq: u64) -> bool {
    let Read::Record(mut record) = reader.next().unwrap() else { panic!("no record {seq}") };
    assert_eq!(record.seq, seq, "somebody else has appended, or nobody");
    record.fields.any(|field| matches!(field, Field::Start(_)))
}

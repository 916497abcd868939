//! The functions of readers, called as C calls them, with what they give as values.

use lapwing::lapwing_read::*;
use lapwing::*;
use libc::{c_char, c_int};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::null_mut;

pub const RECORD: c_int = LAPWING_RECORD as c_int;
pub const GAP: c_int = LAPWING_GAP as c_int;
pub const NOT_YET: c_int = LAPWING_NOT_YET as c_int;
pub const ACCESS: [lapwing_access; 2] = [lapwing_access::LAPWING_COPIED, lapwing_access::LAPWING_MAPPED];

/// A reader, closed when it goes out of scope.
pub struct Open(pub *mut lapwing_reader_t);

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: open, and not used again.
        unsafe { lapwing_reader_close(self.0) };
    }
}

/// What a call of lapwing_reader_next gave, by value.
#[derive(Clone, PartialEq, Debug)]
pub enum Found {
    NotYet,
    Record { seq: u64, rolled_out: u64, text: String },
    Gap { first: u64, count: u64, kind: u32 },
    Error(c_int),
}

/// All bytes of it are 0x7f, so that what nobody stores shows.
pub fn untouched<T>() -> T {
    let mut value = std::mem::MaybeUninit::<T>::uninit();
    // SAFETY: room for one value.
    unsafe { value.as_mut_ptr().write_bytes(0x7f, 1) };
    // SAFETY: records, gaps and counts are made of numbers and pointers, which any bytes are.
    unsafe { value.assume_init() }
}

/// Bytes of a record's text, and the byte behind them.
pub fn bytes(from: *const c_char, length: u32) -> Vec<u8> {
    // SAFETY: so many bytes are there and a zero behind them, says the header; this is where that is tested.
    let all = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length as usize + 1) };
    assert_eq!(all[length as usize], 0);
    all[..length as usize].to_vec()
}

impl Open {
    pub fn new(path: &Path, access: lapwing_access) -> Result<Self, (c_int, String)> {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        let mut reader = std::ptr::dangling_mut();
        let mut why = [0x7f as c_char; 1024];
        // SAFETY: a text, room for a pointer, room for a reason.
        let code =
            unsafe { lapwing_reader_open(path.as_ptr(), access as c_int, &mut reader, why.as_mut_ptr(), why.len()) };
        assert_eq!(reader.is_null(), code != 0);
        // SAFETY: it ends in a zero within its room.
        let why = unsafe { CStr::from_ptr(why.as_ptr()) }.to_str().unwrap().to_owned();
        if code == 0 {
            assert_eq!(why, "");
            Ok(Self(reader))
        } else {
            Err((code, why))
        }
    }

    pub fn copied(path: &Path) -> Self {
        Self::new(path, lapwing_access::LAPWING_COPIED).unwrap()
    }

    /// The next record as it is.
    pub fn record(&self) -> (c_int, lapwing_record_t) {
        let mut record = untouched();
        // SAFETY: open, room for a record.
        let code = unsafe { lapwing_reader_next(self.0, &mut record, size_of_val(&record), null_mut(), 0) };
        (code, record)
    }

    pub fn next(&self) -> Found {
        let (mut record, mut gap): (lapwing_record_t, lapwing_gap_t) = (untouched(), untouched());
        let sizes = (size_of_val(&record), size_of_val(&gap));
        // SAFETY: open, room for a record and a gap.
        match unsafe { lapwing_reader_next(self.0, &mut record, sizes.0, &mut gap, sizes.1) } {
            NOT_YET => Found::NotYet,
            RECORD => {
                let text = String::from_utf8(bytes(record.data, record.length)).unwrap();
                Found::Record { seq: record.sequence, rolled_out: record.rolled_out, text }
            }
            GAP => Found::Gap { first: gap.first, count: gap.count, kind: gap.kind },
            code => Found::Error(code),
        }
    }

    pub fn seq(&self) -> u64 {
        // SAFETY: open.
        unsafe { lapwing_reader_seq(self.0) }
    }

    pub fn seek(&self, to: lapwing_seek, sequence: u64) -> u64 {
        let mut now = 77;
        // SAFETY: open, room for a number.
        assert_eq!(unsafe { lapwing_reader_seek(self.0, to as c_int, sequence, &mut now) }, 0);
        now
    }

    pub fn bounds(&self) -> (u64, u64) {
        let (mut oldest, mut next) = (77, 77);
        // SAFETY: open, room for numbers.
        assert_eq!(unsafe { lapwing_reader_bounds(self.0, &mut oldest, &mut next) }, 0);
        (oldest, next)
    }

    pub fn counts(&self) -> (u64, u64, u64, u64) {
        let mut counts: lapwing_counts_t = untouched();
        // SAFETY: open, room for counts.
        assert_eq!(unsafe { lapwing_reader_counts(self.0, &mut counts, size_of_val(&counts)) }, 0);
        (counts.read, counts.lost, counts.abandoned, counts.stalled)
    }

    pub fn wait(&self, timeout_ms: c_int) -> c_int {
        // SAFETY: open.
        unsafe { lapwing_reader_wait(self.0, timeout_ms) }
    }

    pub fn fd(&self) -> c_int {
        // SAFETY: open.
        unsafe { lapwing_reader_fd(self.0) }
    }

    /// Is its descriptor readable within so many milliseconds?
    pub fn readable(&self, timeout_ms: c_int) -> bool {
        let mut poll = libc::pollfd { fd: self.fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor to ask about.
        let found = unsafe { libc::poll(&mut poll, 1, timeout_ms) };
        assert_eq!(poll.revents, if found == 1 { libc::POLLIN } else { 0 });
        found == 1
    }

    /// Everything up to the end, waiting for what is in flight; and that what is told agrees with itself.
    pub fn rest(&self) -> Vec<Found> {
        let mut expected = self.seq();
        let (mut missing, mut all) = (0, Vec::new());
        loop {
            let found = self.next();
            match &found {
                Found::Gap { first, count, .. } => {
                    assert_eq!(*first, expected + missing);
                    missing += count;
                }
                Found::Record { seq, rolled_out, text } => {
                    assert_eq!((*rolled_out, seq - expected), (missing, missing));
                    assert_eq!(text, &format!("record {seq}"));
                    (expected, missing) = (seq + 1, 0);
                }
                Found::NotYet if self.seq() == self.bounds().1 => break,
                Found::NotYet => {
                    assert_eq!(self.wait(20_000), 1);
                    continue;
                }
                Found::Error(code) => panic!("{code}"),
            }
            all.push(found);
        }
        assert_eq!(expected + missing, self.seq());
        all
    }
}

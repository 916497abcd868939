//! What the benches share: a ring of their own in memory, the two things that no append can do without, and how far apart two
//! processors are.

pub mod addresses;
pub mod captured;
pub mod cores;
mod folder;
mod left;
pub mod median;
mod opener;
pub mod probe;
pub mod rounds;
pub mod shim;
pub mod texts;

pub use folder::Folder;
pub use opener::{Opener, begins_page};

use lapwing_ring::{Create, Level, Log, Writer};
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the ring, and of the buffer that memcpy walks through.
pub const SIZE: usize = 16 << 20;

/// The payloads that are measured, bytes.
pub const PAYLOADS: [usize; 3] = [16, 100, 1000];

/// Where rings lie, and what their names begin with.
const MEMORY: &str = "/dev/shm";
const PREFIX: &str = "lapwing-bench-";

/// A ring in /dev/shm, removed at the end, or by a later bench where this one was killed.
pub struct Ring {
    path: PathBuf,
    size: usize,
}

impl Ring {
    /// A ring of [`SIZE`] bytes. Its pages have been written once, so that no first touch is measured.
    ///
    /// # Panics
    /// When there is no room for it in /dev/shm.
    pub fn new(name: &str) -> Self {
        Self::sized(name, SIZE)
    }

    /// As [`Ring::new`], with this many bytes of pages.
    ///
    /// # Panics
    /// When there is no room for it in /dev/shm.
    pub fn sized(name: &str, size: usize) -> Self {
        left::sweep(Path::new(MEMORY), PREFIX);
        let path = PathBuf::from(format!("{MEMORY}/{PREFIX}{name}-{}", std::process::id()));
        Create::new().size(size as u64).create(&path).unwrap();
        let ring = Self { path, size };
        drop(ring.writer());
        ring
    }

    /// A writer with a mapping of its own, touched from end to end.
    ///
    /// # Panics
    /// When the ring cannot be attached to.
    pub fn writer(&self) -> Writer {
        let mut writer = Writer::open(&self.path).unwrap();
        for _ in 0..self.size / 1000 {
            writer.append(Level::INFO, &[0; 1000]).unwrap();
        }
        writer
    }

    /// A handle for many threads that has been all around the ring.
    ///
    /// # Panics
    /// When the ring cannot be attached to.
    pub fn log(&self) -> Log {
        let log = Log::open(&self.path).unwrap();
        for _ in 0..self.size / 1000 {
            log.append(Level::INFO, &[0; 1000]).unwrap();
        }
        log
    }

    /// Takes away the room for unfinished lines, before anybody attaches.
    ///
    /// # Panics
    /// When the header cannot be written.
    pub fn forget_lines(&self) {
        // The offset of `line_count`, docs/FORMAT.md.
        File::options().write(true).open(&self.path).unwrap().write_all_at(&[0; 8], 136).unwrap();
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A buffer as large as the ring that is filled as the ring is: from front to back, in whole words, and round again.
pub struct Buffer {
    bytes: Vec<u8>,
    at: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self::sized(SIZE)
    }
}

impl Buffer {
    /// One of this many bytes.
    pub fn sized(size: usize) -> Self {
        Self { bytes: vec![1; size], at: 0 }
    }

    /// memcpy of `payload` to the next place.
    #[inline(always)]
    pub fn copy(&mut self, payload: &[u8]) {
        if self.at + payload.len() > self.bytes.len() {
            self.at = 0;
        }
        self.bytes[self.at..self.at + payload.len()].copy_from_slice(payload);
        // The compiler must believe that somebody looks at what was stored.
        black_box(self.bytes.as_mut_ptr());
        self.at += payload.len().next_multiple_of(8);
    }
}

/// A word on lines of its own.
#[repr(align(128))]
#[derive(Default)]
pub struct Word(AtomicU64);

impl Word {
    /// A store that other threads may see late.
    #[inline(always)]
    pub fn store(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// One load and one compare-exchange, as a reservation makes them.
    #[inline(always)]
    pub fn compare_exchange(&self) -> bool {
        let old = self.0.load(Ordering::Acquire);
        self.0.compare_exchange(old, old.wrapping_add(0x1_000f), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// The processor's counter, as the ring reads it; 0 where it has none.
#[inline(always)]
#[cfg_attr(target_arch = "x86_64", allow(unsafe_code))]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: every x86-64 processor has the instruction; Linux lets programs use it.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

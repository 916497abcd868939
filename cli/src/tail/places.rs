//! How far the records of each ring were written, and the file that keeps it.
//!
//! ```text
//! # lapwing cursor: id of the ring, next sequence, path
//! 0f3c..e1 1311 /dev/shm/lapwing-1000/ring
//! ```

use crate::failure::Failure;
use lapwing_reader_shim::push_escaped;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tempfile::NamedTempFile;

const TITLE: &str = "# lapwing cursor: id of the ring, next sequence, path\n";
/// Longer is no file of ours.
const LONGEST: u64 = 1 << 20;

/// How far one ring was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    pub ring_id: [u64; 2],
    pub next_seq: u64,
    /// Escaped, so that it is one line.
    pub path: String,
}

impl Place {
    pub fn new(ring_id: [u64; 2], next_seq: u64, path: &Path) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut escaped = Vec::new();
        push_escaped(&mut escaped, path.as_os_str().as_bytes());
        Self { ring_id, next_seq, path: String::from_utf8_lossy(&escaped).into_owned() }
    }

    fn parse(line: &str) -> Option<Self> {
        let (id, rest) = line.split_once(' ')?;
        let (seq, path) = rest.split_once(' ')?;
        let half = |digits: Option<&str>| u64::from_str_radix(digits?, 16).ok();
        let ring_id = [half(id.get(..16))?, half(id.get(16..).filter(|half| half.len() == 16))?];
        Some(Self { ring_id, next_seq: seq.parse().ok()?, path: path.to_owned() })
    }
}

/// What the file at `path` says; nothing where there is none, or an empty one. A link is not followed.
pub fn load(path: &Path) -> Result<Vec<Place>, Failure> {
    let failed = |source| Failure::Cursor { path: path.to_owned(), source };
    let mut text = String::new();
    match fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => {
            let file = file.map_err(failed)?;
            if !file.metadata().map_err(failed)?.is_file() {
                return Err(Failure::NoCursor { path: path.to_owned() });
            }
            let read = file.take(LONGEST).read_to_string(&mut text);
            // Whatever is no text is no file of ours.
            read.map_err(|_| Failure::NoCursor { path: path.to_owned() })?;
        }
    }
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let places = text.strip_prefix(TITLE).and_then(|lines| lines.lines().map(Place::parse).collect());
    places.ok_or_else(|| Failure::NoCursor { path: path.to_owned() })
}

/// A file in the same folder, with mode 0600 and a name that nobody knows.
pub fn beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    tempfile::Builder::new().prefix(".lapwing-cursor-").tempfile_in(folder)
}

/// The places of the rings that are shown, shared with whoever saves them.
#[derive(Clone)]
pub struct Places(Arc<Mutex<Book>>);

struct Book {
    file: PathBuf,
    /// In the order of the rings that are shown.
    shown: Vec<Place>,
    /// Of other rings, kept as they were.
    others: Vec<Place>,
    is_saved: bool,
}

impl Places {
    pub fn new(file: PathBuf, shown: Vec<Place>, others: Vec<Place>) -> Self {
        Self(Arc::new(Mutex::new(Book { file, shown, others, is_saved: false })))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing in there is half done when somebody panics.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Each ring was written up to here.
    pub fn note(&self, next_seqs: &[u64]) {
        let mut book = self.book();
        for (i, &seq) in next_seqs.iter().enumerate() {
            if book.shown[i].next_seq != seq {
                book.shown[i].next_seq = seq;
                book.is_saved = false;
            }
        }
    }

    /// Another ring has taken this one's place.
    pub fn replace(&self, ring: usize, ring_id: [u64; 2]) {
        let mut book = self.book();
        book.shown[ring].ring_id = ring_id;
        book.shown[ring].next_seq = 0;
        book.is_saved = false;
    }

    /// Writes the file, if there is anything new to be written: another file that takes its place, so nobody finds half of it,
    /// and no link is followed.
    pub fn save(&self) -> Result<(), Failure> {
        let mut book = self.book();
        if book.is_saved {
            return Ok(());
        }
        let mut text = TITLE.to_owned();
        for Place { ring_id, next_seq, path } in book.shown.iter().chain(&book.others) {
            text.push_str(&format!("{:016x}{:016x} {next_seq} {path}\n", ring_id[0], ring_id[1]));
        }
        let written = beside(&book.file).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.persist(&book.file)?;
            Ok(())
        });
        written.map_err(|source| Failure::Cursor { path: book.file.clone(), source })?;
        book.is_saved = true;
        Ok(())
    }
}

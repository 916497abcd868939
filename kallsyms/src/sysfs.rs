//! What the running kernel says of its modules in `/sys/module`: which are loaded, where their sections lie, their build ids.

#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::{BuildId, FileId};

/// No kernel has as many modules, nor a module as many sections.
const MANY: usize = 16384;

/// The longest content of an attribute that is a number or a word, in bytes.
const WORD: usize = 64;

/// The most that is read of notes, in bytes: 36 as a rule, some hundreds for the kernel itself.
const NOTES: usize = 16384;

/// What the kernel says of one loaded module.
///
/// The order in which the kernel makes and removes these files lets a reader know what is whole: `initstate` is there
/// before `sections` and is removed first, so facts that end with it are of one module, all there, once it is
/// [`State::Live`]. While a module is [`State::Coming`] its sections may still be in the making.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModuleFacts {
    /// Its name, as in brackets in `/proc/kallsyms`.
    pub name: String,
    /// Which loading of the module this is.
    pub identity: Identity,
    /// Whether it is on its way in or out.
    pub state: State,
    /// What it takes while it is loaded, text and data, in bytes; 0 where the kernel does not say. No range: since Linux
    /// 6.4 the parts of a module lie apart.
    pub core_size: u64,
    /// Where its sections lie. `None` where the kernel does not tell this process: they are for who has `CAP_SYSLOG`.
    pub sections: Option<Sections>,
}

/// Tells one loading of a module from the next. The time of change of the directory does not: the kernel makes it anew
/// whenever it drops caches.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    /// `st_ino` of the module's directory, of which the kernel uses each once.
    pub inode: u64,
    /// Where its text begins; `None` where the kernel does not tell.
    pub text: Option<u64>,
    /// Its build id; few are built without.
    pub build_id: Option<BuildId>,
}

/// `initstate` of a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Its init function has not ended.
    Coming,
    /// It is loaded.
    Live,
    /// It is being unloaded.
    Going,
}

/// Where the sections of a module begin that stay when it is initialized; the kernel does not say where they end.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sections {
    /// The sections of text, ascending: whose name begins with `.text` or ends with `.text`.
    pub text: Vec<u64>,
    /// The others, ascending: no text goes beyond the next of them.
    pub other: Vec<u64>,
}

/// Sections of text with no other section between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TextArea {
    /// Where the first section begins.
    pub start: u64,
    /// Where the last one begins.
    pub last: u64,
    /// Where the next section begins that is no text.
    pub bound: Option<u64>,
}

/// All modules that the kernel has.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Ascending by name.
    pub modules: Vec<ModuleFacts>,
    /// What could not be read, or is nothing that a kernel writes.
    pub skipped: Vec<FactsError>,
}

/// Why the facts of a module are not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FactsError {
    /// A file could not be opened or read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: Errno,
    },
    /// A file holds what no kernel writes there.
    #[error("{path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No module has this name.
    #[error("no name of a module: {0:?}")]
    Name(String),
}

impl ModuleFacts {
    /// The file id that its build id makes.
    pub fn file_id(&self) -> Option<FileId> {
        self.identity.build_id.as_ref().map(FileId::of_build_id)
    }
}

impl Sections {
    /// The areas of text, ascending.
    pub fn areas(&self) -> Vec<TextArea> {
        let mut areas: Vec<TextArea> = Vec::new();
        for &section in &self.text {
            match areas.last_mut() {
                Some(area) if area.bound.is_none_or(|bound| section < bound) => area.last = section,
                _ => {
                    let bound = self.other.get(self.other.partition_point(|&other| other <= section)).copied();
                    areas.push(TextArea { start: section, last: section, bound });
                }
            }
        }
        areas
    }
}

/// The facts of module `name` below `root`, which is `/sys/module`; `None` where there is no such module, where it is
/// part of the kernel or without text, and where it went away meanwhile.
pub fn read_module(root: &Path, name: &str) -> Result<Option<ModuleFacts>, FactsError> {
    let dir = open_root(root)?;
    let name = CString::new(name).map_err(|_| FactsError::Name(name.to_owned()))?;
    Place { root, dir: dir.as_fd(), name: checked(&name)? }.read()
}

/// The facts of all modules below `root`, which is `/sys/module`. An error is one of `root` itself; what is wrong with a
/// single module is in the listing.
pub fn read_all(root: &Path) -> Result<Listing, FactsError> {
    read_changed(root, &[])
}

/// As [`read_all`], with what is `known`, ascending by name: of a live module that is still the same one only the state
/// is read, unless its addresses were hidden, and what is known of one that cannot be read stays.
pub fn read_changed(root: &Path, known: &[ModuleFacts]) -> Result<Listing, FactsError> {
    let dir = open_root(root)?;
    let mut listing = Listing::default();
    let entries = Dir::read_from(&dir).map_err(|error| read_error(root, error))?;
    for (count, entry) in entries.enumerate() {
        if count > MANY {
            return Err(FactsError::Malformed {
                path: root.to_owned(),
                what: "more entries than any kernel has modules",
            });
        }
        let entry = entry.map_err(|error| read_error(root, error))?;
        // `compression` is a file there, which says how modules are compressed.
        let is_file = entry.file_type() == FileType::RegularFile;
        if is_file || matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        let name = match checked(entry.file_name()) {
            Ok(name) => name,
            Err(error) => {
                listing.skipped.push(error);
                continue;
            }
        };
        let place = Place { root, dir: dir.as_fd(), name };
        let known = known.binary_search_by(|facts| facts.name.as_str().cmp(place.name())).ok().map(|at| &known[at]);
        let facts = match known {
            Some(known) if known.state == State::Live && known.sections.is_some() => place.read_again(known),
            _ => place.read(),
        };
        match facts {
            Ok(facts) => listing.modules.extend(facts),
            Err(error) => {
                listing.modules.extend(known.cloned());
                listing.skipped.push(error);
            }
        }
    }
    listing.modules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(listing)
}

/// The build id of the kernel itself in `notes`, which is `/sys/kernel/notes`; `None` where it has none.
pub fn kernel_build_id(notes: &Path) -> Result<Option<BuildId>, FactsError> {
    let open = || rustix::fs::open(notes, FILE, Mode::empty());
    let content = open().and_then(|file| content(&file, &mut [0; NOTES]).map(BuildId::in_notes));
    content.map_err(|error| read_error(notes, error))
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Not blocking: what is a pipe is no sysfs, and must not hold us.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

fn open_root(root: &Path) -> Result<OwnedFd, FactsError> {
    let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
    rustix::fs::openat(CWD, root, flags, Mode::empty()).map_err(|error| read_error(root, error))
}

fn read_error(path: &Path, error: Errno) -> FactsError {
    FactsError::Read { path: path.to_owned(), error }
}

/// Names end up between brackets, in paths and on terminals: what could break out of there is none. The kernel's limit is
/// 55 bytes.
fn checked(name: &CStr) -> Result<&CStr, FactsError> {
    let bytes = name.to_bytes();
    let fits = |byte: &u8| byte.is_ascii_graphic() && !b"/[]".contains(byte);
    if bytes.is_empty() || bytes.len() > WORD || matches!(bytes, b"." | b"..") || !bytes.iter().all(fits) {
        return Err(FactsError::Name(name.to_string_lossy().chars().take(WORD).collect()));
    }
    Ok(name)
}

/// Of what is being unloaded the files vanish (ENOENT), also while they are open (ENODEV).
fn unless_gone<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_denied(error: Errno) -> bool {
    matches!(error, Errno::ACCESS | Errno::PERM)
}

/// What `file` holds, or the beginning that fits into `buffer`.
fn content<'b>(file: &OwnedFd, buffer: &'b mut [u8]) -> Result<&'b [u8], Errno> {
    let mut len = 0;
    while len < buffer.len() {
        match rustix::io::read(file, &mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(&buffer[..len])
}

/// A word and one line feed, as the kernel writes them.
fn word(content: &[u8]) -> &[u8] {
    content.strip_suffix(b"\n").unwrap_or(content)
}

fn address(content: &[u8]) -> Option<u64> {
    let digits = word(content).strip_prefix(b"0x")?;
    let valid = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    u64::from_str_radix(str::from_utf8(digits).ok().filter(|_| valid)?, 16).ok()
}

fn size(content: &[u8]) -> Option<u64> {
    let digits = word(content);
    str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?.parse().ok()
}

fn state(content: &[u8]) -> Option<State> {
    match word(content) {
        b"coming" => Some(State::Coming),
        b"live" => Some(State::Live),
        b"going" => Some(State::Going),
        _ => None,
    }
}

fn is_text(section: &[u8]) -> bool {
    section.starts_with(b".text") || section.ends_with(b".text")
}

/// One entry of `/sys/module`.
struct Place<'a> {
    root: &'a Path,
    dir: BorrowedFd<'a>,
    name: &'a CStr,
}

impl Place<'_> {
    fn name(&self) -> &str {
        self.name.to_str().unwrap_or_default()
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.join(self.name()).join(below)
    }

    fn malformed<T>(&self, below: &str, value: Option<T>, what: &'static str) -> Result<T, FactsError> {
        value.ok_or_else(|| FactsError::Malformed { path: self.path(below), what })
    }

    /// The module's directory and its inode: what is opened below it later is of this loading, or is gone.
    fn open(&self) -> Result<Option<(OwnedFd, u64)>, FactsError> {
        let open = || {
            let dir = rustix::fs::openat(self.dir, self.name, DIRECTORY, Mode::empty())?;
            let inode = rustix::fs::fstat(&dir)?.st_ino;
            Ok((dir, inode))
        };
        unless_gone(open()).map_err(|error| read_error(&self.path(""), error))
    }

    fn read(&self) -> Result<Option<ModuleFacts>, FactsError> {
        let Some((dir, inode)) = self.open()? else { return Ok(None) };
        let failed = |below: &'static str| move |error| read_error(&self.path(below), error);
        // What is part of the kernel has none.
        let sections = rustix::fs::openat(&dir, c"sections", DIRECTORY, Mode::empty());
        let Some(sections) = unless_gone(sections).map_err(failed("sections"))? else { return Ok(None) };
        let Some(sections) = self.sections(&sections)? else { return Ok(None) };
        if sections.as_ref().is_some_and(|sections| sections.text.is_empty()) {
            return Ok(None);
        }
        let mut buffer = [0; NOTES];
        let notes =
            read_at(&dir, c"notes/.note.gnu.build-id", &mut buffer).map_err(failed("notes/.note.gnu.build-id"))?;
        let build_id = notes.and_then(BuildId::in_notes);
        let size_text = read_at(&dir, c"coresize", &mut buffer[..WORD]).map_err(failed("coresize"))?;
        let core_size = size_text.map(|text| self.malformed("coresize", size(text), "no size")).transpose()?;
        let Some(state) = self.state(&dir)? else { return Ok(None) };
        let text = sections.as_ref().and_then(|sections| sections.text.first().copied());
        let identity = Identity { inode, text, build_id };
        let core_size = core_size.unwrap_or(0);
        Ok(Some(ModuleFacts { name: self.name().to_owned(), identity, state, core_size, sections }))
    }

    /// A live module does not move: its inode says that all the rest is as it was.
    fn read_again(&self, known: &ModuleFacts) -> Result<Option<ModuleFacts>, FactsError> {
        let Some((dir, inode)) = self.open()? else { return Ok(None) };
        if inode != known.identity.inode {
            return self.read();
        }
        let state = self.state(&dir)?;
        Ok(state.map(|state| ModuleFacts { state, ..known.clone() }))
    }

    fn state(&self, dir: &OwnedFd) -> Result<Option<State>, FactsError> {
        let mut buffer = [0; WORD];
        let text =
            read_at(dir, c"initstate", &mut buffer).map_err(|error| read_error(&self.path("initstate"), error))?;
        text.map(|text| self.malformed("initstate", state(text), "no state of a module")).transpose()
    }

    /// `None` where the module went away, `Some(None)` where the addresses are not for us.
    fn sections(&self, dir: &OwnedFd) -> Result<Option<Option<Sections>>, FactsError> {
        let mut sections = Sections::default();
        let entries = Dir::read_from(dir).map_err(|error| read_error(&self.path("sections"), error))?;
        for (count, entry) in entries.enumerate() {
            let path = |name: &CStr| self.path("sections").join(&*name.to_string_lossy());
            let entry = match unless_gone(entry).map_err(|error| read_error(&self.path("sections"), error))? {
                Some(entry) if count < MANY => entry,
                Some(_) => return self.malformed("sections", None, "more entries than any module has sections"),
                None => return Ok(None),
            };
            let name = entry.file_name();
            // Init sections were freed, and what lies there now may be another module's.
            if matches!(name.to_bytes(), b"." | b"..") || name.to_bytes().starts_with(b".init.") {
                continue;
            }
            let mut buffer = [0; WORD];
            let text = match read_at(dir, name, &mut buffer) {
                Ok(Some(text)) => text,
                Ok(None) => return Ok(None),
                Err(error) if is_denied(error) => return Ok(Some(None)),
                Err(error) => return Err(read_error(&path(name), error)),
            };
            let Some(address) = address(text) else {
                return Err(FactsError::Malformed { path: path(name), what: "no address" });
            };
            if address == 0 {
                return Ok(Some(None));
            }
            if is_text(name.to_bytes()) { &mut sections.text } else { &mut sections.other }.push(address);
        }
        for starts in [&mut sections.text, &mut sections.other] {
            starts.sort_unstable();
            starts.dedup();
        }
        Ok(Some(Some(sections)))
    }
}

/// What a file of a module holds; `None` where it is not there.
fn read_at<'b>(dir: &OwnedFd, name: &CStr, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Errno> {
    unless_gone(rustix::fs::openat(dir, name, FILE, Mode::empty()).and_then(|file| content(&file, buffer)))
}

impl From<FactsError> for io::Error {
    fn from(error: FactsError) -> Self {
        match error {
            FactsError::Read { error, .. } => error.into(),
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

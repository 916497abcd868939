//! Create a ring: complete, with all its space, or not at all.
#![allow(unsafe_code)]

use crate::clock::{Clock, realtime_ns};
use crate::error::Error;
use crate::file::{born, keep_from_gc, os_error};
use crate::layout::{FORMAT_VERSION, Geometry, HEADER_LEN, MAGIC, SLOT_LEN};
use crate::map::{boot_id, view};
use crate::memory::Memory;
use crate::word::HeadWord;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// How to make a ring.
///
/// ```no_run
/// lapwing_ring::Create::new().size(1 << 20).create("/dev/shm/my-ring".as_ref())?;
/// # Ok::<(), lapwing_ring::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is made before `create`"]
pub struct Create {
    size: u64,
    page_size: Option<u64>,
    mode: u32,
    group: Option<u32>,
    clock: Option<Clock>,
}

impl Default for Create {
    fn default() -> Self {
        Self { size: crate::layout::DEFAULT_SIZE, page_size: None, mode: 0o600, group: None, clock: None }
    }
}

impl Create {
    /// 16 MiB, pages as the size asks for, mode 0600, the creator's group, the best clock.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of all pages: a power of two from 64 KiB.
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = bytes;
        self
    }

    /// Bytes of a page: a power of two from 4 KiB to 64 KiB.
    pub fn page_size(mut self, bytes: Option<u64>) -> Self {
        self.page_size = bytes;
        self
    }

    /// Permission bits of the file, whatever the umask. Writers need to read and write it, readers to read it.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The group of the file.
    pub fn group(mut self, gid: Option<u32>) -> Self {
        self.group = gid;
        self
    }

    /// Count CLOCK_MONOTONIC nanoseconds even where the processor's own counter would do.
    pub fn monotonic_clock(mut self) -> Self {
        self.clock = Some(Clock::MONOTONIC);
        self
    }

    /// Makes the ring at `path`: with all its space allocated and its header written before it has the name, or not at all.
    ///
    /// # Errors
    /// A bad size, something at `path` already, no space (with what is free), no permission.
    pub fn create(&self, path: &Path) -> Result<(), Error> {
        let geometry = Geometry::new(self.size, self.page_size)
            .map_err(|source| Error::BadGeometry { path: path.to_owned(), source })?;
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        let new = NewFile::open(path)?;
        self.fill(&new.file, path, geometry)?;
        new.link(path)
    }

    fn fill(&self, file: &File, path: &Path, geometry: Geometry) -> Result<(), Error> {
        let failed = |call| move |error| os_error(path, call, error);
        if let Some(gid) = self.group {
            std::os::unix::fs::fchown(file, None, Some(gid)).map_err(failed("set the group"))?;
        }
        file.set_permissions(std::fs::Permissions::from_mode(self.mode & 0o777)).map_err(failed("set the mode"))?;
        let lines = geometry.new_lines();
        allocate(file, path, geometry.file_len(lines))?;

        let random = random(path)?;
        let boot = boot_id().map_err(|source| unread(path, "read the kernel's boot id in /proc", source))?;
        let clock = self.clock.unwrap_or_else(Clock::best);
        let born = born(&file.metadata().map_err(failed("look at"))?);
        let len = geometry.file_len(lines) as usize;
        let memory = Memory::of_file(file, len, true).map_err(failed("map"))?;
        // SAFETY: the mapping has this length, and the view is used no longer than it lives.
        let ring = unsafe { view(memory.as_mut_ptr(), geometry, clock) };
        let header = ring.header;
        let words = [
            (&header.magic, MAGIC),
            (&header.format_version, FORMAT_VERSION),
            (&header.header_len, HEADER_LEN as u64),
            (&header.page_size, geometry.page_size()),
            (&header.page_count, geometry.page_count() as u64),
            (&header.slot_count, geometry.slot_count() as u64),
            (&header.slot_len, SLOT_LEN as u64),
            (&header.index_len, geometry.index_len() as u64),
            (&header.ring_id[0], random[0]),
            (&header.ring_id[1], random[1]),
            (&header.boot_id[0], boot[0]),
            (&header.boot_id[1], boot[1]),
            (&header.clock_kind, clock.kind() as u64),
            (&header.ns_per_tick, clock.ns_per_tick()),
            (&header.created, realtime_ns()),
            (&header.file[0], born[0]),
            (&header.file[1], born[1]),
            (&header.line_count, lines as u64),
        ];
        // Nobody else has this file yet; giving it a name publishes all of it.
        for (cell, value) in words {
            cell.store(value, atomic::Ordering::Relaxed);
        }
        const FIRST: u64 = 1;
        let page = ring.page(FIRST);
        for (cell, value) in page.clock().into_iter().zip(clock.offsets()) {
            cell.store(value, atomic::Ordering::Relaxed);
        }
        page.epoch().store(FIRST, atomic::Ordering::Relaxed);
        header.head.store(HeadWord::open(FIRST), atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// A file without a name yet, or with one that goes away in every case.
pub(crate) struct NewFile {
    pub(crate) file: File,
    temporary: Option<Temporary>,
}

impl NewFile {
    /// One that can get the name `path`, for our user alone.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let unnamed = OpenOptions::new().read(true).write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(folder);
        match unnamed {
            Ok(file) => Ok(Self { file, temporary: None }),
            // A file system without unnamed files: a name of our own.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => {
                let (file, temporary) = Temporary::open(path)?;
                Ok(Self { file, temporary: Some(temporary) })
            }
            Err(error) => Err(folder_error(folder, path, error)),
        }
    }

    /// Gives it the name `path`, unless there is something.
    pub(crate) fn link(&self, path: &Path) -> Result<(), Error> {
        // By descriptor, also where there is a temporary name: somebody could have put another file there.
        link(Path::new(&format!("/proc/self/fd/{}", self.file.as_raw_fd())), path)
    }

    /// Gives it the name `path`, in place of whatever file has it.
    pub(crate) fn replace(self, path: &Path) -> Result<(), Error> {
        let temporary = match self.temporary {
            Some(temporary) => temporary,
            None => {
                let name = Temporary::name(path)?;
                // Who clears up behind killed creators leaves it alone. Without locks here, so does he.
                let _ = self.file.lock_shared();
                self.link(&name)?;
                Temporary(name)
            }
        };
        std::fs::rename(&temporary.0, path).map_err(|error| os_error(path, "replace", error))
    }
}

/// How the extension of a temporary name begins; 16 hexadecimal digits follow.
pub(crate) const TEMPORARY: &str = "lapwing-new-";

/// A temporary name, removed when it goes out of scope; a process killed meanwhile leaves it, and no lock on the file.
struct Temporary(PathBuf);

impl Temporary {
    /// A name beside `path` that nothing has.
    fn name(path: &Path) -> Result<PathBuf, Error> {
        let [random, _] = random(path)?;
        Ok(path.with_added_extension(format!("{TEMPORARY}{random:016x}")))
    }

    fn open(path: &Path) -> Result<(File, Self), Error> {
        let name = Self::name(path)?;
        let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).custom_flags(flags).mode(0o600).open(&name);
        let file = file.map_err(|error| folder_error(path.parent().unwrap_or(path), path, error))?;
        let temporary = Self(name);
        keep_from_gc(&file, &temporary.0)?;
        Ok((file, temporary))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Why no file could be made in `folder` for the ring at `path`.
fn folder_error(folder: &Path, path: &Path, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Error::NoFolder { path: path.to_owned() },
        _ => os_error(folder, "create a file in", error),
    }
}

/// Gives `from` the name `to`, unless there is something.
fn link(from: &Path, to: &Path) -> Result<(), Error> {
    let c_string = |path: &Path| {
        CString::new(path.as_os_str().as_bytes()).map_err(|error| os_error(path, "link", io::Error::other(error)))
    };
    let (c_from, c_to) = (c_string(from)?, c_string(to)?);
    let flags = libc::AT_SYMLINK_FOLLOW;
    // SAFETY: two NUL-terminated paths.
    let result = unsafe { libc::linkat(libc::AT_FDCWD, c_from.as_ptr(), libc::AT_FDCWD, c_to.as_ptr(), flags) };
    match result {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EEXIST) => Err(Error::Exists { path: to.to_owned() }),
            source => Err(Error::Os { path: to.to_owned(), call: "link", source }),
        },
    }
}

/// Allocates every byte, so that a full file system is an error here and not a SIGBUS in some writer later.
fn allocate(file: &File, path: &Path, len: u64) -> Result<(), Error> {
    may_have(path, len)?;
    loop {
        // SAFETY: an open descriptor and two numbers.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, len as libc::off_t) } {
            0 => return Ok(()),
            libc::EINTR => {}
            libc::ENOSPC | libc::EDQUOT => {
                return Err(Error::NoSpace { path: path.to_owned(), needed: len, free: free_bytes(file) });
            }
            code => return Err(os_error(path, "allocate", io::Error::from_raw_os_error(code))),
        }
    }
}

/// May we make a file of `len` bytes? Beyond the limit the kernel would not only refuse, but kill us by SIGXFSZ.
pub(crate) fn may_have(path: &Path, len: u64) -> Result<(), Error> {
    let limit = file_size_limit();
    if len > limit {
        return Err(Error::FileSizeLimit { path: path.to_owned(), needed: len, limit });
    }
    Ok(())
}

fn file_size_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: room for the answer.
    match unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } {
        0 => limit.rlim_cur,
        _ => libc::RLIM_INFINITY,
    }
}

fn free_bytes(file: &File) -> u64 {
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: an open descriptor, room for the answer.
    if unsafe { libc::fstatvfs(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return 0;
    }
    // SAFETY: the call succeeded, so the answer is there.
    let stat = unsafe { stat.assume_init() };
    stat.f_bavail.saturating_mul(stat.f_frsize)
}

/// Of another file than the one that is made: that it is missing says nothing of the ring.
fn unread(path: &Path, call: &'static str, source: io::Error) -> Error {
    Error::Os { path: path.to_owned(), call, source }
}

fn random(path: &Path) -> Result<[u64; 2], Error> {
    let mut bytes = [[0; 8]; 2];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes.as_flattened_mut()));
    read.map_err(|source| unread(path, "read /dev/urandom", source))?;
    Ok(bytes.map(u64::from_le_bytes))
}

//! Where rings are: one answer for all tools.

#![forbid(unsafe_code)]

use crate::create::Create;
use crate::error::Error;
use crate::handle::{Log, Writer};
use crate::map::Access;
use crate::process::effective_uid;
use std::env;
use std::ffi::OsStr;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The ring that an administrator made for the whole system.
pub const SYSTEM_RING: &str = "/run/lapwing/ring";
/// Names the default ring.
pub const RING_VARIABLE: &str = "LAPWING_RING";

/// A ring's path, and whether it is the default ring, which writers make when it is missing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    path: PathBuf,
    is_default: bool,
    /// A folder that must be ours alone.
    private_folder: bool,
}

/// What the ring is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Purpose {
    Read,
    Write,
}

impl Location {
    /// The ring called `name`: a path, or a bare name beside the default ring; the default ring without one.
    ///
    /// The default is `$LAPWING_RING`, else `/run/lapwing/ring` if it exists and may be used for `purpose`, else
    /// `$XDG_RUNTIME_DIR/lapwing/ring`, else `/dev/shm/lapwing-$UID/ring`.
    pub fn find(name: Option<&OsStr>, purpose: Purpose) -> Self {
        match name {
            None => Self::default_ring(purpose),
            Some(name) if name.as_bytes().contains(&b'/') => Self::at(PathBuf::from(name)),
            Some(name) => {
                let default = Self::default_ring(purpose);
                Self { path: default.path.with_file_name(name), is_default: false, ..default }
            }
        }
    }

    fn at(path: PathBuf) -> Self {
        Self { path, is_default: false, private_folder: false }
    }

    fn default_ring(purpose: Purpose) -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        if let Some(path) = set(RING_VARIABLE) {
            return Self { is_default: true, ..Self::at(path.into()) };
        }
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
        let write = purpose == Purpose::Write;
        if OpenOptions::new().read(true).write(write).custom_flags(flags).open(SYSTEM_RING).is_ok() {
            return Self { is_default: true, ..Self::at(SYSTEM_RING.into()) };
        }
        let path = match set("XDG_RUNTIME_DIR") {
            Some(folder) => Path::new(&folder).join("lapwing/ring"),
            None => PathBuf::from(format!("/dev/shm/lapwing-{}/ring", effective_uid())),
        };
        Self { path, is_default: true, private_folder: true }
    }

    /// Where it is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a folder that others can change, if this is a ring of ours; makes it when it is missing and we write.
    ///
    /// # Errors
    /// [`Error::UnsafeFolder`], or that the folder could not be made.
    pub fn check_folder(&self, purpose: Purpose) -> Result<(), Error> {
        let Some(folder) = self.path.parent().filter(|_| self.private_folder) else { return Ok(()) };
        let failed = |call| move |source| Error::Os { path: folder.to_owned(), call, source };
        if purpose == Purpose::Write {
            match DirBuilder::new().mode(0o700).create(folder) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed("make the folder")(error));
                }
                _ => {}
            }
        }
        let meta = match folder.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotFound { path: self.path.clone() });
            }
            meta => meta.map_err(failed("look at the folder"))?,
        };
        let (mode, owner, uid) = (meta.mode() & 0o7777, meta.uid(), effective_uid());
        if !meta.is_dir() || owner != uid || mode & 0o077 != 0 {
            return Err(Error::UnsafeFolder { path: folder.to_owned(), mode, owner, uid });
        }
        Ok(())
    }

    /// Makes the default ring if it is missing: 16 MiB, 0600, complete or not at all. Does nothing for other rings.
    ///
    /// # Errors
    /// It could not be made, or its folder is not ours alone.
    pub fn ensure(&self) -> Result<(), Error> {
        self.check_folder(Purpose::Write)?;
        if self.is_default && self.path.symlink_metadata().is_err() {
            match Create::new().create(&self.path) {
                // Somebody else made it meanwhile, and complete.
                Ok(()) | Err(Error::Exists { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens what [`Location::ensure`] made, again if it was removed in between.
    fn ensured<T>(&self, open: impl Fn(&Path) -> Result<T, Error>) -> Result<T, Error> {
        for _ in 0..3 {
            self.ensure()?;
            match open(&self.path) {
                Err(Error::NotFound { .. }) if self.is_default => {}
                opened => return opened,
            }
        }
        open(&self.path)
    }

    /// Attaches a [`Log`], after [`Location::ensure`].
    ///
    /// # Errors
    /// As `ensure` and [`Log::open`].
    pub fn open_log(&self) -> Result<Log, Error> {
        self.ensured(Log::open)
    }

    /// Attaches a [`Writer`], after [`Location::ensure`].
    ///
    /// # Errors
    /// As `ensure` and [`Writer::open`].
    pub fn open_writer(&self) -> Result<Writer, Error> {
        self.ensured(Writer::open)
    }

    /// Attaches a reader; never makes a ring.
    ///
    /// # Errors
    /// As [`Location::check_folder`] and [`crate::Reader::open`].
    pub fn open_reader(&self) -> Result<crate::Reader, Error> {
        self.check_folder(Purpose::Read)?;
        crate::Reader::open(&self.path)
    }

    /// As [`Location::open_reader`], but mapped or copied as `access` says.
    ///
    /// # Errors
    /// As [`Location::open_reader`].
    pub fn open_reader_with(&self, access: Access) -> Result<crate::Reader, Error> {
        self.check_folder(Purpose::Read)?;
        crate::Reader::open_with(&self.path, access)
    }
}

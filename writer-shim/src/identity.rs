//! Which file a descriptor is open on, so that it is known again under any number.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;

/// A file, pipe, socket or terminal: device and inode. Written `dev:ino`, decimal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
}

impl FileId {
    /// What `fd` is open on; `None` if it is closed. One system call, safe in a signal handler; changes errno when it fails.
    pub fn of_fd(fd: RawFd) -> Option<Self> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: room for the answer; any number may be asked for.
        if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
            return None;
        }
        // SAFETY: the call succeeded, so the answer is there.
        let stat = unsafe { stat.assume_init_ref() };
        Some(Self { dev: stat.st_dev, ino: stat.st_ino })
    }

    /// Reads `dev:ino`.
    pub fn parse(text: &str) -> Option<Self> {
        let (dev, ino) = text.split_once(':')?;
        Some(Self { dev: dev.parse().ok()?, ino: ino.parse().ok()? })
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dev, self.ino)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn two_descriptors_of_one_pipe_are_the_same_file_and_two_pipes_are_not() {
        let (_a, a) = std::io::pipe().unwrap();
        let (_b, b) = std::io::pipe().unwrap();
        let copy = a.try_clone().unwrap();
        let id = |pipe: &std::io::PipeWriter| FileId::of_fd(pipe.as_raw_fd()).unwrap();
        assert_eq!(id(&a), id(&copy));
        assert_ne!(id(&a), id(&b));
        assert_eq!(FileId::of_fd(-1), None);
    }
}

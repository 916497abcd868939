//! Which file a descriptor is open on, so that it is known again under any number; and as whom its program would run.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, RawFd};

/// A file, pipe, socket or terminal: device and inode. Written `dev:ino`, decimal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub struct FileId {
    pub dev: u64,
    pub ino: u64,
}

/// What sort of file it is, where that decides which calls it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    /// A terminal, /dev/null and the like.
    Device,
    /// A regular file.
    File,
    /// A pipe, with a name or without.
    Pipe,
    /// A socket of any kind.
    Socket,
}

impl Sort {
    /// Each, at the place that its number says.
    pub const ALL: [Self; 4] = [Self::Device, Self::File, Self::Pipe, Self::Socket];
}

fn stat(fd: RawFd) -> Option<libc::stat> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: room for the answer; any number may be asked for.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so the answer is there.
    Some(unsafe { stat.assume_init() })
}

/// Is `fd` open on what somebody may be reading now: a terminal or another device, a pipe, a socket? Files are not, nor is
/// /dev/null: whoever redirects there wants data, or nothing.
pub fn is_for_a_reader(fd: RawFd) -> bool {
    const NULL: libc::dev_t = libc::makedev(1, 3);
    stat(fd).is_some_and(|stat| match stat.st_mode & libc::S_IFMT {
        libc::S_IFCHR => stat.st_rdev != NULL,
        kind => kind == libc::S_IFIFO || kind == libc::S_IFSOCK,
    })
}

impl FileId {
    /// What `fd` is open on; `None` if it is closed. One system call, safe in a signal handler; changes errno when it fails.
    pub fn of_fd(fd: RawFd) -> Option<Self> {
        Some(Self::and_sort_of_fd(fd)?.0)
    }

    /// As [`FileId::of_fd`], and what sort of file it is.
    pub fn and_sort_of_fd(fd: RawFd) -> Option<(Self, Sort)> {
        let stat = stat(fd)?;
        let sort = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => Sort::File,
            libc::S_IFIFO => Sort::Pipe,
            libc::S_IFSOCK => Sort::Socket,
            _ => Sort::Device,
        };
        Some((Self { dev: stat.st_dev, ino: stat.st_ino }, sort))
    }

    /// Reads `dev:ino`.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (dev, ino) = text.split_at(text.iter().position(|&byte| byte == b':')?);
        Some(Self { dev: number(dev)?, ino: number(&ino[1..])? })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let add =
        |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(digit.checked_sub(b'0').filter(|n| *n < 10)?.into());
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// The real user and group of this process.
pub(crate) fn user_and_group() -> (u32, u32) {
    // SAFETY: no preconditions.
    let user = unsafe { libc::getuid() };
    // SAFETY: no preconditions.
    (user, unsafe { libc::getgid() })
}

/// Does whoever runs this file get capabilities of it?
pub(crate) fn has_capabilities(file: &impl AsRawFd) -> bool {
    let name = c"security.capability".as_ptr();
    // SAFETY: a NUL-terminated name; no room is given, so only the size is asked for.
    unsafe { libc::fgetxattr(file.as_raw_fd(), name, std::ptr::null_mut(), 0) > 0 }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dev, self.ino)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
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

    #[test]
    fn the_sort_of_a_file_is_told() {
        let sort = |file: &dyn AsRawFd| FileId::and_sort_of_fd(file.as_raw_fd()).unwrap().1;
        let (_reader, pipe) = std::io::pipe().unwrap();
        let (_other, socket) = std::os::unix::net::UnixStream::pair().unwrap();
        let (device, file) = (File::open("/dev/null").unwrap(), File::open("/proc/self/exe").unwrap());
        let sorts = [sort(&device), sort(&file), sort(&pipe), sort(&socket)];
        assert_eq!(sorts, Sort::ALL);
        assert_eq!(sorts.map(|sort| sort as usize), [0, 1, 2, 3]);
    }
}

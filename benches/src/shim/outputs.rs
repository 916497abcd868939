//! What a worker's standard output is open on. The other end is emptied between two rounds.
#![allow(unsafe_code)]

use super::{FEW, SOME};
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::rc::Rc;

/// Both ends of it; the same for two workers that are compared.
#[derive(Clone)]
pub struct Output(Rc<(File, File)>, usize);

impl Output {
    fn new(reader: OwnedFd, writer: OwnedFd, holds: usize) -> Self {
        Self(Rc::new((reader.into(), writer.into())), holds)
    }

    /// A pipe.
    ///
    /// # Panics
    /// When the kernel gives none.
    pub fn pipe() -> Self {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        Self::new(reader.into(), writer.into(), SOME)
    }

    /// As the journal gives it to services.
    ///
    /// # Panics
    /// When the kernel gives none.
    pub fn socket() -> Self {
        let (reader, writer) = UnixStream::pair().expect("a pair of sockets");
        Self::new(reader.into(), writer.into(), FEW)
    }

    /// As script(1) and every terminal gives it.
    ///
    /// # Panics
    /// When the kernel gives none.
    pub fn terminal() -> Self {
        let (mut reader, mut writer) = (-1, -1);
        let (name, termios, size) = (std::ptr::null_mut(), std::ptr::null(), std::ptr::null());
        // SAFETY: room for two descriptors; nothing else is asked for.
        let opened = unsafe { libc::openpty(&mut reader, &mut writer, name, termios, size) };
        assert_eq!(opened, 0, "a pseudo-terminal");
        // As many bytes shall come out as go in.
        // SAFETY: zeros are valid settings.
        let mut settings = unsafe { std::mem::zeroed() };
        // SAFETY: room for the answer.
        assert_eq!(unsafe { libc::tcgetattr(writer, &mut settings) }, 0);
        settings.c_oflag &= !libc::OPOST;
        // SAFETY: the settings that it has, but for one bit.
        assert_eq!(unsafe { libc::tcsetattr(writer, libc::TCSANOW, &settings) }, 0);
        // SAFETY: open, and nobody else's.
        let reader = unsafe { OwnedFd::from_raw_fd(reader) };
        // SAFETY: as above.
        Self::new(reader, unsafe { OwnedFd::from_raw_fd(writer) }, FEW)
    }

    /// Lines of a round that it takes before it has to be emptied.
    pub fn holds(&self) -> usize {
        self.1
    }

    /// For a child's standard output.
    ///
    /// # Panics
    /// When the kernel gives none.
    pub fn writer(&self) -> File {
        self.0.1.try_clone().expect("a copy of a descriptor")
    }

    /// As LAPWING_STREAM says it.
    ///
    /// # Panics
    /// When the kernel gives none.
    pub fn stream(&self) -> String {
        let meta = self.0.1.metadata().expect("what it is");
        format!("out={}:{}", meta.dev(), meta.ino())
    }

    /// Takes so many bytes out. A terminal hands them over when it comes to it.
    ///
    /// # Panics
    /// When they cannot be read.
    pub fn empty(&self, mut len: usize) {
        let mut buffer = [0; 1 << 16];
        while len != 0 {
            let now = len.min(buffer.len());
            len -= (&self.0.0).read(&mut buffer[..now]).expect("what was written");
        }
    }
}

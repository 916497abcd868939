//! What a quiet program prints and the ring does not take goes where it would have gone without us: nothing that a program
//! was told it had written is in neither place.
#![allow(unsafe_code)]

use crate::capture::Capture;
use lapwing_ring::Flags;
use lapwing_writer_shim::calm::{errno, set_errno};
use lapwing_writer_shim::environment::Stream;
use libc::c_int;

impl Capture {
    /// Does the ring take records of this process? Found out by claiming a slot, until it has taken one.
    #[inline]
    pub(crate) fn is_accepted(&self, fd: c_int) -> bool {
        self.state.is_accepted() || self.may_be_accepted(fd)
    }

    #[cold]
    fn may_be_accepted(&self, fd: c_int) -> bool {
        self.state.files.find(fd, &self.streams).is_some() && self.log.can_append()
    }

    /// Writes the text of a record that was refused. The prefix that said its level is gone.
    #[cold]
    pub(crate) fn hand_on(&self, fd: c_int, text: &[&[u8]], flags: Flags) {
        let errno = errno();
        let is_whole = !flags.contains(Flags::CONT) && !flags.contains(Flags::PARTIAL);
        let newline: &[u8] = if is_whole { b"\n" } else { b"" };
        for &piece in text.iter().chain([&newline]) {
            write_all(fd, piece);
        }
        set_errno(errno);
    }

    /// A descriptor that the stream has, at the end of a program.
    pub(crate) fn descriptor_of(&self, stream: Stream) -> Option<c_int> {
        let is_of = |fd: &c_int| self.state.files.find(*fd, &self.streams).is_some_and(|(found, _)| found == stream);
        [libc::STDOUT_FILENO, libc::STDERR_FILENO].into_iter().find(is_of)
    }
}

/// As much as the descriptor takes. Not by the C library's write, which is a place to be cancelled at.
fn write_all(fd: c_int, mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: memory of that length.
        let written = unsafe { libc::syscall(libc::SYS_write, fd, text.as_ptr(), text.len()) };
        match usize::try_from(written) {
            Ok(written) => text = text.get(written..).unwrap_or_default(),
            Err(_) if errno() == libc::EINTR => {}
            Err(_) => return,
        }
    }
}

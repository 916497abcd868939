//! The pump: output of programs that cannot be preloaded, through a transport that another process drains.
//!
//! ```text
//!  before   run                                     its parent sees this pid, before and after
//!            ├─ makes a transport for each stream, starts the pump, waits until it is ready
//!            └─ puts the transports in place of 1 and 2, becomes the program by exec
//!
//!  after    program and its children ── transport ──► pump ── a record a line ──► ring
//!                                                      └─── the same bytes ─────► the real 1 and 2
//!                                      guard: has all of this open, and waits for the pump's end
//! ```
//!
//! The pump is nobody's child (of init, at most), in a session of its own, and ignores every signal but SIGKILL and SIGSTOP.
//! It reads until no writer is left. What it has read and not yet passed on lies in memory that it shares with the guard:
//! when the pump is killed, the guard is the pump from then on and gets a guard of its own. A killed guard is replaced in
//! the same way. So the end that is read from stays open, and no program ends of a pump's death; only whoever kills both
//! at once closes it.
//!
//! When the program has ended and all that it wrote is through, the pump gives up a lock, so that who has waited for the
//! program can wait for that: [`through`].
//!
//! Only the command calls this: [`start()`] in the process that becomes the program, [`serve()`] in the one that becomes the
//! pump.

mod hand;
mod passing;
mod pty;
mod senders;
mod serve;
mod start;
mod sys;
pub mod through;

pub use serve::serve;
pub use start::{StartError, Started, start};

use crate::identity::FileId;
use lapwing_ring::Source;
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where the pump finds its descriptors: numbers that nothing else in its process ever has.
mod places {
    use std::os::fd::RawFd;

    /// What the standard output and standard error were that the program would have had.
    pub(super) const REAL: [RawFd; 2] = [3, 4];
    /// What the pump reads from.
    pub(super) const TRANSPORT: [RawFd; 2] = [5, 6];
    /// First the pipe on which the pump says that it is ready, then a guard's line to its pump.
    pub(super) const LINE: RawFd = 7;
    /// What the lock is on that says that not everything is through.
    pub(super) const LOCK: RawFd = 8;
    /// The program, to hear of its end.
    pub(super) const PROGRAM: RawFd = 9;
    pub(super) const END: RawFd = 10;
}

/// What a program writes to, in place of its standard output or standard error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// Can be opened again by name, as `/dev/stdout`. Nobody says who wrote what.
    Pipe,
    /// The kernel says with every piece who wrote it. Cannot be opened by name.
    Socket,
    /// A terminal.
    Pty,
}

/// The name and the [`Transport`] of one stream that is captured. Written `socket:stdout`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Tap {
    pub transport: Transport,
    pub source: Source,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Pipe, Self::Socket, Self::Pty];

    const fn name(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::Pty => "pty",
        }
    }
}

impl fmt::Display for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.transport.name(), self.source.name())
    }
}

impl FromStr for Tap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(transport, source)| {
            let transport = Transport::ALL.into_iter().find(|known| known.name() == transport)?;
            let source = [Source::Stdout, Source::Stderr].into_iter().find(|known| known.name() == source)?;
            Some(Self { transport, source })
        });
        parts.ok_or_else(|| "not a transport and a stream, like socket:stdout".to_owned())
    }
}

/// The process that becomes the program: the writer of everything, where nobody says who it was.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Program {
    pub pid: u32,
    pub uid: u32,
    /// What it will be called.
    pub comm: Vec<u8>,
}

impl Program {
    /// The calling process, which is to run `file`.
    pub fn this(file: &OsStr) -> Self {
        let (pid, uid) = sys::who();
        let comm = file.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        Self { pid, uid, comm: comm[..comm.len().min(15)].to_vec() }
    }
}

/// Everything that a pump has to know.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Job {
    /// Absolute.
    pub ring: PathBuf,
    /// What is captured goes into the ring only.
    pub quiet: bool,
    pub program: Program,
    /// What of descriptors 1 and 2 is captured, and how.
    pub taps: [Option<Tap>; 2],
}

/// Are descriptors 1 and 2 one stream, in which the order of what is written to either can be seen? Then they need one
/// transport.
pub fn is_one_stream() -> bool {
    let same = FileId::of_fd(1).is_some_and(|id| FileId::of_fd(2) == Some(id));
    same && match sys::kind(1) {
        libc::S_IFIFO | libc::S_IFSOCK => true,
        libc::S_IFCHR => is_terminal(1),
        // Opened twice, a file has two offsets.
        _ => sys::is_one_file(1, 2).unwrap_or(false),
    }
}

/// The transport for descriptor `fd` of a program with these arguments and variables, unless somebody wants another.
pub fn transport_for<'a>(fd: RawFd, words: impl IntoIterator<Item = &'a OsStr>) -> Transport {
    if is_terminal(fd) {
        return Transport::Pty;
    }
    if words.into_iter().any(mentions_by_name) { Transport::Pipe } else { Transport::Socket }
}

fn is_terminal(fd: RawFd) -> bool {
    pty::size(fd).is_some()
}

/// Is it likely that a program which is told this opens its standard output or standard error by name?
fn mentions_by_name(word: &OsStr) -> bool {
    const NAMES: [&[u8]; 5] = [b"/dev/stdout", b"/dev/stderr", b"/proc/self/fd", b"/dev/fd/1", b"/dev/fd/2"];
    NAMES.iter().any(|name| memchr::memmem::find(word.as_bytes(), name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_read_back_as_written() {
        for transport in Transport::ALL {
            for source in [Source::Stdout, Source::Stderr] {
                let tap = Tap { transport, source };
                assert_eq!(tap.to_string().parse(), Ok(tap));
            }
        }
        for bad in ["", "socket", "socket:", "socket:kmsg", ":stdout", "Socket:stdout"] {
            assert!(bad.parse::<Tap>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pipe_for_whoever_opens_streams_by_name() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&writer);
        let of = |words: &[&str]| transport_for(fd, words.iter().map(OsStr::new));
        assert_eq!(of(&["prog", "--log", "x"]), Transport::Socket);
        assert_eq!(of(&[]), Transport::Socket);
        for word in ["/dev/stdout", "--log=/dev/stderr", "/proc/self/fd/1", "of=/dev/fd/2"] {
            assert_eq!(of(&["prog", word]), Transport::Pipe, "{word}");
        }
    }
}

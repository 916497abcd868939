//! What `lapwing run` tells the library that it preloads, in environment variables: written and read here only.

#![forbid(unsafe_code)]

use crate::identity::FileId;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The ring's path, absolute.
pub use lapwing_ring::RING_VARIABLE as RING;
/// What the program's standard output and standard error were open on: `out=<dev>:<ino>,err=<dev>:<ino>`, decimal; the
/// part of a closed one is left out. Where it is missing, the first program takes its own, unless they are files, and sets
/// it; [`ANY_STREAM`] has it take them whatever they are. Where it is empty, nothing is captured.
pub const STREAM: &str = "LAPWING_STREAM";
/// A value of [`STREAM`].
pub const ANY_STREAM: &str = "any";
/// `1`: what is captured goes to the ring only.
pub const QUIET: &str = "LAPWING_QUIET";
/// `line`: standard output is flushed at every line though it is no terminal; `keep`: it stays as the program has it.
pub const BUFFER: &str = "LAPWING_BUFFER";

/// `0`: programs that are started with another environment are not captured. Without it they are: the library adds the
/// variables that it finds missing.
pub const PROPAGATE: &str = "LAPWING_PROPAGATE";

/// The command of `lapwing`, absolute: put in front of programs that the library cannot be loaded into, it puts the pump
/// behind them. Without it they are started as they are.
pub const PUMP: &str = "LAPWING_PUMP";

/// One of the two streams that are captured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Stream {
    Out,
    Err,
}

/// What standard output and standard error were open on when `lapwing run` started the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub struct Streams {
    pub out: Option<FileId>,
    pub err: Option<FileId>,
}

impl Streams {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self { out: FileId::of_fd(libc::STDOUT_FILENO), err: FileId::of_fd(libc::STDERR_FILENO) }
    }

    /// Which of the two `id` is, seen on descriptor `fd`. The number decides only where both are open on the same thing.
    pub fn find(&self, fd: RawFd, id: FileId) -> Option<Stream> {
        match (self.out == Some(id), self.err == Some(id)) {
            (true, true) if fd == libc::STDERR_FILENO => Some(Stream::Err),
            (true, _) => Some(Stream::Out),
            (false, true) => Some(Stream::Err),
            (false, false) => None,
        }
    }

    /// Reads the value of [`STREAM`]. Parts of other names are passed over.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut streams = Self::default();
        for part in text.split(|&byte| byte == b',').filter(|part| !part.is_empty()) {
            let (name, id) = part.split_at(part.iter().position(|&byte| byte == b'=')?);
            match name {
                b"out" => streams.out = Some(FileId::parse(&id[1..])?),
                b"err" => streams.err = Some(FileId::parse(&id[1..])?),
                _ => {}
            }
        }
        Some(streams)
    }
}

impl fmt::Display for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.out, self.err) {
            (Some(out), Some(err)) => write!(f, "out={out},err={err}"),
            (Some(out), None) => write!(f, "out={out}"),
            (None, Some(err)) => write!(f, "err={err}"),
            (None, None) => Ok(()),
        }
    }
}

/// When a program's standard output leaves its buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Buffer {
    /// At every line, so that a program which dies has said what it printed.
    Line,
    /// As the program has it.
    #[default]
    Keep,
}

/// Everything the library has to know.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Environment {
    pub ring: PathBuf,
    pub streams: Streams,
    pub quiet: bool,
    pub buffer: Buffer,
}

impl Environment {
    /// The variables to set; those with `None` are to be removed.
    pub fn variables(&self) -> [(&'static str, Option<OsString>); 4] {
        let buffer = match self.buffer {
            Buffer::Line => "line",
            Buffer::Keep => "keep",
        };
        [
            (RING, Some(self.ring.clone().into())),
            (STREAM, Some(self.streams.to_string().into())),
            (QUIET, self.quiet.then(|| "1".into())),
            (BUFFER, Some(buffer.into())),
        ]
    }

    /// Reads the variables through `get`. `None`: they are not complete, or nothing is to be captured.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let ring = PathBuf::from(get(RING)?);
        let streams = Streams::parse(get(STREAM)?.as_bytes())?;
        let is = |name, value| get(name).as_deref() == Some(OsStr::new(value));
        let buffer = if is(BUFFER, "line") { Buffer::Line } else { Buffer::Keep };
        let worth_it = ring.is_absolute() && streams != Streams::default();
        worth_it.then_some(Self { ring, streams, quiet: is(QUIET, "1"), buffer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(variables: &[(&str, Option<OsString>)]) -> Option<Environment> {
        Environment::read(|name| variables.iter().find(|(known, _)| *known == name)?.1.clone())
    }

    fn id() -> impl Strategy<Value = FileId> {
        any::<(u64, u64)>().prop_map(|(dev, ino)| FileId { dev, ino })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            out in prop::option::of(id()),
            err in prop::option::of(id()),
            quiet: bool,
            line: bool,
            name in "/[^\0]{0,20}",
        ) {
            let buffer = if line { Buffer::Line } else { Buffer::Keep };
            let written = Environment { ring: name.into(), streams: Streams { out, err }, quiet, buffer };
            let expected = (out.is_some() || err.is_some()).then(|| written.clone());
            prop_assert_eq!(read(&written.variables()), expected);
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text: String) {
            if let Some(streams) = Streams::parse(text.as_bytes()) {
                prop_assert_eq!(Streams::parse(streams.to_string().as_bytes()), Some(streams));
            }
        }
    }

    #[test]
    fn the_streams_are_written_as_documented() {
        let (out, err) = (FileId { dev: 24, ino: 3 }, FileId { dev: 0, ino: u64::MAX });
        let both = Streams { out: Some(out), err: Some(err) };
        assert_eq!(both.to_string(), "out=24:3,err=0:18446744073709551615");
        assert_eq!(Streams { out: None, ..both }.to_string(), "err=0:18446744073709551615");
        assert_eq!(Streams::parse(b"out=24:3,log=1:1"), Some(Streams { out: Some(out), err: None }));
        for bad in ["out", "out=", "out=1", "out=1:", "out=-1:2", "out=1:2,err"] {
            assert_eq!(Streams::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn without_a_ring_or_a_stream_nothing_is_captured() {
        let ring = (RING, Some("/r".into()));
        let stream = (STREAM, Some("out=1:2".into()));
        assert!(read(&[ring.clone(), stream.clone()]).is_some());
        assert_eq!(read(std::slice::from_ref(&ring)), None);
        assert_eq!(read(std::slice::from_ref(&stream)), None);
        assert_eq!(read(&[(RING, Some("r".into())), stream]), None, "a relative path");
        assert_eq!(read(&[ring, (STREAM, Some("".into()))]), None);
    }

    #[test]
    fn the_number_decides_only_where_both_are_the_same() {
        let [a, b] = [1, 2].map(|ino| FileId { dev: 0, ino });
        let apart = Streams { out: Some(a), err: Some(b) };
        assert_eq!([1, 2].map(|fd| apart.find(fd, a)), [Some(Stream::Out); 2]);
        assert_eq!([1, 2].map(|fd| apart.find(fd, b)), [Some(Stream::Err); 2]);
        let same = Streams { out: Some(a), err: Some(a) };
        assert_eq!([1, 2].map(|fd| same.find(fd, a)), [Some(Stream::Out), Some(Stream::Err)]);
        assert_eq!(same.find(1, b), None);
    }
}

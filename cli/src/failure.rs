//! Why a command fails, what it says then, and the exit code: the table in `lapwing --help`.

use lapwing_kallsyms::LoadError;
use lapwing_kallsyms::shared::{AttachError, PublishError};
use lapwing_reader_shim::{DumpError, FollowError, push_escaped};
use lapwing_ring::{AppendError, Error, GeometryError, ReadError};
use lapwing_writer_shim::kmsg::BridgeError;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

pub const NOTHING_MATCHED: u8 = 1;
pub const LOSS: u8 = 3;
pub const ERROR: u8 = 1;
const USAGE: u8 = 2;
pub const DAMAGED: u8 = 4;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Ring(#[from] Error),
    #[error("{}: {source}", path.display())]
    Read { path: PathBuf, source: ReadError },
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    #[error("{refused} records were refused, the last because: {last}")]
    Refused { refused: u64, last: AppendError },
    #[error("{}: the file was cut short while it was written to; what was written since is lost", path.display())]
    Truncated { path: PathBuf },
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    #[error("{}: cannot be written: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    #[error("{0}")]
    Capture(String),
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    #[error(transparent)]
    Dump(#[from] DumpError),
    #[error("cannot take signals: {0}")]
    Signals(io::Error),
    #[error("{}: cannot read the kernel log: {source}{}", path.display(), advice(source))]
    Device { path: PathBuf, source: io::Error },
    #[error("cannot wait for the kernel log: {0}")]
    Poll(io::Error),
    #[error("{}: the ring was removed or replaced, so nobody would see what comes; start again", path.display())]
    Replaced { path: PathBuf },
    #[error("there is no terminal to draw on; `lapwing stat --watch` tells the same in lines")]
    NoTerminal,
    #[error("cannot use the terminal: {0}")]
    Terminal(io::Error),
    #[error("{}: is a ring, and is left as it is", path.display())]
    IsRing { path: PathBuf },
    #[error("no group {name:?} in /etc/group; a number does as well")]
    Group { name: String },
    #[error("{}: cannot be listed: {source}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("{}: is a link, no file, or a ring in use, which --force does not replace", path.display())]
    NotReplaced { path: PathBuf },
    #[error("standard output is a terminal, and a ring is no text; name a file, or redirect it")]
    ToTerminal,
    #[error("{}: cannot keep the cursor: {source}", path.display())]
    Cursor { path: PathBuf, source: io::Error },
    #[error("{}: is no cursor file, and is left as it is", path.display())]
    NoCursor { path: PathBuf },
    #[error("{}: cannot be removed: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Symbols(#[from] LoadError),
    #[error("{error}; {attach}")]
    NoSymbols { error: LoadError, attach: AttachError },
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("cannot hear of modules that come and go: {0}")]
    Monitor(io::Error),
}

impl Failure {
    pub fn follow(path: PathBuf) -> impl FnOnce(FollowError) -> Self {
        move |error| match error {
            FollowError::Read(source) => Self::Read { path, source },
            FollowError::Write(error) => Self::Output(error),
        }
    }

    /// Are there symbols, and we may not see where they are?
    pub fn is_hidden(&self) -> bool {
        matches!(self, Self::Symbols(error) | Self::NoSymbols { error, .. } if matches!(error, LoadError::Hidden { .. }))
    }

    fn code(&self) -> u8 {
        let is_damage = |error: &Error| match error {
            // So short that nothing says it ever was a ring.
            Error::Truncated { len, .. } => *len >= 8,
            error => matches!(error, Error::BadGeometry { .. } | Error::BadHeader { .. }),
        };
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Dump(error) if error.is_broken_pipe() => 0,
            Self::Dump(DumpError::NoFile { .. }) => USAGE,
            Self::Ring(error) | Self::Bridge(BridgeError::Ring(error)) if is_damage(error) => DAMAGED,
            Self::Read { .. } | Self::Truncated { .. } | Self::Bridge(BridgeError::Read(_)) => DAMAGED,
            Self::Refused { last: AppendError::Damaged, .. } => DAMAGED,
            Self::Bridge(BridgeError::Refused(AppendError::Damaged)) => DAMAGED,
            Self::Geometry(_) | Self::ToTerminal | Self::Publish(PublishError::Mode { .. }) => USAGE,
            _ => ERROR,
        }
    }

    /// Says it on stderr.
    pub fn report(self) -> ExitCode {
        ExitCode::from(self.say())
    }

    /// As [`Failure::report`], where more is to be done.
    pub fn say(self) -> u8 {
        let code = self.code();
        if code != 0 {
            say(self);
        }
        code
    }
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; it takes root, or CAP_SYSLOG where kernel.dmesg_restrict is 1",
        _ => "",
    }
}

/// One line on stderr. Paths and names in it may come from others, so it is escaped.
pub fn say(text: impl Display) {
    let mut line = b"lapwing: ".to_vec();
    push_escaped(&mut line, text.to_string().as_bytes());
    line.push(b'\n');
    // Whoever closed it does not want to know.
    let _ = io::stderr().write_all(&line);
}

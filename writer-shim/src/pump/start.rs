//! In the process that becomes the program: the transports are made, the pump is started, the transports put in place.

#![forbid(unsafe_code)]

use super::places::{END, LINE, LOCK, PROGRAM, REAL, TRANSPORT};
use super::sys::{self, Fork};
use super::{Job, Transport, pty};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Numbers that none of the places has.
const ABOVE: RawFd = END + 2;

/// Why nothing could be put between the program and its output.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum StartError {
    /// No transport could be made.
    Transport { name: &'static str, source: io::Error },
    /// The kernel has no room for another process or descriptor.
    Process(io::Error),
    /// The pump ended before it was ready.
    NotReady,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport { name, source } => write!(f, "no {name} to capture with: {source}"),
            Self::Process(source) => write!(f, "no process to capture with: {source}"),
            Self::NotReady => f.write_str("the pump ended before it was ready"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transport { source, .. } | Self::Process(source) => Some(source),
            Self::NotReady => None,
        }
    }
}

/// The standard output and standard error that there were, closed by exec.
#[derive(Debug)]
pub struct Started {
    real: [Option<OwnedFd>; 2],
}

impl Started {
    /// Puts them back, where no program came of it.
    pub fn undo(self) {
        for (real, number) in self.real.iter().zip([1, 2]) {
            if let Some(real) = real {
                let _ = sys::place(real.as_raw_fd(), number);
            }
        }
    }
}

/// Starts the pump by `command`, which is to call [`super::serve()`] with this job, and puts the transports in place of
/// descriptors 1 and 2. With `joined` the first transport is for both. To be called by a process of one thread, which
/// then becomes the program.
///
/// # Errors
/// No transport, no process, or the pump cannot write to the ring. Nothing is changed then.
pub fn start(job: &Job, joined: bool, command: &mut Command) -> Result<Started, StartError> {
    let mut theirs = [None, None];
    let mut ours = [None, None];
    for i in [0, 1] {
        if let Some(tap) = job.taps[i] {
            let (their, our) = make(tap.transport, i as RawFd + 1)
                .map_err(|source| StartError::Transport { name: tap.transport.name(), source })?;
            (theirs[i], ours[i]) = (Some(their), Some(our));
        }
    }
    let real = [1, 2].map(|fd| sys::copy(fd, ABOVE)).map(Result::ok);
    let (mut ready, line) = io::pipe().map_err(StartError::Process)?;
    let null = File::open("/dev/null").map_err(StartError::Process)?;
    let [null, line] = [null.into(), line.into()].map(away);
    let (null, line) = (null.map_err(StartError::Process)?, line.map_err(StartError::Process)?);
    let had_heard = sys::has_heard_of_child();
    match sys::fork().map_err(StartError::Process)? {
        Fork::Parent(child) => {
            drop((ours, line));
            sys::wait_for(child, had_heard);
        }
        // Twice, so that the program has no child that it did not start.
        Fork::Child => match sys::fork() {
            Ok(Fork::Child) => {
                sys::new_session();
                let keeps_real =
                    |i: usize| !job.quiet || job.taps[i].is_some_and(|tap| tap.transport == Transport::Pty);
                for i in [0, 1] {
                    let kept = real[i].as_ref().filter(|_| job.taps[i].is_some() && keeps_real(i));
                    place(kept.unwrap_or(&null), REAL[i]);
                    place(ours[i].as_ref().unwrap_or(&null), TRANSPORT[i]);
                }
                place(&line, LINE);
                for later in [0, 1, 2, LOCK, PROGRAM] {
                    place(&null, later);
                }
                sys::close_from(END);
                let _ = command.exec();
                sys::leave(127)
            }
            Ok(Fork::Parent(_)) => sys::leave(0),
            Err(_) => sys::leave(1),
        },
    }
    if ready.read(&mut [0]).unwrap_or(0) == 0 {
        return Err(StartError::NotReady);
    }
    let mut started = Started { real: [None, None] };
    for (i, original) in real.into_iter().enumerate() {
        if let Some(transport) = theirs[if joined { 0 } else { i }].as_ref() {
            place(transport, i as RawFd + 1);
            started.real[i] = original;
        }
    }
    Ok(started)
}

/// Both ends: the program's, and the pump's under a number that is in nobody's way.
fn make(transport: Transport, fd: RawFd) -> io::Result<(OwnedFd, OwnedFd)> {
    let (theirs, ours) = match transport {
        Transport::Pipe => {
            let (ours, theirs) = io::pipe()?;
            (OwnedFd::from(theirs), OwnedFd::from(ours))
        }
        Transport::Socket => {
            let (theirs, ours) = UnixStream::pair()?;
            sys::ask_for_senders(ours.as_raw_fd())?;
            (theirs.into(), ours.into())
        }
        Transport::Pty => pty::open(fd)?,
    };
    Ok((theirs, away(ours)?))
}

/// The same under a number that none of the places has.
fn away(fd: OwnedFd) -> io::Result<OwnedFd> {
    sys::copy(fd.as_raw_fd(), ABOVE)
}

fn place(fd: &OwnedFd, number: RawFd) {
    // There is no number that the kernel could refuse: all are small.
    let _ = sys::place(fd.as_raw_fd(), number);
}

//! Which modules come and go, as the kernel announces it: uevents, received from netlink.

#![forbid(unsafe_code)]

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, Result};
use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recvfrom, socket_with, sockopt};

/// The multicast group that the kernel itself sends to; what udev passes on is in another.
const KERNEL: u32 = 1;

/// What may wait unread, in bytes: each uevent takes some 2 KiB of it, and a start of a system brings thousands at once.
const QUEUE: usize = 8 << 20;

/// The kernel's own limit for one is 2048 bytes.
const DATAGRAM: usize = 8192;

/// A socket that receives uevents.
#[derive(Debug)]
pub struct Uevents {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    received: u64,
}

/// What a uevent says of modules, and of processors, on which BPF programs are loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// A module has come, gone, or changed.
    Module {
        /// What happened to it.
        action: Action,
        /// Its name.
        name: String,
    },
    /// A processor has come online.
    Processor,
    /// Uevents were lost: more came than were received. Anything may have changed.
    Lost,
}

/// What happened to a module.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It is loaded, and its init function has ended.
    Add,
    /// It is gone, or about to be.
    Remove,
    /// Something else.
    Other,
}

/// Why [`Uevents::wait`] returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// There may be something to receive.
    Readable,
    /// The descriptor beside it became readable.
    Asked,
    /// The time is over.
    Timeout,
}

impl Uevents {
    /// Receives from the kernel, without any privilege. In a network namespace that belongs to another user namespace than
    /// the first one there is nothing to receive.
    pub fn open() -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        // Beyond net.core.rmem_max takes CAP_NET_ADMIN; less than we want is no error, what is lost is seen.
        if sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, QUEUE)?;
        }
        bind(&socket, &SocketAddrNetlink::new(0, KERNEL))?;
        Ok(Self::from_socket(socket))
    }

    /// Receives from `socket`, datagrams in the kernel's format; whoever holds its other end is believed. Of a netlink
    /// socket only what the kernel itself sends counts.
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self { socket, buffer: vec![0; DATAGRAM].into(), received: 0 }
    }

    /// Sleeps until there is something to receive, `wake` is readable, or the time is over; `None`: for as long as it takes.
    pub fn wait(&self, wake: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<Woken> {
        let timeout =
            timeout.map(|timeout| Timespec::try_from(timeout).unwrap_or(Timespec { tv_sec: 1 << 30, tv_nsec: 0 }));
        let mut descriptors = [PollFd::new(&self.socket, PollFlags::IN), PollFd::from_borrowed_fd(wake, PollFlags::IN)];
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(0) => Ok(Woken::Timeout),
            // Errors as well: receiving and asking tell which.
            Ok(_) if !descriptors[1].revents().is_empty() => Ok(Woken::Asked),
            Ok(_) | Err(Errno::INTR) => Ok(Woken::Readable),
            Err(error) => Err(error),
        }
    }

    /// The next news; `None` where nothing waits. Never sleeps, and steps over no more than `patience` uevents of
    /// others.
    ///
    /// # Errors
    ///
    /// The socket is of no use any more; a stream of datagrams whose other end is closed reports `ECONNRESET`.
    pub fn receive(&mut self, patience: u32) -> Result<Option<News>> {
        for _ in 0..patience {
            match recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
                Ok((_, 0, None)) => return Err(Errno::CONNRESET),
                Ok((_, len, from)) => {
                    self.received += 1;
                    let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
                    if sender.is_some_and(|sender| sender.pid() != 0) {
                        continue;
                    }
                    // Longer than any that we know: what it says is not known.
                    let Some(datagram) = self.buffer.get(..len) else { return Ok(Some(News::Lost)) };
                    if let Some(news) = parse(datagram) {
                        return Ok(Some(news));
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::NOBUFS) => return Ok(Some(News::Lost)),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// How many datagrams were received, of modules and of others.
    pub fn received(&self) -> u64 {
        self.received
    }
}

/// What `datagram` says of a module or a processor: `ACTION@PATH`, then `KEY=VALUE`, each ended by a zero byte. `None` where it is of
/// something else, or in no format that the kernel uses.
pub fn parse(datagram: &[u8]) -> Option<News> {
    let mut parts = datagram.split(|&byte| byte == 0);
    let header = parts.next()?;
    let (mut action, mut path, mut subsystem) = (None, None, None);
    for part in parts {
        let Some(equals) = memchr::memchr(b'=', part) else { continue };
        let (key, value) = (&part[..equals], &part[equals + 1..]);
        match key {
            b"ACTION" => action = Some(value),
            b"DEVPATH" => path = Some(value),
            b"SUBSYSTEM" => subsystem = Some(value),
            _ => {}
        }
    }
    let (action, path) = (action?, path?);
    let announced = header.strip_prefix(action)?.strip_prefix(b"@")? == path;
    if !announced {
        return None;
    }
    if subsystem == Some(b"cpu") && matches!(action, b"online" | b"add") {
        return Some(News::Processor);
    }
    if subsystem != Some(b"module") {
        return None;
    }
    let name = path.strip_prefix(b"/module/").filter(|name| !name.is_empty() && !name.contains(&b'/'))?;
    let action = match action {
        b"add" => Action::Add,
        b"remove" => Action::Remove,
        _ => Action::Other,
    };
    Some(News::Module { action, name: str::from_utf8(name).ok()?.to_owned() })
}

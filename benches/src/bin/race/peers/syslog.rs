//! syslog(3) of the C library, to a receiver of ours behind /dev/log.
#![allow(unsafe_code)]

use super::datagram::{HOLDS, Receiver, connect, too_short_a_queue};
use crate::Result;
use crate::peer::{Measure, Payload, Peer, Read, Write};
use crate::place::is_place;
use std::any::Any;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Where syslog(3) sends to.
const LOG: &str = "/dev/log";
/// Our socket, in the race's folder; [`LOG`] leads to it.
const SOCKET: &str = "dev-log";
/// Text ends at the first NUL, so that is written as these two, and the first of them as twice itself.
const ESCAPE: u8 = 0x1b;
const NUL: u8 = b'0';

pub struct Syslog;

impl Peer for Syslog {
    const NAME: &'static str = "syslog";
    const ABOUT: &'static str = "syslog(3): any writers, one daemon reads, one total order, writers wait; text with time in seconds, process, level";
    const MEASURES: &'static [Measure] =
        &[Measure::Append, Measure::AppendMeta, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    const HOLDS: Option<usize> = Some(HOLDS);
    type Channel = PathBuf;
    type Writer<'c> = Logger;
    type Reader<'c> = Listener;

    fn missing() -> Option<String> {
        too_short_a_queue()
    }

    fn set_up(folder: &Path) -> Result<Box<dyn Any>> {
        let socket = folder.join(SOCKET);
        if fs::read_link(LOG).is_ok_and(|to| is_stale(&to)) {
            fs::remove_file(LOG).map_err(|error| format!("{LOG} of a race that was killed: {error}"))?;
        }
        symlink(&socket, LOG).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => format!("{LOG} belongs to another daemon: stop it, or race in a container"),
            _ => format!("{LOG}: {error}: race as root"),
        })?;
        Ok(Box::new(Led(socket)))
    }

    fn create(place: &Path) -> Result<()> {
        match fs::remove_file(socket(place)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn open(place: &Path) -> Result<PathBuf> {
        Ok(socket(place))
    }

    fn writer(_: &PathBuf, meta: bool) -> Result<Logger> {
        Logger::open(meta, None)
    }

    fn alone(socket: &PathBuf, meta: bool) -> Result<Logger> {
        let own = Listener::bind(socket)?;
        Logger::open(meta, Some(own))
    }

    fn reader(socket: &PathBuf) -> Result<Listener> {
        Listener::bind(socket)
    }
}

fn socket(place: &Path) -> PathBuf {
    place.with_file_name(SOCKET)
}

/// Whether it is the socket of a race that was killed: the folder went when this one began.
fn is_stale(socket: &Path) -> bool {
    let folder =
        socket.parent().filter(|folder| folder.file_name().and_then(|name| name.to_str()).is_some_and(is_place));
    socket.ends_with(SOCKET) && folder.is_some_and(|folder| !folder.exists())
}

/// [`LOG`] leads to our socket until this is dropped.
struct Led(PathBuf);

impl Drop for Led {
    fn drop(&mut self) {
        if fs::read_link(LOG).is_ok_and(|to| to == self.0) {
            let _ = fs::remove_file(LOG);
        }
    }
}

/// The one connection of the process, which the C library keeps.
pub struct Logger {
    /// Where nobody else receives.
    own: Option<Listener>,
    text: Vec<u8>,
}

impl Logger {
    fn open(meta: bool, own: Option<Listener>) -> Result<Self> {
        // Without a receiver syslog(3) says nothing and loses what it is given.
        connect(Path::new(LOG))?;
        let options = libc::LOG_NDELAY | if meta { libc::LOG_PID } else { 0 };
        // SAFETY: the name is a C string, and static, as the C library keeps the pointer.
        unsafe { libc::openlog(c"race".as_ptr(), options, libc::LOG_USER) };
        Ok(Self { own, text: Vec::with_capacity(2 * size_of::<Payload>()) })
    }
}

impl Write for Logger {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        let text = if payload.iter().any(|&byte| byte == 0 || byte == ESCAPE) {
            escape(payload, &mut self.text);
            &self.text[..]
        } else {
            payload
        };
        let len = text.len() as libc::c_int;
        // SAFETY: the format takes an int and a pointer to that many bytes, of which none is read behind `text`.
        unsafe { libc::syslog(libc::LOG_INFO, c"%.*s".as_ptr(), len, text.as_ptr()) };
    }

    fn settle(&mut self) {
        if let Some(own) = &mut self.own {
            own.receiver.drain();
        }
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        // SAFETY: it may be called at any time; the next openlog(3) starts afresh.
        unsafe { libc::closelog() };
    }
}

/// What the daemon would be.
pub struct Listener {
    receiver: Receiver,
    text: Vec<u8>,
}

impl Listener {
    fn bind(socket: &Path) -> Result<Self> {
        Ok(Self { receiver: Receiver::bind(socket)?, text: Vec::new() })
    }
}

impl Read for Listener {
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        let Self { receiver, text } = self;
        receiver.poll(|datagram| {
            // `<14>Nov 22 03:10:00 race[123]: payload`
            let header = datagram.windows(2).position(|two| two == b": ").expect("syslog(3) puts a header in front");
            let payload = &datagram[header + 2..];
            if payload.contains(&ESCAPE) {
                unescape(payload, text);
                each(text);
            } else {
                each(payload);
            }
        })
    }
}

fn escape(bytes: &[u8], text: &mut Vec<u8>) {
    text.clear();
    for &byte in bytes {
        match byte {
            0 => text.extend([ESCAPE, NUL]),
            ESCAPE => text.extend([ESCAPE, ESCAPE]),
            _ => text.push(byte),
        }
    }
}

fn unescape(text: &[u8], bytes: &mut Vec<u8>) {
    bytes.clear();
    let mut text = text.iter();
    while let Some(&byte) = text.next() {
        bytes.push(match byte {
            ESCAPE if text.next() == Some(&NUL) => 0,
            byte => byte,
        });
    }
}

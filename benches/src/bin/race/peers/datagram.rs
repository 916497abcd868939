//! A unix datagram socket: send(2) for each record, recv(2) for each record.

use crate::Result;
use crate::peer::{LEN, Measure, Payload, Peer, Read, Write};
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Datagrams that wait in a socket before a sender does, unless `net.unix.max_dgram_qlen` says otherwise.
pub const HOLDS: usize = 10;
/// How long a sender waits for a receiver to be there.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Datagram;

impl Peer for Datagram {
    const NAME: &'static str = "datagram";
    const ABOUT: &'static str = "any writers, one reader, one total order, writers wait";
    const MEASURES: &'static [Measure] = &[Measure::Append, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    const HOLDS: Option<usize> = Some(HOLDS);
    type Channel = PathBuf;
    type Writer<'c> = Sender;
    type Reader<'c> = Receiver;

    fn missing() -> Option<String> {
        too_short_a_queue()
    }

    fn create(_: &Path) -> Result<()> {
        // The reader binds it: a socket is its process's.
        Ok(())
    }

    fn open(place: &Path) -> Result<PathBuf> {
        Ok(place.into())
    }

    fn writer(place: &PathBuf, _meta: bool) -> Result<Sender> {
        Ok(Sender { socket: connect(place)?, own: None })
    }

    fn alone(place: &PathBuf, _meta: bool) -> Result<Sender> {
        let own = Receiver::bind(place)?;
        Ok(Sender { socket: connect(place)?, own: Some(own) })
    }

    fn reader(place: &PathBuf) -> Result<Receiver> {
        Receiver::bind(place)
    }
}

/// Why bursts of [`HOLDS`] would wait for ever.
pub fn too_short_a_queue() -> Option<String> {
    let path = "/proc/sys/net/unix/max_dgram_qlen";
    let holds: usize = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    (holds < HOLDS).then(|| format!("{path} is {holds}: make it {HOLDS} at least"))
}

/// A socket whose datagrams go to `place`, once somebody receives there.
pub fn connect(place: &Path) -> Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    let until = Instant::now() + PATIENCE;
    while let Err(error) = socket.connect(place) {
        if Instant::now() > until {
            return Err(format!("{}: {error}", place.display()).into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(socket)
}

pub struct Sender {
    socket: UnixDatagram,
    /// Where nobody else receives.
    own: Option<Receiver>,
}

impl Write for Sender {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        let sent = self.socket.send(payload).expect("a socket with a receiver");
        assert_eq!(sent, LEN, "a datagram is whole");
    }

    fn settle(&mut self) {
        if let Some(own) = &mut self.own {
            own.drain();
        }
    }
}

/// Who receives.
pub struct Receiver {
    socket: UnixDatagram,
    buf: [u8; 4096],
}

impl Receiver {
    pub fn bind(place: &Path) -> Result<Self> {
        let socket = UnixDatagram::bind(place).map_err(|error| format!("{}: {error}", place.display()))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, buf: [0; 4096] })
    }

    /// Takes everything away.
    pub fn drain(&mut self) {
        while self.poll(|_| {}) > 0 {}
    }
}

impl Read for Receiver {
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        match self.socket.recv(&mut self.buf) {
            Ok(len) => {
                each(&self.buf[..len]);
                1
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => panic!("a socket cannot be read: {error}"),
        }
    }
}

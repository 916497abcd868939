//! The two processes behind a program: the pump, which reads until no writer is left, and its guard.

#![forbid(unsafe_code)]

use super::hand::{self, Hand, Sender};
use super::passing::{Passed, Passing};
use super::places::{END, LINE, LOCK, PROGRAM, REAL, TRANSPORT};
use super::senders::Senders;
use super::sys::{self, Fork};
use super::{Job, Transport, pty, through};
use lapwing_ring::{Draft, Flags, Level, Log, Origin, Source};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::time::{Duration, Instant};

/// How often to look whether somebody with an unfinished line is gone, while there is one.
const ENDS: Duration = Duration::from_millis(500);
/// How often to look at the size of a terminal: only its own session is told.
const SIZES: Duration = Duration::from_millis(250);
/// From one guard to the next.
const GUARDS: Duration = Duration::from_millis(10);
/// In this time a guard has ended that was told to.
const ENDING: Duration = Duration::from_millis(100);
/// Pumps that may die over the same bytes before these are left alone.
const DEATHS: u32 = 3;

/// On the line to the guard: which stream has ended, or that everything has.
const ENDED: [u8; 2] = [b'0', b'1'];
const DONE: u8 = b'd';

/// The pump's whole life; its descriptors are where [`super::start()`] has put them.
pub fn serve(job: &Job) -> ! {
    sys::ignore_signals();
    // A panic of ours is nobody's business; the guard takes over.
    std::panic::set_hook(Box::new(|_| {}));
    let (Ok(hands), Ok(log)) = (hand::map(), Log::open(&job.ring)) else { sys::leave(1) };
    if let (Ok(lock), Ok(program)) = (through::hold(&job.ring, job.program.pid), sys::process(job.program.pid)) {
        let _ = sys::place(lock.as_raw_fd(), LOCK);
        let _ = sys::place(program.as_raw_fd(), PROGRAM);
    }
    // No file system should be held back by us.
    let _ = std::env::set_current_dir("/");
    let guard = stand_guard(job, hands);
    let _ = sys::write(LINE, b"r");
    blank(LINE);
    Pump::new(job, hands, Some(log), guard).run()
}

/// Starts a guard for this process. `None`: there is no room for one now.
fn stand_guard(job: &Job, hands: &'static [Hand; 2]) -> Option<UnixStream> {
    let (ours, theirs) = UnixStream::pair().ok()?;
    match sys::fork() {
        Ok(Fork::Parent(_)) => Some(ours),
        Ok(Fork::Child) => {
            // Never goes back to where it came from: what lives there is the pump's.
            sys::set_name(c"lapwing-guard");
            let _ = sys::place(theirs.as_raw_fd(), LINE);
            sys::close_from(END);
            wait_for_end(hands);
            blank(LINE);
            for hand in hands {
                give_up_on_deadly(hand);
            }
            let guard = stand_guard(job, hands);
            Pump::new(job, hands, Log::open(&job.ring).ok(), guard).run()
        }
        Err(_) => None,
    }
}

/// Comes back when the pump is dead.
fn wait_for_end(hands: &[Hand; 2]) {
    let mut word = [0];
    loop {
        match sys::read_into(LINE, &mut word) {
            Ok(1) if word[0] == DONE => sys::leave(0),
            Ok(1) => {
                for i in [0, 1].into_iter().filter(|&i| ENDED[i] == word[0]) {
                    blank(TRANSPORT[i]);
                    blank(REAL[i]);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    // The pump may have died before it could say so.
    for i in [0, 1].into_iter().filter(|&i| hands[i].is_closed.load(Acquire) != 0) {
        blank(TRANSPORT[i]);
        blank(REAL[i]);
    }
}

fn give_up_on_deadly(hand: &Hand) {
    let len = hand.bytes().len() as u32;
    if hand.recorded.load(Acquire) < len {
        let deaths = hand.deaths.load(Acquire) + 1;
        hand.deaths.store(deaths, Release);
        if deaths > DEATHS {
            hand.recorded.store(len, Release);
        }
    }
}

/// Closes what is in a place, and keeps the number from being anybody else's.
fn blank(place: RawFd) {
    let _ = sys::place(0, place);
}

struct Pump<'a> {
    job: &'a Job,
    hands: &'static [Hand; 2],
    /// `None`: the ring could not be opened again after a death. Bytes are passed on all the same.
    log: Option<Log>,
    guard: Option<UnixStream>,
    guarded_at: Instant,
    streams: [Option<Stream<'a>>; 2],
    has_terminal: bool,
    size: Option<libc::winsize>,
    /// The program still runs, as far as we know.
    runs: bool,
    /// Not all that it wrote is through.
    holds_lock: bool,
}

struct Stream<'a> {
    transport: Transport,
    source: Source,
    senders: Senders<'a>,
    /// `None` under `--quiet`, and when the reader is gone.
    passing: Option<Passing>,
}

impl<'a> Pump<'a> {
    fn new(job: &'a Job, hands: &'static [Hand; 2], log: Option<Log>, guard: Option<UnixStream>) -> Self {
        sys::set_name(c"lapwing-pump");
        let streams = [0, 1].map(|i| {
            let tap = job.taps[i].filter(|_| hands[i].is_closed.load(Acquire) == 0)?;
            let passing = (!job.quiet).then(|| Passing::new(REAL[i]));
            Some(Stream {
                transport: tap.transport,
                source: tap.source,
                senders: Senders::new(tap.source, &job.program),
                passing,
            })
        });
        let has_terminal = job.taps.iter().flatten().any(|tap| tap.transport == Transport::Pty);
        Self {
            job,
            hands,
            log,
            guard,
            guarded_at: Instant::now(),
            streams,
            has_terminal,
            size: None,
            runs: true,
            holds_lock: true,
        }
    }

    fn run(mut self) -> ! {
        for i in [0, 1] {
            // What a dead pump has left.
            if !self.hands[i].bytes().is_empty() {
                self.record(i);
            }
        }
        while self.streams.iter().any(Option::is_some) {
            let ready = self.wait();
            for i in [0, 1] {
                self.step(i, ready[i], ready[i + 2]);
            }
            if ready[4] != 0 {
                self.guard = None;
            }
            self.runs &= ready[5] == 0;
            if !self.runs && self.holds_lock && self.is_through() {
                self.give_up_lock();
            }
            if self.guard.is_none() && self.guarded_at.elapsed() >= GUARDS {
                self.guarded_at = Instant::now();
                self.guard = stand_guard(self.job, self.hands);
            }
        }
        self.give_up_lock();
        // Gives the ring's slots back.
        drop(self.log);
        if let Some(guard) = &mut self.guard {
            let _ = guard.write_all(&[DONE]);
            // A child that ends first leaves nothing to whoever would have to wait for it.
            let _ = guard.set_read_timeout(Some(ENDING));
            let _ = guard.read(&mut [0]);
        }
        sys::leave(0)
    }

    /// Is nothing of what was written until now on the way?
    fn is_through(&self) -> bool {
        (0..2).all(|i| self.streams[i].is_none() || self.hands[i].rest().is_empty() && sys::queued(TRANSPORT[i]) == 0)
    }

    fn give_up_lock(&mut self) {
        self.holds_lock = false;
        through::release(LOCK, self.job.program.pid);
    }

    /// Waits until there is something to do, and gives what poll(2) says of both transports, both real ends, the guard and
    /// the program.
    fn wait(&mut self) -> [i16; 6] {
        const NONE: libc::pollfd = libc::pollfd { fd: -1, events: 0, revents: 0 };
        let mut polled = [NONE; 6];
        for (i, stream) in self.streams.iter().enumerate() {
            let Some(stream) = stream else { continue };
            let is_empty = self.hands[i].rest().is_empty();
            if is_empty {
                polled[i] = libc::pollfd { fd: TRANSPORT[i], events: libc::POLLIN, revents: 0 };
            }
            if stream.passing.as_ref().is_some_and(|passing| passing.failure.is_none()) {
                let events = if is_empty { 0 } else { libc::POLLOUT };
                polled[i + 2] = libc::pollfd { fd: REAL[i], events, revents: 0 };
            }
        }
        if let Some(guard) = &self.guard {
            polled[4] = libc::pollfd { fd: guard.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        }
        if self.runs {
            polled[5] = libc::pollfd { fd: PROGRAM, events: libc::POLLIN, revents: 0 };
        }
        let unfinished = self.streams.iter().flatten().any(|stream| stream.senders.any_unfinished());
        let limits =
            [unfinished.then_some(ENDS), self.has_terminal.then_some(SIZES), self.guard.is_none().then_some(GUARDS)];
        let limit = limits.into_iter().flatten().min();
        sys::poll(&mut polled, limit);
        if self.has_terminal {
            self.follow_size();
        }
        if unfinished
            && polled.iter().all(|polled| polled.revents == 0)
            && let Some(log) = &self.log
        {
            self.streams.iter_mut().flatten().for_each(|stream| stream.senders.look_for_ends(log));
        }
        polled.map(|polled| polled.revents)
    }

    /// Does what can be done for one stream.
    fn step(&mut self, i: usize, input: i16, output: i16) {
        let Some(stream) = &mut self.streams[i] else { return };
        let hand = &self.hands[i];
        if output & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0 && hand.rest().is_empty() {
            match sys::kind(REAL[i]) {
                libc::S_IFIFO | libc::S_IFSOCK => self.hear_no_reader(i),
                // A terminal that is gone: what is written to it finds out.
                _ => self.fail(i, io::Error::from_raw_os_error(libc::EIO)),
            }
            return;
        }
        if output != 0 {
            match stream.passing.as_mut().map(|passing| passing.pass(hand)) {
                Some(Passed::NoReader) => self.hear_no_reader(i),
                Some(Passed::Some) => self.note_failure(i),
                Some(Passed::Wait) | None => {}
            }
        }
        if input != 0 {
            self.read(i);
        }
    }

    /// Takes the next bytes from a transport.
    fn read(&mut self, i: usize) {
        let Some(stream) = &mut self.streams[i] else { return };
        let hand = &self.hands[i];
        let result = match stream.transport {
            Transport::Socket => hand.receive(TRANSPORT[i]),
            Transport::Pipe | Transport::Pty => hand.read(TRANSPORT[i]),
        };
        match result {
            Ok(0) => self.close(i),
            Ok(_) => self.record(i),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // A terminal says so when nobody has it open any more.
            Err(_) => self.close(i),
        }
    }

    /// Brings into the ring what is in a hand.
    fn record(&mut self, i: usize) {
        let hand = &self.hands[i];
        let bytes = hand.bytes();
        let mut recorded = hand.recorded.load(Acquire) as usize;
        self.append(i, hand.sender(), bytes.get(recorded..).unwrap_or_default(), |len| {
            recorded += len;
            hand.recorded.store(recorded as u32, Release);
        });
        match self.streams[i].as_mut().map(|stream| &mut stream.passing) {
            Some(Some(passing)) if passing.failure.is_some() => passing.drop_rest(hand),
            Some(Some(_)) => {}
            Some(None) | None => hand.passed.store(bytes.len() as u32, Release),
        }
    }

    fn append(&mut self, i: usize, sender: Option<Sender>, bytes: &[u8], done: impl FnMut(usize)) {
        let (Some(stream), Some(log)) = (&mut self.streams[i], &self.log) else { return };
        let attested = sender.is_some();
        let sender = sender.unwrap_or(Sender { pid: self.job.program.pid, uid: self.job.program.uid });
        stream.senders.record(log, sender, attested, bytes, done);
    }

    /// The reader of the real stream is gone, and the program is to find out as it would have without us. What is in the
    /// transport was told to be written, and is still recorded.
    ///
    /// A program that waits for room in a socket at this moment gets EPIPE, but the kernel spares it the SIGPIPE.
    fn hear_no_reader(&mut self, i: usize) {
        let Some(stream) = &mut self.streams[i] else { return };
        stream.passing = None;
        let hand = &self.hands[i];
        hand.passed.store(hand.bytes().len() as u32, Release);
        if stream.transport == Transport::Socket {
            sys::refuse_more(TRANSPORT[i]);
            return;
        }
        let mut left = sys::queued(TRANSPORT[i]);
        while left > 0 && self.streams[i].is_some() {
            self.read(i);
            left = left.saturating_sub(self.hands[i].bytes().len().max(1));
        }
        self.close(i);
    }

    fn fail(&mut self, i: usize, error: io::Error) {
        if let Some(passing) = self.streams[i].as_mut().and_then(|stream| stream.passing.as_mut()) {
            passing.failure = Some(error);
        }
        self.note_failure(i);
    }

    /// Says in the ring, once, that a stream goes nowhere else.
    fn note_failure(&mut self, i: usize) {
        let Some(stream) = &mut self.streams[i] else { return };
        let (Some(passing), Some(log)) = (&mut stream.passing, &self.log) else { return };
        if let Some(error) = &passing.failure {
            say(log, format_args!("{} is in the ring only from now on: {error}", stream.source));
        }
    }

    fn close(&mut self, i: usize) {
        let Some(mut stream) = self.streams[i].take() else { return };
        if let Some(log) = &self.log {
            stream.senders.end(log);
            if let Some(dropped) = stream.passing.map(|passing| passing.dropped).filter(|&dropped| dropped > 0) {
                say(log, format_args!("{dropped} bytes of {} are in the ring only", stream.source));
            }
        }
        self.hands[i].is_closed.store(1, Release);
        blank(TRANSPORT[i]);
        blank(REAL[i]);
        if let Some(guard) = &mut self.guard {
            let _ = guard.write_all(&[ENDED[i]]);
        }
    }

    /// The terminal of the program gets the size of the real one, and the program hears of it.
    fn follow_size(&mut self) {
        for i in [0, 1] {
            let is_terminal = self.streams[i].as_ref().is_some_and(|stream| stream.transport == Transport::Pty);
            let Some(size) = is_terminal.then(|| pty::size(REAL[i])).flatten() else { continue };
            let same = |old: &libc::winsize| (old.ws_row, old.ws_col) == (size.ws_row, size.ws_col);
            if !self.size.as_ref().is_some_and(same) {
                pty::set_size(TRANSPORT[i], &size);
                if self.size.replace(size).is_some() {
                    sys::tell_size(foreground(self.job.program.pid));
                }
            }
        }
    }
}

/// A warning of our own.
fn say(log: &Log, text: std::fmt::Arguments<'_>) {
    let (pid, uid) = sys::who();
    let origin = Origin { pid, tid: pid, comm: Some(b"lapwing-pump"), uid: Some(uid) };
    let draft = Draft { level: Level::WARN, source: Source::Log, flags: Flags::NONE, fields: &[] };
    let _ = log.append_for(&origin, &draft, &[text.to_string().as_bytes()]);
}

/// The process group that the terminal of `pid` listens to; 0 if nobody says.
fn foreground(pid: u32) -> i32 {
    let mut stat = String::new();
    let read = std::fs::File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read_to_string(&mut stat));
    let group = || stat.rsplit(") ").next()?.split(' ').nth(5)?.parse().ok();
    read.ok().and_then(|_| group()).unwrap_or(0)
}

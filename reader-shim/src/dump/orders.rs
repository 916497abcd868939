//! What the user tells a dump while it runs: to finish, to open its file again. Whoever waits in a dump waits here.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Set from outside, by signals for instance.
pub struct Orders {
    /// Has something to read when one of the two was set: ends a wait.
    wake: UnixStream,
    finish: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
    bound: Duration,
    deadline: Option<Instant>,
}

/// What a wait came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waited {
    /// The time is over, or there is an order; look again.
    Over,
    /// The sink takes bytes.
    Ready,
    /// Told to finish, and the time for that is over.
    OutOfTime,
}

impl Orders {
    /// `bound`: how long finishing may take.
    ///
    /// # Errors
    /// `wake` cannot be made not to wait.
    pub fn new(
        wake: UnixStream,
        finish: Arc<AtomicBool>,
        reopen: Arc<AtomicBool>,
        bound: Duration,
    ) -> io::Result<Self> {
        wake.set_nonblocking(true)?;
        Ok(Self { wake, finish, reopen, bound, deadline: None })
    }

    /// Are we to finish?
    pub fn is_finish(&self) -> bool {
        self.finish.load(Relaxed)
    }

    /// Are we to open the file again? Says it once.
    pub(crate) fn take_reopen(&self) -> bool {
        self.reopen.load(Relaxed) && self.reopen.swap(false, Relaxed)
    }

    /// By when we have to be through, if we are to finish.
    fn deadline(&mut self) -> Option<Instant> {
        if self.deadline.is_none() && self.is_finish() {
            self.deadline = Instant::now().checked_add(self.bound);
        }
        self.deadline
    }

    /// Is the time over that finishing may take?
    pub fn is_out_of_time(&mut self) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until there is an order, the time is over, or the sink takes bytes.
    pub(crate) fn wait(&mut self, time: Option<Duration>, sink: Option<BorrowedFd<'_>>) -> io::Result<Waited> {
        let left = self.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return Ok(Waited::OutOfTime);
        }
        let time = [time, left].into_iter().flatten().min();
        let time = time.map(|time| Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() });
        let mut descriptors = vec![PollFd::new(&self.wake, PollFlags::IN)];
        descriptors.extend(sink.map(|sink| PollFd::from_borrowed_fd(sink, PollFlags::OUT)));
        match poll(&mut descriptors, time.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // An error shows at the next write.
        let is_ready = descriptors.get(1).is_some_and(|sink| !sink.revents().is_empty());
        if !descriptors[0].revents().is_empty() {
            let _ = (&self.wake).read(&mut [0; 64]);
        }
        Ok(if is_ready { Waited::Ready } else { Waited::Over })
    }
}

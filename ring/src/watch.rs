//! A descriptor for event loops: poll(2) says that it is readable when a reader has something to read.
//!
//! Writers know nothing of descriptors, so a thread looks at the ring in the reader's place, at two words, and only while the
//! reader waits.
#![allow(unsafe_code)]

use crate::follow::{BELL_FROM, FIRST_SLEEP, LONGEST_PAUSE, LONGEST_SLEEP, Reader};
use crate::map::Mapping;
use crate::process::ForkPage;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The first sleep of the thread; each is twice as long as the one before, up to [`LONGEST_PAUSE`].
const FIRST_NAP: Duration = Duration::from_micros(100);

/// Makes a reader's readiness pollable: its descriptor is readable when there is something to read.
///
/// ```no_run
/// use lapwing_ring::{Read, Reader};
/// # fn wait_in_poll(fd: impl std::os::fd::AsFd) {}
/// let mut reader = Reader::open("/run/lapwing/ring".as_ref())?;
/// let watch = reader.watch()?;
/// loop {
///     wait_in_poll(&watch);
///     while !matches!(reader.next()?, Read::NotYet { .. }) {}
///     watch.rearm(&reader)?;
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It stays readable until [`Watch::rearm`], so it goes with edges (EPOLLET) as with levels. Now and then it is
/// readable, and `next` says `NotYet` all the same: a record is in flight. The descriptor is for poll, select and epoll
/// alone; it is not to be read, written or closed by others.
///
/// The thread sleeps while the descriptor is readable. Else it looks after 100 microseconds, then after twice as long,
/// up to every 6 ms, or sleeps as [`Reader::pause`] does. It takes no signals, and ends when this is dropped. It touches the
/// mapping of a reader that maps, as the reader does.
pub struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    process: &'static ForkPage,
    generation: u64,
}

struct Shared {
    /// An eventfd(2).
    event: File,
    map: Arc<Mapping>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where the reader waits, while it does.
    armed: Option<Armed>,
    /// Of the last time that it waited.
    last: Option<Place>,
    /// How often in a row it has waited at the same place.
    again: u32,
    stop: bool,
}

/// Epoch of a page, and index on it.
type Place = (u64, u32);

#[derive(Clone, Copy, PartialEq)]
struct Armed {
    place: Place,
    since: Instant,
}

/// What the file says of a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sight {
    Nothing,
    Committed,
    /// The log has gone on from here, in a way that only the reader's own rules can tell.
    Beyond,
}

impl Reader {
    /// A descriptor that is readable when this reader has something to read; starts a thread.
    ///
    /// # Errors
    /// No descriptor, no thread.
    pub fn watch(&self) -> io::Result<Watch> {
        let process = ForkPage::get()?;
        // SAFETY: no preconditions.
        let event = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if event < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: open, and nobody else's.
        let event = File::from(unsafe { OwnedFd::from_raw_fd(event) });
        let shared =
            Arc::new(Shared { event, map: Arc::clone(&self.map), state: Mutex::default(), changed: Condvar::new() });
        let thread = {
            let shared = Arc::clone(&shared);
            let _signals = Blocked::new();
            // Its frames are small, and nothing of the caller's runs there.
            std::thread::Builder::new()
                .name("lapwing-watch".into())
                .stack_size(128 << 10)
                .spawn(move || shared.run())?
        };
        let watch = Watch { shared, thread: Some(thread), process, generation: process.generation() };
        watch.rearm(self)?;
        Ok(watch)
    }
}

impl Watch {
    /// To be called when `reader`, for which this was made, had nothing to read: from here on the descriptor is not
    /// readable, until there is something. Call it after a seek, too. In a child of a fork it does nothing.
    ///
    /// # Errors
    /// The descriptor was closed by somebody.
    pub fn rearm(&self, reader: &Reader) -> io::Result<()> {
        if self.is_inherited() {
            return Ok(());
        }
        let place = reader.place();
        let mut state = self.shared.state();
        state.again = if state.last == Some(place) { state.again.saturating_add(1) } else { 0 };
        state.last = Some(place);
        let armed = Armed { place, since: Instant::now() };
        if self.shared.is_ready(&armed, state.again) {
            state.armed = None;
            return self.shared.fire();
        }
        match (&self.shared.event).read(&mut [0; 8]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        state.armed = Some(armed);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Is this a forked child's copy? The thread and what the descriptor says are the parent's: make another one.
    pub fn is_inherited(&self) -> bool {
        self.process.generation() != self.generation
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if self.is_inherited() {
            // No such thread here, and who knows what became of its memory.
            return std::mem::forget(thread);
        }
        self.shared.state().stop = true;
        self.shared.changed.notify_one();
        // It may sleep there. Others who do look again, and sleep on.
        self.shared.map.ring_bell();
        // It cannot panic: nothing in it does.
        let _ = thread.join();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.state();
        let (mut watched, mut nap) = (None, FIRST_NAP);
        let (mut has_slept, mut in_vain) = (false, false);
        while !state.stop {
            if watched != state.armed {
                (watched, nap) = (state.armed, FIRST_NAP);
            }
            let Some(armed) = state.armed else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if self.is_ready(&armed, state.again) {
                state.armed = None;
                // Who closed the descriptor hears of it at his next call.
                let _ = self.fire();
                continue;
            }
            // A place that is beyond reading for a moment is looked at again soon.
            if nap >= BELL_FROM
                && !std::mem::take(&mut in_vain)
                && let Some(bell) = self.map.bell()
                && let is_anew = bell.set()
                && matches!(self.look(armed.place), Ok(Sight::Nothing))
            {
                let bound = if is_anew || !has_slept { FIRST_SLEEP } else { LONGEST_SLEEP };
                // Who arms it anew meanwhile has looked himself, and what is committed behind that rings.
                drop(state);
                in_vain = bell.sleep(bound);
                has_slept = !in_vain;
                state = self.state();
                continue;
            }
            state = self.changed.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner).0;
            nap = (nap * 2).min(LONGEST_PAUSE);
        }
    }

    fn fire(&self) -> io::Result<()> {
        match (&self.event).write(&1u64.to_ne_bytes()) {
            // Full, which is readable.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            written => written.map(drop),
        }
    }

    fn is_ready(&self, armed: &Armed, again: u32) -> bool {
        match self.look(armed.place) {
            // The reader is to say what is wrong.
            Err(_) | Ok(Sight::Committed) => true,
            Ok(Sight::Nothing) => false,
            // Who comes back to the same place stands before a record in flight: let time pass.
            Ok(Sight::Beyond) => {
                let patience = FIRST_NAP * (1 << again.min(8)) / 2;
                again == 0 || armed.since.elapsed() >= patience.min(LONGEST_PAUSE)
            }
        }
    }

    fn look(&self, (epoch, index): Place) -> io::Result<Sight> {
        if epoch == 0 {
            return Ok(Sight::Beyond);
        }
        let head = self.map.head_now()?;
        let last = self.map.ring().geometry.index_len() - 1;
        // Also where HEAD says that nothing came: a file may have been cut short behind it.
        let entry = self.map.entry_now(epoch, index.min(last))?;
        Ok(match entry.offset_in(epoch) {
            _ if head.is_page(epoch) && head.count() <= index => Sight::Nothing,
            Some(_) if index <= last => Sight::Committed,
            _ => Sight::Beyond,
        })
    }
}

/// As long as this lives, the calling thread has all signals blocked but those that its own instructions raise; a
/// thread that it starts meanwhile stays so, and no handler of the program's ever runs there.
struct Blocked(libc::sigset_t);

impl Blocked {
    fn new() -> Self {
        // SAFETY: a set is plain bits, and is filled below.
        let (mut all, mut before) = unsafe { std::mem::zeroed::<[libc::sigset_t; 2]>() }.into();
        // SAFETY: room for a set.
        unsafe { libc::sigfillset(&mut all) };
        for own in [libc::SIGBUS, libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGABRT, libc::SIGSYS]
        {
            // SAFETY: a set, and a signal that exists.
            unsafe { libc::sigdelset(&mut all, own) };
        }
        // SAFETY: a set, and room for another one.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) };
        Self(before)
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the set that was there before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

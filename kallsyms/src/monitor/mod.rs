//! Keeps a [`Symbolizer`] up to date while modules come and go: one thread hears of them and takes over where they lie, another
//! one reads their symbols, a third one follows BPF programs.

#![forbid(unsafe_code)]

mod budget;
mod programs;
mod reader;
mod watch;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use crate::Symbolizer;
use crate::sysfs::ModuleFacts;
use crate::uevents::Uevents;
use programs::Programs;
use reader::Reader;
use watch::Watch;

/// How a [`Monitor`] works.
#[derive(Debug)]
pub struct Options {
    /// Where it hears of modules; `None`: from the kernel.
    pub uevents: Option<Uevents>,
    /// Modules that come together are looked at together, once it was quiet for so long...
    pub quiet: Duration,
    /// ...or so long after the first of them.
    pub patience: Duration,
    /// How often it looks at the modules without having heard of any. Containers need not hear uevents.
    pub rescan: Duration,
    /// How long it waits after a failure, and twice as long after each further one, up to `rescan`.
    pub retry: Duration,
    /// What part of one processor's time it may spend on reading `/proc/kallsyms`, in percent...
    pub share: u32,
    /// ...beyond so much that may be spent at once.
    pub burst: Duration,
    /// Whether BPF programs are followed, by bpf(2) and perf events, where the symbols are those of the running kernel.
    pub programs: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            uevents: None,
            quiet: Duration::from_millis(3),
            patience: Duration::from_millis(15),
            rescan: Duration::from_secs(60),
            retry: Duration::from_millis(500),
            share: 10,
            burst: Duration::from_secs(2),
            programs: true,
        }
    }
}

/// How a [`Monitor`] is doing. The numbers count from its start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MonitorState {
    /// The generation of the table that is in use.
    pub generation: u64,
    /// Whether its threads run. They end when it is stopped, and by no error.
    pub running: bool,
    /// Why no uevents are heard; then it looks at the modules now and then.
    pub uevent_error: Option<String>,
    /// What was wrong when it looked at the modules last. What of them could be read is in use.
    pub scan_error: Option<String>,
    /// Why symbols could not be read, the last time it tried.
    pub read_error: Option<String>,
    /// How often anything went wrong.
    pub failures: u64,
    /// Uevents of modules.
    pub uevents: u64,
    /// How often uevents were lost.
    pub lost_uevents: u64,
    /// How often it looked which modules there are.
    pub scans: u64,
    /// How often a new table took the place of the old one.
    pub reloads: u64,
    /// How often symbols came from a descriptor that waited behind the kernel's own symbols.
    pub parked_reads: u64,
    /// How often `/proc/kallsyms` was read from its beginning, to wait behind the kernel's own symbols or for symbols.
    pub full_reads: u64,
    /// How often what was read was thrown away, because a module came or went during the reading.
    pub unsteady_reads: u64,
    /// Whether a descriptor waits behind the kernel's own symbols.
    pub parked: bool,
    /// How many modules there are, and how many of them have no symbols yet.
    pub modules: usize,
    /// See `modules`.
    pub without_symbols: usize,
    /// How many functions of BPF programs there are; `None` where they are not followed, and the table has those that
    /// `/proc/kallsyms` listed.
    pub programs: Option<usize>,
    /// Why they are not followed.
    pub programs_error: Option<String>,
}

/// Keeps a [`Symbolizer`] up to date until it is dropped.
///
/// It opens what it needs before [`Monitor::start`] returns: a module that is loaded later is noticed. An error leaves the
/// table as it is and shows in [`Monitor::state`]; it is tried again, later and later. Its threads hold no lock that a lookup
/// waits for. It does not survive `fork`, as no thread does.
pub struct Monitor {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads and the owner have in common.
struct Shared {
    symbolizer: Arc<Symbolizer>,
    stop: AtomicBool,
    /// Wakes the one that waits for uevents.
    wake: OwnedFd,
    /// Readable once it is stopped.
    ended: OwnedFd,
    /// Readable when a processor may have come online.
    processors: OwnedFd,
    work: Mutex<Work>,
    /// Wakes the one that reads symbols.
    worked: Condvar,
    state: Mutex<MonitorState>,
    /// Wakes who waits for another generation.
    changed: Condvar,
}

/// What there is to read.
#[derive(Default)]
struct Work {
    /// Which modules there are, `None` before that is known and where there is no sysfs. Whoever publishes a table holds it:
    /// symbols never take over from what has been found out since.
    modules: Option<Arc<Vec<ModuleFacts>>>,
    /// There may be modules without symbols.
    wanted: bool,
}

impl Monitor {
    /// Starts its threads.
    ///
    /// # Errors
    ///
    /// That there can be no netlink socket, no event descriptor or no thread.
    pub fn start(symbolizer: Arc<Symbolizer>, mut options: Options) -> io::Result<Self> {
        let own = options.uevents.is_none();
        let uevents = match options.uevents.take() {
            Some(uevents) => uevents,
            None => Uevents::open()?,
        };
        let generation = symbolizer.generation();
        let state = MonitorState { generation, running: true, ..MonitorState::default() };
        let shared = Arc::new(Shared {
            symbolizer,
            stop: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            processors: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            ended: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            work: Mutex::default(),
            worked: Condvar::new(),
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        // Dropped, with the threads that are there already, where the next one cannot be made.
        let mut monitor = Self { shared, threads: Vec::new() };
        let reader = Reader::new(Arc::clone(&monitor.shared), &options);
        monitor.spawn("lapwing-symbols", move || reader.run())?;
        if options.programs && monitor.shared.symbolizer.sources().is_running_kernel() {
            let programs = Programs::new(Arc::clone(&monitor.shared), &options);
            monitor.spawn("lapwing-programs", move || programs.run())?;
        }
        let watch = Watch::new(Arc::clone(&monitor.shared), uevents, own, options);
        monitor.spawn("lapwing-modules", move || watch.run())?;
        Ok(monitor)
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(body)?);
        Ok(())
    }

    /// How it is doing.
    pub fn state(&self) -> MonitorState {
        let running = self.threads.iter().all(|thread| !thread.is_finished());
        let generation = self.shared.symbolizer.generation();
        MonitorState { running, generation, ..self.shared.state().clone() }
    }

    /// Sleeps until the table is of another generation than `generation`, or `timeout` is over; the generation then. Tables
    /// that others than this monitor put in place are seen when the time is over.
    pub fn wait(&self, generation: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.state();
        loop {
            let now = self.shared.symbolizer.generation();
            let left = deadline.map_or(timeout, |deadline| deadline.saturating_duration_since(Instant::now()));
            if now != generation || left.is_zero() {
                return now;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Looks at the modules now, as if a uevent had come.
    pub fn rescan(&self) {
        self.shared.wake();
    }

    /// Ends the threads and waits for that: a read of one page of `/proc/kallsyms` at most. Dropping does the same.
    pub fn stop(self) {}
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        self.shared.wake();
        let _ = rustix::io::write(self.shared.ended.as_fd(), &1u64.to_ne_bytes());
        // With the lock held the other thread either has not looked at `stop` yet, or waits.
        drop(self.shared.work());
        self.shared.worked.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    fn wake(&self) {
        // Full: it is readable already.
        let _ = rustix::io::write(self.wake.as_fd(), &1u64.to_ne_bytes());
    }

    fn processor_came(&self) {
        let _ = rustix::io::write(self.processors.as_fd(), &1u64.to_ne_bytes());
    }

    fn asleep(&self) {
        let _ = rustix::io::read(self.wake.as_fd(), &mut [0; 8]);
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, MonitorState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, which: fn(&mut MonitorState) -> &mut Option<String>, error: String) {
        let mut state = self.state();
        state.failures += 1;
        *which(&mut state) = Some(error);
    }

    /// Counts a table that has taken the place of another.
    fn published(&self, changed: bool, modules: Option<&[ModuleFacts]>) {
        let mut state = self.state();
        state.reloads += u64::from(changed);
        if let Some(modules) = modules {
            state.modules = modules.len();
            state.without_symbols = self.symbolizer.missing(modules).len();
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Twice as long after each failure.
struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    fn failed(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.most);
        now
    }

    fn succeeded(&mut self) {
        self.next = self.first;
    }
}

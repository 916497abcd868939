//! The thread that hears of modules, and takes over which there are and where they lie as soon as it has.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Backoff, Options, Shared};
use crate::sysfs::{self, ModuleFacts, State};
use crate::uevents::{News, Uevents, Woken};

/// How many uevents are received before the other duties are looked at.
const AT_ONCE: u32 = 1024;

/// How soon a module is looked at again that was on its way: of one whose init fails no uevent tells.
const UNSETTLED: Duration = Duration::from_secs(1);

pub(super) struct Watch {
    shared: Arc<Shared>,
    /// `None` where there was an error that stays; then looking now and then is what is left.
    uevents: Option<Uevents>,
    /// The socket is ours, so that another one can take its place.
    own: bool,
    options: Options,
    backoff: Backoff,
    reopening: Backoff,
    reopen_at: Instant,
    /// How long the last look took.
    took: Duration,
}

impl Watch {
    pub(super) fn new(shared: Arc<Shared>, uevents: Uevents, own: bool, options: Options) -> Self {
        let backoff = || Backoff::new(options.retry, options.rescan);
        let (backoff, reopening) = (backoff(), backoff());
        let reopen_at = Instant::now();
        Self { shared, uevents: Some(uevents), own, options, backoff, reopening, reopen_at, took: Duration::ZERO }
    }

    pub(super) fn run(mut self) {
        // What came and went since the table was loaded was announced before we listened.
        let mut next = self.scan();
        // Since when something is known to have happened, and when it happened last.
        let mut heard: Option<(Instant, Instant)> = None;
        while !self.shared.stopped() {
            let now = Instant::now();
            let due = heard.map_or(next, |(first, last)| {
                // Looking is not to take more than a fifth of the time, however much happens.
                let patience = self.options.patience.max(self.took * 4);
                next.min(last + self.options.quiet).min(first + patience)
            });
            if due <= now {
                heard = None;
                next = self.scan();
            } else if self.listen(due - now) {
                let now = Instant::now();
                heard = Some((heard.map_or(now, |(first, _)| first), now));
            }
        }
    }

    /// Whether something was heard that is of modules, or somebody asks for a look.
    fn listen(&mut self, timeout: Duration) -> bool {
        let result = match &mut self.uevents {
            None => return self.without_uevents(timeout),
            Some(uevents) => match uevents.wait(self.shared.wake.as_fd(), Some(timeout)) {
                Ok(Woken::Timeout) => return false,
                Ok(Woken::Asked) => {
                    self.shared.asleep();
                    return true;
                }
                Ok(Woken::Readable) => receive(uevents, &self.shared),
                Err(error) => Err(error),
            },
        };
        result.unwrap_or_else(|error| {
            self.shared.failed(|state| &mut state.uevent_error, error.to_string());
            self.uevents = None;
            self.reopen_at = Instant::now() + self.reopening.failed();
            // What was not heard is seen.
            true
        })
    }

    fn without_uevents(&mut self, timeout: Duration) -> bool {
        let now = Instant::now();
        if self.own && now >= self.reopen_at {
            match Uevents::open() {
                Ok(uevents) => {
                    self.uevents = Some(uevents);
                    self.shared.state().uevent_error = None;
                    return true;
                }
                Err(error) => {
                    self.shared.failed(|state| &mut state.uevent_error, error.to_string());
                    self.reopen_at = now + self.reopening.failed();
                }
            }
        }
        let timeout = if self.own { timeout.min(self.reopen_at - now) } else { timeout };
        let timeout = Timespec::try_from(timeout).ok();
        let woken = poll(&mut [PollFd::new(&self.shared.wake, PollFlags::IN)], timeout.as_ref());
        let woken = woken.is_ok_and(|count| count > 0);
        if woken {
            self.shared.asleep();
        }
        woken
    }

    /// Looks which modules there are; when to look again.
    fn scan(&mut self) -> Instant {
        let start = Instant::now();
        let result = self.take_over();
        self.took = start.elapsed();
        let mut state = self.shared.state();
        state.scans += 1;
        let wait = match result {
            Ok(settled) => {
                self.backoff.succeeded();
                state.scan_error = None;
                if settled { self.options.rescan } else { UNSETTLED.min(self.options.rescan) }
            }
            Err(error) => {
                state.failures += 1;
                state.scan_error = Some(error);
                self.backoff.failed()
            }
        };
        Instant::now() + wait
    }

    /// Whether no module is on its way in or out.
    fn take_over(&self) -> Result<bool, String> {
        let Some(root) = &self.shared.symbolizer.sources().modules else {
            // All there is to go by are the symbols.
            self.shared.work().wanted = true;
            self.shared.worked.notify_one();
            return Ok(true);
        };
        let known = self.shared.work().modules.clone();
        let known: &[ModuleFacts] = known.as_ref().map_or(&[], |known| known);
        let listing = sysfs::read_changed(root, known).map_err(|error| error.to_string())?;
        let settled = listing.modules.iter().all(|facts| facts.state == State::Live);
        let modules = Arc::new(listing.modules);
        let mut work = self.shared.work();
        let changed = self.shared.symbolizer.set_modules(&modules).map_err(|error| error.to_string())?;
        self.shared.published(changed, Some(&modules));
        work.modules = Some(modules);
        work.wanted = true;
        drop(work);
        self.shared.worked.notify_one();
        match listing.skipped.first() {
            Some(skipped) => Err(skipped.to_string()),
            None => Ok(settled),
        }
    }
}

/// Whether any news was of modules.
fn receive(uevents: &mut Uevents, shared: &Shared) -> rustix::io::Result<bool> {
    let mut heard = false;
    for _ in 0..AT_ONCE {
        match uevents.receive(AT_ONCE)? {
            Some(News::Module { .. }) => shared.state().uevents += 1,
            Some(News::Processor) => {
                shared.processor_came();
                continue;
            }
            Some(News::Lost) => {
                shared.state().lost_uevents += 1;
                shared.processor_came();
            }
            None => break,
        }
        heard = true;
    }
    Ok(heard)
}

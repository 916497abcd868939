//! The thread that follows BPF programs, so that none is looked for in `/proc/kallsyms`.

#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Backoff, Options, Shared};
use crate::bpf::{BpfError, Watch};

/// Programs come in bursts: those of one are taken over together.
const QUIET: Duration = Duration::from_millis(10);

pub(super) struct Programs {
    shared: Arc<Shared>,
    backoff: Backoff,
    rescan: Duration,
}

impl Programs {
    pub(super) fn new(shared: Arc<Shared>, options: &Options) -> Self {
        Self { shared, backoff: Backoff::new(options.retry, options.rescan), rescan: options.rescan }
    }

    pub(super) fn run(mut self) {
        while !self.shared.stopped() {
            match self.follow() {
                Ok(()) => return,
                Err(error) => {
                    // Those that are known stay in the table until kallsyms is read anew.
                    let _ = self.shared.symbolizer.set_programs(None);
                    self.shared.state().programs = None;
                    self.shared.failed(|state| &mut state.programs_error, error.to_string());
                    let wait = self.backoff.failed();
                    self.shared.sleep_until_stopped(wait);
                }
            }
        }
    }

    /// Until it is stopped, or something goes wrong.
    fn follow(&mut self) -> Result<(), BpfError> {
        let mut watch = Watch::start()?;
        self.backoff.succeeded();
        self.shared.state().programs_error = None;
        self.publish(&watch);
        let mut look = Instant::now() + self.rescan;
        while !self.shared.stopped() {
            let processors = PollFd::from_borrowed_fd(self.shared.processors.as_fd(), PollFlags::IN);
            let programs = watch.descriptors().map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
            let left = look.saturating_duration_since(Instant::now());
            let heard = self.shared.wait_for(programs.chain([processors]), left);
            if self.shared.processors_came() || !heard {
                // A processor that comes online is not followed by itself; and where no uevents are heard, one may have come.
                look = Instant::now() + self.rescan;
                if watch.reopen()? {
                    self.publish(&watch);
                }
                continue;
            }
            self.shared.sleep_until_stopped(QUIET);
            if watch.update()? {
                self.publish(&watch);
            }
        }
        Ok(())
    }

    fn publish(&self, watch: &Watch) {
        let functions: Vec<_> = watch.functions().cloned().collect();
        let count = functions.len();
        match self.shared.symbolizer.set_programs(Some(functions)) {
            Ok(changed) => {
                self.shared.state().programs = Some(count);
                self.shared.published(changed, None);
            }
            Err(error) => self.shared.failed(|state| &mut state.programs_error, error.to_string()),
        }
    }
}

impl Shared {
    /// Whether one of `descriptors` has something to read before `timeout` is over, or it is stopped.
    fn wait_for<'d>(&'d self, descriptors: impl Iterator<Item = PollFd<'d>>, timeout: Duration) -> bool {
        let mut all = vec![PollFd::from_borrowed_fd(self.ended.as_fd(), PollFlags::IN)];
        all.extend(descriptors);
        let timeout = Timespec::try_from(timeout).ok();
        // Interrupted, or no memory: looked at again.
        poll(&mut all, timeout.as_ref()).is_ok_and(|ready| ready > 0)
    }

    fn processors_came(&self) -> bool {
        rustix::io::read(self.processors.as_fd(), &mut [0; 8]).is_ok()
    }

    fn sleep_until_stopped(&self, timeout: Duration) {
        self.wait_for(std::iter::empty(), timeout);
    }
}

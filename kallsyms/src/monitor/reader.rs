//! The thread that reads symbols of modules, and keeps a descriptor parked for the next time.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::budget::{Budget, thread_time};
use super::{Backoff, Options, Shared};
use crate::parked::{self, KernelPart, ModuleList, Parked, Taken};
use crate::sysfs::{self, Identity, ModuleFacts, State};

/// What of the burst is left for symbols that are needed when a descriptor is parked for those that may be, in percent.
const RESERVE: i64 = 50;

/// How soon to read again while modules come and go.
const UNSTEADY: Duration = Duration::from_millis(10);

/// What the thread does next.
enum Job {
    Read,
    Park,
    Stop,
}

/// What became of reading.
enum Outcome {
    /// All that are there have symbols.
    Done,
    /// A module came or went meanwhile.
    Unsteady,
}

pub(super) struct Reader {
    shared: Arc<Shared>,
    /// `/proc/modules`, which stands beside `/proc/kallsyms`; where it does not, what is read is taken as it comes.
    list: PathBuf,
    part: Option<KernelPart>,
    parked: Option<Parked<UntilStopped>>,
    /// Live modules of which kallsyms lists nothing: they are not asked for again and again.
    unlisted: HashSet<Identity>,
    budget: Budget,
    backoff: Backoff,
    unsteady: Backoff,
    /// Not to be read or parked before.
    not_before: Instant,
    park_not_before: Instant,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, options: &Options) -> Self {
        let now = Instant::now();
        let list = shared.symbolizer.sources().kallsyms.with_file_name("modules");
        Self {
            shared,
            list,
            part: None,
            parked: None,
            unlisted: HashSet::new(),
            budget: Budget::new(options.share, options.burst, now),
            backoff: Backoff::new(options.retry, options.rescan),
            unsteady: Backoff::new(UNSTEADY, Duration::from_secs(1)),
            not_before: now,
            park_not_before: now,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let before = thread_time();
            match self.next() {
                Job::Stop => return,
                Job::Read => {
                    let wait = match self.read() {
                        Ok(Outcome::Done) => {
                            self.shared.state().read_error = None;
                            self.backoff.succeeded();
                            self.unsteady.succeeded();
                            Duration::ZERO
                        }
                        Ok(Outcome::Unsteady) => {
                            self.shared.state().unsteady_reads += 1;
                            self.unsteady.failed()
                        }
                        Err(error) => {
                            self.failed(error);
                            self.backoff.failed()
                        }
                    };
                    if !wait.is_zero() {
                        self.shared.work().wanted = true;
                        self.not_before = Instant::now() + wait;
                    }
                }
                Job::Park => {
                    if let Err(error) = self.park() {
                        self.failed(error);
                        self.part = None;
                        self.park_not_before = Instant::now() + self.backoff.failed();
                    }
                }
            }
            self.shared.state().parked = self.parked.is_some();
            self.budget.spend(thread_time().saturating_sub(before));
        }
    }

    /// Sleeps until there is something to do.
    fn next(&mut self) -> Job {
        let shared = Arc::clone(&self.shared);
        let mut work = shared.work();
        loop {
            if shared.stopped() {
                return Job::Stop;
            }
            let now = Instant::now();
            let mut wait: Option<Duration> = None;
            if work.wanted {
                let allowed = if self.parked.is_some() { Duration::ZERO } else { self.budget.wait(0, now) };
                let left = allowed.max(self.not_before.saturating_duration_since(now));
                if left.is_zero() {
                    work.wanted = false;
                    return Job::Read;
                }
                wait = Some(left);
            }
            // Without modules, or without sysfs, there is nothing to wait for.
            if self.parked.is_none() && work.modules.as_ref().is_some_and(|modules| !modules.is_empty()) {
                let left = self.budget.wait(RESERVE, now).max(self.park_not_before.saturating_duration_since(now));
                if left.is_zero() {
                    return Job::Park;
                }
                wait = Some(wait.map_or(left, |wait| wait.min(left)));
            }
            work = match wait {
                Some(wait) => shared.worked.wait_timeout(work, wait).unwrap_or_else(PoisonError::into_inner).0,
                None => shared.worked.wait(work).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn failed(&self, error: String) {
        self.shared.failed(|state| &mut state.read_error, error);
    }

    fn open(&self) -> io::Result<UntilStopped> {
        let kallsyms = &self.shared.symbolizer.sources().kallsyms;
        let file = File::open(kallsyms)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", kallsyms.display())))?;
        self.shared.state().full_reads += 1;
        Ok(UntilStopped { file, shared: Arc::clone(&self.shared) })
    }

    fn park(&mut self) -> Result<(), String> {
        if self.part.is_none() {
            let (part, _) = parked::read(self.open().map_err(text)?, &[]).map_err(text)?;
            self.part = part;
        }
        match &self.part {
            Some(part) => self.parked = Some(Parked::park(self.open().map_err(text)?, part).map_err(text)?),
            // kallsyms lists no module, although sysfs does.
            None => self.park_not_before = Instant::now() + self.backoff.failed(),
        }
        Ok(())
    }

    fn read(&mut self) -> Result<Outcome, String> {
        let modules = self.shared.work().modules.clone();
        let before = ModuleList::read(&self.list).ok();
        let Some(modules) = modules else {
            let changed = self.shared.symbolizer.set_symbols(None, self.open().map_err(text)?).map_err(text)?;
            self.shared.published(changed, None);
            let steady = before == ModuleList::read(&self.list).ok();
            return Ok(if steady { Outcome::Done } else { Outcome::Unsteady });
        };
        let live: HashSet<Identity> = modules.iter().map(|facts| facts.identity).collect();
        self.unlisted.retain(|identity| live.contains(identity));
        // A module on its way in is announced when it has arrived, and lists less then.
        let wanted = self.shared.symbolizer.missing(&modules).into_iter();
        let wanted: Vec<&ModuleFacts> =
            wanted.filter(|facts| facts.state == State::Live && !self.unlisted.contains(&facts.identity)).collect();
        if wanted.is_empty() {
            return Ok(Outcome::Done);
        }
        let (taken, parked) = self.take(&wanted)?;
        let list = ModuleList::read(&self.list).ok();
        if before != list || !self.still_there(&wanted, &taken) {
            return Ok(Outcome::Unsteady);
        }
        self.publish(&wanted, &taken, parked)
    }

    /// From the parked descriptor, which is true then, else, and where that has not all of them, from the beginning.
    fn take(&mut self, wanted: &[&ModuleFacts]) -> Result<(Taken, bool), String> {
        let names: Vec<&str> = wanted.iter().map(|facts| &*facts.name).collect();
        if let Some(parked) = self.parked.take() {
            match parked.take(&names) {
                Ok(taken) if taken.found.len() == names.len() => return Ok((taken, true)),
                // Reading anew tells what is wrong, if anything is.
                Ok(_) | Err(_) => {}
            }
        }
        let (part, taken) = parked::read(self.open().map_err(text)?, &names).map_err(text)?;
        self.part = part.or(self.part.take());
        Ok((taken, false))
    }

    /// Whether the modules that were found are the ones that were wanted, and not loaded anew meanwhile.
    fn still_there(&self, wanted: &[&ModuleFacts], taken: &Taken) -> bool {
        let Some(root) = &self.shared.symbolizer.sources().modules else { return false };
        let found = wanted.iter().filter(|facts| taken.found.contains(&facts.name));
        found.copied().all(|facts| {
            sysfs::read_module(root, &facts.name).is_ok_and(|now| now.is_some_and(|now| now.identity == facts.identity))
        })
    }

    fn publish(&mut self, wanted: &[&ModuleFacts], taken: &Taken, parked: bool) -> Result<Outcome, String> {
        let work = self.shared.work();
        let Some(modules) = work.modules.clone() else { return Ok(Outcome::Unsteady) };
        let same = |facts: &ModuleFacts| {
            let now = modules.binary_search_by(|other| other.name.cmp(&facts.name)).ok().map(|at| &modules[at]);
            now.is_some_and(|now| now.identity == facts.identity)
        };
        if !wanted.iter().all(|facts| same(facts)) {
            return Ok(Outcome::Unsteady);
        }
        let changed = self.shared.symbolizer.add_symbols(&modules, &taken.text[..]).map_err(text)?;
        self.shared.state().parked_reads += u64::from(parked);
        self.shared.published(changed, Some(&modules));
        drop(work);
        // What is not listed although all was read has no symbols, and will not get any.
        let unlisted = wanted.iter().filter(|facts| taken.whole && !taken.found.contains(&facts.name));
        self.unlisted.extend(unlisted.map(|facts| facts.identity));
        Ok(Outcome::Done)
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// A file that ends with an error once the monitor is stopped: the kernel takes seconds for all of its symbols where there
/// are many modules.
struct UntilStopped {
    file: File,
    shared: Arc<Shared>,
}

impl Read for UntilStopped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.shared.stopped() {
            return Err(io::Error::other("the monitor was stopped"));
        }
        self.file.read(buffer)
    }
}

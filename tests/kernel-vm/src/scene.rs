//! What all checks play with: the modules, the symbolizer, and the monitor that keeps it up to date.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use lapwing_kallsyms::{Monitor, MonitorOptions, Snapshot, Symbolizer};

use crate::modules::{self, Modules};

/// Longer than anything takes that ends.
const PATIENCE: Duration = Duration::from_secs(30);

/// One module is always there: without any the monitor has nothing to wait behind.
pub const ANCHOR: &str = "tun";

pub struct Scene {
    pub modules: Modules,
    pub symbolizer: Arc<Symbolizer>,
    pub monitor: Monitor,
}

/// As usual, but for what may be spent: an emulated processor takes twenty times as long for everything.
pub fn options() -> MonitorOptions {
    MonitorOptions { share: 100, burst: Duration::from_secs(60), ..MonitorOptions::default() }
}

impl Scene {
    pub fn new(symbolizer: Symbolizer) -> Self {
        let symbolizer = Arc::new(symbolizer);
        let monitor = Monitor::start(Arc::clone(&symbolizer), options()).expect("the monitor");
        Self { modules: Modules::brought(), symbolizer, monitor }
    }

    pub fn snapshot(&self) -> Snapshot {
        self.symbolizer.snapshot()
    }

    /// Waits until the table is as `is` wants it; how long that took.
    pub fn wait(&self, what: &str, is: impl Fn(&Snapshot) -> bool) -> Duration {
        self.until(what, Duration::from_micros(200), || is(&self.snapshot()))
    }

    /// Waits until the modules of the table are those that are loaded, with their symbols.
    pub fn settle(&self) {
        self.until("the table has every module that is loaded, and no other", Duration::from_millis(5), || {
            let snapshot = self.snapshot();
            let mut known: Vec<_> = snapshot.modules().map(|module| module.name().to_owned()).collect();
            let mut loaded = modules::loaded();
            known.retain(|name| !["vmlinux", "bpf"].contains(&name.as_str()));
            known.sort();
            loaded.sort();
            known == loaded && snapshot.modules().all(|module| module.is_loaded())
        });
    }

    /// As [`Self::settle`], and until the monitor is ready for what comes next.
    pub fn rest(&self) {
        self.settle();
        self.until("a descriptor is parked", Duration::from_millis(5), || self.monitor.state().parked);
    }

    /// Looks as often as `pause` lets it: each look takes processor time from those that are waited for.
    pub fn until(&self, what: &str, pause: Duration, is: impl Fn() -> bool) -> Duration {
        let began = Instant::now();
        while !is() {
            assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain: {what}; {:?}", self.monitor.state());
            std::thread::sleep(pause);
        }
        began.elapsed()
    }
}

/// For verdicts.
pub fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

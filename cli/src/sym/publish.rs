//! `lapwing sym --publish`: the table that all processes of a host share.

use super::args::SymArgs;
use crate::create::group_id;
use crate::failure::{Failure, say};
use lapwing_kallsyms::shared::{Options, default_path, make_default_folder, publish};
use lapwing_kallsyms::{Monitor, MonitorOptions, Snapshot, Symbolizer};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether the monitor has something to complain of.
const LOOK: Duration = Duration::from_secs(1);

/// Publishes once, or whenever a module has come or gone until a signal ends it. What was published stays.
pub fn run(args: &SymArgs) -> Result<ExitCode, Failure> {
    let group = args.group.as_deref().map(group_id).transpose()?;
    let path = match &args.symbols.shared {
        Some(path) => path.clone(),
        None => {
            make_default_folder()?;
            default_path()
        }
    };
    let symbolizer = Arc::new(Symbolizer::load_from(args.symbols.sources()?.unwrap_or_default())?);
    let publisher = Publisher { path, options: Options { mode: args.mode.unwrap_or(0o600), group } };
    if !args.follow {
        publisher.publish(&symbolizer.snapshot())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Before the first table is out, so that no module comes in between.
    let monitor = Monitor::start(Arc::clone(&symbolizer), MonitorOptions::default()).map_err(Failure::Monitor)?;
    let first = symbolizer.snapshot();
    publisher.publish(&first)?;
    publisher.follow(&symbolizer, &monitor, first.generation())
}

struct Publisher {
    path: PathBuf,
    options: Options,
}

impl Publisher {
    fn publish(&self, table: &Snapshot) -> Result<(), Failure> {
        let generation = publish(&self.path, table, &self.options)?;
        let symbols: usize = table.modules().map(|module| module.len()).sum();
        let modules = table.modules().count();
        say(format_args!(
            "{}: {symbols} symbols of {modules} modules in {} bytes, generation {generation}",
            self.path.display(),
            table.size()
        ));
        Ok(())
    }

    fn follow(&self, symbolizer: &Symbolizer, monitor: &Monitor, mut published: u64) -> ! {
        let mut complaints = Complaints::default();
        loop {
            monitor.wait(published, LOOK);
            let state = monitor.state();
            complaints.say("uevents", state.uevent_error);
            complaints.say("modules", state.scan_error);
            complaints.say("symbols", state.read_error);
            let table = symbolizer.snapshot();
            let removed = matches!(self.path.try_exists(), Ok(false));
            if removed {
                say(format_args!("{}: it was removed, and is published again", self.path.display()));
            }
            if removed || table.generation() != published {
                let failed = self.publish(&table).err().map(|failure| failure.to_string());
                if failed.is_none() {
                    published = table.generation();
                } else {
                    // The old table is still there, and why there is no new one may pass.
                    std::thread::sleep(LOOK);
                }
                complaints.say("publishing", failed);
            }
        }
    }
}

/// What is wrong, each said when it begins or changes.
#[derive(Default)]
struct Complaints(HashMap<&'static str, String>);

impl Complaints {
    fn say(&mut self, about: &'static str, wrong: Option<String>) {
        let Some(text) = wrong else {
            self.0.remove(about);
            return;
        };
        if self.0.get(about) != Some(&text) {
            say(format_args!("{about}: {text}"));
            self.0.insert(about, text);
        }
    }
}

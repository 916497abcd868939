//! Where `sym` and `tail --symbolize` have the kernel's symbols from.

use crate::args::Cli;
use crate::failure::{Failure, say};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory};
use lapwing_kallsyms::shared::{AttachError, Attached, default_path};
use lapwing_kallsyms::{
    LoadError, Monitor, MonitorOptions, Reason, Snapshot, Sources, Symbol, Symbolizer, annotate, sysfs,
};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

const FROM: &str = "Where symbols come from";

/// Whose symbols.
#[derive(Debug, Args)]
#[group(id = "symbols")]
pub struct SymbolArgs {
    /// Read this file in place of /proc/kallsyms, for instance a copy from before a crash
    #[arg(long, value_name = "FILE", help_heading = FROM)]
    pub kallsyms: Option<PathBuf>,
    /// Read this folder in place of /sys/module, and ../kernel/notes beside it
    #[arg(long, value_name = "DIR", help_heading = FROM)]
    pub sys_module: Option<PathBuf>,
    /// The shared table [default: $LAPWING_KALLSYMS, else /run/lapwing/kallsyms, else one of our own beside the rings]
    #[arg(long, value_name = "PATH", help_heading = FROM)]
    pub shared: Option<PathBuf>,
}

impl SymbolArgs {
    /// Ends the process where it is said twice where they are.
    pub fn check(&self) {
        if self.shared.is_some() && (self.kallsyms.is_some() || self.sys_module.is_some()) {
            contradiction("--shared cannot be used with --kallsyms or --sys-module, except to publish them");
        }
    }

    /// As [`Self::check`], where `--shared` says where they go.
    pub fn check_publishing(&self) {
        // Whoever looks at the default place means the running kernel.
        if self.shared.is_none() && (self.kallsyms.is_some() || self.sys_module.is_some()) {
            contradiction("symbols of files are published with --shared PATH only");
        }
    }

    /// Did somebody say where they are?
    pub fn are_named(&self) -> bool {
        self.shared.is_some() || self.kallsyms.is_some() || self.sys_module.is_some()
    }

    /// The files that are named, where any is.
    ///
    /// # Errors
    ///
    /// That the folder cannot be read: without it modules would silently lie elsewhere, and have no build ids.
    pub fn sources(&self) -> Result<Option<Sources>, LoadError> {
        if let Some(path) = &self.sys_module {
            std::fs::read_dir(path).map_err(|error| LoadError::Read { path: path.clone(), error })?;
        }
        let running = Sources::default();
        Ok(match (&self.kallsyms, &self.sys_module) {
            (None, None) => None,
            // The kernel is the one that runs, wherever its modules are looked for.
            (None, modules) => Some(Sources { modules: modules.clone(), ..running }),
            // The modules of this host say nothing of a copy from elsewhere.
            (Some(kallsyms), modules) => Some(Sources {
                kallsyms: kallsyms.clone(),
                modules: modules.clone(),
                notes: modules.as_ref().map(|modules| modules.join("../kernel/notes")),
            }),
        })
    }
}

/// Ends the process: what clap cannot be told.
pub fn contradiction(text: &str) -> ! {
    Cli::command().error(ErrorKind::ArgumentConflict, text).exit()
}

/// The kernel's symbols, as they are whenever they are asked for.
pub struct Symbols {
    origin: Origin,
    of_this_boot: bool,
    /// What was said last of a newer table that cannot be had.
    said: Option<String>,
}

enum Origin {
    Own { symbolizer: Arc<Symbolizer>, monitor: Option<Monitor> },
    Shared(Attached),
}

impl Symbols {
    /// The table at `--shared`; the files that are named; else the table at the default path, if it is of the modules that are
    /// there now; else those of the running kernel.
    pub fn open(args: &SymbolArgs) -> Result<Self, Failure> {
        let of_this_boot = |origin| Self { origin, of_this_boot: true, said: None };
        if let Some(path) = &args.shared {
            return Ok(match Attached::open(path) {
                // Made of a copy: whoever names it knows of what.
                Err(AttachError::NoBoot { .. }) => {
                    Self { of_this_boot: false, ..of_this_boot(Origin::Shared(Attached::open_of_any_boot(path)?)) }
                }
                attached => of_this_boot(Origin::Shared(attached?)),
            });
        }
        if let Some(sources) = args.sources()? {
            return Ok(Self { of_this_boot: false, ..of_this_boot(Origin::own(sources)?) });
        }
        let path = default_path();
        let attached = Attached::open(&path);
        if attached.as_ref().is_ok_and(is_current) {
            return Ok(of_this_boot(Origin::Shared(attached?)));
        }
        match (Origin::own(Sources::default()), attached) {
            (Ok(origin), _) => Ok(of_this_boot(origin)),
            (Err(_), Ok(attached)) => {
                say(format_args!("{}: modules have come or gone since it was published", path.display()));
                Ok(of_this_boot(Origin::Shared(attached)))
            }
            (Err(error), Err(AttachError::NotFound { .. })) => Err(error.into()),
            (Err(error), Err(attach)) => Err(Failure::NoSymbols { error, attach }),
        }
    }

    /// Are they those of the running kernel?
    pub fn are_of_this_boot(&self) -> bool {
        self.of_this_boot
    }

    /// From now on modules that come and go are seen.
    pub fn keep_fresh(&mut self) {
        // A copy does not change, and a table is kept fresh by whoever publishes it.
        let Origin::Own { symbolizer, monitor } = &mut self.origin else { return };
        if self.of_this_boot && monitor.is_none() {
            match Monitor::start(Arc::clone(symbolizer), MonitorOptions::default()) {
                Ok(started) => *monitor = Some(started),
                Err(error) => say(format_args!("modules that come from now on will have no symbols: {error}")),
            }
        }
    }

    pub fn snapshot(&mut self) -> Snapshot {
        let attached = match &self.origin {
            Origin::Own { symbolizer, .. } => return symbolizer.snapshot(),
            Origin::Shared(attached) => attached,
        };
        match attached.refresh() {
            Ok(false) => {}
            Ok(true) => self.said = None,
            Err(error) => {
                let text = error.to_string();
                if self.said.as_ref() != Some(&text) {
                    say(format_args!("{text}; going on with the table that was there before"));
                    self.said = Some(text);
                }
            }
        }
        attached.snapshot()
    }

    /// Appends `line` to `out`, with symbols in place of addresses; gives how many.
    pub fn annotate(&mut self, line: &[u8], out: &mut Vec<u8>) -> usize {
        self.each_address(line, out, |found, _, out| {
            // A Vec takes everything.
            found.is_ok_and(|symbol| write!(out, "{symbol}").is_ok())
        })
    }

    /// Asks `each` what becomes of every address in `line`, with what it means; otherwise as [`annotate`].
    pub fn each_address(
        &mut self,
        line: &[u8],
        out: &mut Vec<u8>,
        mut each: impl FnMut(Result<Symbol<'_>, Reason>, u64, &mut Vec<u8>) -> bool,
    ) -> usize {
        // Most lines have no address, and need none.
        let mut snapshot = None;
        let resolve = |address, out: &mut Vec<u8>| {
            let snapshot: &Snapshot = snapshot.get_or_insert_with(|| self.snapshot());
            each(snapshot.lookup(address), address, out)
        };
        annotate(line, resolve, out)
    }
}

impl Origin {
    fn own(sources: Sources) -> Result<Self, LoadError> {
        Ok(Self::Own { symbolizer: Arc::new(Symbolizer::load_from(sources)?), monitor: None })
    }
}

/// Is it of the modules that are loaded now? Nobody needs to have published since they came.
fn is_current(attached: &Attached) -> bool {
    let modules = Sources::default().modules.and_then(|modules| sysfs::read_all(&modules).ok());
    modules.is_none_or(|listing| attached.snapshot().is_of(&listing.modules))
}

//! Loads the table of the running kernel and replaces it whole, while any number of readers go on with the one they hold.

#![forbid(unsafe_code)]

use crate::ahead::Ahead;
use crate::block::Unfit;
use crate::build::{self, Failure, Function, Inputs};
use crate::error::{Hidden, LoadError};
use crate::hidden::Rules;
use crate::ids::BuildId;
use crate::names::Encoder;
use crate::parked::ModuleList;
use crate::parse::Broken;
use crate::snapshot::{Bytes, Snapshot, State};
use crate::sysfs::{self, ModuleFacts};
use crate::table::{BootId, Table};
use arc_swap::ArcSwap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How often the lines are read before it is an error that modules come and go meanwhile.
const TRIES: u32 = 20;

const KALLSYMS: &str = "/proc/kallsyms";

/// Where the symbols come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources {
    /// The symbols: `/proc/kallsyms`.
    pub kallsyms: PathBuf,
    /// The modules: `/sys/module`. `None`: ranges are made of the symbols, and there are no build ids.
    pub modules: Option<PathBuf>,
    /// The kernel's own notes, with its build id: `/sys/kernel/notes`.
    pub notes: Option<PathBuf>,
}

impl Default for Sources {
    /// The running kernel.
    fn default() -> Self {
        Self { kallsyms: KALLSYMS.into(), modules: Some("/sys/module".into()), notes: Some("/sys/kernel/notes".into()) }
    }
}

/// The symbols of a kernel, kept in one compact table that is replaced as modules come and go.
pub struct Symbolizer {
    sources: Sources,
    boot: BootId,
    kernel_build_id: Option<BuildId>,
    current: ArcSwap<State>,
    /// One reload at a time.
    reloading: Mutex<Reload>,
}

/// What a reload goes by, beside the files.
#[derive(Default)]
struct Reload {
    /// The functions of BPF programs, where somebody else than kallsyms tells them.
    programs: Option<Vec<Function>>,
}

impl Symbolizer {
    /// Loads the symbols of the running kernel.
    ///
    /// # Errors
    ///
    /// As [`Self::load_from`].
    pub fn load() -> Result<Self, LoadError> {
        Self::load_from(Sources::default())
    }

    /// Loads the symbols that `sources` hold. Without sysfs, or where it is closed to this process, modules have the ranges
    /// that their symbols make, and no build ids. The table is of this boot where it is made of `/proc/kallsyms`, and of none
    /// where it is made of a copy.
    ///
    /// # Errors
    ///
    /// That `/proc/kallsyms` cannot be read, is malformed, lists nothing, or hides every address, and why.
    pub fn load_from(sources: Sources) -> Result<Self, LoadError> {
        // Of a copy nobody knows when it was made.
        let boot = if sources.is_running_kernel() { boot_id() } else { BootId::default() };
        let kernel_build_id = sources.notes.as_deref().and_then(|notes| sysfs::kernel_build_id(notes).ok()?);
        let table = sources.read_whole(Inputs {
            encoder: &Encoder::new(),
            old: None,
            modules: None,
            programs: None,
            kernel_build_id,
            boot: &boot,
            generation: 1,
        })?;
        Ok(Self {
            sources,
            boot,
            kernel_build_id,
            current: ArcSwap::from_pointee(State::new(Bytes::Own(table))),
            reloading: Mutex::default(),
        })
    }

    /// The table as it is now. It stays as it is: ask again for a newer one.
    #[inline]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::from(self.current.load_full())
    }

    /// Counts the tables: it grows when a module or a BPF program has come or gone.
    pub fn generation(&self) -> u64 {
        self.snapshot().generation()
    }

    /// Looks for modules that have come or gone, and reads the symbols of those that have come; whether anything has changed.
    /// Lookups go on with the old table in the meantime.
    ///
    /// # Errors
    ///
    /// As [`Self::load_from`]; the old table stays.
    pub fn reload(&self) -> Result<bool, LoadError> {
        self.replace(None, |inputs| self.sources.read_whole(inputs))
    }

    /// Takes over which modules there are: those that are new have their ranges and build ids at once, and no symbols yet.
    pub(crate) fn set_modules(&self, modules: &[ModuleFacts]) -> Result<bool, LoadError> {
        self.replace(Some(modules), |inputs| self.sources.explained(build::without_lines(inputs)))
    }

    /// Takes over the symbols of the modules that `lines` name, all lines of each, as `modules` says they are.
    pub(crate) fn add_symbols(&self, modules: &[ModuleFacts], lines: impl Read) -> Result<bool, LoadError> {
        self.replace(Some(modules), |inputs| self.sources.explained(build::some_modules(lines, inputs)))
    }

    /// Takes over the symbols of all modules from `lines`, the whole of kallsyms.
    pub(crate) fn set_symbols(&self, modules: Option<&[ModuleFacts]>, lines: impl Read) -> Result<bool, LoadError> {
        self.replace(modules, |inputs| self.sources.explained(build::whole(lines, inputs)))
    }

    /// Takes over the functions of all BPF programs; kallsyms is not asked for them any more. `None`: it is again, from the
    /// next reload on.
    ///
    /// # Errors
    ///
    /// That there are too many.
    pub fn set_programs(&self, programs: Option<Vec<Function>>) -> Result<bool, LoadError> {
        self.reload_state().programs = programs;
        self.replace(None, |inputs| self.sources.explained(build::without_lines(inputs)))
    }

    /// The names of those of `modules` whose symbols are not loaded.
    pub(crate) fn missing<'m>(&self, modules: &'m [ModuleFacts]) -> Vec<&'m ModuleFacts> {
        let snapshot = self.snapshot();
        snapshot.table().map_or_else(|| modules.iter().collect(), |table| build::missing(table, modules))
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
    }

    fn reload_state(&self) -> std::sync::MutexGuard<'_, Reload> {
        // What it guards is whole at every instant.
        self.reloading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(
        &self,
        modules: Option<&[ModuleFacts]>,
        build: impl FnOnce(Inputs<'_>) -> Result<Vec<u8>, LoadError>,
    ) -> Result<bool, LoadError> {
        let state = self.reload_state();
        let before = self.snapshot();
        let table = build(Inputs {
            encoder: &Encoder::new(),
            old: before.table(),
            modules,
            programs: state.programs.as_deref(),
            kernel_build_id: self.kernel_build_id,
            boot: &self.boot,
            generation: before.generation() + 1,
        })?;
        let changed = !before.is_same(&table);
        if changed {
            self.current.store(Arc::new(State::new(Bytes::Own(table))));
        }
        Ok(changed)
    }
}

impl std::fmt::Debug for Symbolizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Symbolizer").field("sources", &self.sources).field("table", &self.snapshot()).finish()
    }
}

impl Sources {
    /// The table of all that there is now, but for what `inputs` has of it already. A module that comes or goes meanwhile moves
    /// the lines of all others: then it is read again.
    fn read_whole(&self, inputs: Inputs<'_>) -> Result<Vec<u8>, LoadError> {
        let list = || ModuleList::read(&self.kallsyms.with_file_name("modules")).ok();
        let mut tries = 0;
        loop {
            let before = list();
            let modules = self.read_modules(inputs.old)?;
            let inputs = Inputs { modules: modules.as_deref(), ..inputs };
            let table = self.explained(build::whole(self.open()?, inputs))?;
            tries += 1;
            if before == list() {
                return Ok(table);
            }
            if tries == TRIES {
                // Lines may have been left out or have come twice.
                let error = std::io::Error::other("modules came or went during each of 20 readings; try again later");
                return Err(LoadError::Read { path: self.kallsyms.clone(), error });
            }
        }
    }

    /// Whether these are the symbols of the kernel that runs this.
    pub(crate) fn is_running_kernel(&self) -> bool {
        self.kallsyms == Path::new(KALLSYMS)
    }

    /// The lines, read ahead where the kernel has to make them, and there is a second processor to do it.
    fn open(&self) -> Result<Box<dyn Read>, LoadError> {
        let failed = |error| LoadError::Read { path: self.kallsyms.clone(), error };
        let file = File::open(&self.kallsyms).map_err(failed)?;
        let several = std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
        let ahead = (several && self.is_running_kernel()).then(|| Ahead::new(file.try_clone()?)).transpose();
        Ok(match ahead {
            Ok(Some(ahead)) => Box::new(ahead),
            // One processor, or no thread to be had.
            _ => Box::new(file),
        })
    }

    /// `None` where there is no sysfs to ask, or it does not answer; but that is an error where it has answered before.
    fn read_modules(&self, old: Option<Table<'_>>) -> Result<Option<Vec<ModuleFacts>>, LoadError> {
        let Some(path) = &self.modules else { return Ok(None) };
        let answered = || old.is_some_and(|old| old.modules().any(|module| module.ino() != 0));
        match sysfs::read_all(path) {
            Ok(listing) => Ok(Some(listing.modules)),
            Err(error) if answered() => {
                Err(LoadError::Read { path: path.clone(), error: std::io::Error::other(error) })
            }
            Err(_) => Ok(None),
        }
    }

    fn explained<T>(&self, built: Result<T, Failure>) -> Result<T, LoadError> {
        built.map_err(|failure| explained(failure, &self.kallsyms))
    }
}

fn explained(failure: Failure, path: &Path) -> LoadError {
    let path = path.to_path_buf();
    match failure {
        Failure::Broken(Broken::Read(error)) => LoadError::Read { path, error },
        Failure::Broken(Broken::Malformed(line, what)) => LoadError::Malformed { path, line, what },
        Failure::Hidden if path == Path::new(KALLSYMS) => LoadError::Hidden { path, why: Rules::default().why() },
        Failure::Hidden => LoadError::Hidden { path, why: Hidden::Unknown },
        Failure::Empty => LoadError::Empty { path },
        Failure::Modules => LoadError::TooLarge { path, what: "it names more than 65536 modules" },
        Failure::Unfit(Unfit::TooFar) => LoadError::TooLarge { path, what: "symbols of one module lie 4 GiB apart" },
        Failure::Unfit(Unfit::Order | Unfit::TooMany) => {
            LoadError::TooLarge { path, what: "its symbols take more than 256 MiB" }
        }
    }
}

/// The table of the lines that `input` holds, in the form of `/proc/kallsyms`, without what sysfs knows.
///
/// # Errors
///
/// As [`Symbolizer::load_from`], with `-` for the path.
pub fn parse(input: impl std::io::BufRead) -> Result<Snapshot, LoadError> {
    let inputs = Inputs {
        encoder: &Encoder::new(),
        old: None,
        modules: None,
        programs: None,
        kernel_build_id: None,
        boot: &BootId::default(),
        generation: 1,
    };
    let table = build::whole(input, inputs).map_err(|failure| explained(failure, Path::new("-")))?;
    Ok(Snapshot::new(State::new(Bytes::Own(table))))
}

/// Of the running kernel; zeros where it does not say.
pub(crate) fn boot_id() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.trim().chars().filter(|char| *char != '-').collect();
    u128::from_str_radix(&digits, 16).map_or_else(|_| BootId::default(), u128::to_be_bytes)
}

//! Why there is no table, and why an address has no symbol.

#![forbid(unsafe_code)]

use std::path::PathBuf;

/// Why the kernel shows no addresses to this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hidden {
    /// `kernel.kptr_restrict` is 2: nobody sees them.
    Everybody,
    /// `kernel.kptr_restrict` is 1, or 0 with `kernel.perf_event_paranoid` above 1: they are shown to who has `CAP_SYSLOG`.
    Capability,
    /// Neither: a namespace without privilege, or a file that was written while they were hidden.
    Unknown,
}

/// Why a table was not made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file could not be opened or read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// Every address is zero.
    #[error("{path}: every address is hidden: {}", .why.advice())]
    Hidden {
        /// The file.
        path: PathBuf,
        /// Why.
        why: Hidden,
    },
    /// It lists nothing that could be asked for.
    #[error("{path}: no text symbol is listed")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A line that is no symbol.
    #[error("{path}:{line}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More than any kernel has.
    #[error("{path}: {what}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What there is too much of, and the limit.
        what: &'static str,
    },
}

/// Why an address has no symbol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Reason {
    /// The address is in no text of the kernel or of a module.
    #[error("no module at this address")]
    NoModule,
    /// It is in a module's text, before all of its symbols.
    #[error("no symbol at this address")]
    NoSymbol,
    /// It is in a module whose symbols have not been read yet: ask again later.
    #[error("the module's symbols are not loaded yet")]
    NotYet,
}

impl Hidden {
    /// What to do about it: the sysctl and the capability.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Everybody => {
                "kernel.kptr_restrict is 2; as root: sysctl kernel.kptr_restrict=1, and run with CAP_SYSLOG"
            }
            Self::Capability => {
                "this process lacks CAP_SYSLOG; run it as root, give it that capability, or as root: \
                 sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1"
            }
            Self::Unknown => {
                "neither kernel.kptr_restrict nor CAP_SYSLOG tells why; the file may be a copy made without CAP_SYSLOG, \
                 or this is a container without it"
            }
        }
    }
}

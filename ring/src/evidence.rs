//! What is known of the owner of a writer slot, and what follows from it.

#![forbid(unsafe_code)]

use crate::descriptor::Descriptor;
use std::fmt;

/// Three values, for what is not proven must not be taken for death.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// It is there.
    Alive,
    /// Proven: it can never again store to the ring.
    Dead,
    /// Nothing proves either; treated as alive.
    Unknown,
}

/// Why the owner of a writer slot counts as alive, as dead, or as neither.
///
/// Wrong about "dead" would put two writers into one page, wrong about "alive" costs one page, so every evidence of death
/// is a proof. Source: docs/PROTOCOL.md, "Who is alive".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum Evidence {
    /// The owner held a lock on the ring's file for as long as its memory lasts, and nobody holds it now.
    LockReleased = 1,
    /// No process of our pid namespace, which is the owner's, has its pid.
    NoSuchProcess = 2,
    /// A process with another start time has its pid.
    PidReused = 3,
    /// It ended, with all its threads, and its parent has not asked for its exit status yet.
    Exited = 4,
    /// It is this process, or was: the slot was claimed before the last exec.
    ReplacedByExec = 5,
    /// The ring is of another boot of this host, or of another host.
    OtherBoot = 6,
    /// Somebody holds the lock that the owner took.
    LockHeld = 7,
    /// The process is there, started when the owner did.
    Running = 8,
    /// The first thread ended, others go on.
    LeaderExited = 9,
    /// The owner's pid means nothing in our pid or time namespace.
    OtherNamespace = 10,
    /// The owner could not find out its own namespaces, or we cannot find out ours.
    NamespaceUnknown = 11,
    /// The /proc that we see, if any, is not that of our pid namespace.
    ForeignProc = 12,
    /// The kernel does not say.
    NotTold = 13,
}

impl Evidence {
    const ALL: [Self; 13] = [
        Self::LockReleased,
        Self::NoSuchProcess,
        Self::PidReused,
        Self::Exited,
        Self::ReplacedByExec,
        Self::OtherBoot,
        Self::LockHeld,
        Self::Running,
        Self::LeaderExited,
        Self::OtherNamespace,
        Self::NamespaceUnknown,
        Self::ForeignProc,
        Self::NotTold,
    ];

    /// What a saved ring has stored by its number; what it has not is not told.
    pub(crate) fn from_number(number: u64) -> Self {
        Self::ALL.into_iter().find(|evidence| *evidence as u64 == number).unwrap_or(Self::NotTold)
    }

    /// What it proves.
    pub const fn life(self) -> Life {
        match self {
            Self::LockReleased
            | Self::NoSuchProcess
            | Self::PidReused
            | Self::Exited
            | Self::ReplacedByExec
            | Self::OtherBoot => Life::Dead,
            Self::LockHeld | Self::Running | Self::LeaderExited => Life::Alive,
            Self::OtherNamespace | Self::NamespaceUnknown | Self::ForeignProc | Self::NotTold => Life::Unknown,
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LockReleased => "the lock it held for as long as it could write is gone",
            Self::NoSuchProcess => "no process has its pid",
            Self::PidReused => "another process has its pid now",
            Self::Exited => "it ended; its parent has not asked for its status yet",
            Self::ReplacedByExec => "its process has started another program since",
            Self::OtherBoot => "the ring is of another boot",
            Self::LockHeld => "it holds its lock on the ring",
            Self::Running => "its process is running",
            Self::LeaderExited => "its first thread ended, others go on",
            Self::OtherNamespace => "it lives in another pid or time namespace",
            Self::NamespaceUnknown => "its pid or time namespace, or ours, is not known",
            Self::ForeignProc => "/proc is missing, or that of another pid namespace",
            Self::NotTold => "the kernel does not say",
        })
    }
}

/// The verdict on an owner. One of death may hold the slot's lock: until it is dropped, nobody can claim the slot under the
/// same owner word again.
pub(crate) struct Verdict {
    pub(crate) evidence: Evidence,
    _lock: Option<Descriptor>,
}

impl Verdict {
    /// A verdict of death that keeps others from claiming the slot.
    #[cfg(not(all(test, loom)))]
    pub(crate) const fn locked(evidence: Evidence, lock: Descriptor) -> Self {
        Self { evidence, _lock: Some(lock) }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.evidence.life() == Life::Dead
    }
}

impl From<Evidence> for Verdict {
    fn from(evidence: Evidence) -> Self {
        Self { evidence, _lock: None }
    }
}

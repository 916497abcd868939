//! A process of a run: `race child PEER MEASURE ROLE PLACE REPORT CPU..`.

use crate::peer::Measure;
use crate::report::Report;
use crate::{Result, peers};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What a process does in a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// All of it, each part in a thread of its own.
    All,
    Writer,
    Reader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Writer => "writer",
            Self::Reader => "reader",
        })
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::All, Self::Writer, Self::Reader]
            .into_iter()
            .find(|role| role.to_string() == text)
            .ok_or_else(|| format!("{text} is no role"))
    }
}

/// What a process has to do.
pub struct Work {
    pub measure: Measure,
    pub role: Role,
    pub place: PathBuf,
    pub report: Report,
    /// Where it runs: one for each thread; none where it may run anywhere.
    pub cpus: Vec<usize>,
}

impl Work {
    /// Says that this process is ready, and waits for the others: gives the time at which all begin.
    pub fn start(&mut self) -> Result<u64> {
        self.report.say("ready", &[])?;
        loop {
            let said = self.report.hear(Duration::from_secs(30))?.ok_or("nobody said when to start")?;
            if said.word == "start" {
                return Ok(said.numbers[0]);
            }
        }
    }
}

/// Does what the command line says.
pub fn work(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut next = || arguments.next().ok_or("PEER MEASURE ROLE PLACE REPORT CPU..");
    let name = next()?;
    let (measure, role) = (next()?.parse()?, next()?.parse()?);
    let (place, report) = (next()?.into(), Report::open(next()?.as_ref())?);
    let cpus = arguments.map(|cpu| cpu.parse()).collect::<std::result::Result<_, _>>()?;
    let entry = peers::all().into_iter().find(|entry| entry.name == name).ok_or("no such peer")?;
    (entry.work)(&mut Work { measure, role, place, report, cpus })
}

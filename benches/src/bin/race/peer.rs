//! What a contestant is: a channel for records of 100 bytes, with what is measured of it.

use crate::Result;
use crate::child::Work;
use std::any::Any;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Bytes of a record.
pub const LEN: usize = 100;
/// A record of the contestants' own.
pub type Payload = [u8; LEN];

/// Something that carries records from writers to a reader. What it keeps is of one run.
pub trait Peer {
    /// Its name in tables and on the command line.
    const NAME: &'static str;
    /// What it is and what it promises, in a line.
    const ABOUT: &'static str;
    /// What is measured.
    const MEASURES: &'static [Measure];
    /// Whether writers and reader are threads of one process, since they cannot be anything else.
    const ONE_PROCESS: bool = false;
    /// How many records it holds before a writer waits; `None` where no writer ever does.
    const HOLDS: Option<usize> = None;

    /// What a process has open.
    type Channel: Sync;
    /// Appends.
    type Writer<'c>: Write;
    /// Gets the records.
    type Reader<'c>: Read;

    /// Why it cannot race on this machine: what is to be installed.
    fn missing() -> Option<String> {
        None
    }

    /// Once in a race, in front of everything: starts what the peer needs beside its processes. It is dropped at the end.
    fn set_up(_folder: &Path) -> Result<Box<dyn Any>> {
        Ok(Box::new(()))
    }

    /// Once in front of each run, in the process that starts the others: makes the channel at `place`, where there is nothing;
    /// what is there afterwards is removed with it.
    fn create(place: &Path) -> Result<()>;

    /// What the processes of a run have in their environment beside what the race itself has.
    fn environment(_place: &Path) -> Vec<(&'static str, PathBuf)> {
        Vec::new()
    }

    /// How many records the channel says it has dropped since it was made, where somebody beside the processes of the run
    /// knows; asked while no writer writes.
    fn dropped(_place: &Path) -> Result<Option<u64>> {
        Ok(None)
    }

    /// In each process of the run: opens what [`Peer::create`] made.
    fn open(place: &Path) -> Result<Self::Channel>;

    /// A writer; it is used in the thread that asked for it. `meta`: each record with its time, process, thread and level, if
    /// that can be left out.
    fn writer(channel: &Self::Channel, meta: bool) -> Result<Self::Writer<'_>>;

    /// A writer of a channel that nobody reads: what it appends it takes away itself, in [`Write::settle`].
    fn alone(channel: &Self::Channel, meta: bool) -> Result<Self::Writer<'_>> {
        Self::writer(channel, meta)
    }

    /// The reader, which gets what is appended from now on.
    fn reader(channel: &Self::Channel) -> Result<Self::Reader<'_>>;
}

/// A writer's side.
pub trait Write {
    /// One record. Waits where there is no room, by whatever means the channel has.
    fn append(&mut self, payload: &Payload);

    /// Makes room for [`Peer::HOLDS`] records; the time is not counted. Nobody else reads.
    fn settle(&mut self) {}

    /// How many records the channel says it has dropped since it was made, of all writers, where their process knows.
    fn dropped(&self) -> Option<u64> {
        None
    }
}

/// A reader's side.
pub trait Read {
    /// Gives every record that is there now to `each`, or some of them, and says how many these were.
    fn poll(&mut self, each: impl FnMut(&[u8])) -> usize;

    /// What to do when nothing was there.
    fn idle(&mut self) {
        std::hint::spin_loop();
    }

    /// From now on what matters is how soon a record is noticed, whatever that costs the writer.
    fn set_spin(&mut self) {}

    /// What to do when nothing was there and that matters.
    fn spin(&mut self) {
        std::hint::spin_loop();
    }

    /// How many records were lost by what the channel itself says, if it counts them.
    fn lost(&self) -> Option<u64> {
        None
    }
}

/// What a reader of shared memory does when nothing was there, some microseconds long: one that only spins takes the line of
/// the next record from its writer again and again, and gets a third of the records or fewer.
#[cfg(feature = "peers")]
pub fn pause() {
    for _ in 0..1000 {
        std::hint::spin_loop();
    }
}

/// Of a channel whose records nobody can read while it races.
pub enum Unread {}

impl Read for Unread {
    fn poll(&mut self, _: impl FnMut(&[u8])) -> usize {
        match *self {}
    }
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Measure {
    /// What a record costs its writer, alone, with as little beside the payload as the channel allows.
    Append,
    /// The same with time, process, thread and level.
    AppendMeta,
    /// So many writers at once, a process and a processor each; all their records.
    Writers(usize),
    /// A writer that does not wait, and a reader in another process: what arrives.
    Deliver,
    /// 100,000 records a second, and a reader that spins.
    Latency,
}

impl Measure {
    /// All that can be measured on so many processors.
    pub fn all(cpus: &[usize]) -> Vec<Self> {
        let mut all = vec![Self::Append, Self::AppendMeta];
        if cpus.len() >= 2 {
            all.extend([2, 4, 8, 16].into_iter().filter(|&writers| writers <= cpus.len()).map(Self::Writers));
            all.extend([Self::Deliver, Self::Latency]);
        }
        if cpus.len() >= 4 {
            all.insert(2, Self::Writers(1));
        }
        all
    }

    /// Whether who can do this can do `other`, too: any number of writers, once there may be two.
    pub fn covers(self, other: Self) -> bool {
        self == other || matches!((self, other), (Self::Writers(_), Self::Writers(_)))
    }

    /// Whether two processors have a part in it.
    pub fn is_shared(self) -> bool {
        !matches!(self, Self::Append | Self::AppendMeta | Self::Writers(1))
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append => write!(f, "append"),
            Self::AppendMeta => write!(f, "append-meta"),
            Self::Writers(count) => write!(f, "writers-{count}"),
            Self::Deliver => write!(f, "deliver"),
            Self::Latency => write!(f, "latency"),
        }
    }
}

impl FromStr for Measure {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        Ok(match text {
            "append" => Self::Append,
            "append-meta" => Self::AppendMeta,
            "deliver" => Self::Deliver,
            "latency" => Self::Latency,
            _ => {
                let count = text.strip_prefix("writers-").and_then(|count| count.parse().ok());
                Self::Writers(count.ok_or_else(|| format!("{text} is nothing that is measured"))?)
            }
        })
    }
}

/// A [`Peer`] as the schedule sees it.
pub struct Entry {
    pub name: &'static str,
    pub about: &'static str,
    pub measures: &'static [Measure],
    pub one_process: bool,
    pub holds: Option<usize>,
    missing: fn() -> Option<String>,
    set_up: fn(&Path) -> Result<Box<dyn Any>>,
    pub create: fn(&Path) -> Result<()>,
    pub environment: fn(&Path) -> Vec<(&'static str, PathBuf)>,
    pub dropped: fn(&Path) -> Result<Option<u64>>,
    pub work: fn(&mut Work) -> Result<()>,
    /// Fails where a record does not come as it was appended.
    #[cfg(test)]
    pub carries: fn(&Path) -> Result<()>,
}

impl Entry {
    pub fn of<P: Peer>() -> Self {
        Self {
            name: P::NAME,
            about: P::ABOUT,
            measures: P::MEASURES,
            one_process: P::ONE_PROCESS,
            holds: P::HOLDS,
            missing: P::missing,
            set_up: P::set_up,
            create: P::create,
            environment: P::environment,
            dropped: P::dropped,
            work: crate::roles::work::<P>,
            #[cfg(test)]
            carries: crate::carries::carries::<P>,
        }
    }

    /// One that was not built.
    #[cfg(not(feature = "peers"))]
    pub fn left_out(name: &'static str) -> Self {
        Self {
            name,
            about: "",
            measures: &[],
            one_process: false,
            holds: None,
            missing: || Some("built without --features peers".into()),
            set_up: |_| unreachable!("it is missing"),
            create: |_| unreachable!("it is missing"),
            environment: |_| unreachable!("it is missing"),
            dropped: |_| unreachable!("it is missing"),
            work: |_| unreachable!("it is missing"),
            #[cfg(test)]
            carries: |_| unreachable!("it is missing"),
        }
    }

    pub fn missing(&self) -> Option<String> {
        (self.missing)()
    }

    pub fn set_up(&self, folder: &Path) -> Result<Box<dyn Any>> {
        (self.set_up)(folder)
    }

    /// Whether two writers would wait for each other without a reader.
    pub fn needs_reader(&self) -> bool {
        self.holds.is_some_and(|records| records < MANY)
    }
}

/// Records that two writers can append in a run without a reader.
pub const MANY: usize = 200_000;

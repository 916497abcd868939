//! How the processes of a run talk to the one that started them: through a ring of their own.
//!
//! A record is a word and numbers, as text. `ready` says that a process has all open and is warm; `start NS` is the answer to
//! all of them.

use crate::{Result, clock};
use lapwing_ring::{Create, Level, Log, Read, Reader, Seek};
use std::path::Path;
use std::time::Duration;

/// Samples in one record.
const MOST: usize = 1000;

/// What one process says in a record.
#[derive(Debug, PartialEq)]
pub struct Said {
    pub pid: u32,
    pub word: String,
    pub numbers: Vec<u64>,
}

/// A process's end.
pub struct Report {
    log: Log,
    reader: Reader,
}

impl Report {
    /// Makes the ring.
    pub fn create(path: &Path) -> Result<Self> {
        Create::new().size(4 << 20).create(path)?;
        Self::open(path)
    }

    /// Hears what is said from now on.
    pub fn open(path: &Path) -> Result<Self> {
        let mut reader = Reader::open(path)?;
        reader.seek(Seek::Newest)?;
        Ok(Self { log: Log::open(path)?, reader })
    }

    /// Says it, in as many records as it takes.
    pub fn say(&self, word: &str, numbers: &[u64]) -> Result<()> {
        let parts = numbers.chunks(MOST);
        let none: &[u64] = &[];
        let empty = numbers.is_empty().then_some(none);
        for part in parts.chain(empty) {
            let text = part.iter().fold(String::from(word), |text, number| format!("{text} {number}"));
            self.log.append(Level::INFO, text.as_bytes())?;
        }
        Ok(())
    }

    /// The next thing that somebody says, unless nobody does for so long.
    ///
    /// # Errors
    /// Also when records were lost: then no figure is worth anything.
    pub fn hear(&mut self, timeout: Duration) -> Result<Option<Said>> {
        let until = clock::now() + timeout.as_nanos() as u64;
        loop {
            match self.reader.next()? {
                Read::Record(record) => {
                    let text = std::str::from_utf8(record.payload)?;
                    let mut words = text.split(' ');
                    let word = words.next().unwrap_or_default().into();
                    let numbers = words.map(str::parse).collect::<std::result::Result<_, _>>()?;
                    return Ok(Some(Said { pid: record.pid, word, numbers }));
                }
                Read::NotYet { .. } => {}
                other => return Err(format!("the report has lost records: {other:?}").into()),
            }
            let left = until.saturating_sub(clock::now());
            if left == 0 {
                return Ok(None);
            }
            self.reader.wait(Duration::from_nanos(left))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let folder = crate::place::Place::new().unwrap();
        let path = folder.folder().join("ring");
        let mut parent = Report::create(&path).unwrap();
        let child = Report::open(&path).unwrap();
        child.say("ready", &[]).unwrap();
        child.say("samples", &(0..2500).collect::<Vec<_>>()).unwrap();
        let pid = std::process::id();
        let mut hear = || parent.hear(Duration::from_secs(5)).unwrap().unwrap();
        assert_eq!(hear(), Said { pid, word: "ready".into(), numbers: vec![] });
        assert_eq!(hear().numbers, (0..1000).collect::<Vec<_>>());
        assert_eq!(hear().numbers, (1000..2000).collect::<Vec<_>>());
        assert_eq!(hear().numbers, (2000..2500).collect::<Vec<_>>());
        assert_eq!(parent.hear(Duration::from_millis(1)).unwrap(), None);
    }
}

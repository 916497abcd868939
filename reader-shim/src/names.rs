//! Who wrote a record. A process introduces itself once on every page of the ring, so a reader has to remember.

use lapwing_ring::{Field, Flags, Record, WriterStat};
use std::collections::HashMap;

/// The process behind a record, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Who<'a> {
    /// Its name, any bytes; `?` where nobody knows.
    pub comm: &'a [u8],
    /// The user it runs as.
    pub uid: Option<u32>,
}

struct Known {
    comm: Vec<u8>,
    uid: Option<u32>,
}

/// A reader that follows for months meets more processes than it should remember; they introduce themselves again.
const REMEMBERED: usize = 1 << 16;

/// What a reader has learned of the processes that write.
#[derive(Default)]
pub(crate) struct Names {
    by_pid: HashMap<u32, Known>,
    /// A process was met that never introduced itself: its writer slot may tell.
    pub(crate) ask: bool,
}

impl Names {
    /// Notes an introduction: the name and user that stand in front of a start time. Fields of the record's own come later.
    pub(crate) fn learn(&mut self, record: &Record<'_>) {
        if !record.flags.contains(Flags::FIELDS) || !record.fields.into_iter().any(|f| matches!(f, Field::Start(_))) {
            return;
        }
        let comm = record.fields.into_iter().find_map(|field| match field {
            Field::Comm(comm) => Some(comm),
            _ => None,
        });
        let uid = record.fields.into_iter().find_map(|field| match field {
            Field::Uid(uid) => Some(uid),
            _ => None,
        });
        if let Some(comm) = comm {
            self.remember(record.pid, comm, uid);
        }
    }

    /// Fills gaps from the ring's table of writers; what records said comes first.
    pub(crate) fn learn_table(&mut self, writers: &[WriterStat]) {
        for writer in writers {
            if self.by_pid.get(&writer.pid).is_none_or(|known| known.comm.is_empty()) {
                self.remember(writer.pid, &writer.comm, Some(writer.uid));
            }
        }
        self.ask = false;
    }

    fn remember(&mut self, pid: u32, comm: &[u8], uid: Option<u32>) {
        if self.by_pid.len() >= REMEMBERED {
            self.by_pid.clear();
        }
        let known = self.by_pid.entry(pid).or_insert_with(|| Known { comm: Vec::new(), uid });
        known.uid = uid;
        known.comm.clear();
        known.comm.extend_from_slice(comm);
    }

    /// Who wrote `record`. What the record itself says comes before what its process said earlier.
    pub(crate) fn who<'a>(&'a mut self, record: &Record<'a>) -> Who<'a> {
        let (mut comm, mut uid) = (None, None);
        for field in record.fields {
            match field {
                Field::Comm(name) => comm = Some(name),
                Field::Uid(id) => uid = Some(id),
                _ => {}
            }
        }
        if comm.is_none() && !self.by_pid.contains_key(&record.pid) {
            // Remembered as unknown, so that the table is asked once.
            self.remember(record.pid, b"", None);
            self.ask = true;
        }
        let known = self.by_pid.get(&record.pid);
        let comm = comm.or(known.map(|known| known.comm.as_slice())).filter(|comm| !comm.is_empty());
        Who { comm: comm.unwrap_or(b"?"), uid: uid.or(known.and_then(|known| known.uid)) }
    }
}

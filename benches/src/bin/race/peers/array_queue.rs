//! crossbeam's ArrayQueue, full all the time: each record pushes the oldest out.

use crate::Result;
use crate::peer::{Measure, Payload, Peer, Read, Write, pause};
use crossbeam_queue::ArrayQueue as Queue;
use std::path::Path;

/// About as many as a ring of 16 MiB holds; fewer than go through before anything is measured.
const RECORDS: usize = 1 << 17;

pub struct ArrayQueue;

impl Peer for ArrayQueue {
    const NAME: &'static str = "ArrayQueue";
    const ABOUT: &'static str =
        "one process, one total order, one reader a record, overwrites the oldest, tells its reader of no loss";
    const MEASURES: &'static [Measure] = &[Measure::Append, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    const ONE_PROCESS: bool = true;
    type Channel = Queue<Payload>;
    type Writer<'c> = &'c Queue<Payload>;
    type Reader<'c> = &'c Queue<Payload>;

    fn create(_: &Path) -> Result<()> {
        Ok(())
    }

    fn open(_: &Path) -> Result<Queue<Payload>> {
        Ok(Queue::new(RECORDS))
    }

    fn writer(queue: &Queue<Payload>, _meta: bool) -> Result<&Queue<Payload>> {
        Ok(queue)
    }

    fn reader(queue: &Queue<Payload>) -> Result<&Queue<Payload>> {
        Ok(queue)
    }
}

impl Write for &Queue<Payload> {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        // What was pushed out is the writer's to drop.
        let _ = self.force_push(*payload);
    }
}

impl Read for &Queue<Payload> {
    #[inline(always)]
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        match self.pop() {
            Some(record) => {
                each(&record);
                1
            }
            None => 0,
        }
    }

    fn idle(&mut self) {
        pause();
    }
}

//! disruptor: a ring among the threads of a process, with any number of producers and a poller.

use crate::Result;
use crate::peer::{LEN, Measure, Payload, Peer, Read, Write, pause};
use disruptor::{
    BusySpin, EventPoller, MultiProducer, MultiProducerBarrier, Producer as _, SingleConsumerBarrier,
    build_multi_producer,
};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// Twice what a ring of 16 MiB holds: two writers fill it without a third thread that reads.
const RECORDS: usize = 1 << 18;

type Producer = MultiProducer<Payload, SingleConsumerBarrier>;
type Poller = EventPoller<Payload, MultiProducerBarrier>;

pub struct Disruptor;

impl Peer for Disruptor {
    const NAME: &'static str = "disruptor";
    const ABOUT: &'static str = "one process, one total order, writers wait for the slowest reader";
    const MEASURES: &'static [Measure] = &[Measure::Append, Measure::Writers(2), Measure::Deliver, Measure::Latency];
    const ONE_PROCESS: bool = true;
    const HOLDS: Option<usize> = Some(RECORDS);
    type Channel = Ends;
    type Writer<'c> = Writer<'c>;
    type Reader<'c> = MutexGuard<'c, Poller>;

    fn create(_: &Path) -> Result<()> {
        Ok(())
    }

    fn open(_: &Path) -> Result<Ends> {
        let (poller, builder) = build_multi_producer(RECORDS, || [0; LEN], BusySpin).new_event_poller();
        Ok(Ends { producer: Mutex::new(builder.build()), poller: Mutex::new(poller) })
    }

    fn writer(ends: &Ends, _meta: bool) -> Result<Writer<'_>> {
        let producer = ends.producer.lock().expect("a clone does not panic").clone();
        Ok(Writer { producer, poller: &ends.poller })
    }

    fn reader(ends: &Ends) -> Result<MutexGuard<'_, Poller>> {
        Ok(ends.poller.try_lock().map_err(|_| "it has one reader")?)
    }
}

/// Each writer clones the producer; the poller is taken by who reads.
pub struct Ends {
    producer: Mutex<Producer>,
    poller: Mutex<Poller>,
}

pub struct Writer<'c> {
    producer: Producer,
    poller: &'c Mutex<Poller>,
}

impl Write for Writer<'_> {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        self.producer.publish(|record| *record = *payload);
    }

    fn settle(&mut self) {
        // Another writer may be at it.
        let mut poller = self.poller.lock().expect("a poller does not panic");
        while poller.poll(|bytes| assert_eq!(bytes.len(), LEN)) > 0 {}
    }
}

impl Read for MutexGuard<'_, Poller> {
    #[inline(always)]
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        let Ok(mut records) = EventPoller::poll(self) else { return 0 };
        (&mut records).fold(0, |count, record| {
            each(record);
            count + 1
        })
    }

    fn idle(&mut self) {
        pause();
    }
}

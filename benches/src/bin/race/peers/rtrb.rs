//! rtrb: a ring between two threads.

use crate::Result;
use crate::peer::{LEN, Measure, Payload, Peer, Read, Write, pause};
use rtrb::{Consumer, Producer, PushError, RingBuffer};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

/// About as many as a ring of 16 MiB holds.
const RECORDS: usize = 1 << 17;

pub struct Rtrb;

impl Peer for Rtrb {
    const NAME: &'static str = "rtrb";
    const ABOUT: &'static str = "one process, one writer, one reader, the writer waits";
    const MEASURES: &'static [Measure] = &[Measure::Append, Measure::Deliver, Measure::Latency];
    const ONE_PROCESS: bool = true;
    const HOLDS: Option<usize> = Some(RECORDS);
    type Channel = Ends;
    type Writer<'c> = Writer<'c>;
    type Reader<'c> = MutexGuard<'c, Consumer<Payload>>;

    fn create(_: &Path) -> Result<()> {
        Ok(())
    }

    fn open(_: &Path) -> Result<Ends> {
        let (producer, consumer) = RingBuffer::new(RECORDS);
        Ok(Ends { producer: Mutex::new(producer), consumer: Mutex::new(consumer) })
    }

    fn writer(ends: &Ends, _meta: bool) -> Result<Writer<'_>> {
        let producer = ends.producer.try_lock().map_err(|_| "it has one writer")?;
        Ok(Writer { producer, consumer: &ends.consumer })
    }

    fn reader(ends: &Ends) -> Result<MutexGuard<'_, Consumer<Payload>>> {
        Ok(ends.consumer.try_lock().map_err(|_| "it has one reader")?)
    }
}

/// Each is taken once, by the thread that uses it.
pub struct Ends {
    producer: Mutex<Producer<Payload>>,
    consumer: Mutex<Consumer<Payload>>,
}

pub struct Writer<'c> {
    producer: MutexGuard<'c, Producer<Payload>>,
    consumer: &'c Mutex<Consumer<Payload>>,
}

impl Write for Writer<'_> {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        while let Err(PushError::Full(_)) = self.producer.push(*payload) {
            std::hint::spin_loop();
        }
    }

    fn settle(&mut self) {
        // Whoever else had it open would be a reader.
        let mut consumer = self.consumer.try_lock().expect("nobody else reads");
        while consumer.poll(|bytes| assert_eq!(bytes.len(), LEN)) > 0 {}
    }
}

impl Read for MutexGuard<'_, Consumer<Payload>> {
    #[inline(always)]
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        let count = self.slots();
        let records = self.read_chunk(count).expect("as many as there are");
        let (front, back) = records.as_slices();
        front.iter().chain(back).for_each(|record| each(record));
        records.commit_all();
        count
    }

    fn idle(&mut self) {
        pause();
    }
}

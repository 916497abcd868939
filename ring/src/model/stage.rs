//! What the models play on: a ring with writers that may die and readers that tell what they saw, and how all executions of
//! a model are held against the outcomes that it has written down.

use crate::copy::Body;
use crate::error::AppendError;
use crate::evidence::Evidence;
use crate::heap::HeapRing;
use crate::layout::{Geometry, Header, LineHeader};
use crate::level::Level;
use crate::reader::{Cursor, Patience, Read, Seek};
use crate::ring::Ring;
use crate::sync::Atomic;
use crate::unfinished::Unfinished;
use crate::word::OwnerWord;
use crate::writer::{Draft, Hold, Reservation};
use atomic::Ordering::{Acquire, Release};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// A ring, and one flag for each pid that says whether it is dead.
pub(super) struct Stage {
    pub(super) heap: HeapRing,
    pub(super) dead: [Atomic<u64>; 4],
}

impl Stage {
    pub(super) fn new(pages: u32, records: u32) -> Arc<Self> {
        let heap = HeapRing::new(Geometry::tiny(pages, records, (3 * records).max(6), 3), 1, 0);
        Arc::new(Self { heap, dead: std::array::from_fn(|_| Atomic::new(0)) })
    }

    /// Death is something the kernel tells: whoever learns of it has seen everything before it.
    pub(super) fn die(&self, pid: u32) {
        self.dead[pid as usize].store(1, Release);
    }

    pub(super) fn with<R>(&self, act: impl FnOnce(&Ring<'_>) -> R) -> R {
        let judge = |_: &Header, _: usize, owner: OwnerWord| match self.dead[owner.pid() as usize].load(Acquire) {
            0 => Evidence::Running.into(),
            _ => Evidence::NoSuchProcess.into(),
        };
        act(&self.heap.ring(Body::Words, &judge))
    }

    /// Claims a slot for `pid`; in the main thread, before the others run.
    pub(super) fn attach(self: &Arc<Self>, pid: u32) -> Writer {
        let owner = OwnerWord::new(pid, 0, 0, 0);
        let hold = self.with(|ring| ring.claim(|_| Some(owner)).unwrap());
        Writer { hold: Hold { introduced: Hold::NEVER, ..hold }, stage: self.clone(), pid }
    }

    pub(super) fn reader(self: &Arc<Self>) -> Reader {
        let mut cursor = Cursor::at(0);
        cursor.patience = Patience { scan_after: u64::MAX, give_up_after: u64::MAX };
        Reader { stage: self.clone(), cursor, start: 0, seen: Vec::new() }
    }
}

pub(super) struct Writer {
    pub(super) stage: Arc<Stage>,
    pub(super) hold: Hold,
    pub(super) pid: u32,
}

impl Writer {
    /// Appends a record whose every word names its writer and `n`. `-`: refused, because every page is pinned.
    pub(super) fn append(&mut self, n: u32) -> String {
        match self.append_in_two(n, |_| ()) {
            Ok(seq) => seq.to_string(),
            Err(AppendError::AllPagesPinned { .. }) => "-".to_owned(),
            Err(error) => panic!("{error}"),
        }
    }

    /// An append with something in between reserve and fill.
    pub(super) fn append_in_two(&mut self, n: u32, between: impl FnOnce(&Self)) -> Result<u64, AppendError> {
        self.reserve_then(n, between, |ring, hold, place| ring.commit(hold, place, 4))
    }

    /// Reserves and fills, and then does something else than to commit.
    pub(super) fn reserve_then<R>(
        &mut self,
        n: u32,
        between: impl FnOnce(&Self),
        then: impl FnOnce(&Ring<'_>, &mut Hold, Reservation<'_>) -> R,
    ) -> Result<R, AppendError> {
        let payload = [self.pid as u8, n as u8, self.pid as u8, n as u8];
        let stage = self.stage.clone();
        stage.with(|ring| {
            let place = ring.reserve(&mut self.hold, 4, false, &mut None, &mut 0)?;
            between(self);
            ring.fill(place, 0, 4, (self.pid, n), &[], &Draft::new(Level::INFO), &[&payload]);
            Ok(then(ring, &mut self.hold, place))
        })
    }

    /// The first half of an append: all of it up to the fill.
    pub(super) fn reserve_and_stop(&mut self) {
        let stage = self.stage.clone();
        stage.with(|ring| assert!(ring.reserve(&mut self.hold, 4, false, &mut None, &mut 0).is_ok()));
    }

    /// Turns the page if it is full, and appends nothing.
    pub(super) fn help(&mut self) {
        let stage = self.stage.clone();
        stage.with(|ring| ring.advance(&mut self.hold, ring.header.head.load(Acquire))).expect("nobody pins a page");
    }

    pub(super) fn release(&self) {
        self.stage.with(|ring| ring.release(self.hold));
    }
}

pub(super) struct Reader {
    pub(super) stage: Arc<Stage>,
    pub(super) cursor: Cursor,
    pub(super) start: u64,
    pub(super) seen: Vec<String>,
}

impl Reader {
    /// Moves to the oldest record.
    pub(super) fn join(&mut self) -> u64 {
        self.start = self.stage.with(|ring| self.cursor.seek(ring, Seek::Oldest)).expect("no model damages the ring");
        self.cursor.patience.scan_after = u64::MAX;
        self.start
    }

    /// Is there a record? Takes no step.
    pub(super) fn peek(&self) -> bool {
        let mut cursor = self.cursor.clone();
        let read = self.stage.with(|ring| matches!(cursor.next(ring, &mut [0; 8]), Ok(Read::Record(_))));
        read
    }

    /// Takes `steps` looks at the ring and tells what it saw: `0:a1` is sequence 0, written by a as its 1.
    pub(super) fn look(mut self, steps: usize) -> String {
        let mut buf = [0; 8];
        for _ in 0..steps {
            let before = self.cursor.seq();
            let read = self.stage.with(|ring| self.cursor.next(ring, &mut buf)).expect("no model damages the ring");
            self.seen.push(match read {
                Read::Record(record) => {
                    let (by, n) = (record.pid, record.tid);
                    assert_eq!(record.payload, [by as u8, n as u8, by as u8, n as u8], "a torn record");
                    assert_eq!(record.seq, before);
                    format!("{}:{}{n}", record.seq, name(by))
                }
                Read::Lost(gap) => format!("lost {}+{}", gap.first, gap.count),
                Read::Abandoned(gap) => format!("abandoned {}", gap.first),
                Read::Stalled(gap) => format!("stalled {}", gap.first),
                Read::NotYet { .. } => continue,
            });
            assert!(self.cursor.seq() > before);
        }
        let counts = self.cursor.counts;
        assert_eq!(counts.read + counts.lost + counts.abandoned + counts.stalled, self.cursor.seq() - self.start);
        self.seen.join(" ")
    }
}

pub(super) fn name(pid: u32) -> char {
    char::from(b'a' - 1 + pid as u8)
}

/// One place for an unfinished line of eight bytes.
pub(super) fn with_lines<R>(cells: &(LineHeader, [Atomic<u64>; 1]), act: impl FnOnce(&Unfinished<'_>) -> R) -> R {
    act(&Unfinished { headers: std::slice::from_ref(&cells.0), texts: &cells.1 })
}

/// Explores `model`, which gives its outcome, and holds the outcomes against `expected`.
pub(super) fn explore(expected: &'static [&'static str], model: impl Fn() -> String + Sync + Send + 'static) {
    let reached = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = reached.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.max_branches = 20_000;
    let print = std::env::var_os("MODEL_PRINT").is_some();
    builder.check(move || {
        let outcome = model();
        let known = expected.contains(&outcome.as_str());
        let is_new = seen.lock().unwrap().insert(outcome.clone());
        if print && is_new && !known {
            println!("        {outcome:?},");
        }
        assert!(known || print, "an outcome outside the set: {outcome:?}");
    });
    let reached = reached.lock().unwrap();
    let missing: Vec<_> = expected.iter().filter(|&&outcome| !reached.contains(outcome)).collect();
    assert!(missing.is_empty(), "outcomes that were never reached: {missing:?}");
}

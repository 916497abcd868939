//! The cases: what the tracee does, on which stage, and who comes in between.

use crate::operation::Operation;

/// How things stand when the operation begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// There is room on the page, and the tracee has introduced itself there.
    Room,
    /// The page is full.
    FullPage,
    /// Somebody else has opened a new page.
    NewPage,
    /// A slot belongs to a writer that was killed inside an append.
    DeadSlot,
    /// The page is full, and the next one held by a writer that was killed inside an append.
    NextOfDead,
    /// The page is full, and the next one held by a writer that stopped inside an append.
    NextOfHeld,
    /// There is no ring yet.
    NoRing,
}

pub struct Case {
    pub name: &'static str,
    pub operation: Operation,
    pub stage: Stage,
    /// Somebody else appends when the operation is about to change HEAD for the nth time: the exchange is lost.
    pub overtaken: Option<usize>,
    /// Stop at every instruction; otherwise before and after each system call and each store to header and slots.
    pub every: bool,
}

const fn every(name: &'static str, operation: Operation, stage: Stage, overtaken: Option<usize>) -> Case {
    Case { name, operation, stage, overtaken, every: true }
}

const fn points(name: &'static str, operation: Operation, stage: Stage) -> Case {
    Case { name, operation, stage, overtaken: None, every: false }
}

pub const CASES: [Case; 15] = [
    every("append", Operation::Append, Stage::Room, None),
    every("append-lost", Operation::Append, Stage::Room, Some(0)),
    every("introduction", Operation::Append, Stage::NewPage, None),
    every("log", Operation::LogAppend, Stage::Room, None),
    every("turn", Operation::Append, Stage::FullPage, None),
    every("turn-close-lost", Operation::Append, Stage::FullPage, Some(0)),
    every("turn-decide-lost", Operation::Append, Stage::FullPage, Some(1)),
    every("turn-open-lost", Operation::Append, Stage::FullPage, Some(2)),
    points("turn-past-dead", Operation::Append, Stage::NextOfDead),
    points("turn-past-held", Operation::Append, Stage::NextOfHeld),
    points("log-claim", Operation::LogClaim, Stage::Room),
    points("attach", Operation::Attach, Stage::Room),
    points("take-over", Operation::Attach, Stage::DeadSlot),
    points("detach", Operation::Detach, Stage::Room),
    points("create", Operation::Create, Stage::NoRing),
];

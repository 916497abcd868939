//! What the tracees do: one operation between two marks, and a report of how it went.

use crate::books::{level, payload};
use crate::trace::Mark;
use lapwing_ring::{Create, Error, Log, Writer};
use std::fmt::Display;
use std::io::{PipeWriter, Write};
use std::path::Path;

/// The writer that tracees are in the books.
pub const TRACEE: u32 = 9;
/// Bytes of the payload that is written between the marks: whole words, and a rest.
const LEN: usize = 101;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    Append,
    /// Through a [`Log`] whose pool has a lease.
    LogAppend,
    /// Through a [`Log`] without one.
    LogClaim,
    Attach,
    Detach,
    Create,
}

/// The ring of every case: the smallest.
pub fn create() -> Create {
    Create::new().size(64 << 10)
}

/// The child's side. Each line of the report is `done`, `exists`, `record COUNTER SEQ`, or something that went wrong.
pub fn perform(operation: Operation, ring: &Path, mark: &Mark, mut report: PipeWriter) {
    let mut tell = |line: String| report.write_all(format!("{line}\n").as_bytes()).unwrap();
    let warm = [0, 1, 2, 3].map(|counter| payload(TRACEE, counter, LEN));
    let (open, level) = (|| Writer::open(ring).unwrap(), level(TRACEE));
    match operation {
        Operation::Append => {
            let mut writer = open();
            for payload in &warm[..2] {
                writer.append(level, payload).unwrap();
            }
            mark.here();
            let seq = writer.append(level, &warm[2]);
            mark.here();
            tell(record(2, seq));
            tell(record(3, writer.append(level, &warm[3])));
        }
        Operation::LogAppend | Operation::LogClaim => {
            let log = Log::open(ring).unwrap();
            let first = if operation == Operation::LogAppend { 2 } else { 0 };
            for payload in &warm[..first] {
                log.append(level, payload).unwrap();
            }
            mark.here();
            let seq = log.append(level, &warm[first]);
            mark.here();
            tell(record(first, seq));
            tell(record(first + 1, log.append(level, &warm[first + 1])));
        }
        Operation::Attach => {
            mark.here();
            let writer = Writer::open(ring);
            mark.here();
            match writer {
                Ok(mut writer) => tell(record(0, writer.append(level, &warm[0]))),
                Err(error) => tell(error.to_string()),
            }
        }
        Operation::Detach => {
            let mut writer = open();
            for payload in &warm[..2] {
                writer.append(level, payload).unwrap();
            }
            mark.here();
            drop(writer);
            mark.here();
            tell("done".to_owned());
        }
        Operation::Create => {
            mark.here();
            let created = create().create(ring);
            mark.here();
            tell(match created {
                Ok(()) => "done".to_owned(),
                Err(Error::Exists { .. }) => "exists".to_owned(),
                Err(error) => error.to_string(),
            });
        }
    }
}

fn record(counter: usize, result: Result<u64, impl Display>) -> String {
    match result {
        Ok(seq) => format!("record {counter} {seq}"),
        Err(error) => format!("record {counter} was refused: {error}"),
    }
}

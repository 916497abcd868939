//! The unfinished lines of everybody who writes to one stream, and who they are.

#![forbid(unsafe_code)]

use super::Program;
use super::hand::Sender;
use super::sys;
use crate::lines::{Lines, limit_for};
use lapwing_ring::{Draft, Flags, Level, Log, Origin, Source};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Processes with an unfinished line. Of more, the line that has waited longest goes out as it is.
const MOST: usize = 64;
/// How long a name is believed: an exec changes it, and another process may get the pid.
const KNOWN_FOR: Duration = Duration::from_millis(100);

/// One process that writes.
struct Process {
    lines: Box<Lines>,
    comm: Option<Vec<u8>>,
    uid: u32,
    flags: Flags,
    asked: Instant,
    wrote: Instant,
}

/// Everybody who writes to one stream.
pub(super) struct Senders<'a> {
    source: Source,
    /// The program that was started, which may be gone before we can ask.
    program: &'a Program,
    /// Does /proc speak of the processes that the kernel tells us of?
    has_proc: bool,
    processes: HashMap<u32, Process>,
}

impl<'a> Senders<'a> {
    pub(super) fn new(source: Source, program: &'a Program) -> Self {
        let us = std::fs::read_link("/proc/self").ok();
        let has_proc = us.is_some_and(|us| us.as_os_str() == std::process::id().to_string().as_str());
        Self { source, program, has_proc, processes: HashMap::new() }
    }

    /// Records `text` of one sender, a line a record; `done` hears of every byte that needs no more care.
    pub(super) fn record(
        &mut self,
        log: &Log,
        sender: Sender,
        attested: bool,
        text: &[u8],
        mut done: impl FnMut(usize),
    ) {
        let now = Instant::now();
        if !self.processes.contains_key(&sender.pid) && self.processes.len() >= MOST {
            self.make_room(log);
        }
        let has_proc = self.has_proc;
        let flags = if attested && sender.pid != 0 { Flags::ATTESTED } else { Flags::NONE };
        let process = self.processes.entry(sender.pid).or_insert_with(|| Process {
            lines: Box::new(Lines::new(limit_for(log.max_body()))),
            comm: (sender.pid == self.program.pid).then(|| self.program.comm.clone()),
            uid: sender.uid,
            flags,
            asked: now.checked_sub(2 * KNOWN_FOR).unwrap_or(now),
            wrote: now,
        });
        if has_proc && sender.pid != 0 && now.duration_since(process.asked) > KNOWN_FOR {
            process.asked = now;
            // Whoever is gone keeps the name he had.
            process.comm = name(sender.pid).or_else(|| process.comm.take());
        }
        (process.uid, process.flags, process.wrote) = (sender.uid, flags, now);
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let sink = sink(log, self.source, sender.pid, process.comm.as_deref(), process.uid, process.flags);
            process.lines.push(line, sink);
            done(line.len());
        }
    }

    /// Does anybody have an unfinished line?
    pub(super) fn any_unfinished(&self) -> bool {
        self.processes.values().any(|process| !process.lines.is_between_lines())
    }

    /// Unfinished lines of processes that are gone go out as they are.
    pub(super) fn look_for_ends(&mut self, log: &Log) {
        let source = self.source;
        self.processes.retain(|&pid, process| {
            let stays = !sys::is_gone(pid);
            if !stays {
                flush(log, source, pid, process);
            }
            stays
        });
    }

    /// The stream has ended.
    pub(super) fn end(&mut self, log: &Log) {
        for (pid, mut process) in self.processes.drain() {
            flush(log, self.source, pid, &mut process);
        }
    }

    fn make_room(&mut self, log: &Log) {
        self.processes.retain(|_, process| !process.lines.is_between_lines());
        while self.processes.len() >= MOST {
            let oldest = self.processes.iter().min_by_key(|(_, process)| process.wrote).map(|(&pid, _)| pid);
            let Some((pid, mut process)) = oldest.and_then(|pid| self.processes.remove_entry(&pid)) else { return };
            flush(log, self.source, pid, &mut process);
        }
    }
}

fn flush(log: &Log, source: Source, pid: u32, process: &mut Process) {
    process.lines.flush(sink(log, source, pid, process.comm.as_deref(), process.uid, process.flags));
}

fn sink(
    log: &Log,
    source: Source,
    pid: u32,
    comm: Option<&[u8]>,
    uid: u32,
    more: Flags,
) -> impl FnMut(&[&[u8]], Level, Flags) {
    move |text, level, flags| {
        let origin = Origin { pid, tid: pid, comm, uid: Some(uid) };
        // The ring counts what it refuses; there is nobody else to tell.
        let _ = log.append_for(&origin, &Draft { level, source, flags: flags | more, fields: &[] }, text);
    }
}

/// The name of a process, if it is there; also of one that nobody has waited for.
fn name(pid: u32) -> Option<Vec<u8>> {
    let mut name = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    if name.last() == Some(&b'\n') {
        name.pop();
    }
    Some(name)
}

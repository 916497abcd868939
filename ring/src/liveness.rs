//! Is the owner of a slot alive? Wrong about "dead" would put two writers into one page, so it is said only when proven;
//! wrong about "alive" costs a page.

#![forbid(unsafe_code)]

use crate::layout::{Header, NAMESPACES};
use crate::process::{ForkPage, KeepErrno, Probe, Process, Stat, image, probe, proc_is_ours};
use crate::ring::Verdict;
use crate::word::OwnerWord;
use atomic::Ordering::Relaxed;

/// The owner word of `me` in the ring of `header`, whose namespaces are entered in the header if there is room.
pub(crate) fn owner_word(header: &Header, me: &Process) -> OwnerWord {
    let index = register_namespaces(header, me.namespaces).unwrap_or(OwnerWord::UNKNOWN_NAMESPACE as usize);
    OwnerWord::new(me.pid, index as u32, image(), me.start)
}

/// The index of `namespaces` in the header's table, which only ever grows. A cell says all there is to know, so nothing is
/// published with it; who reads it too early finds 0, which is nobody's, and proves nothing.
fn register_namespaces(header: &Header, namespaces: u64) -> Option<usize> {
    if namespaces == 0 {
        return None;
    }
    let mut cells = header.namespaces.iter().enumerate();
    let found = cells.find(|(_, cell)| match cell.compare_exchange(0, namespaces, Relaxed, Relaxed) {
        Ok(_) => true,
        Err(other) => other == namespaces,
    });
    found.map(|(i, _)| i)
}

/// The verdict by the owner's process: dead if the pid is gone, or belongs to somebody else, or is a zombie without
/// threads. Asked from another pid or time namespace, or without a /proc of our own, everybody is alive.
pub(crate) fn judge(header: &Header, owner: OwnerWord) -> Verdict {
    let _errno = KeepErrno::new();
    match proven_dead(header, owner) {
        Some(true) => Verdict::Dead,
        _ => Verdict::Alive,
    }
}

/// `None`: nothing can be proven.
fn proven_dead(header: &Header, owner: OwnerWord) -> Option<bool> {
    if owner.mode() != 0 || owner.pid() == 0 || owner.namespace() as usize >= NAMESPACES {
        return None;
    }
    let me = ForkPage::get().ok()?.process();
    let theirs = header.namespaces[owner.namespace() as usize].load(Relaxed);
    if me.namespaces == 0 || theirs != me.namespaces || !proc_is_ours(me.pid) {
        return None;
    }
    if owner.pid() == me.pid && owner.started_at(me.start) {
        // Ours, or left behind by what this process was before its last exec, which ended all its threads.
        return Some(owner.image() != image());
    }
    match probe(owner.pid()) {
        Probe::NoSuchProcess => return Some(true),
        Probe::Exists => {}
        Probe::Unknown => return None,
    }
    let stat = Stat::of(Some(owner.pid()))?;
    // A zombie leader may have threads that still write.
    let gone = matches!(stat.state, b'Z' | b'X' | b'x') && stat.threads <= 1;
    let another = stat.start != 0 && owner.knows_start() && !owner.started_at(stat.start);
    Some(gone || another)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::copy::Body;
    use crate::heap::HeapRing;
    use crate::layout::Geometry;
    use std::process::{Command, Stdio};

    /// The verdict on an owner of our own namespaces, made of a process's pid and start time.
    fn verdict(change: impl Fn(&mut Process)) -> Verdict {
        let heap = HeapRing::new(Geometry::tiny(2, 1, 6, 1), 1, 0);
        let ring = heap.ring(Body::Words, &judge);
        assert_eq!(ring.clock, Clock::MONOTONIC);
        let mut process = ForkPage::get().unwrap().process();
        change(&mut process);
        judge(ring.header, owner_word(ring.header, &process))
    }

    fn with_pid(pid: u32, start: u64) -> Verdict {
        verdict(|process| (process.pid, process.start) = (pid, start))
    }

    #[test]
    fn the_living_are_alive_and_the_dead_are_dead() {
        assert_eq!(verdict(|_| ()), Verdict::Alive, "we are");
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let start = Stat::of(Some(child.id())).unwrap().start;
        assert_eq!(with_pid(child.id(), start), Verdict::Alive);
        assert_eq!(with_pid(child.id(), start + 1), Verdict::Dead, "somebody else has its pid now");
        assert_eq!(with_pid(child.id(), 0), Verdict::Alive, "unknown start times prove nothing");
        child.kill().unwrap();
        // Not waited for: a zombie.
        while Stat::of(Some(child.id())).unwrap().state != b'Z' {
            std::thread::yield_now();
        }
        assert_eq!(with_pid(child.id(), start), Verdict::Dead);
        child.wait().unwrap();
        assert_eq!(with_pid(child.id(), start), Verdict::Dead);
        assert_eq!(with_pid(1, Stat::of(Some(1)).unwrap().start), Verdict::Alive);
    }

    #[test]
    fn other_namespaces_prove_nothing() {
        let gone = |process: &mut Process| process.pid = 4_194_303;
        assert_eq!(verdict(gone), Verdict::Dead);
        let elsewhere = |process: &mut Process| {
            gone(process);
            process.namespaces ^= 1 << 32;
        };
        assert_eq!(verdict(elsewhere), Verdict::Alive);
        let nowhere = |process: &mut Process| {
            gone(process);
            process.namespaces = 0;
        };
        assert_eq!(verdict(nowhere), Verdict::Alive);
    }
}

//! Is the owner of a slot alive? Wrong about "dead" would put two writers into one page, so it is said only when proven;
//! wrong about "alive" costs a page. Two proofs: the lock that the owner held on the file is gone, or its process is.

#![forbid(unsafe_code)]

use crate::evidence::{Evidence, Verdict};
use crate::layout::{Header, NAMESPACES};
use crate::lock::LockFile;
use crate::process::{ForkPage, KeepErrno, Probe, Process, Stat, image, probe, proc_is_ours};
use crate::word::OwnerWord;
use atomic::Ordering::Relaxed;

/// What the verdicts on one ring's owners are made of.
pub(crate) struct Liveness {
    /// `None` where there is no file to look at.
    pub(crate) locks: Option<LockFile>,
    /// The ring was made in another boot: all its writers are dead.
    pub(crate) other_boot: bool,
    /// Whoever frees slots has to keep them; who only reads must not disturb those who claim one.
    pub(crate) frees: bool,
}

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

impl Liveness {
    /// By processes alone, of a ring that lies in memory.
    pub(crate) const WITHOUT_FILE: Self = Self { locks: None, other_boot: false, frees: false };

    /// The verdict on the owner of `slot`: by its lock where it has one, for that holds across namespaces and needs no
    /// /proc; else by its process.
    pub(crate) fn judge(&self, header: &Header, slot: usize, owner: OwnerWord) -> Verdict {
        let _errno = KeepErrno::new();
        if owner.is_locked()
            && let Some(locks) = &self.locks
        {
            if self.frees
                && let Some(lock) = locks.keep_out(slot)
            {
                return Verdict::locked(Evidence::LockReleased, lock);
            }
            // While the lock is held its memory is there, and with it somebody who can write, whatever became of the
            // process, and whichever boot this seems to be.
            match locks.is_held(slot) {
                Some(true) => return Evidence::LockHeld.into(),
                Some(false) if self.frees => return Evidence::NotTold.into(),
                Some(false) if !self.other_boot => return Evidence::LockReleased.into(),
                _ => {}
            }
        }
        if self.other_boot { Evidence::OtherBoot.into() } else { by_process(header, owner).into() }
    }
}

/// What can be told by the owner's pid: nothing from another pid or time namespace, or without a /proc of our own.
fn by_process(header: &Header, owner: OwnerWord) -> Evidence {
    if owner.pid() == 0 || owner.namespace() as usize >= NAMESPACES {
        return Evidence::NamespaceUnknown;
    }
    let Ok(me) = ForkPage::get().map(ForkPage::process) else { return Evidence::NotTold };
    let theirs = header.namespaces[owner.namespace() as usize].load(Relaxed);
    if me.namespaces == 0 || theirs == 0 {
        return Evidence::NamespaceUnknown;
    }
    if theirs != me.namespaces {
        return Evidence::OtherNamespace;
    }
    if !proc_is_ours(me.pid) {
        return Evidence::ForeignProc;
    }
    if owner.pid() == me.pid && owner.started_at(me.start) {
        // Ours, or left behind by what this process was before its last exec, which ended all its threads.
        return if owner.image() == image() { Evidence::Running } else { Evidence::ReplacedByExec };
    }
    match probe(owner.pid()) {
        Probe::NoSuchProcess => return Evidence::NoSuchProcess,
        Probe::Exists => {}
        Probe::Unknown => return Evidence::NotTold,
    }
    let Some(stat) = Stat::of(Some(owner.pid())) else { return Evidence::NotTold };
    if stat.start != 0 && owner.knows_start() && !owner.started_at(stat.start) {
        return Evidence::PidReused;
    }
    match stat.state {
        // A first thread that ended may have left others that still write.
        b'Z' | b'X' | b'x' if stat.threads > 1 => Evidence::LeaderExited,
        b'Z' | b'X' | b'x' => Evidence::Exited,
        _ => Evidence::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::copy::Body;
    use crate::heap::HeapRing;
    use crate::layout::Geometry;
    use std::process::{Command, Stdio};

    /// The verdict on an owner of our own namespaces, made of a process's pid and start time.
    fn verdict(change: impl Fn(&mut Process)) -> Evidence {
        let heap = HeapRing::new(Geometry::tiny(2, 1, 6, 1), 1, 0);
        let judge = |header: &Header, slot, owner| Liveness::WITHOUT_FILE.judge(header, slot, owner);
        let ring = heap.ring(Body::Words, &judge);
        let mut process = ForkPage::get().unwrap().process();
        change(&mut process);
        ring.judge(0, owner_word(ring.header, &process)).evidence
    }

    fn with_pid(pid: u32, start: u64) -> Evidence {
        verdict(|process| (process.pid, process.start) = (pid, start))
    }

    #[test]
    fn the_living_are_alive_and_the_dead_are_dead() {
        assert_eq!(verdict(|_| ()), Evidence::Running, "we are");
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let start = Stat::of(Some(child.id())).unwrap().start;
        assert_eq!(with_pid(child.id(), start), Evidence::Running);
        assert_eq!(with_pid(child.id(), start + 1), Evidence::PidReused, "somebody else has its pid now");
        assert_eq!(with_pid(child.id(), 0), Evidence::Running, "unknown start times prove nothing");
        child.kill().unwrap();
        // Not waited for: a zombie.
        while Stat::of(Some(child.id())).unwrap().state != b'Z' {
            std::thread::yield_now();
        }
        assert_eq!(with_pid(child.id(), start), Evidence::Exited);
        child.wait().unwrap();
        assert_eq!(with_pid(child.id(), start), Evidence::NoSuchProcess);
        assert_eq!(with_pid(1, Stat::of(Some(1)).unwrap().start), Evidence::Running);
    }

    #[test]
    fn other_namespaces_prove_nothing() {
        let gone = |process: &mut Process| process.pid = 4_194_303;
        assert_eq!(verdict(gone), Evidence::NoSuchProcess);
        let elsewhere = |process: &mut Process| {
            gone(process);
            process.namespaces ^= 1 << 32;
        };
        assert_eq!(verdict(elsewhere), Evidence::OtherNamespace);
        let nowhere = |process: &mut Process| {
            gone(process);
            process.namespaces = 0;
        };
        assert_eq!(verdict(nowhere), Evidence::NamespaceUnknown);
    }
}

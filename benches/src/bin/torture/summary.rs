//! What a run of torture has done so far.

use crate::check::Tally;
use std::fmt;

#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) rounds: u64,
    pub(crate) rings: u64,
    pub(crate) processes: u64,
    pub(crate) forks: u64,
    /// By the director, and of themselves.
    pub(crate) kills: u64,
    pub(crate) stops: u64,
    /// Naps at bad moments.
    pub(crate) naps: u64,
    pub(crate) readers: u64,
    pub(crate) violations: u64,
    tally: Tally,
}

impl Summary {
    pub(crate) fn add(&mut self, ring: Tally) {
        let tally = &mut self.tally;
        tally.appends += ring.appends;
        tally.refused += ring.refused;
        tally.unreturned += ring.unreturned;
        tally.delivered += ring.delivered;
        tally.lost += ring.lost;
        tally.abandoned += ring.abandoned;
        tally.stalled += ring.stalled;
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { appends, refused, unreturned, delivered, lost, abandoned, stalled } = self.tally;
        let Self { rounds, rings, processes, forks, kills, stops, naps, readers, violations, .. } = self;
        write!(f, "{rounds} rounds, {rings} rings, {processes} processes, {forks} forks, {readers} readers, ")?;
        write!(f, "{kills} kills, {stops} stops, {naps} naps; {appends} appended, {refused} refused, ")?;
        write!(f, "{unreturned} unreturned; {delivered} delivered, {lost} lost, {abandoned} abandoned, ")?;
        write!(f, "{stalled} stalled; {violations} violations")
    }
}

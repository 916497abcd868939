//! Short rounds of several things, in turns: what else the machine does in between hits all of them alike.

use crate::median::median;
use std::hint::black_box;
use std::time::Instant;

/// Operations of one round: long against the clock, short against a time slice.
pub const ROUND: u32 = 1000;

/// Turns before the first that counts.
const WARM: usize = 20;

/// One round with this payload; gives ns per operation.
type Once<'a> = Box<dyn FnMut(&[u8]) -> f64 + 'a>;

/// One of the things that take turns.
pub struct Candidate<'a> {
    /// What the table calls it.
    pub name: &'static str,
    once: Once<'a>,
    rounds: Vec<f64>,
}

impl<'a> Candidate<'a> {
    /// `op` with the payload, [`ROUND`] times in a round.
    pub fn new(name: &'static str, mut op: impl FnMut(&[u8]) + 'a) -> Self {
        let once = move |payload: &[u8]| {
            let start = Instant::now();
            for _ in 0..ROUND {
                op(black_box(payload));
            }
            start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUND)
        };
        Self { name, once: Box::new(once), rounds: Vec::new() }
    }

    /// The median round, ns per operation.
    ///
    /// # Panics
    /// Before the first round.
    pub fn median(&self) -> f64 {
        median(&self.rounds).expect("a round")
    }
}

/// Has each of them make `rounds` rounds, in turns, after some that do not count.
pub fn take_turns(candidates: &mut [Candidate<'_>], rounds: usize, payload: &[u8]) {
    for round in 0..rounds + WARM {
        for candidate in &mut *candidates {
            let ns = (candidate.once)(payload);
            if round >= WARM {
                candidate.rounds.push(ns);
            }
        }
    }
}

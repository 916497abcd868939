//! What it takes to hand a cache line from one processor to another: on a virtual machine that changes within minutes, so
//! every figure with two processors in it says which class it belongs to.

use crate::cores::pin;
use std::fmt;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

/// Hand-overs in one probe: some 5 ms at most.
const ROUNDS: u32 = 10_000;

/// Nanoseconds below which two processors are near, and from which on they are far.
pub const NEAR: f64 = 90.0;
/// See [`NEAR`].
pub const FAR: f64 = 120.0;

/// How far apart two processors are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// A line changes hands in less than 90 ns: 25 to 30 within one part of a processor, 50 to 70 from one of its parts to another.
    Near,
    /// Neither, or not the same before and after what was measured.
    Between,
    /// 120 ns and more.
    Far,
}

impl Class {
    /// Of all that were probed before and after a measurement, nanoseconds.
    pub fn of(probes: &[f64]) -> Self {
        if probes.iter().all(|&ns| ns < NEAR) {
            Self::Near
        } else if probes.iter().all(|&ns| ns >= FAR) {
            Self::Far
        } else {
            Self::Between
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Near => "near",
            Self::Between => "between",
            Self::Far => "far",
        })
    }
}

#[repr(align(128))]
struct Line(AtomicU32);

/// Nanoseconds for one line from one processor to the other, one way: half of a round trip, the best of five parts, since
/// whatever else runs can only add to it.
///
/// # Panics
/// When this process may not run on one of them.
pub fn probe(cpus: [usize; 2]) -> f64 {
    let line = Line(AtomicU32::new(0));
    let line = &line.0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            pin(cpus[1]);
            for turn in 0..5 * ROUNDS {
                answer(line, 2 * turn + 1);
            }
        });
        scope
            .spawn(|| {
                pin(cpus[0]);
                let parts = (0..5).map(|part| {
                    let since = Instant::now();
                    for turn in part * ROUNDS..(part + 1) * ROUNDS {
                        answer(line, 2 * turn);
                    }
                    since.elapsed().as_secs_f64() * 1e9 / f64::from(2 * ROUNDS)
                });
                parts.fold(f64::INFINITY, f64::min)
            })
            .join()
            .expect("a thread that only counts")
    })
}

/// Waits for `value` and puts the next one in its place.
fn answer(line: &AtomicU32, value: u32) {
    while line.load(Ordering::Acquire) != value {
        spin_loop();
    }
    line.store(value + 1, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_its_time() {
        let cpus = crate::cores::allowed();
        let [first, second, ..] = cpus[..] else { return println!("skipped: one processor") };
        let ns = probe([first, second]);
        assert!(ns > 1.0 && ns < 1e6, "{ns}");
    }

    #[test]
    fn classes() {
        assert_eq!(Class::of(&[25.0, 89.9]), Class::Near);
        assert_eq!(Class::of(&[120.0, 170.0]), Class::Far);
        assert_eq!(Class::of(&[25.0, 170.0]), Class::Between);
        assert_eq!(Class::of(&[100.0]), Class::Between);
    }
}

//! How a reader keeps out of its writers' way by waiting without sleeping: the pauses of its handle, and the distance that it
//! keeps where records come fast.

#![forbid(unsafe_code)]

use crate::layout::Geometry;
use std::time::{Duration, Instant};

/// So many records that came since HEAD was looked at are a stream, and more of them are on their way.
pub(crate) const STREAM: u32 = 4;

/// How old a record of a stream is to be before it is read. Lines that a writer has just stored to are in its nearest cache,
/// or still on their way there, and it will store to the last of them again.
const DISTANCE: Duration = Duration::from_micros(8);

/// The distance in this ring: in the time none is lapped. Appends do not come at more than 16 GB/s, which is an eighth of the
/// ring then.
pub(crate) fn distance(geometry: &Geometry) -> Duration {
    DISTANCE.min(Duration::from_nanos(geometry.size() / 8 / 16))
}

/// Waits for so long without giving the processor away.
pub(crate) fn burn(time: Duration) {
    let since = Instant::now();
    while since.elapsed() < time {
        for _ in 0..4 {
            std::hint::spin_loop();
        }
    }
}

/// Looks again and again whether `found`, for so long at most. Without the hint to the processor in between: it pauses for
/// more than a hundred cycles each time on some.
pub(crate) fn spin(time: Duration, mut found: impl FnMut() -> bool) {
    let since = Instant::now();
    while !(0..64).any(|_| found()) && since.elapsed() < time {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{DEFAULT_SIZE, MIN_SIZE};

    #[test]
    fn small_rings_are_not_lapped_meanwhile() {
        let of = |size: u64| distance(&Geometry::new(size, None).unwrap());
        assert_eq!(of(MIN_SIZE), Duration::from_nanos(512));
        assert_eq!(of(1 << 20), DISTANCE);
        assert_eq!(of(DEFAULT_SIZE), DISTANCE);
    }
}

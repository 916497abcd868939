//! No more than so many bytes a second, as a serial line has it.

use std::time::{Duration, Instant};

/// Who overslept may catch up on this much.
const SLACK: Duration = Duration::from_millis(10);

pub(crate) struct Pace {
    bytes_a_second: u64,
    /// When the line will have taken all that it was given.
    free_at: Instant,
}

impl Pace {
    pub(crate) fn new(bytes_a_second: u64) -> Self {
        Self { bytes_a_second: bytes_a_second.max(1), free_at: Instant::now() }
    }

    /// How long until the line takes something again.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        Some(self.free_at.saturating_duration_since(now)).filter(|wait| !wait.is_zero())
    }

    /// The line was given `bytes`.
    pub(crate) fn spent(&mut self, bytes: usize, now: Instant) {
        let from = now.checked_sub(SLACK).map_or(self.free_at, |earliest| self.free_at.max(earliest));
        let nanos = (bytes as u128 * 1_000_000_000).div_ceil(u128::from(self.bytes_a_second));
        let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.free_at = from.checked_add(time).unwrap_or(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes in `time` on a clock that goes on by what it is told to wait, plus `late` each time.
    fn passed(rate: u64, line: usize, time: Duration, late: Duration) -> u64 {
        let mut pace = Pace::new(rate);
        let (begun, mut now, mut bytes) = (pace.free_at, pace.free_at, 0);
        while now - begun < time {
            match pace.wait(now) {
                Some(wait) => now += wait + late,
                None => {
                    pace.spent(line, now);
                    bytes += line as u64;
                }
            }
        }
        bytes
    }

    #[test]
    fn a_second_takes_what_it_may_and_who_wakes_late_catches_up() {
        for (rate, line, late_ms) in [(11_520, 80, 0), (11_520, 80, 3), (11_520, 11, 0), (1_000_000, 100, 1)] {
            let bytes = passed(rate, line, Duration::from_secs(10), Duration::from_millis(late_ms));
            let expected = 10 * rate;
            assert!(bytes.abs_diff(expected) <= expected / 100, "{rate} {line} {late_ms}: {bytes}");
        }
    }
}

//! What a thread may spend of the processor: a burst, and then a share of the time that goes by.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Time to spend, in nanoseconds; what is overdrawn is paid back before more is spent.
pub(super) struct Budget {
    share: i64,
    burst: i64,
    credit: i64,
    at: Instant,
}

impl Budget {
    /// `share` percent of the time, and a `burst` that is there from the start.
    pub(super) fn new(share: u32, burst: Duration, now: Instant) -> Self {
        let burst = nanos(burst);
        Self { share: i64::from(share), burst, credit: burst, at: now }
    }

    fn earn(&mut self, now: Instant) {
        let earned = nanos(now.saturating_duration_since(self.at)) / 100 * self.share;
        self.credit = self.credit.saturating_add(earned).min(self.burst);
        self.at = now;
    }

    /// How long until something may be spent that leaves at least `reserve` percent of the burst to others; zero: now.
    pub(super) fn wait(&mut self, reserve: i64, now: Instant) -> Duration {
        self.earn(now);
        let lacking = self.burst / 100 * reserve - self.credit;
        if lacking < 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos((lacking / self.share.max(1) * 100) as u64) + Duration::from_millis(1)
    }

    pub(super) fn spend(&mut self, spent: Duration) {
        self.credit = self.credit.saturating_sub(nanos(spent));
    }
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// The processor time that the calling thread has taken, the kernel's part included.
pub(super) fn thread_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Budget, thread_time};

    #[test]
    fn what_is_overdrawn_is_paid_back_by_the_share() {
        let start = Instant::now();
        let millis = Duration::from_millis;
        let mut budget = Budget::new(10, millis(100), start);
        assert!(budget.wait(50, start).is_zero());
        budget.spend(millis(60));
        assert!(budget.wait(0, start).is_zero());
        assert_eq!(budget.wait(50, start), millis(101));
        budget.spend(millis(60));
        assert_eq!(budget.wait(0, start), millis(201));
        assert_eq!(budget.wait(0, start + millis(150)), millis(51));
        assert!(budget.wait(0, start + millis(201)).is_zero());
        // No more than the burst is saved.
        let later = start + Duration::from_secs(3600);
        assert!(budget.wait(99, later).is_zero());
        budget.spend(millis(101));
        assert!(!budget.wait(0, later).is_zero());
    }

    #[test]
    fn the_time_of_a_thread_grows_with_what_it_does() {
        let before = thread_time();
        let start = Instant::now();
        while thread_time() < before + Duration::from_millis(2) {
            assert!(start.elapsed() < Duration::from_secs(60));
        }
    }
}

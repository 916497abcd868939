//! Ticks: the processor's constant-rate counter where it can be trusted, CLOCK_MONOTONIC otherwise. Never a system call
//! on the append path (CLOCK_MONOTONIC comes from the vDSO).
#![allow(unsafe_code)]

use std::time::Duration;

/// Which counter a ring's ticks come from; stored in its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub enum ClockKind {
    /// CLOCK_MONOTONIC, nanoseconds.
    Monotonic = 0,
    /// The x86-64 time stamp counter.
    Tsc = 1,
    /// The aarch64 virtual counter, cntvct_el0.
    Cntvct = 2,
}

/// A ring's clock: where ticks come from and how long one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    kind: ClockKind,
    /// Nanoseconds per tick, times 2^32.
    ns_per_tick: u64,
}

/// CLOCK_MONOTONIC, nanoseconds.
pub(crate) fn monotonic_ns() -> u64 {
    now(libc::CLOCK_MONOTONIC)
}

/// CLOCK_REALTIME, nanoseconds since the Unix epoch.
pub(crate) fn realtime_ns() -> u64 {
    now(libc::CLOCK_REALTIME)
}

fn now(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a writable timespec; both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

impl Clock {
    /// CLOCK_MONOTONIC, which every machine has.
    pub(crate) const MONOTONIC: Self = Self { kind: ClockKind::Monotonic, ns_per_tick: 1 << 32 };

    /// The best clock of this machine. Measuring the rate of a processor's counter takes ten milliseconds.
    pub(crate) fn best() -> Self {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if tsc_is_constant() {
            return Self::measure(ClockKind::Tsc);
        }
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        return Self::measure(ClockKind::Cntvct);
        #[allow(unreachable_code)]
        Self::MONOTONIC
    }

    /// The clock that a header names, if this build can read it.
    pub(crate) fn from_stored(kind: u64, ns_per_tick: u64) -> Option<Self> {
        let kind = match kind {
            0 => ClockKind::Monotonic,
            1 => ClockKind::Tsc,
            2 => ClockKind::Cntvct,
            _ => return None,
        };
        (ns_per_tick != 0).then_some(Self { kind, ns_per_tick })
    }

    /// Can this machine count these ticks? A reader need not, a writer must.
    pub(crate) fn is_here(self) -> bool {
        match self.kind {
            ClockKind::Monotonic => true,
            ClockKind::Tsc => cfg!(target_arch = "x86_64"),
            ClockKind::Cntvct => cfg!(target_arch = "aarch64"),
        }
    }

    #[allow(missing_docs)]
    pub const fn kind(&self) -> ClockKind {
        self.kind
    }

    /// Nanoseconds per tick in 32.32 fixed point.
    pub const fn ns_per_tick(&self) -> u64 {
        self.ns_per_tick
    }

    fn measure(kind: ClockKind) -> Self {
        let probe = Self { kind, ns_per_tick: 1 };
        let (ticks0, ns0) = probe.pair();
        std::thread::sleep(Duration::from_millis(10));
        let (ticks1, ns1) = probe.pair();
        let (ticks, ns) = (ticks1.wrapping_sub(ticks0), ns1.wrapping_sub(ns0));
        let ns_per_tick = ((ns as u128) << 32).checked_div(ticks as u128).unwrap_or(0) as u64;
        // A counter that stands still is no clock.
        if ns_per_tick == 0 { Self::MONOTONIC } else { Self { kind, ns_per_tick } }
    }

    /// Ticks and CLOCK_MONOTONIC of the same moment: the tightest of a few tries.
    fn pair(self) -> (u64, u64) {
        let tries = (0..8).map(|_| {
            let before = self.ticks();
            let ns = monotonic_ns();
            let after = self.ticks();
            (after.wrapping_sub(before), before.wrapping_add(after.wrapping_sub(before) / 2), ns)
        });
        let (_, ticks, ns) = tries.min().unwrap_or_default();
        (ticks, ns)
    }

    /// The counter, now.
    #[inline(always)]
    pub(crate) fn ticks(self) -> u64 {
        match self.kind {
            #[cfg(all(target_arch = "x86_64", not(miri)))]
            ClockKind::Tsc => {
                // SAFETY: every x86-64 processor has the instruction; Linux lets programs use it.
                unsafe { core::arch::x86_64::_rdtsc() }
            }
            #[cfg(all(target_arch = "aarch64", not(miri)))]
            ClockKind::Cntvct => {
                let ticks: u64;
                // SAFETY: Linux lets programs read the virtual counter; reading it changes nothing.
                unsafe {
                    core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
                };
                ticks
            }
            _ => monotonic_ns(),
        }
    }

    /// Tick time: nanoseconds since the counter was 0, the same for everybody who computes it.
    pub(crate) const fn tick_ns(self, ticks: u64) -> u64 {
        ((ticks as u128 * self.ns_per_tick as u128) >> 32) as u64
    }

    /// How many ticks so many nanoseconds are, at most 2^40.
    pub(crate) const fn ticks_in(self, ns: u64) -> u64 {
        let ticks = ((ns as u128) << 32) / self.ns_per_tick as u128;
        if ticks < 1 << 40 { ticks as u64 } else { 1 << 40 }
    }

    /// The two clock words of a page that is opened now: CLOCK_MONOTONIC minus tick time, CLOCK_REALTIME minus
    /// CLOCK_MONOTONIC; nanoseconds, wrapping.
    pub(crate) fn offsets(self) -> [u64; 2] {
        let mono = monotonic_ns();
        let ticks = self.ticks();
        [mono.wrapping_sub(self.tick_ns(ticks)), realtime_ns().wrapping_sub(mono)]
    }

    /// CLOCK_MONOTONIC and CLOCK_REALTIME nanoseconds of `ticks` in a page with these clock words.
    pub(crate) const fn convert(self, ticks: u64, offsets: [u64; 2]) -> (u64, i64) {
        let mono = self.tick_ns(ticks).wrapping_add(offsets[0]);
        (mono, mono.wrapping_add(offsets[1]) as i64)
    }
}

/// The counter runs at one rate in all power states, and the kernel has not given it up.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn tsc_is_constant() -> bool {
    let leaf = |n| core::arch::x86_64::__cpuid(n);
    let invariant = leaf(0x8000_0000).eax >= 0x8000_0007 && leaf(0x8000_0007).edx & 1 << 8 != 0;
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    // These are what the kernel falls back to when it finds the counter unstable. No answer is no objection.
    let distrusted = |name: &str| matches!(name.trim(), "hpet" | "acpi_pm" | "jiffies" | "refined-jiffies" | "pit");
    invariant && !source.is_ok_and(|name| distrusted(&name))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_the_time_they_were_taken_at() {
        for clock in [Clock::best(), Clock::MONOTONIC] {
            let offsets = clock.offsets();
            for _ in 0..20 {
                let before = (monotonic_ns(), realtime_ns());
                let (mono, real) = clock.convert(clock.ticks(), offsets);
                let after = (monotonic_ns(), realtime_ns());
                // The counter is calibrated to some parts in a million, and read within the same few milliseconds.
                let slack = 20_000;
                assert!(mono + slack >= before.0 && mono <= after.0 + slack, "{clock:?} {before:?} {mono} {after:?}");
                assert!(real as u64 + slack >= before.1 && real as u64 <= after.1 + slack, "{clock:?}");
                std::thread::sleep(Duration::from_micros(300));
            }
        }
    }
}

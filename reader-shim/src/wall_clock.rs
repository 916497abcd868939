//! Nanoseconds since the epoch to calendar time. Records come many in a second, so the last second is kept as text.

use crate::digits;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const SECOND: i64 = 1_000_000_000;

/// One way to write the time, in one zone.
pub(crate) struct WallClock {
    zone: TimeZone,
    /// strftime for what stands in front of the fraction, and behind it.
    pattern: [&'static str; 2],
    /// Of the fraction.
    digits: usize,
    /// The second that `text` says, with its fraction at `at`.
    second: Option<i64>,
    text: Vec<u8>,
    at: usize,
}

impl WallClock {
    /// `Nov 21 05:53:42.123456`, local time.
    pub(crate) fn short(digits: usize) -> Self {
        Self::new(TimeZone::system(), ["%b %d %H:%M:%S", ""], digits)
    }

    /// `2026-11-21T05:53:42.123456+00:00`, local time.
    pub(crate) fn iso() -> Self {
        Self::new(TimeZone::system(), ["%Y-%m-%dT%H:%M:%S", "%:z"], 6)
    }

    /// RFC 3339 with nanoseconds, UTC.
    pub(crate) fn utc() -> Self {
        Self::new(TimeZone::UTC, ["%Y-%m-%dT%H:%M:%S", "Z"], 9)
    }

    fn new(zone: TimeZone, pattern: [&'static str; 2], digits: usize) -> Self {
        Self { zone, pattern, digits, second: None, text: Vec::new(), at: 0 }
    }

    #[inline]
    pub(crate) fn push(&mut self, out: &mut Vec<u8>, real_ns: i64) {
        let (second, ns) = (real_ns.div_euclid(SECOND), real_ns.rem_euclid(SECOND));
        if self.second != Some(second) {
            self.turn_to(second);
        }
        let at = out.len() + self.at;
        out.extend_from_slice(&self.text);
        let mut fraction = [0; 9];
        digits::fill(&mut fraction, ns as u32);
        out[at..at + self.digits].copy_from_slice(&fraction[..self.digits]);
    }

    #[cold]
    fn turn_to(&mut self, second: i64) {
        // An i64 of nanoseconds spans 1677 to 2262: always a timestamp.
        let time = Timestamp::from_second(second).unwrap_or_default().to_zoned(self.zone.clone());
        let [front, behind] = self.pattern.map(|pattern| time.strftime(pattern).to_string());
        self.at = front.len() + 1;
        self.text = format!("{front}.{:0digits$}{behind}", 0, digits = self.digits).into_bytes();
        self.second = Some(second);
    }
}

/// RFC 3339 with nanoseconds, UTC, for instance `2026-11-21T05:53:42.123456789Z`.
pub fn rfc3339_utc(real_ns: i64) -> String {
    let mut out = Vec::new();
    WallClock::utc().push(&mut out, real_ns);
    String::from_utf8_lossy(&out).into_owned()
}

/// Local time of day with milliseconds, for instance `05:53:42.123`.
pub fn time_of_day(real_ns: i64) -> String {
    let mut out = Vec::new();
    WallClock::new(TimeZone::system(), ["%H:%M:%S", ""], 3).push(&mut out, real_ns);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: i64 = 1_795_240_422_123_456_789;

    #[test]
    fn time_is_written_in_its_zone_and_cut_to_its_digits() {
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        let text = |mut clock: WallClock, ns| {
            let mut out = Vec::new();
            clock.push(&mut out, ns);
            String::from_utf8(out).unwrap()
        };
        let clock = |pattern, digits| WallClock::new(zone.clone(), pattern, digits);
        assert_eq!(rfc3339_utc(TIME), "2026-11-21T05:53:42.123456789Z");
        assert_eq!(text(clock(["%b %d %H:%M:%S", ""], 6), TIME), "Nov 21 06:53:42.123456");
        assert_eq!(text(clock(["%Y-%m-%dT%H:%M:%S", "%:z"], 6), TIME), "2026-11-21T06:53:42.123456+01:00");
        assert_eq!(rfc3339_utc(-1), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(rfc3339_utc(i64::MAX), "2262-04-11T23:47:16.854775807Z");
    }

    #[test]
    fn the_kept_second_gives_way_to_the_next() {
        let mut clock = WallClock::utc();
        let mut out = Vec::new();
        for ns in [TIME, TIME + 1, TIME + SECOND, TIME] {
            clock.push(&mut out, ns);
            out.push(b' ');
        }
        let expected = ["42.123456789Z", "42.123456790Z", "43.123456789Z", "42.123456789Z"];
        let text = String::from_utf8(out).unwrap();
        assert!(text.split_whitespace().zip(expected).all(|(time, end)| time.ends_with(end)), "{text}");
    }
}

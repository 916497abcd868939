//! The time axis: where its ticks are, in local time, and what is written under them.

use super::bins::NICE;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// A place on the axis.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tick {
    pub(super) at_ns: i64,
    pub(super) label: String,
    /// The day or year, under the first tick and under each at which another one has begun.
    pub(super) day: Option<String>,
}

/// For instance `500 ms`, `15 s`, `2 min`.
pub(super) fn duration(ns: i64) -> String {
    let units = [(DAY, "d"), (HOUR, "h"), (60 * SECOND, "min"), (SECOND, "s"), (1_000_000, "ms"), (1_000, "µs")];
    let (size, unit) = units.into_iter().find(|(size, _)| ns >= *size && ns % size == 0).unwrap_or((1, "ns"));
    format!("{} {unit}", ns / size)
}

/// About how long, in two units: `3 d 4 h`, `12 min 30 s`, `1.5 s`.
pub(super) fn about(ns: i64) -> String {
    let parts = |big: i64, small: i64, names: [&str; 2]| match ns % big / small {
        0 => format!("{} {}", ns / big, names[0]),
        rest => format!("{} {} {rest} {}", ns / big, names[0], names[1]),
    };
    match ns {
        DAY.. => parts(DAY, HOUR, ["d", "h"]),
        HOUR.. => parts(HOUR, 60 * SECOND, ["h", "min"]),
        60_000_000_000.. => parts(60 * SECOND, SECOND, ["min", "s"]),
        SECOND.. => format!("{} s", tenths(ns, SECOND)),
        1_000_000.. => format!("{} ms", tenths(ns, 1_000_000)),
        _ => format!("{} µs", tenths(ns, 1_000)),
    }
}

/// With one digit behind the point, unless that is 0.
fn tenths(ns: i64, unit: i64) -> f64 {
    (ns as f64 * 10.0 / unit as f64).round() / 10.0
}

fn zoned(ns: i64, zone: &TimeZone) -> Zoned {
    // An i64 of nanoseconds spans 1677 to 2262: always a timestamp.
    Timestamp::from_nanosecond(ns.into()).unwrap_or_default().to_zoned(zone.clone())
}

/// From when to when, in words: `Nov 21 2026 20:15:03 to 20:47:10`.
pub(super) fn span(start_ns: i64, end_ns: i64, zone: &TimeZone) -> String {
    let (start, end) = (zoned(start_ns, zone), zoned(end_ns, zone));
    let time = match end_ns.saturating_sub(start_ns) {
        10_000_000_000.. => "%H:%M:%S",
        10_000_000.. => "%H:%M:%S%.3f",
        _ => "%H:%M:%S%.6f",
    };
    let day = "%b %-d %Y";
    let from = start.strftime(&format!("{day} {time}")).to_string();
    let to = match start.date() == end.date() {
        true => end.strftime(time).to_string(),
        false => end.strftime(&format!("{day} {time}")).to_string(),
    };
    format!("{from} to {to} ({})", end.strftime("UTC%:z"))
}

/// Ticks from `start_ns` to `end_ns`, at most `most` of them, fewer where labels are longer.
pub(super) fn ticks(start_ns: i64, end_ns: i64, most: usize, zone: &TimeZone) -> Vec<Tick> {
    let span = end_ns.saturating_sub(start_ns);
    let fits = |step: &&i64| {
        // A fraction of a second takes the room of two.
        let room = if **step < SECOND { most.div_ceil(2) } else { most };
        span / **step <= room.max(1) as i64
    };
    let step = NICE.iter().find(fits).copied().unwrap_or(NICE[NICE.len() - 1]);
    let places = match step {
        ..HOUR => by_clock(start_ns, end_ns, step, zone),
        _ => by_calendar(start_ns, end_ns, step, zone),
    };
    let pattern = match step {
        DAY.. => "%b %-d",
        60_000_000_000.. => "%H:%M",
        SECOND.. => "%H:%M:%S",
        1_000_000.. => "%H:%M:%S%.3f",
        _ => "%H:%M:%S%.6f",
    };
    let larger = if step < DAY { "%b %-d" } else { "%Y" };
    let mut last = String::new();
    let ticks = places.into_iter().map(|at_ns| {
        let time = zoned(at_ns, zone);
        let said = time.strftime(larger).to_string();
        let is_new = said != last;
        last.clone_from(&said);
        Tick { at_ns, label: time.strftime(pattern).to_string(), day: is_new.then_some(said) }
    });
    ticks.collect()
}

/// Multiples of `step` of the local clock, as it stands at the start.
fn by_clock(start_ns: i64, end_ns: i64, step: i64, zone: &TimeZone) -> Vec<i64> {
    let offset = i64::from(zoned(start_ns, zone).offset().seconds()) * SECOND;
    let local = start_ns.saturating_add(offset);
    let first = local.div_euclid(step) + i64::from(local.rem_euclid(step) != 0);
    (first..).map(|n| n.saturating_mul(step).saturating_sub(offset)).take_while(|at| *at <= end_ns).take(1000).collect()
}

/// Hours of the local day, or days: where the clock is put forward or back, ticks follow it.
fn by_calendar(start_ns: i64, end_ns: i64, step: i64, zone: &TimeZone) -> Vec<i64> {
    let every = (step / DAY).max(1);
    let mut found = Vec::new();
    let start = zoned(start_ns, zone).date();
    // Counted from one day for all, so that ticks stay where they are when the log grows.
    let days = start.since(Date::ZERO).map_or(0, |span| i64::from(span.get_days()));
    let mut date = start.saturating_sub((days % every).days());
    while found.last().is_none_or(|last| *last <= end_ns) {
        for hour in (0..24).step_by((step / HOUR).clamp(1, 24) as usize) {
            let Ok(at) = date.at(hour, 0, 0, 0).to_zoned(zone.clone()) else { continue };
            // Where the clock is put forward, an hour may be missing.
            if at.hour() == hour {
                found.push(i64::try_from(at.timestamp().as_nanosecond()).unwrap_or(i64::MAX));
            }
        }
        let Ok(next) = date.checked_add(every.days()) else { break };
        date = next;
    }
    found.retain(|at| (start_ns..=end_ns).contains(at));
    found.dedup();
    found
}

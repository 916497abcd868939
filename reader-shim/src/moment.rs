//! The moments that people type: `10 min ago`, `yesterday`, `05:53`, or a time as it is shown.

use jiff::civil::{Date, DateTime, Time};
use jiff::fmt::strtime;
use jiff::{Span, Timestamp, ToSpan, Zoned};

/// A text that is no moment, in any of the forms that [`parse_time`] knows.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is no time; times are now, today, yesterday, tomorrow, 2026-11-21, '2026-11-21 05:53:42', 05:53, \
     'Nov 21 05:53:42', 2026-11-21T05:53:42Z, @1795240422, '10 min ago', -1h, 'in 5 min', +5min"
)]
pub struct UnknownTime(String);

/// The moment that `text` means now and here, in nanoseconds of the Unix epoch.
///
/// Without a zone it is local time. A time without a date is today's, a date without a time is midnight, a day without a year
/// is the last one that was not later than tomorrow.
///
/// # Errors
/// It is none.
pub fn parse_time(text: &str) -> Result<i64, UnknownTime> {
    let moment = parse(text.trim(), &Zoned::now()).and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    moment.ok_or_else(|| UnknownTime(text.to_owned()))
}

fn parse(text: &str, now: &Zoned) -> Option<Timestamp> {
    let midnight = |days: i64| Some(now.checked_add(days.days()).ok()?.start_of_day().ok()?.timestamp());
    match text {
        "now" => return Some(now.timestamp()),
        "today" => return midnight(0),
        "yesterday" => return midnight(-1),
        "tomorrow" => return midnight(1),
        _ => {}
    }
    let local = |time: DateTime| Some(time.to_zoned(now.time_zone().clone()).ok()?.timestamp());
    if let Some(seconds) = text.strip_prefix('@') {
        return unix(seconds);
    }
    if let Some(span) = span(text) {
        return Some(now.checked_add(span).ok()?.timestamp());
    }
    // With a zone or an offset.
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    if let Ok(time) = text.parse::<DateTime>() {
        return local(time);
    }
    if let Ok(time) = text.parse::<Time>() {
        return local(now.date().to_datetime(time));
    }
    as_shown(text, now).and_then(local)
}

/// Seconds, and a fraction if there is one.
fn unix(text: &str) -> Option<Timestamp> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_fraction = !fraction.is_empty() && fraction.bytes().all(|byte| byte.is_ascii_digit());
    // Nine digits of it, no more and no less.
    let ns = format!("{fraction:0<9}").get(..9)?.parse().ok().filter(|_| is_fraction)?;
    let ns: i32 = if seconds.starts_with('-') { 0i32.checked_sub(ns)? } else { ns };
    Timestamp::new(seconds.parse().ok()?, ns).ok()
}

/// From now on, or back. A length of time alone says not which.
fn span(text: &str) -> Option<Span> {
    if let Some(text) = text.strip_prefix("in ") {
        return text.parse().ok().filter(|span: &Span| span.is_positive());
    }
    let is_signed = text.starts_with(['+', '-']) || text.ends_with("ago");
    text.parse().ok().filter(|_| is_signed)
}

/// `Nov 21 05:53:42.123456`, as the format `short` has it.
fn as_shown(text: &str, now: &Zoned) -> Option<DateTime> {
    let tomorrow = now.date().checked_add(1.day()).ok()?;
    // A leap day may be some years back.
    (0..8).find_map(|years| {
        let year = now.year() - years;
        let parsed = ["%Y %b %d %H:%M:%S%.f", "%Y %b %d %H:%M", "%Y %b %d"]
            .into_iter()
            .find_map(|form| strtime::parse(form, format!("{year} {text}")).ok())?;
        let date: Date = parsed.to_date().ok()?;
        let time = parsed.to_time().unwrap_or(Time::midnight());
        (date <= tomorrow).then(|| date.to_datetime(time))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Unit;
    use jiff::tz::{TimeZone, offset};

    fn at(text: &str) -> Option<String> {
        let now: DateTime = "2026-11-21 05:53:42".parse().unwrap();
        let now = now.to_zoned(TimeZone::fixed(offset(1))).unwrap();
        let time = parse(text, &now)?.to_zoned(now.time_zone().clone());
        Some(time.datetime().round(Unit::Microsecond).unwrap().to_string())
    }

    #[test]
    fn what_people_type_is_the_moment_that_they_mean() {
        for (text, expected) in [
            ("now", "2026-11-21T05:53:42"),
            ("today", "2026-11-21T00:00:00"),
            ("yesterday", "2026-11-20T00:00:00"),
            ("tomorrow", "2026-11-22T00:00:00"),
            ("10 min ago", "2026-11-21T05:43:42"),
            ("1 hour 30 minutes ago", "2026-11-21T04:23:42"),
            ("2 days ago", "2026-11-19T05:53:42"),
            ("-1h", "2026-11-21T04:53:42"),
            ("-1h30m", "2026-11-21T04:23:42"),
            ("+5min", "2026-11-21T05:58:42"),
            ("in 5 min", "2026-11-21T05:58:42"),
            ("05:53", "2026-11-21T05:53:00"),
            ("05:53:10.5", "2026-11-21T05:53:10.5"),
            ("2026-11-20", "2026-11-20T00:00:00"),
            ("2026-11-20 05:53", "2026-11-20T05:53:00"),
            ("2026-11-20 05:53:42.123456", "2026-11-20T05:53:42.123456"),
            ("2026-11-20T05:53:42", "2026-11-20T05:53:42"),
            ("2026-11-20T05:53:42Z", "2026-11-20T06:53:42"),
            ("2026-11-20T05:53:42+01:00", "2026-11-20T05:53:42"),
            ("2026-11-20T05:53:42.123456789+01:00", "2026-11-20T05:53:42.123457"),
            ("@1795240422", "2026-11-21T06:53:42"),
            ("@1795240422.25", "2026-11-21T06:53:42.25"),
            ("Nov 20 05:53:42.123456", "2026-11-20T05:53:42.123456"),
            ("Nov 20 05:53", "2026-11-20T05:53:00"),
            ("Dec 24", "2025-12-24T00:00:00"),
            ("Feb 29", "2024-02-29T00:00:00"),
        ] {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_says_too_little_is_no_moment() {
        for text in [
            "",
            " ",
            "1h",
            "10 min",
            "P1D",
            "5",
            "@",
            "@1.2.3",
            "@soon",
            "ago",
            "in",
            "in -5 min",
            "noon",
            "25:00",
            "2026-13-01",
        ] {
            assert_eq!(at(text), None, "{text}");
        }
        assert!(parse_time("+9999999 years").is_err() && parse_time("@99999999999").is_err());
        let said = parse_time("tee time").unwrap_err().to_string();
        assert!(said.starts_with("\"tee time\" is no time; times are now, today"), "{said}");
    }
}

//! Quantities as people read them, and names that come from others.

use lapwing_reader_shim::push_escaped;
use std::time::Duration;

/// Names come from others, so they are escaped.
pub fn shown(name: &[u8]) -> String {
    let mut out = Vec::new();
    push_escaped(&mut out, name);
    String::from_utf8_lossy(&out).into_owned()
}

/// Bytes in the largest unit that leaves no fraction.
pub fn bytes(count: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(shift, _)| count >= 1 << shift && count.is_multiple_of(1 << shift)) {
        Some((shift, unit)) => format!("{} {unit}", count >> shift),
        None => format!("{count} bytes"),
    }
}

/// Bytes, or bytes a second, to three digits or so.
pub fn amount(count: f64) -> String {
    let mut rest = count;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if rest < 1000.0 {
            return format!("{} {unit}", digits(rest));
        }
        rest /= 1024.0;
    }
    format!("{} TiB", digits(rest))
}

/// A number with a decimal where it is small.
pub fn digits(number: f64) -> String {
    if number != 0.0 && number < 100.0 && number.fract() != 0.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.0}")
    }
}

/// A length of time in one unit.
pub fn span(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.0} us", seconds * 1e6),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..120.0 => format!("{} s", digits(seconds)),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.0} h", seconds / 3600.0),
        _ => format!("{:.0} d", seconds / 86_400.0),
    }
}

/// The inverse: a number of seconds, or one with ms, s, m or h behind it.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    let bad = || "not a span of 10ms to 1h; spans are like 500ms, 2s, 1m or 0.5".to_owned();
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (number, unit) =
        units.into_iter().find_map(|(unit, s)| Some((text.strip_suffix(unit)?, s))).unwrap_or((text, 1.0));
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    let seconds = number.parse::<f64>().map_err(|_| bad())? * unit;
    if (0.01..=3600.0).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_short_and_have_their_unit() {
        let amounts = [(0.0, "0 B"), (12.5, "12.5 B"), (999.0, "999 B"), (1000.0, "1.0 KiB"), (5e9, "4.7 GiB")];
        for (count, text) in amounts {
            assert_eq!(amount(count), text);
        }
        let spans = [(0.000_5, "500 us"), (0.25, "250 ms"), (1.5, "1.5 s"), (119.0, "119 s"), (200_000.0, "2 d")];
        for (seconds, text) in spans {
            assert_eq!(span(seconds), text);
        }
        assert_eq!((bytes(16 << 20), bytes(1025)), ("16 MiB".to_owned(), "1025 bytes".to_owned()));
    }

    #[test]
    fn spans_are_what_hands_type() {
        for (text, ms) in [("500ms", 500), ("2s", 2000), ("1m", 60_000), ("0.5", 500), ("1h", 3_600_000)] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "s", "-1s", "+1", "1ms", "2h", "inf", "nan", "1d", "1 s", "1e9", "\u{e9}"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
    }
}

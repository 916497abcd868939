//! Severity: OpenTelemetry severity numbers 1 to 24, and the one table of their names.

#![forbid(unsafe_code)]

use std::fmt;
use std::str::FromStr;

/// How severe a record is: an OpenTelemetry severity number, 1 (trace) to 24.
///
/// Source: the OpenTelemetry log data model, "SeverityNumber"; its appendix gives the syslog levels their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct Level(u8);

const NAMES: [&str; 24] = [
    "trace", "trace2", "trace3", "trace4", "debug", "debug2", "debug3", "debug4", "info", "notice", "info3", "info4",
    "warn", "warn2", "warn3", "warn4", "err", "crit", "alert", "err4", "emerg", "emerg2", "emerg3", "emerg4",
];

/// Other spellings that hands already know.
const ALIASES: [(&str, u8); 7] =
    [("info2", 10), ("warning", 13), ("error", 17), ("err2", 18), ("err3", 19), ("fatal", 21), ("critical", 18)];

impl Level {
    /// 1
    pub const TRACE: Self = Self(1);
    /// 5
    pub const DEBUG: Self = Self(5);
    /// 9, what captured output has
    pub const INFO: Self = Self(9);
    /// 10
    pub const NOTICE: Self = Self(10);
    /// 13
    pub const WARN: Self = Self(13);
    /// 17
    pub const ERR: Self = Self(17);
    /// 18
    pub const CRIT: Self = Self(18);
    /// 19
    pub const ALERT: Self = Self(19);
    /// 21
    pub const EMERG: Self = Self(21);

    /// The level with this OpenTelemetry number, if it is 1 to 24.
    pub const fn new(number: u8) -> Option<Self> {
        if number >= 1 && number <= 24 { Some(Self(number)) } else { None }
    }

    /// The level of a syslog priority: 0 (emerg) to 7 (debug).
    pub const fn from_syslog(priority: u8) -> Option<Self> {
        Some(match priority {
            0 => Self::EMERG,
            1 => Self::ALERT,
            2 => Self::CRIT,
            3 => Self::ERR,
            4 => Self::WARN,
            5 => Self::NOTICE,
            6 => Self::INFO,
            7 => Self::DEBUG,
            _ => return None,
        })
    }

    /// The OpenTelemetry number, 1 to 24.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The name, for instance `warn`.
    pub const fn name(self) -> &'static str {
        NAMES[self.0 as usize - 1]
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no level.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnknownLevel(String);

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no level; levels are trace, debug, info, notice, warn, err, crit, alert, emerg, or 1 to 24",
            self.0
        )
    }
}

impl std::error::Error for UnknownLevel {}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(s: &str) -> Result<Self, UnknownLevel> {
        let known = NAMES.iter().position(|name| name.eq_ignore_ascii_case(s)).map(|i| i as u8 + 1);
        let alias = || ALIASES.iter().find(|(name, _)| name.eq_ignore_ascii_case(s)).map(|&(_, n)| n);
        known.or_else(alias).or_else(|| s.parse().ok()).and_then(Self::new).ok_or_else(|| UnknownLevel(s.to_owned()))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_level_reads_back_from_its_name_and_number() {
        for n in 1..=24 {
            let level = Level::new(n).unwrap();
            assert_eq!(level.name().parse(), Ok(level));
            assert_eq!(n.to_string().parse(), Ok(level));
        }
        assert_eq!((Level::new(0), Level::new(25)), (None, None));
        assert!("0".parse::<Level>().is_err() && "loud".parse::<Level>().is_err());
        assert_eq!(("info2".parse(), "WARNING".parse()), (Ok(Level::NOTICE), Ok(Level::WARN)));
    }
}

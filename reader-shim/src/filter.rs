//! Which records are wanted.

use crate::query::Query;
use lapwing_ring::Who;
use lapwing_ring::{Field, Level, Record, UnknownLevel};
use regex::bytes::Regex;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Levels from one to another: `warn` is at least warn, `debug..notice` is both of these and what lies between.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LevelRange(RangeInclusive<Level>);

/// A text that is neither a level nor two of them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(transparent)]
pub struct UnknownRange(#[from] UnknownLevel);

impl FromStr for LevelRange {
    type Err = UnknownRange;

    fn from_str(s: &str) -> Result<Self, UnknownRange> {
        let Some((one, other)) = s.split_once("..") else {
            let highest = Level::new(24).unwrap_or(Level::EMERG);
            return Ok(Self(s.parse()?..=highest));
        };
        let (one, other): (Level, Level) = (one.parse()?, other.parse()?);
        Ok(Self(one.min(other)..=one.max(other)))
    }
}

/// Every condition that is set has to hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The level lies here.
    pub levels: Option<LevelRange>,
    /// The payload matches somewhere.
    pub pattern: Option<Regex>,
    /// This process wrote it.
    pub pid: Option<u32>,
    /// It carries this tag.
    pub tag: Option<Vec<u8>>,
    /// This is true of it.
    pub query: Option<Query>,
}

impl Filter {
    /// Does it let everything pass?
    pub fn is_empty(&self) -> bool {
        let Self { levels, pattern, pid, tag, query } = self;
        levels.is_none() && pattern.is_none() && pid.is_none() && tag.is_none() && query.is_none()
    }

    /// Is this record of that process wanted?
    pub fn wants(&self, record: &Record<'_>, who: &Who<'_>) -> bool {
        let tagged = |tag: &Vec<u8>| record.fields.into_iter().any(|field| field == Field::Tag(tag));
        self.levels.as_ref().is_none_or(|levels| levels.0.contains(&record.level))
            && self.pid.is_none_or(|pid| record.pid == pid)
            && self.tag.as_ref().is_none_or(tagged)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(record.payload))
            && self.query.as_ref().is_none_or(|query| query.holds(record, who))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level_is_a_lower_bound_and_two_are_both_ends() {
        let levels = |range: &str| {
            let range: LevelRange = range.parse().unwrap();
            let numbers: Vec<u8> = (1..=24).filter(|&n| range.0.contains(&Level::new(n).unwrap())).collect();
            (numbers[0], *numbers.last().unwrap())
        };
        assert_eq!(levels("warn"), (13, 24));
        assert_eq!(levels("debug..notice"), (5, 10));
        assert_eq!(levels("notice..debug"), (5, 10));
        assert_eq!(levels("1..1"), (1, 1));
        for bad in ["", "loud", "..", "warn..", "..warn", "warn...err"] {
            assert!(bad.parse::<LevelRange>().is_err(), "{bad}");
        }
    }
}

//! Medians, side by side.

#![forbid(unsafe_code)]

use crate::measure::Measured;
use std::collections::BTreeMap;

/// One line for each measured thing, one column for each of `names`.
pub fn print(names: &[&&str], rows: &BTreeMap<&str, Vec<Measured>>, reported: &[(&str, &str, &str)]) {
    print!("{:40}", "");
    names.iter().for_each(|name| print!(" {name:>19}"));
    println!("  goal");
    for (key, what, goal) in reported {
        print!("{what:40}");
        for name in names {
            match median(&rows[**name], key) {
                Some(value) if value >= 1000.0 => print!(" {value:>19.0}"),
                Some(value) => print!(" {value:>19.2}"),
                None => print!(" {:>19}", ""),
            }
        }
        println!("  {goal}");
    }
}

fn median(rounds: &[Measured], key: &str) -> Option<f64> {
    let mut values: Vec<_> = rounds.iter().filter_map(|round| round.0.get(key).copied()).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

//! The tables of docs/FORMAT.md, for tests that hold bytes against them.

use std::collections::BTreeMap;
use std::fs;

pub const FORMAT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/FORMAT.md");

/// The rows of the tables below the heading `section`, cell by cell, without back quotes.
pub fn tables(section: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(FORMAT).unwrap();
    let body = text.split("\n## ").find(|part| part.lines().next() == Some(section));
    let body = body.unwrap_or_else(|| panic!("FORMAT.md has no section {section:?}"));
    body.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("|---"))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

/// The rows that follow the heading row `columns`, up to the next table.
pub fn table(section: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let is_heading = |row: &Vec<String>| row.first().is_some_and(|cell| HEADINGS.contains(&cell.as_str()));
    let rows: Vec<_> = tables(section)
        .into_iter()
        .skip_while(|row| row != columns)
        .skip(1)
        .take_while(|row| !is_heading(row))
        .collect();
    assert!(!rows.is_empty(), "FORMAT.md, {section}: no table {columns:?}");
    rows
}

/// The first cells of heading rows.
pub const HEADINGS: [&str; 11] =
    ["constant", "offset", "word", "size", "bits", "flag", "source", "level", "kind", "entry", "evidence"];
pub const OFFSETS: [&str; 4] = ["offset", "bytes", "name", "meaning"];
pub const BITS: [&str; 3] = ["bits", "name", "meaning"];

pub fn number(cell: &str) -> u64 {
    match cell.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
        None => cell.parse().unwrap_or_else(|_| panic!("{cell:?} is no number")),
    }
}

/// Name to (offset, bytes), of an offset table; rows whose place is a formula are left out.
pub fn offsets(section: &str) -> BTreeMap<String, (u64, u64)> {
    let rows = table(section, &OFFSETS).into_iter();
    let rows: Vec<(String, (u64, u64))> =
        rows.filter_map(|row| Some((row[2].clone(), (row[0].parse().ok()?, row[1].parse().ok()?)))).collect();
    for pair in rows.windows(2) {
        let [(before, (at, len)), (name, (next, _))] = pair else { unreachable!() };
        assert!(at + len <= *next, "{section}: {before} and {name} overlap");
    }
    rows.into_iter().collect()
}

/// Name to (lowest bit, number of bits), of a bit table's rows.
pub fn bits(rows: &[Vec<String>]) -> BTreeMap<String, (u32, u32)> {
    let of = |row: &Vec<String>| {
        let (high, low) = row[0].split_once("..").unwrap();
        let (high, low): (u32, u32) = (high.parse().unwrap(), low.parse().unwrap());
        (row[1].clone(), (low, high - low + 1))
    };
    let map: BTreeMap<_, _> = rows.iter().map(of).collect();
    let covered: u32 = map.values().map(|&(_, n)| n).sum();
    assert!(covered == 64 || covered == 32, "bits {map:?} do not make a word");
    map
}

/// The bit tables of a section, one after the other.
pub fn all_bits(section: &str) -> Vec<BTreeMap<String, (u32, u32)>> {
    let mut found: Vec<Vec<Vec<String>>> = Vec::new();
    let mut inside = false;
    for row in tables(section) {
        if row == BITS {
            found.push(Vec::new());
            inside = true;
        } else if HEADINGS.contains(&row[0].as_str()) {
            inside = false;
        } else if inside {
            found.last_mut().unwrap().push(row);
        }
    }
    found.iter().map(|rows| bits(rows)).collect()
}

pub fn field(word: u64, (low, bits): (u32, u32)) -> u64 {
    word >> low & (u64::MAX >> (64 - bits))
}

//! Does docs/RELIABILITY.md say what is tested? Every case stands in its tables once, and every test they name exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const CASES: u32 = 88;

/// The rows of all tables: number, case, expected, test.
fn rows() -> Vec<[String; 4]> {
    let text = fs::read_to_string(Path::new(ROOT).join("docs/RELIABILITY.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| no. |"));
    let cells = |row: &str| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [number, case, expected, test] = cells[..] else { panic!("{row}") };
        [number, case, expected, test].map(str::to_owned)
    };
    rows.map(cells).collect()
}

/// Is there a test called `name`, with the attribute that makes the runner run it?
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let Some(at) = lines.iter().position(|line| line.contains(&format!("fn {name}("))) else { return false };
    // Attributes and a comment may stand between; a property test has its arguments behind its name.
    lines[at.saturating_sub(4)..at].contains(&"#[test]")
}

#[test]
fn every_case_stands_in_the_table_once() {
    let numbers: Vec<u32> = rows().iter().map(|[number, ..]| number.parse().unwrap()).collect();
    assert_eq!(numbers, (1..=CASES).collect::<Vec<_>>());
    for [number, case, expected, _] in rows() {
        assert!(!case.is_empty() && !expected.is_empty(), "{number}");
    }
}

#[test]
fn every_test_of_the_table_exists() {
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    for [number, case, _, test] in rows() {
        if let Some(why) = test.strip_prefix("cannot run here: ") {
            assert!(why.len() > 20, "{number}: no reason why it cannot run");
            continue;
        }
        let named: Vec<&str> = test.split(", ").collect();
        for name in named {
            let name = name.strip_prefix('`').and_then(|name| name.strip_suffix('`'));
            let (file, name) =
                name.and_then(|name| name.split_once(": ")).unwrap_or_else(|| panic!("{number}: {test}"));
            let source = sources.entry(file.to_owned()).or_insert_with(|| {
                fs::read_to_string(Path::new(ROOT).join(file))
                    .unwrap_or_else(|error| panic!("{number}: {file}: {error}"))
            });
            assert!(has_test(source, name), "{number}, {case}: no test {name} in {file}");
        }
    }
}

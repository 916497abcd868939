//! Does every case of `benches/instructions` still do what it is to count, and is there a figure of each?

use std::path::Path;
use std::process::{Command, Output};

fn instructions(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_instructions")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The first word of every line of `text`.
fn names(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
}

fn listed() -> Vec<String> {
    names(&String::from_utf8(instructions(&["list"]).stdout).unwrap())
}

#[test]
fn every_case_does_what_it_is_to_count() {
    let cases = listed();
    assert!(cases.len() > 30, "{cases:?}");
    cases.iter().for_each(|case| drop(instructions(&["run", case])));
}

#[test]
fn every_case_has_a_figure() {
    let figures = Path::new(env!("CARGO_MANIFEST_DIR")).join("instructions.txt");
    let figures = names(&std::fs::read_to_string(figures).unwrap());
    let figures: Vec<_> = figures.into_iter().filter(|name| name != "#").collect();
    let [nothing, counted @ ..] = &listed()[..] else { panic!("no case") };
    assert_eq!((nothing.as_str(), counted), ("nothing", &figures[..]));
}

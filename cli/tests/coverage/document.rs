//! The table as `docs/CAPTURE.md` shows it. `COVERAGE_WRITE=1` writes it there.

use crate::case::{Case, Target};
use crate::table;
use std::fmt::Write;
use std::path::Path;

const BEGIN: &str = "<!-- coverage: written by cli/tests/coverage -->\n";
const END: &str = "<!-- end of coverage -->\n";

#[test]
fn the_chapter_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CAPTURE.md");
    let chapter = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = chapter.split_once(BEGIN).expect("a table begins");
    let (shown, after) = rest.split_once(END).expect("a table ends");
    let table = table();
    if std::env::var_os("COVERAGE_WRITE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    let first = shown.lines().zip(table.lines()).find(|(shown, table)| shown != table);
    assert!(shown == table, "docs/CAPTURE.md shows another table, {first:?}: COVERAGE_WRITE=1 writes it anew");
}

fn table() -> String {
    let mut text = "\n| program | what it does | by way of | in the ring |\n|---|---|---|---|\n".to_owned();
    for case in table::all() {
        let (what, ways) = (what(case), if case.ways.is_empty() { "-" } else { case.ways });
        writeln!(text, "| {} | {what} | {ways} | {} |", case.name, captured(case)).unwrap();
    }
    text + "\n"
}

fn what(case: &Case) -> String {
    let what = case.what.replace('|', "\\|");
    if case.target == Target::Pipe { what } else { format!("{what}; into {}", case.target.name()) }
}

fn captured(case: &Case) -> String {
    let mut text = if case.is_merged() { "all, as standard output" } else { "all" }.to_owned();
    for (number, gaps) in case.gaps.chunk_by(|a, b| a.why == b.why).enumerate() {
        let missing: Vec<_> = gaps.iter().map(|gap| format!("`{}`", gap.text.trim_end().escape_debug())).collect();
        let joint = if number == 0 { " but" } else { ";" };
        write!(text, "{joint} {}: {}", missing.join(", "), gaps[0].why).unwrap();
    }
    text
}

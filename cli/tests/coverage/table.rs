//! The table: every program that is tried, by kind. Each kind is one test.

#[path = "table/c.rs"]
mod c;
#[path = "table/gaps.rs"]
mod gaps;
#[path = "table/languages.rs"]
mod languages;
#[path = "table/pumped.rs"]
mod pumped;
#[path = "table/shells.rs"]
mod shells;
#[path = "table/targets.rs"]
mod targets;
#[path = "table/tools.rs"]
mod tools;

use crate::case::Case;

/// In the order of the book.
pub fn all() -> Vec<&'static Case> {
    let kinds = [
        c::C,
        c::CPP,
        languages::RUST,
        languages::PYTHON,
        languages::PERL,
        languages::JAVA,
        languages::NODE,
        shells::BASH,
        shells::DASH,
        tools::COREUTILS,
        tools::TEXT,
        tools::GIT,
        tools::TAR,
        tools::MAKE,
        tools::COMPILERS,
        tools::CURL,
        tools::OTHERS,
    ];
    kinds.into_iter().chain(targets::TARGETS.iter().copied()).chain([pumped::PUMPED, gaps::GAPS]).flatten().collect()
}

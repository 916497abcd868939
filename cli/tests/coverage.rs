//! What strace sees programs write to their standard streams against what the ring holds, byte for byte: the table of what
//! can be captured. `docs/CAPTURE.md` shows it.

#[path = "coverage/case.rs"]
mod case;
#[path = "coverage/compare.rs"]
mod compare;
#[path = "coverage/document.rs"]
mod document;
#[path = "coverage/programs.rs"]
mod programs;
#[path = "coverage/server.rs"]
mod server;
#[path = "coverage/stage.rs"]
mod stage;
#[path = "coverage/table.rs"]
mod table;
#[path = "coverage/trace.rs"]
mod trace;

use case::Case;

/// Runs those cases whose programs are here, and says of the others which is missing.
fn check(cases: &[Case]) {
    check_with(cases, "");
}

fn check_with(cases: &[Case], url: &str) {
    let mut faults = Vec::new();
    for case in cases {
        let needs = ["strace", "timeout", case.command[0]].into_iter().chain(case.needs.iter().copied());
        if let Some(missing) = programs::missing(needs) {
            println!("skipped: {}, {}: there is no {missing} here", case.name, case.what);
            continue;
        }
        if !stage::may_trace() {
            println!("skipped: strace may not trace here");
            return;
        }
        let found = compare::faults(case, &stage::run(case, url));
        faults.extend(found.into_iter().map(|fault| format!("{}, {}: {fault}", case.name, case.what)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

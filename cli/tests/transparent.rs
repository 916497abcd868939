//! Programs do not notice that they are captured: real commands with and without us, the attributes that a process
//! inherits, random system calls, hostile surroundings, rings that are not there.

#[path = "transparent/attributes.rs"]
mod attributes;
#[path = "transparent/by_hand.rs"]
mod by_hand;
#[path = "transparent/commands.rs"]
mod commands;
#[path = "transparent/failing.rs"]
mod failing;
#[path = "transparent/fuzz.rs"]
mod fuzz;
#[path = "transparent/stage.rs"]
mod stage;
#[path = "transparent/surroundings.rs"]
mod surroundings;

use commands::{Case, Mask};
use stage::{End, Stage, compiled, have, library};

/// What can be compared of an output.
fn shown(output: &[u8], mask: Mask) -> Vec<u8> {
    match mask {
        Mask::Nothing => output.to_vec(),
        Mask::Numbers => {
            let mut shown = Vec::new();
            for &byte in output {
                let byte = if byte.is_ascii_hexdigit() { b'#' } else { byte };
                if byte != b'#' || shown.last() != Some(&b'#') {
                    shown.push(byte);
                }
            }
            shown
        }
        Mask::Order => {
            let mut lines: Vec<_> = output.split(|&byte| byte == b'\n').collect();
            lines.sort();
            lines.join(&b'\n')
        }
    }
}

fn all(end: &End, mask: Mask) -> impl PartialEq + use<> {
    (end.status(), shown(&end.out, mask), shown(&end.err, mask))
}

fn compare(cases: &[Case]) {
    let c = compiled(
        "cc",
        "crashes",
        include_str!("transparent/crashes.c"),
        &["-O0", "-g", "-pthread", "-fstack-protector-all"],
    );
    let cpp = compiled("g++", "throws", include_str!("transparent/throws.cpp"), &["-O1", "-pthread"]);
    let variables = [("C", c.as_deref().expect("a C compiler")), ("CPP", cpp.as_deref().unwrap_or(""))];
    let stage = Stage::new();
    let mut differences = Vec::new();
    for case in cases.iter().filter(|case| case.needs.iter().all(|program| have(program))) {
        let command = [case.shell, "-c", case.script];
        let plain = stage.run_with(&command, &variables);
        for options in [&["--buffer", "keep"][..], &["--buffer", "line"]] {
            if case.loses && options[1] == "line" {
                continue;
            }
            let captured = stage.run_with(&stage.captured(options, &command), &variables);
            if all(&plain, case.mask) != all(&captured, case.mask) {
                differences.push(format!("{} {options:?}\nplain: {plain:?}captured: {captured:?}", case.script));
            }
        }
        // Without `run`: the library is found, and decides, in every program anew that was started without it.
        let (library, ring) = (library(), stage.ring());
        let by_hand = [("LD_PRELOAD", library.to_str().unwrap()), ("LAPWING_RING", ring.to_str().unwrap())];
        let keep = ("LAPWING_BUFFER", "keep");
        let captured = stage.run_with(&command, &[&variables[..], &by_hand, &[keep]].concat());
        if all(&plain, case.mask) != all(&captured, case.mask) {
            differences.push(format!("{} by hand\nplain: {plain:?}captured: {captured:?}", case.script));
        }
        let quiet = stage.run_with(&stage.captured(&["--quiet", "--buffer", "keep"], &command), &variables);
        let is_silent = quiet.out.is_empty() && quiet.err.is_empty();
        if quiet.status() != plain.status() || !(case.is_loud || is_silent) {
            differences.push(format!("{} --quiet\nplain: {plain:?}quiet: {quiet:?}", case.script));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn what_shells_do_is_the_same() {
    compare(commands::SHELLS);
}

#[test]
fn what_tools_print_is_the_same() {
    compare(commands::TOOLS);
}

#[test]
fn what_interpreters_do_is_the_same() {
    compare(commands::LANGUAGES);
}

#[test]
fn every_way_to_end_and_to_print_is_the_same() {
    compare(commands::PROGRAMS);
}

#[test]
fn what_other_programs_do_is_the_same() {
    compare(commands::OTHERS);
}

#[test]
fn enough_commands_need_nothing_special() {
    let everywhere = [commands::SHELLS, commands::TOOLS, commands::LANGUAGES, commands::PROGRAMS].concat();
    assert!(everywhere.len() >= 80 && everywhere.iter().all(|case| case.needs.is_empty()));
}

//! What is said when the kernel hides its addresses.

#![forbid(unsafe_code)]

use std::fs;

use lapwing_kallsyms::{Hidden, LoadError, Symbolizer};

use crate::child;

pub fn set(name: &str, value: &str) {
    fs::write(format!("/proc/sys/{name}"), value).unwrap_or_else(|error| panic!("{name}: {error}"));
}

/// Loading fails where all addresses are hidden, and says why; where they are not it succeeds.
pub fn is_explained() -> String {
    // kptr_restrict, perf_event_paranoid; what root sees, what nobody sees.
    let cases = [
        ("0", "1", None, None),
        ("0", "3", None, Some(Hidden::Capability)),
        ("1", "1", None, Some(Hidden::Capability)),
        ("2", "1", Some(Hidden::Everybody), Some(Hidden::Everybody)),
    ];
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").expect("perf_event_paranoid");
    for (restrict, perf, root, nobody) in cases {
        set("kernel/kptr_restrict", restrict);
        set("kernel/perf_event_paranoid", perf);
        let case = format!("kptr_restrict {restrict}, perf_event_paranoid {perf}");
        assert_eq!(hidden(), root, "root, {case}");
        let said = child::as_nobody(&["hidden"]).ended();
        assert_eq!(said, [format!("{nobody:?}")], "nobody, {case}");
    }
    set("kernel/kptr_restrict", "0");
    set("kernel/perf_event_paranoid", paranoid.trim());
    format!("{} cases, as root and as nobody", cases.len())
}

/// Why this process sees none; `None` where it does.
pub fn hidden() -> Option<Hidden> {
    match Symbolizer::load() {
        Ok(_) => None,
        Err(LoadError::Hidden { why, .. }) => Some(why),
        Err(error) => panic!("{error}"),
    }
}

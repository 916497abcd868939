//! Why addresses are hidden: the kernel's rule, case by case, and as this kernel applies it to a user without privilege.

mod as_nobody;

use std::fs;
use std::path::Path;

use lapwing_kallsyms::hidden::Rules;
use lapwing_kallsyms::{Hidden, LoadError, Sources, Symbolizer};
use tempfile::{NamedTempFile, tempdir};

use as_nobody::as_nobody;

const ALL: &str = "CapEff:\t000001ffffffffff\n";
const SYSLOG: &str = "CapEff:\t0000000400000000\n";
const ALL_BUT_SYSLOG: &str = "CapEff:\t000001fbffffffff\n";
const NONE: &str = "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n";

#[test]
fn the_kernels_rule_case_by_case() {
    let cases = [
        ("2\n", "1\n", ALL, Hidden::Everybody),
        ("2\n", "-1\n", NONE, Hidden::Everybody),
        ("1\n", "-1\n", NONE, Hidden::Capability),
        ("1\n", "2\n", ALL_BUT_SYSLOG, Hidden::Capability),
        ("0\n", "2\n", NONE, Hidden::Capability),
        ("0\n", "4\n", ALL_BUT_SYSLOG, Hidden::Capability),
        // What should be shown, and is not.
        ("0\n", "1\n", NONE, Hidden::Unknown),
        ("0\n", "-1\n", NONE, Hidden::Unknown),
        ("1\n", "2\n", SYSLOG, Hidden::Unknown),
        ("0\n", "2\n", ALL, Hidden::Unknown),
        // Contents that no kernel writes.
        ("", "2\n", NONE, Hidden::Unknown),
        ("-1\n", "2\n", NONE, Hidden::Unknown),
        ("zero\n", "2\n", NONE, Hidden::Unknown),
        ("1\n", "2\n", "CapEff:\tall\n", Hidden::Unknown),
        ("1\n", "2\n", "", Hidden::Unknown),
    ];
    let dir = tempdir().unwrap();
    let [kptr_restrict, perf_event_paranoid, status] = ["kptr", "perf", "status"].map(|name| dir.path().join(name));
    let rules = Rules { kptr_restrict, perf_event_paranoid, status };
    for (kptr, perf, capabilities, expected) in cases {
        fs::write(&rules.kptr_restrict, kptr).unwrap();
        fs::write(&rules.perf_event_paranoid, perf).unwrap();
        fs::write(&rules.status, capabilities).unwrap();
        assert_eq!(rules.why(), expected, "{kptr:?} {perf:?} {capabilities:?}");
    }
    // A kernel without perf events shows nothing for their sake.
    fs::write(&rules.kptr_restrict, "0\n").unwrap();
    fs::write(&rules.status, NONE).unwrap();
    fs::remove_file(&rules.perf_event_paranoid).unwrap();
    assert_eq!(rules.why(), Hidden::Capability);
    fs::remove_file(&rules.kptr_restrict).unwrap();
    assert_eq!(rules.why(), Hidden::Unknown);
}

#[test]
fn endless_files_are_no_rules() {
    let endless = || "/dev/zero".into();
    assert_eq!(
        Rules { kptr_restrict: endless(), perf_event_paranoid: endless(), status: endless() }.why(),
        Hidden::Unknown
    );
}

#[test]
fn as_this_kernel_applies_it_to_a_user_without_privilege() {
    as_nobody("as_this_kernel_applies_it_to_a_user_without_privilege", || {
        let Ok(kallsyms) = fs::read_to_string("/proc/kallsyms") else {
            eprintln!("skipped: no /proc/kallsyms");
            return;
        };
        let hidden = kallsyms.lines().all(|line| line.starts_with("0000000000000000 "));
        let setting = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        let expected = match (setting("kptr_restrict").trim(), setting("perf_event_paranoid").trim()) {
            ("2", _) => Hidden::Everybody,
            ("0", "-1" | "0" | "1") => Hidden::Unknown,
            _ => Hidden::Capability,
        };
        assert_eq!(hidden, expected != Hidden::Unknown);
        assert_eq!(Rules::default().why(), expected);
        if hidden {
            let said = |kallsyms: &Path| {
                let sources = Sources { kallsyms: kallsyms.into(), modules: None, notes: None };
                match Symbolizer::load_from(sources) {
                    Err(LoadError::Hidden { why, .. }) => why,
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(said(Path::new("/proc/kallsyms")), expected);
            let copy = NamedTempFile::new().unwrap();
            fs::write(&copy, &kallsyms).unwrap();
            assert_eq!(said(copy.path()), Hidden::Unknown, "of a copy");
        }
    });
}

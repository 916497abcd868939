//! What the kernel lets us see of itself.

use super::Report;
use lapwing_kallsyms::hidden::Rules;
use lapwing_kallsyms::shared::{AttachError, Attached, default_path};
use std::fs::{File, read_to_string};
use std::io::{BufRead, BufReader};

const ABOUT: &str = "kernel";
const CAPABILITIES: [(u32, &str); 3] = [(21, "CAP_SYS_ADMIN"), (34, "CAP_SYSLOG"), (38, "CAP_PERFMON")];

pub fn look(report: &mut Report) {
    let number = |name: &str| read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse::<i64>().ok();
    let shown = |name: &str| number(name).map_or_else(|| format!("{name} unknown"), |value| format!("{name} {value}"));
    let mine = capabilities();
    let held: Vec<_> = CAPABILITIES.into_iter().filter(|(bit, _)| mine >> bit & 1 == 1).map(|(_, name)| name).collect();
    let held = if held.is_empty() { "none of CAP_SYSLOG, CAP_PERFMON".to_owned() } else { held.join(", ") };
    let settings = ["kptr_restrict", "perf_event_paranoid", "dmesg_restrict"].map(shown).join(", ");
    report.note(ABOUT, format!("{settings}; we have {held}"));
    if !addresses_are_shown() {
        let why = Rules::default().why().advice();
        report.note(ABOUT, format!("/proc/kallsyms has no addresses for us: {why}"));
        let path = default_path();
        match Attached::open(&path) {
            Ok(_) => report.note(ABOUT, format!("{}: the shared table has them for us", path.display())),
            Err(AttachError::NotFound { .. }) => {}
            Err(error) => report.note(ABOUT, error.to_string()),
        }
    }
    // Opening is what is restricted; nothing is read.
    if let Err(error) = File::open("/dev/kmsg") {
        report.note(ABOUT, format!("/dev/kmsg cannot be read ({error}), so `lapwing kmsg` takes root or CAP_SYSLOG"));
    }
}

/// The effective ones, a bit each.
fn capabilities() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok()).unwrap_or(0)
}

fn addresses_are_shown() -> bool {
    let Ok(file) = File::open("/proc/kallsyms") else { return false };
    let lines = BufReader::new(file).lines().take(100).map_while(Result::ok);
    lines.into_iter().any(|line| !line.starts_with("0000000000000000"))
}

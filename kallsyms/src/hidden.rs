//! Why the kernel shows this process no addresses.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::Hidden;

/// The bit of `CAP_SYSLOG` in a set of capabilities, linux/capability.h.
const CAP_SYSLOG: u32 = 34;

/// Where the kernel says what decides whether addresses are shown.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `/proc/sys/kernel/kptr_restrict`.
    pub kptr_restrict: PathBuf,
    /// `/proc/sys/kernel/perf_event_paranoid`.
    pub perf_event_paranoid: PathBuf,
    /// `/proc/thread-self/status`: capabilities belong to threads.
    pub status: PathBuf,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            kptr_restrict: "/proc/sys/kernel/kptr_restrict".into(),
            perf_event_paranoid: "/proc/sys/kernel/perf_event_paranoid".into(),
            status: "/proc/thread-self/status".into(),
        }
    }
}

impl Rules {
    /// Why all addresses in the kernel's `/proc/kallsyms` are zero, after `kallsyms_show_value` in kernel/ksyms_common.c:
    /// with `kptr_restrict` 0 they are shown if `perf_event_paranoid` is at most 1, or as with 1; with 1 to who has
    /// `CAP_SYSLOG` in the first user namespace; with 2 to nobody. What counts is who opened the file, and when.
    pub fn why(&self) -> Hidden {
        match number(&self.kptr_restrict) {
            Some(2..) => return Hidden::Everybody,
            Some(0 | 1) => {}
            _ => return Hidden::Unknown,
        }
        // A kernel without perf events has no such file, and does not show addresses for their sake.
        let for_perf =
            number(&self.kptr_restrict) == Some(0) && number(&self.perf_event_paranoid).is_some_and(|level| level <= 1);
        match capabilities(&self.status) {
            Some(set) if !for_perf && set & 1 << CAP_SYSLOG == 0 => Hidden::Capability,
            // Shown by every rule we know, and yet hidden: not our process, or not the first user namespace.
            _ => Hidden::Unknown,
        }
    }
}

fn beginning(path: &Path, limit: u64) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(limit).read_to_string(&mut text).ok()?;
    Some(text)
}

fn number(path: &Path) -> Option<i64> {
    beginning(path, 32)?.trim_end().parse().ok()
}

/// The effective ones.
fn capabilities(status: &Path) -> Option<u64> {
    let status = beginning(status, 16384)?;
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(set.trim(), 16).ok()
}

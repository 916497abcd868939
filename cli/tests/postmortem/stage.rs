//! Programs that print checked lines as fast as they can, and what the reading commands say of their ring.
#![allow(dead_code, reason = "each test program uses a part of it")]

use super::sandbox::{Done, Sandbox};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Lines that say themselves whether they are whole: pid, number, and a remainder that follows from the two.
const SCRIPT: &str = "i=0; while :; do echo \"line $$ $i $(( ($$ + i * 7919) % 10007 )) $i$i$i$i\"; i=$((i + 1)); done";

/// Programs at work, killed when this goes out of scope.
pub struct Programs(pub Vec<Child>);

impl Programs {
    /// `count` of them, when each has a record in the ring.
    pub fn start(sandbox: &Sandbox, count: usize) -> Self {
        let start = |_| {
            let mut command = sandbox.command(&["run", "--quiet", "--", "bash", "-c", SCRIPT]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let programs = Self((0..count).map(start).collect());
        let since = Instant::now();
        let writers = || stat(sandbox, "ring")["writers"].as_array().unwrap().len();
        while writers() < count || stat(sandbox, "ring")["oldest_seq"] == 0 {
            assert!(since.elapsed() < Duration::from_secs(60), "the programs never filled the ring");
            std::thread::sleep(Duration::from_millis(10));
        }
        programs
    }

    pub fn signal(&self, name: &str) {
        let pids: Vec<String> = self.0.iter().map(|child| child.id().to_string()).collect();
        assert!(std::process::Command::new("kill").arg(name).args(pids).status().unwrap().success());
    }

    pub fn wait(&mut self) {
        for child in &mut self.0 {
            child.wait().unwrap();
        }
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub fn stat(sandbox: &Sandbox, ring: &str) -> serde_json::Value {
    serde_json::from_str(&sandbox.ok(&["stat", "--json", "--ring", &format!("./{ring}")])).unwrap()
}

/// What a reader got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    pub first: u64,
    pub next: u64,
    pub records: u64,
    pub lost: u64,
    pub abandoned: u64,
    pub stalled: u64,
}

/// Reads `tail -o json` of everything: every sequence once, every line whole, each program in its own order.
pub fn seen(done: &Done) -> Seen {
    let mut seen = Seen::default();
    let mut last = std::collections::HashMap::new();
    for line in done.stdout.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(seq) = line["seq"].as_u64() {
            assert_eq!(seq, seen.next, "{line}");
            (seen.next, seen.records) = (seq + 1, seen.records + 1);
            let text = line["text"].as_str().unwrap();
            let partial = line["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "partial"));
            let words: Vec<&str> = text.split(' ').collect();
            let ["line", pid, i, rest, again] = words[..] else {
                assert!(partial, "{line}");
                continue;
            };
            if !partial {
                let (pid, i): (u64, u64) = (pid.parse().unwrap(), i.parse().unwrap());
                assert_eq!(
                    (rest.parse(), again),
                    (Ok((pid + i * 7919) % 10007), i.to_string().repeat(4).as_str()),
                    "{line}"
                );
                assert_eq!(line["pid"], pid);
                assert!(last.insert(pid, i).is_none_or(|before| i > before), "{line}");
            }
            continue;
        }
        let of = |kind: &str| line[kind].as_u64().unwrap_or(0);
        let count = of("lost") + of("abandoned") + of("stalled");
        assert_eq!((line["first"].as_u64(), of("last") + 1), (Some(seen.next), seen.next + count), "{line}");
        seen = Seen {
            first: if seen.next == 0 { count } else { seen.first },
            next: seen.next + count,
            lost: seen.lost + of("lost"),
            abandoned: seen.abandoned + of("abandoned"),
            stalled: seen.stalled + of("stalled"),
            ..seen
        };
    }
    seen
}

/// Every reading command reads the ring at rest `name`, and they agree. Gives what `tail` saw.
pub fn every_command_reads(sandbox: &Sandbox, name: &str) -> Seen {
    let ring = &format!("./{name}");
    let whole = sandbox.run(&["tail", "-o", "json", "--ring", ring]);
    assert_eq!(whole.code, 0, "{}", whole.stderr);
    let seen = seen(&whole);
    assert!(seen.records > 50, "it holds something: {seen:?}");
    for format in ["short", "verbose", "cat", "logfmt", "raw"] {
        assert_eq!(sandbox.run(&["tail", "-o", format, "--ring", ring]).code, 0);
    }
    let stat = stat(sandbox, name);
    assert_eq!((stat["oldest_seq"].as_u64(), stat["next_seq"].as_u64()), (Some(seen.first), Some(seen.next)));
    let checked = sandbox.run(&["check", "--json", ring]);
    let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!((checked.code, &report["found"]), (0, &0.into()), "{}", checked.stdout);
    assert_eq!(report["readable"].as_u64(), Some(seen.records), "{}", checked.stdout);
    let listed = sandbox.ok(&["ls"]);
    assert!(listed.contains(name), "{listed}");
    let drawn = sandbox.ok(&["plot", "--ring", ring]);
    // It begins and ends with records, which those of the dead need not be.
    let range = format!("(sequences {}..{})", seen.first, seen.next - 1);
    assert!(seen.records < seen.next - seen.first || drawn.contains(&range), "{range} {drawn}");
    let saved = format!("./{name}.saved");
    assert_eq!(sandbox.run(&["save", "--force", "--ring", ring, &saved]).code, 0);
    assert_eq!(sandbox.run(&["tail", "-o", "json", "--ring", &saved]).stdout, whole.stdout);
    seen
}

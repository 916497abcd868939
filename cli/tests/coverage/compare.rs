//! Says in what the three sides differ: what strace saw, what arrived, what the ring has.

use crate::case::Case;
use crate::stage::Run;
use crate::trace::{Bytes, Written, ways};
use lapwing_ring::Source;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Everything that is wrong with a run; empty if nothing is.
pub fn faults(case: &Case, run: &Run) -> Vec<String> {
    let mut faults = Vec::new();
    if run.written.is_empty() {
        faults.push("it has written nothing".to_owned());
    }
    for (sources, arrived) in &run.arrived {
        let written: Vec<_> = run.written.iter().filter(|call| sources.contains(&call.source)).collect();
        if !is_made_of(arrived, &written) {
            let len: usize = written.iter().map(|call| call.bytes.len()).sum();
            faults.push(format!("{sources:?}: {} bytes arrived, strace saw {len}: {}", arrived.len(), shown(arrived)));
        }
    }

    let mut expected: BTreeMap<(u32, &str), Vec<u8>> = BTreeMap::new();
    for call in without_gaps(case, &run.written, &mut faults) {
        match &call.bytes {
            Bytes::Known(bytes) => expected.entry((call.pid, call.source.name())).or_default().extend(bytes),
            Bytes::Copied(len) => {
                faults.push(format!("{:?}: the kernel copied {len} bytes, and no gap says so", call.source))
            }
        }
    }
    let mut found: BTreeMap<(u32, &str), Vec<u8>> = BTreeMap::new();
    for record in &run.records {
        found.entry((record.pid, record.source.name())).or_default().extend(&record.bytes);
    }
    for key in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let side = |all: &BTreeMap<_, Vec<u8>>| all.get(key).cloned().unwrap_or_default();
        let (expected, found) = (side(&expected), side(&found));
        if expected != found {
            let same = expected.iter().zip(&found).take_while(|(a, b)| a == b).count();
            let from = same.saturating_sub(20);
            faults.push(format!(
                "{key:?}: from byte {same} on, of {} written: {}, of {} in the ring: {}",
                expected.len(),
                shown(&expected[from..]),
                found.len(),
                shown(&found[from..])
            ));
        }
    }

    if run.has_stacks && is_known_system() {
        let seen = ways(&run.written).into_iter().collect::<Vec<_>>().join(", ");
        if seen != case.ways {
            faults.push(format!("it goes through `{seen}`, the table says `{}`", case.ways));
        }
    }
    faults
}

/// The table's column of ways was seen on Debian 12; the same programs of other systems may use others.
fn is_known_system() -> bool {
    std::fs::read_to_string("/etc/debian_version").is_ok_and(|version| version.starts_with("12."))
}

fn without_gaps<'a>(case: &Case, written: &'a [Written], faults: &mut Vec<String>) -> Vec<&'a Written> {
    let mut kept: Vec<_> = written.iter().collect();
    for gap in case.gaps {
        let is_gap = |call: &&Written| call.source == gap.source && call.bytes.may_be(gap.text.as_bytes());
        match kept.iter().position(is_gap) {
            Some(at) => drop(kept.remove(at)),
            None => faults.push(format!("{:?}: nobody wrote the gap {:?}", gap.source, gap.text)),
        }
    }
    kept
}

/// Is `arrived` what these calls wrote, each process's in its order? Which of two processes wrote first strace
/// does not know: it sees that their calls have returned.
fn is_made_of(arrived: &[u8], written: &[&Written]) -> bool {
    let mut queues: BTreeMap<u32, Vec<&Bytes>> = BTreeMap::new();
    for call in written {
        queues.entry(call.pid).or_default().push(&call.bytes);
    }
    let queues: Vec<_> = queues.into_values().collect();
    let mut tried = HashSet::new();
    let mut open = vec![(0, vec![0; queues.len()])];
    while let Some((at, taken)) = open.pop() {
        if at == arrived.len() && taken.iter().zip(&queues).all(|(taken, queue)| *taken == queue.len()) {
            return true;
        }
        for (number, queue) in queues.iter().enumerate() {
            let Some(next) = queue.get(taken[number]) else { continue };
            let fits = arrived.get(at..at + next.len()).is_some_and(|bytes| next.may_be(bytes));
            let mut then = taken.clone();
            then[number] += 1;
            if fits && tried.insert(then.clone()) {
                open.push((at + next.len(), then));
            }
        }
    }
    false
}

/// The beginning, as a string.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(300)]).into_owned();
    format!("{text:?}{}", if bytes.len() > 300 { " .." } else { "" })
}

/// A fault of each kind is one, where nothing else would tell.
#[test]
fn a_gap_that_closes_one_that_grows_and_a_lost_byte_are_faults() {
    use crate::case::Gap;
    use crate::stage::Record;
    const GAPS: &[Gap] = &[Gap { source: Source::Stdout, text: "missing\n", why: "x" }];
    const CASE: Case = Case::new("", "", "", &[]).gaps(GAPS);
    let run = |written: &[&str], records: &[&str]| {
        let (pid, source) = (7, Source::Stdout);
        let call = |text: &&str| Written { pid, source, bytes: Bytes::Known(text.as_bytes().into()), way: None };
        let record = |text: &&str| Record { pid, source, bytes: text.as_bytes().into() };
        let arrived = vec![(vec![source], written.concat().into_bytes())];
        let (written, records) = (written.iter().map(call).collect(), records.iter().map(record).collect());
        faults(&CASE, &Run { written, records, arrived, has_stacks: false }).len()
    };
    assert_eq!(run(&["one\n", "missing\n", "two\n"], &["one\n", "two\n"]), 0);
    assert_eq!(run(&["one\n", "missing\n"], &["one\n", "missing\n"]), 1, "it closes");
    assert_eq!(run(&["one\n", "missing\n", "two\n"], &["one\n"]), 1, "it grows");
    assert_eq!(run(&["one\n", "missing\n"], &["onE\n"]), 1, "a byte");
    assert_eq!(run(&["one\n"], &["one\n"]), 1, "a gap that is none");
}

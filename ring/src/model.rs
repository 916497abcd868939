//! Loom models. Each role runs in a thread of its own, the main thread sets up and joins but observes nothing while
//! others run (that can hide executions), and each model writes down every outcome it expects: an execution with another
//! one fails at once, and so does a model that never reached one of them.
//!
//! [`every_label_is_needed`] weakens one ordering label at a time and demands that the model named for it fails.
//!
//! `cargo loom` runs all of it with two preemptions; LOOM_MAX_PREEMPTIONS=3 is the long run. What loom cannot see: the
//! death of a process (a thread that returns in the middle of an append, and a flag, stand for it), mappings, more than
//! five threads, reordering of a load with a later store, the machine code.

mod stage;

use crate::bell;
use crate::layout::LineHeader;
use crate::level::Level;
use crate::pool::{Borrowed, Lease, Pool, Spot};
use crate::record::Source;
use crate::sync::{Atomic, weaken};
use crate::unfinished::{Holder, LineOf, Unfinished};
use crate::word::OwnerWord;
use crate::writer::Hold;
use atomic::Ordering::Relaxed;
use loom::thread::spawn;
use stage::{Stage, Writer, explore, with_lines};
use std::sync::Arc;

/// Two writers turn the page at every record, and find each other doing it; afterwards a reader sees every sequence once.
fn two_writers_and_a_page_turn() {
    const EXPECTED: &[&str] =
        &["a=0 1 b=2 | 0:a0 1:a1 2:b0", "a=0 2 b=1 | 0:a0 1:b0 2:a1", "a=1 2 b=0 | 0:b0 1:a0 2:a1"];
    explore(EXPECTED, || {
        let stage = Stage::new(4, 1);
        let (mut a, mut b, reader) = (stage.attach(1), stage.attach(2), stage.reader());
        let a = spawn(move || [a.append(0), a.append(1)]);
        let b = spawn(move || b.append(0));
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        format!("a={} b={b} | {}", a.join(" "), spawn(move || reader.look(4)).join().unwrap())
    });
}

/// Two writers find the same full page: one stops for ever at the end of its advance, or anywhere inside while the other
/// goes a lap on.
fn two_helpers_race_in_advance() {
    const EXPECTED: &[&str] =
        &["b=1 2 - | lost 0+1 1:b0 2:b1", "b=1 2 3 | lost 0+2 2:b1 3:b2", "b=1 2 3 | lost 0+3 3:b2"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 1);
        let (mut a, mut b, reader) = (stage.attach(1), stage.attach(2), stage.reader());
        a.append(0);
        let a = spawn(move || a.help());
        let b = spawn(move || [b.append(0), b.append(1), b.append(2)]);
        let (_, b) = (a.join().unwrap(), b.join().unwrap());
        format!("b={} | {}", b.join(" "), spawn(move || reader.look(4)).join().unwrap())
    });
}

/// A reader reads a page while its writer laps it: a whole record, or lost, and never a torn one.
fn lapped_reader() {
    const EXPECTED: &[&str] = &["lost 0+1 1:a1", "0:a0 1:a1"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 1);
        let (mut a, reader) = (stage.attach(1), stage.reader());
        (a.append(0), a.append(1));
        let a = spawn(move || a.append(2));
        let reader = spawn(move || reader.look(2));
        a.join().unwrap();
        reader.join().unwrap()
    });
}

/// A reader that comes in the middle of a page turn starts at a page that is there.
fn reader_joins_midway() {
    const EXPECTED: &[&str] = &["from 1: 1:a1", "from 0: 0:a0", "from 0: lost 0+1"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 1);
        let (mut a, mut reader) = (stage.attach(1), stage.reader());
        (a.append(0), a.append(1));
        let a = spawn(move || a.append(2));
        let reader = spawn(move || format!("from {}: {}", reader.join(), reader.look(1)));
        a.join().unwrap();
        reader.join().unwrap()
    });
}

/// A writer that stops anywhere inside its append keeps its page: with two pages the other one is refused, not let in.
fn stalled_writer_pins_its_page() {
    const EXPECTED: &[&str] = &[
        "a=0 b=1 - | 0:a0 1:b0",
        "a=0 b=1 2 | lost 0+1 1:b0 2:b1",
        "a=2 b=0 1 | lost 0+1 1:b1 2:a0",
        "a=1 b=0 2 | lost 0+1 1:a0 2:b1",
    ];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 1);
        let (mut a, mut b, reader) = (stage.attach(1), stage.attach(2), stage.reader());
        let a = spawn(move || a.append(0));
        let b = spawn(move || [b.append(0), b.append(1)]);
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        format!("a={a} b={} | {}", b.join(" "), spawn(move || reader.look(3)).join().unwrap())
    });
}

/// With more pages the others step over the page of a stalled writer, and its late commit harms nobody.
fn stalled_writer_is_stepped_over() {
    const EXPECTED: &[&str] =
        &["a=0 b=1 2 3 then 4 | lost 0+2 2:b1 3:b2 4:b3", "a=0 b=1 2 3 then 4 | lost 0+1 1:b0 2:b1 3:b2 4:b3"];
    explore(EXPECTED, || {
        let stage = Stage::new(4, 1);
        let (mut a, mut b, reader) = (stage.attach(1), stage.attach(2), stage.reader());
        let writers = spawn(move || {
            let mut others = None;
            let seq = a.append_in_two(0, |_| {
                let before = [b.append(0), b.append(1), b.append(2)].join(" ");
                others = Some(spawn(move || format!("{before} then {}", b.append(3))));
            });
            format!("a={} b={}", seq.unwrap(), others.unwrap().join().unwrap())
        });
        let writers = writers.join().unwrap();
        format!("{writers} | {}", spawn(move || reader.look(6)).join().unwrap())
    });
}

/// The hole rule: a writer dies before or after it commits. A committed record is read, another one is abandoned.
fn dead_writer_leaves_a_hole() {
    const EXPECTED: &[&str] = &["", "abandoned 0", "abandoned 0 1:b0"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 2);
        let (mut a, mut b, mut reader) = (stage.attach(1), stage.attach(2), stage.reader());
        a.reserve_and_stop();
        reader.cursor.patience.scan_after = 0;
        let a = spawn(move || a.stage.die(1));
        let b = spawn(move || b.append(0));
        let reader = spawn(move || reader.look(3));
        (a.join().unwrap(), b.join().unwrap());
        reader.join().unwrap()
    });
}

/// The hole rule's second look: whoever leaves a page has committed, so its record is never called abandoned. The reader is
/// one that spins: between HEAD and the writers it does not look at the entry, whose fence would do for both.
fn living_writer_leaves_no_hole() {
    living_writer(true);
}

/// The same for one that does, having asked HEAD first.
fn living_writer_leaves_no_hole_to_who_asks_head_first() {
    living_writer(false);
}

fn living_writer(is_eager: bool) {
    const EXPECTED: &[&str] = &["", "0:a0", "0:a0 1:a1"];
    explore(EXPECTED, move || {
        let stage = Stage::new(2, 3);
        let (mut a, mut reader) = (stage.attach(1), stage.reader());
        reader.cursor.patience.scan_after = 0;
        stage.with(|ring| reader.cursor.set_eager(ring, is_eager));
        let a = spawn(move || {
            (a.append(0), a.append(1));
            a.release();
        });
        let reader = spawn(move || reader.look(3));
        a.join().unwrap();
        reader.join().unwrap()
    });
}

/// A dead writer had committed, but not left the page; whoever takes its slot leaves it. That is no hole.
fn dead_writers_record_survives_its_slot() {
    const EXPECTED: &[&str] = &["", "0:a0"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 3);
        let (mut a, mut reader) = (stage.attach(1), stage.reader());
        reader.cursor.patience.scan_after = 0;
        let late = stage.clone();
        let a = spawn(move || {
            assert!(a.reserve_then(0, |_| (), |ring, _, place| ring.publish(&place)).is_ok());
            a.stage.die(1);
        });
        let c = spawn(move || drop(late.attach(3)));
        let reader = spawn(move || reader.look(2));
        (a.join().unwrap(), c.join().unwrap());
        reader.join().unwrap()
    });
}

/// The hole rule's second look again: a writer that is seen on the next page has committed on this one.
fn writer_on_the_next_page_leaves_no_hole() {
    const EXPECTED: &[&str] = &["", "0:a0"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 1);
        let (mut a, mut reader) = (stage.attach(1), stage.reader());
        reader.cursor.patience.scan_after = 0;
        let a = spawn(move || [a.append(0), a.append(1)]);
        let reader = spawn(move || reader.look(1));
        a.join().unwrap();
        reader.join().unwrap()
    });
}

/// The hole rule on a page that is lapped meanwhile: its entry belongs to another epoch, and that is no hole either.
fn lapped_page_leaves_no_hole() {
    const EXPECTED: &[&str] = &["lost 0+1", "0:a0", ""];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 1);
        let (mut a, mut reader) = (stage.attach(1), stage.reader());
        reader.cursor.patience.scan_after = 0;
        let writer = spawn(move || {
            let mut reading = None;
            let first = a.append_in_two(0, |_| reading = Some(spawn(move || reader.look(1))));
            (first.unwrap(), a.append(1), a.append(2));
            reading
        });
        writer.join().unwrap().unwrap().join().unwrap()
    });
}

/// A writer dies with an unfinished line, and another one frees his slot: who finds the slot free finds all of the line.
fn dead_writers_line_survives_its_slot() {
    const EXPECTED: &[&str] = &["last", "not yet"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 3);
        let a = stage.attach(1);
        let cells = Arc::new((LineHeader::free(), [Atomic::new(0)]));
        let holder = Holder::new(a.hold.slot, a.hold.owner);
        assert_eq!(with_lines(&cells, |lines| lines.claim(holder, 0)), Some(0));
        let (b, c, its) = (stage.clone(), stage.clone(), cells.clone());
        let a = spawn(move || {
            with_lines(&its, |lines| lines.store(0, 0, b"last", 0, (Level::INFO, Source::Api)));
            a.stage.die(1);
        });
        let b = spawn(move || b.with(|ring| ring.free_if_dead(0, OwnerWord::new(1, 0, 0, 0))));
        let c = spawn(move || {
            let mine = Holder::new(2, OwnerWord::new(3, 0, 0, 0));
            let left = c.with(|ring| with_lines(&cells, |lines| lines.take(ring, 0, mine)));
            match left {
                Some(left) => String::from_utf8(left.text).unwrap(),
                None if with_lines(&cells, |lines| lines.is_held(0, holder)) => "not yet".to_owned(),
                None => "lost".to_owned(),
            }
        });
        (a.join().unwrap(), b.join().unwrap());
        c.join().unwrap()
    });
}

/// Somebody attaches and begins a line while another one looks for lines of the dead: it is his own, and nobody reads it.
fn new_writers_line_is_his_own() {
    const EXPECTED: &[&str] = &["his own"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 3);
        let finder = stage.attach(2);
        let cells = Arc::new((LineHeader::free(), [Atomic::new(0)]));
        let (new, its, reader, seen) = (stage.clone(), cells.clone(), stage.clone(), cells.clone());
        let a = spawn(move || {
            let writer = new.attach(1);
            let holder = Holder::new(writer.hold.slot, writer.hold.owner);
            with_lines(&its, |lines| {
                assert_eq!(lines.claim(holder, 0), Some(0));
                lines.begin(0, &LineOf { pid: 1, tid: 1, uid: 0, comm: [0; 2] });
                lines.store(0, 0, b"half", 0, (Level::INFO, Source::Api));
            });
            holder
        });
        let b = spawn(move || {
            let mine = Holder::new(finder.hold.slot, finder.hold.owner);
            finder.stage.with(|ring| with_lines(&cells, |lines| lines.take(ring, 0, mine).is_some()))
        });
        let c = spawn(move || reader.with(|ring| with_lines(&seen, |lines| !lines.left(ring, false).is_empty())));
        let (_, taken, read) = (a.join().unwrap(), b.join().unwrap(), c.join().unwrap());
        if taken || read { format!("taken: {taken}, read: {read}") } else { "his own".to_owned() }
    });
}

/// A dead writer's line is appended by somebody who then begins one of his own in its place: a reader takes that for nobody's.
fn living_writers_line_is_nobody_elses() {
    const EXPECTED: &[&str] = &["last of 1", "nothing"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 3);
        let (a, b) = (stage.attach(1), stage.attach(2));
        let cells = Arc::new((LineHeader::free(), [Atomic::new(0)]));
        let [dead, mine] = [&a, &b].map(|writer| Holder::new(writer.hold.slot, writer.hold.owner));
        let say = |lines: &Unfinished<'_>, holder: Holder, pid: u32, text: &[u8]| {
            assert_eq!(lines.claim(holder, 0), Some(0));
            lines.begin(0, &LineOf { pid, tid: pid, uid: pid, comm: [pid.into(); 2] });
            lines.store(0, 0, text, 0, (Level::INFO, Source::Api));
        };
        with_lines(&cells, |lines| say(lines, dead, 1, b"last"));
        stage.die(1);
        let (its, reader) = (cells.clone(), stage.clone());
        let b = spawn(move || {
            b.stage.with(|ring| {
                with_lines(&its, |lines| {
                    assert!(lines.take(ring, 0, mine).is_some_and(|left| left.text == b"last"));
                    lines.free(0);
                    say(lines, mine, 2, b"next");
                })
            })
        });
        let c = spawn(move || {
            reader.with(|ring| {
                with_lines(&cells, |lines| {
                    let Some(left) = lines.left(ring, false).pop() else { return "nothing".to_owned() };
                    let of = left.of;
                    assert_eq!((of.tid, of.uid, of.comm), (of.pid, of.pid, [of.pid.into(); 2]), "of two lines");
                    format!("{} of {}", String::from_utf8(left.text).unwrap(), of.pid)
                })
            })
        });
        b.join().unwrap();
        c.join().unwrap()
    });
}

/// A dead writer's slot is freed by one and claimed by another: the counter goes on from what the dead one announced.
fn dead_writers_slot_changes_hands() {
    const EXPECTED: &[&str] = &["slot 0 after 1", "slot 1 after 0"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 3);
        let mut a = stage.attach(1);
        let (b, late) = (stage.clone(), stage.clone());
        let a = spawn(move || {
            a.reserve_and_stop();
            a.stage.die(1);
        });
        let b = spawn(move || b.with(|ring| ring.free_if_dead(0, OwnerWord::new(1, 0, 0, 0))));
        let c = spawn(move || {
            let c = late.attach(3);
            format!("slot {} after {}", c.hold.slot, c.hold.announced.counter())
        });
        (a.join().unwrap(), b.join().unwrap());
        c.join().unwrap()
    });
}

/// A slot that is given back and claimed again continues its counter.
fn released_slot_continues_its_counter() {
    const EXPECTED: &[&str] = &["two slots", "one slot, counter continued: true"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 3);
        let mut a = stage.attach(1);
        let late = stage.clone();
        let a = spawn(move || {
            a.append(0);
            let last = a.hold.announced;
            a.release();
            (a.hold.slot, last)
        });
        let b = spawn(move || {
            let mut b = late.attach(2);
            let first = b.hold.announced;
            b.append(0);
            (b.hold.slot, first)
        });
        let (a, b) = (a.join().unwrap(), b.join().unwrap());
        if a.0 != b.0 { "two slots".to_owned() } else { format!("one slot, counter continued: {}", a.1 == b.1) }
    });
}

/// A lease that two threads borrow in turn hands over what the first did with it.
fn lease_is_handed_over() {
    const EXPECTED: &[&str] = &["1 then 2", "2 then 1", "1 then -", "- then 1"];
    const GENERATION: u64 = 2;
    explore(EXPECTED, || {
        let pool = Arc::new(Pool::new(1));
        let stage = Stage::new(2, 3);
        let Writer { hold, .. } = stage.attach(1);
        assert!(matches!(pool.borrow_shared(GENERATION, 0), Some(Borrowed::Vacant(Spot::Shared(0)))));
        let hold = Hold { introduced: 1000, ..hold };
        pool.give_back(Spot::Shared(0), &Lease { hold, generation: GENERATION, lock: 0 });
        let borrow = move |pool: Arc<Pool>| {
            let Some(Borrowed::Lease(spot, mut lease)) = pool.borrow_shared(GENERATION, 0) else {
                return "-".to_owned();
            };
            lease.hold.introduced += 1;
            lease.hold.announced = lease.hold.announced.enter(1).idle();
            pool.give_back(spot, &lease);
            (lease.hold.introduced - 1000).to_string()
        };
        let threads = [pool.clone(), pool].map(|pool| spawn(move || borrow(pool)));
        threads.map(|thread| thread.join().unwrap()).join(" then ")
    });
}

/// A reader sets the bell, looks once more, and sleeps if the bell is still set; a writer commits and looks at the bell. Who
/// found it rung sets it anew, and sees what it was rung for. Nobody rings where the writer looked before the bell was set and
/// the reader before the commit got through: a fence on both sides would forbid that, a second look behind a bounded sleep
/// makes good for it.
fn sleeper_is_woken_or_looks_again() {
    const EXPECTED: &[&str] =
        &["awake: true", "rung before it slept: true", "woken: true", "never rung, second look: true"];
    explore(EXPECTED, || {
        let stage = Stage::new(2, 3);
        let (mut a, mut reader) = (stage.attach(1), stage.reader());
        reader.join();
        let a = spawn(move || a.append(0));
        let reader = spawn(move || {
            let set = || stage.with(|ring| bell::set(&ring.header.bell));
            set();
            if reader.peek() {
                return (reader, Some("awake: true".to_owned()));
            }
            // What futex(2) asks before it puts anybody to sleep.
            if stage.with(|ring| ring.header.bell.load(Relaxed)) == bell::SET {
                return (reader, None);
            }
            set();
            let outcome = format!("rung before it slept: {}", reader.peek());
            (reader, Some(outcome))
        });
        a.join().unwrap();
        let (reader, awake) = reader.join().unwrap();
        // Time has passed: whatever the writer did has got through.
        let later = spawn(move || {
            let is_rung = reader.stage.with(|ring| ring.header.bell.load(Relaxed)) != bell::SET;
            format!("{}: {}", if is_rung { "woken" } else { "never rung, second look" }, reader.peek())
        });
        let later = later.join().unwrap();
        awake.unwrap_or(later)
    });
}

/// Every model, by name.
const MODELS: &[(&str, fn())] = &[
    ("dead_writer_leaves_a_hole", dead_writer_leaves_a_hole),
    ("dead_writers_line_survives_its_slot", dead_writers_line_survives_its_slot),
    ("dead_writers_record_survives_its_slot", dead_writers_record_survives_its_slot),
    ("dead_writers_slot_changes_hands", dead_writers_slot_changes_hands),
    ("lapped_page_leaves_no_hole", lapped_page_leaves_no_hole),
    ("lapped_reader", lapped_reader),
    ("lease_is_handed_over", lease_is_handed_over),
    ("living_writer_leaves_no_hole", living_writer_leaves_no_hole),
    ("living_writer_leaves_no_hole_to_who_asks_head_first", living_writer_leaves_no_hole_to_who_asks_head_first),
    ("living_writers_line_is_nobody_elses", living_writers_line_is_nobody_elses),
    ("new_writers_line_is_his_own", new_writers_line_is_his_own),
    ("reader_joins_midway", reader_joins_midway),
    ("released_slot_continues_its_counter", released_slot_continues_its_counter),
    ("sleeper_is_woken_or_looks_again", sleeper_is_woken_or_looks_again),
    ("stalled_writer_is_stepped_over", stalled_writer_is_stepped_over),
    ("stalled_writer_pins_its_page", stalled_writer_pins_its_page),
    ("two_helpers_race_in_advance", two_helpers_race_in_advance),
    ("two_writers_and_a_page_turn", two_writers_and_a_page_turn),
    ("writer_on_the_next_page_leaves_no_hole", writer_on_the_next_page_leaves_no_hole),
];

/// Each label, and the model that fails when it is weakened. docs/PROTOCOL.md has the same pairs.
const NEEDED: &[(&str, &str)] = &[
    ("append:head", "stalled_writer_pins_its_page"),
    ("append:announce", "living_writer_leaves_no_hole"),
    ("append:reserve", "living_writer_leaves_no_hole"),
    ("append:fill", "reader_joins_midway"),
    ("append:commit", "living_writer_leaves_no_hole"),
    ("append:idle", "stalled_writer_is_stepped_over"),
    ("head:miss", "two_helpers_race_in_advance"),
    ("advance:free", "dead_writers_slot_changes_hands"),
    ("advance:announce", "writer_on_the_next_page_leaves_no_hole"),
    ("advance:recheck", "two_helpers_race_in_advance"),
    ("advance:base", "two_helpers_race_in_advance"),
    ("advance:open", "reader_joins_midway"),
    ("advance:idle", "two_helpers_race_in_advance"),
    ("claim:owner", "released_slot_continues_its_counter"),
    ("claim:idle", "dead_writers_record_survives_its_slot"),
    ("release:owner", "living_writer_leaves_no_hole"),
    ("bell:set", "sleeper_is_woken_or_looks_again"),
    ("bell:ring", "sleeper_is_woken_or_looks_again"),
    ("read:head", "living_writer_leaves_no_hole"),
    ("read:base", "reader_joins_midway"),
    ("read:entry", "living_writer_leaves_no_hole"),
    ("read:record", "reader_joins_midway"),
    ("hole:announce", "living_writer_leaves_no_hole"),
    ("hole:entry", "lapped_page_leaves_no_hole"),
    ("line:claim", "new_writers_line_is_his_own"),
    ("line:anew", "living_writers_line_is_nobody_elses"),
    ("line:owner", "dead_writers_line_survives_its_slot"),
    ("line:holder", "new_writers_line_is_his_own"),
    ("line:look", "living_writers_line_is_nobody_elses"),
    ("pool:borrow", "lease_is_handed_over"),
    ("pool:return", "lease_is_handed_over"),
];

/// Weakens `label` and tells how `model` failed, if it did.
fn failure_without(label: &'static str, model: fn()) -> Option<String> {
    weaken(Some(label));
    let result = std::panic::catch_unwind(model);
    weaken(None);
    let panic = result.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
}

#[test]
fn every_label_is_needed() {
    let mut idle = Vec::new();
    for &(label, name) in NEEDED {
        let (_, model) = MODELS.iter().find(|&&(known, _)| known == name).expect("a model of that name");
        match failure_without(label, *model) {
            Some(how) => println!("without {label:16} {name}: {}", how.lines().next().unwrap_or_default()),
            None => idle.push(label),
        }
    }
    assert!(idle.is_empty(), "their models do not fail without them: {idle:?}");
}

/// One test for each model, so that the test runner names it.
macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        mod explored {
            $(#[test] fn $name() { super::$name(); })*

            #[test]
            fn no_model_is_left_out() {
                let tested = [$(stringify!($name)),*];
                assert_eq!(tested.to_vec(), super::MODELS.iter().map(|&(name, _)| name).collect::<Vec<_>>());
            }
        }
    };
}

tests!(
    dead_writer_leaves_a_hole,
    dead_writers_line_survives_its_slot,
    dead_writers_record_survives_its_slot,
    dead_writers_slot_changes_hands,
    lapped_page_leaves_no_hole,
    lapped_reader,
    lease_is_handed_over,
    living_writer_leaves_no_hole,
    living_writer_leaves_no_hole_to_who_asks_head_first,
    living_writers_line_is_nobody_elses,
    new_writers_line_is_his_own,
    reader_joins_midway,
    released_slot_continues_its_counter,
    sleeper_is_woken_or_looks_again,
    stalled_writer_is_stepped_over,
    stalled_writer_pins_its_page,
    two_helpers_race_in_advance,
    two_writers_and_a_page_turn,
    writer_on_the_next_page_leaves_no_hole,
);

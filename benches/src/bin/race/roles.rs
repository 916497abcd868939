//! What the processes of a run do: the loops that are measured.

use crate::Result;
use crate::child::{Role, Work};
use crate::clock::{now, stamp, stamp_ns};
use crate::peer::{LEN, MANY, Measure, Peer, Read, Write};
use lapwing_benches::cores::pin;
use std::hint::{black_box, spin_loop};
use std::sync::{Barrier, OnceLock};

/// Records that go through before anything is counted: a ring of 16 MiB is all around by then.
const WARM: usize = 160_000;
/// And for so long at most.
const WARM_NS: u64 = 400_000_000;
/// How long what is timed takes, about.
const TIMED_NS: u64 = 100_000_000;
/// Records between two looks at the clock: of one writer alone, and of one among others.
const BATCH: usize = 1000;
const LOOK: u64 = 100;
/// From one record to the next that keep a reader awake.
const SELDOM_NS: u64 = 20_000;
/// Records of a latency measurement, and the time from one to the next.
const SAMPLES: usize = 10_000;
const PERIOD_NS: u64 = 10_000;
/// The first tenth is not counted.
const UNCOUNTED: usize = SAMPLES / 10;
/// How long a reader waits for the end of what writers sent.
const PATIENCE_NS: u64 = 15_000_000_000;

/// First bytes of records: those that warm, that count, that carry a stamp, and a writer's last.
const WARMS: u8 = b'w';
const COUNTS: u8 = b'x';
const STAMPED: u8 = b's';
const LAST: u8 = b'e';

/// Answers: what a writer's records took and how many these were; from when to when; when a reader had the last; how many it
/// got, and how many it was told were lost; how many the channel dropped of what writers appended; how late each was.
pub const TOOK_NS: &str = "took-ns";
pub const WROTE: &str = "wrote";
pub const BEGAN: &str = "began";
pub const ENDED: &str = "ended";
pub const READ_UNTIL: &str = "read-until";
pub const GOT: &str = "got";
pub const LOST: &str = "lost";
pub const DROPPED: &str = "dropped";
pub const LATE_NS: &str = "late-ns";

/// The numbers behind a word.
type Answer = (&'static str, Vec<u64>);

/// A process's part in a run.
pub fn work<P: Peer>(work: &mut Work) -> Result<()> {
    let channel = P::open(&work.place)?;
    let (measure, cpu) = (work.measure, work.cpus.first().copied());
    let answers = match work.role {
        Role::All => all::<P>(work, &channel)?,
        Role::Writer => writer::<P>(&channel, measure, cpu, &mut || work.start())?,
        Role::Reader => reader::<P>(&channel, measure, cpu, &mut || work.report.say("ready", &[]))?,
    };
    for (word, numbers) in answers {
        work.report.say(word, &numbers)?;
    }
    work.report.say("done", &[])
}

/// Every part in a thread of this process.
fn all<P: Peer>(work: &mut Work, channel: &P::Channel) -> Result<Vec<Answer>> {
    let (measure, cpus) = (work.measure, work.cpus.clone());
    let writers = if let Measure::Writers(count) = measure { count } else { 1 };
    let (ready, opened, begin) = (Barrier::new(writers + 1), Barrier::new(2), OnceLock::new());
    let start = || {
        ready.wait();
        Ok(*begin.wait())
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::new();
        if is_read::<P>(measure) {
            let cpu = (!matches!(measure, Measure::Writers(_))).then(|| cpus[1]);
            let opened = &opened;
            threads.push(scope.spawn(move || {
                or_exit(reader::<P>(channel, measure, cpu, &mut || {
                    opened.wait();
                    Ok(())
                }))
            }));
            opened.wait();
        }
        for &cpu in &cpus[..writers] {
            let start = &start;
            threads.push(scope.spawn(move || or_exit(writer::<P>(channel, measure, Some(cpu), &mut || start()))));
        }
        ready.wait();
        begin.set(work.start()?).expect("it is set here alone");
        Ok(threads.into_iter().flat_map(|thread| thread.join().expect("a thread that ends the process")).collect())
    })
}

/// Whether a reader takes part: for its own sake, or since writers would wait for it.
fn is_read<P: Peer>(measure: Measure) -> bool {
    match measure {
        Measure::Append | Measure::AppendMeta => false,
        Measure::Writers(_) => P::HOLDS.is_some_and(|records| records < MANY),
        Measure::Deliver | Measure::Latency => true,
    }
}

/// Nobody waits for a thread that has failed: the others would at their barrier.
fn or_exit<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("\n{error}");
        std::process::exit(1)
    })
}

fn writer<P: Peer>(
    channel: &P::Channel,
    measure: Measure,
    cpu: Option<usize>,
    start: &mut dyn FnMut() -> Result<u64>,
) -> Result<Vec<Answer>> {
    if let Some(cpu) = cpu {
        pin(cpu);
    }
    let is_read = is_read::<P>(measure);
    let open = if is_read { P::writer } else { P::alone };
    let mut writer = open(channel, measure != Measure::Append)?;
    // Nobody has to settle what somebody reads.
    let holds = P::HOLDS.filter(|_| !is_read);
    warm(&mut writer, holds);
    let begin = start()?;
    let before = writer.dropped();
    let mut answers = match measure {
        Measure::Append | Measure::AppendMeta => {
            wait(begin);
            append(&mut writer, holds.unwrap_or(BATCH).min(BATCH))
        }
        Measure::Writers(count) => flat_out(&mut writer, begin, holds.map(|records| records / count)),
        Measure::Deliver => {
            keep_up(&mut writer, begin);
            flat_out(&mut writer, begin, None)
        }
        Measure::Latency => {
            paced(&mut writer, begin);
            vec![]
        }
    };
    answers.extend(before.zip(writer.dropped()).map(|(before, after)| (DROPPED, vec![after - before])));
    Ok(answers)
}

/// Goes through what a first use costs: pages, caches, whatever is made at the first call.
fn warm(writer: &mut impl Write, holds: Option<usize>) {
    let payload = black_box([WARMS; LEN]);
    let until = now() + WARM_NS;
    let burst = holds.unwrap_or(BATCH).min(BATCH);
    let mut wrote = 0;
    while wrote < WARM && now() < until {
        for _ in 0..burst {
            writer.append(&payload);
        }
        wrote += burst;
        if holds.is_some() {
            writer.settle();
        }
    }
}

/// Bursts of so many records, each timed.
fn append(writer: &mut impl Write, burst: usize) -> Vec<Answer> {
    let payload = [COUNTS; LEN];
    let (mut took, mut wrote) = (0, 0);
    let until = now() + 2 * TIMED_NS;
    while took < TIMED_NS && now() < until {
        let since = now();
        for _ in 0..burst {
            writer.append(black_box(&payload));
        }
        took += now() - since;
        wrote += burst as u64;
        writer.settle();
    }
    vec![(TOOK_NS, vec![took]), (WROTE, vec![wrote])]
}

/// A record that does not count now and then until it begins: how long a reader takes to wake up, and a processor, is not asked.
fn keep_up(writer: &mut impl Write, begin: u64) {
    while now() + SELDOM_NS < begin {
        writer.append(&[WARMS; LEN]);
        wait(now() + SELDOM_NS);
    }
}

/// As many records as go into the time, or as the channel holds; then the last one.
fn flat_out(writer: &mut impl Write, begin: u64, holds: Option<usize>) -> Vec<Answer> {
    let payload = [COUNTS; LEN];
    wait(begin);
    let until = begin + TIMED_NS;
    let (mut wrote, mut ended) = (0, begin);
    let most = holds.map_or(u64::MAX, |records| records as u64 - 1);
    while ended < until && wrote < most {
        let part = (most - wrote).min(LOOK);
        for _ in 0..part {
            writer.append(black_box(&payload));
        }
        wrote += part;
        ended = now();
    }
    writer.append(&[LAST; LEN]);
    vec![(WROTE, vec![wrote]), (BEGAN, vec![begin]), (ENDED, vec![ended])]
}

/// A stamped record each period; then the last one.
fn paced(writer: &mut impl Write, begin: u64) {
    let mut payload = [STAMPED; LEN];
    for sample in 0..SAMPLES as u64 {
        wait(begin + sample * PERIOD_NS);
        payload[8..16].copy_from_slice(&stamp().to_le_bytes());
        writer.append(black_box(&payload));
    }
    wait(begin + SAMPLES as u64 * PERIOD_NS);
    writer.append(&[LAST; LEN]);
}

fn wait(until: u64) {
    while now() < until {
        spin_loop();
    }
}

/// What a reader has heard.
struct Heard {
    /// Writers whose last record has not come.
    left: usize,
    got: u64,
    /// Stamps from each record to its being read.
    late: Vec<u64>,
}

impl Heard {
    fn hear(&mut self, bytes: &[u8]) {
        match bytes.first() {
            Some(&COUNTS) => self.got += 1,
            Some(&STAMPED) => {
                let read = stamp();
                self.got += 1;
                let stamped = bytes[8..16].try_into().map(u64::from_le_bytes).expect("eight bytes");
                self.late.push(read.saturating_sub(stamped));
            }
            Some(&LAST) => self.left -= 1,
            _ => {}
        }
    }
}

/// Reads from before the writers are warm, since these may wait for a reader, to the last record of each.
fn reader<P: Peer>(
    channel: &P::Channel,
    measure: Measure,
    cpu: Option<usize>,
    ready: &mut dyn FnMut() -> Result<()>,
) -> Result<Vec<Answer>> {
    if let Some(cpu) = cpu {
        pin(cpu);
    }
    let ns = stamp_ns();
    let mut reader = P::reader(channel)?;
    let spins = measure == Measure::Latency;
    if spins {
        reader.set_spin();
    }
    ready()?;
    let left = if let Measure::Writers(count) = measure { count } else { 1 };
    let mut heard = Heard { left, got: 0, late: Vec::with_capacity(SAMPLES) };
    let until = now() + PATIENCE_NS;
    let mut turn = 0u32;
    while heard.left > 0 {
        if reader.poll(|bytes| heard.hear(bytes)) == 0 {
            if spins { reader.spin() } else { reader.idle() }
        }
        turn = turn.wrapping_add(1);
        if turn.is_multiple_of(1024) && now() > until {
            return Err(format!("a writer's last record has not come; {} others have", heard.got).into());
        }
    }
    let mut answers = vec![(READ_UNTIL, vec![now()]), (GOT, vec![heard.got])];
    answers.extend(reader.lost().map(|lost| (LOST, vec![lost])));
    if spins {
        answers.push((LATE_NS, heard.late.iter().skip(UNCOUNTED).map(|&late| (late as f64 * ns) as u64).collect()));
    }
    Ok(answers)
}

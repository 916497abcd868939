//! What the other processes do: write, read, stand still.

use crate::desk::Place;
use crate::starts;
use lapwing_benches::median::quantile;
use lapwing_benches::ticks;
use lapwing_ring::{Level, Read, Reader, Record, Seek, Writer};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

/// The record behind which nothing comes.
const END: Level = Level::EMERG;

/// Records between two looks at the clock of who appends at a rate.
const BURST: u64 = 16;

/// `CORE DESK ROLE ARGUMENTS`.
pub(crate) fn begin(arguments: &[String]) {
    let [core, desk, role, rest @ ..] = arguments else { panic!("work CORE DESK ROLE ..") };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    if let ("start", [ring, what]) = (role.as_str(), &rest[..]) {
        return starts::start(core, desk, ring, what);
    }
    let place = Place::take(core, desk);
    match (role.as_str(), &rest[..]) {
        ("write", [ring, count]) => write(&place, Path::new(ring), number(count)),
        ("write-at", [ring, rate, millis]) => write_at(&place, Path::new(ring), number(rate), number(millis)),
        ("follow", [ring]) => follow(&place, Path::new(ring)),
        ("spin", [ring]) => spin(&place, Path::new(ring)),
        ("loiter", [ring, millis]) => loiter(&place, Path::new(ring), number(millis)),
        other => panic!("no such work: {other:?}"),
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

/// A writer that has been all around the ring.
fn warm(ring: &Path) -> Writer {
    let mut writer = Writer::open(ring).expect("the ring");
    for _ in 0..lapwing_benches::SIZE / 1000 {
        writer.append(Level::INFO, &[0; 1000]).expect("a record");
    }
    writer
}

/// Appends so many records as fast as it can; says what each took.
fn write(place: &Place, ring: &Path, count: u64) {
    let mut writer = warm(ring);
    place.await_go();
    let since = Instant::now();
    for _ in 0..count {
        writer.append(Level::INFO, black_box(&[b'x'; 100])).expect("a record");
    }
    let ns = since.elapsed().as_secs_f64() * 1e9 / count as f64;
    end(&mut writer);
    place.say("ns", &[ns]);
}

/// Appends at this rate, each record with the time in front; says what it came to.
fn write_at(place: &Place, ring: &Path, rate: u64, millis: u64) {
    let mut writer = warm(ring);
    let ns_per_tick = ns_per_tick();
    let burst = if rate > 1_000_000 { BURST } else { 1 };
    let count = rate * millis / 1000 / burst;
    let pace = 1e9 * burst as f64 / rate as f64 / ns_per_tick;
    let mut record = [b'x'; 100];
    place.await_go();
    let begin = ticks();
    for n in 0..count {
        while (ticks() - begin) as f64 <= n as f64 * pace {}
        for _ in 0..burst {
            record[..8].copy_from_slice(&ticks().to_le_bytes());
            writer.append(Level::INFO, black_box(&record)).expect("a record");
        }
    }
    let seconds = (ticks() - begin) as f64 * ns_per_tick / 1e9;
    end(&mut writer);
    place.say("rate", &[(count * burst) as f64 / seconds]);
}

/// Late enough that whoever follows is not lapped by it.
fn end(writer: &mut Writer) {
    std::thread::sleep(Duration::from_millis(20));
    writer.append(END, b"the end.").expect("a record");
}

/// A reader that has been once through all of the ring, so that no first touch is measured.
fn attached(ring: &Path) -> Reader {
    let mut reader = Reader::open(ring).expect("the ring");
    reader.batch(usize::MAX, |_| ControlFlow::Continue(())).expect("the ring");
    reader
}

/// Follows to the end as most programs do, and says how many records it got each second and how many it lost.
fn follow(place: &Place, ring: &Path) {
    let mut reader = attached(ring);
    place.await_go();
    reader.seek(Seek::Newest).expect("the ring");
    let before = reader.counts().read;
    let (mut first, mut last, mut is_over) = (None, Instant::now(), false);
    while !is_over {
        let each = |read: Read<'_>| {
            let Read::Record(record) = read else { return ControlFlow::Continue(()) };
            if record.level == END {
                is_over = true;
                return ControlFlow::Break(());
            }
            black_box(record.payload);
            first.get_or_insert_with(Instant::now);
            ControlFlow::Continue(())
        };
        if reader.batch(usize::MAX, each).expect("the ring") > usize::from(is_over) {
            last = Instant::now();
        }
        if !is_over {
            reader.pause();
        }
    }
    let seconds = last.duration_since(first.expect("a record")).as_secs_f64();
    report(place, &reader, before, seconds);
}

/// Follows to the end without ever sleeping; says how long after the time in front of them it had the records, ns.
fn spin(place: &Place, ring: &Path) {
    let mut reader = attached(ring);
    reader.set_spin(true);
    let ns_per_tick = ns_per_tick();
    let mut late = Vec::with_capacity(1 << 20);
    place.await_go();
    reader.seek(Seek::Newest).expect("the ring");
    let before = reader.counts().read;
    let (since, mut is_over) = (Instant::now(), false);
    let mut take = |record: Record<'_>| {
        let now = ticks();
        let stamp = u64::from_le_bytes(record.payload[..8].try_into().expect("eight bytes"));
        late.push(now.wrapping_sub(stamp) as f64 * ns_per_tick);
        record.level == END
    };
    while !is_over {
        let mut is_any = false;
        while !is_over && let Some(record) = reader.next_record() {
            (is_any, is_over) = (true, take(record));
        }
        if !is_any && let Read::Record(record) = reader.next().expect("the ring") {
            is_over = take(record);
        } else if !is_over {
            reader.pause();
        }
    }
    late.pop();
    report(place, &reader, before, since.elapsed().as_secs_f64());
    place.say("late", &[50, 90, 99].map(|percent| quantile(&late, percent).expect("a record")));
}

/// `before`: what it had read when it began to count; the last record is not counted either.
fn report(place: &Place, reader: &Reader, before: u64, seconds: f64) {
    let counts = reader.counts();
    place.say("got", &[(counts.read - before - 1) as f64 / seconds, (counts.lost + counts.stalled) as f64]);
}

/// Reads a record each so many milliseconds, until it is killed; 0: one, and then it is stopped.
fn loiter(place: &Place, ring: &Path, millis: u64) {
    let mut reader = Reader::open(ring).expect("the ring");
    let _ = black_box(reader.next().expect("the ring"));
    place.ready();
    if millis == 0 {
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP).expect("a stop");
    }
    loop {
        std::thread::sleep(Duration::from_millis(millis.max(1)));
        let _ = black_box(reader.next().expect("the ring"));
    }
}

/// How long a tick of [`ticks`] is.
pub(crate) fn ns_per_tick() -> f64 {
    let (since, begin) = (Instant::now(), ticks());
    std::thread::sleep(Duration::from_millis(20));
    since.elapsed().as_secs_f64() * 1e9 / (ticks() - begin) as f64
}

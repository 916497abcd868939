//! `lapwing tail -f`: what comes from now on, from one ring or several, until it is interrupted or `--until` is past.

use super::args::TailArgs;
use super::merge::{Held, Sink, walk};
use super::output::Output;
use super::places::Places;
use super::source::Source;
use crate::failure::{Failure, say};
use crate::last_words;
use crate::watch::Watch;
use lapwing_reader_shim::{Filter, Progress};
use lapwing_ring::{Location, Reader};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The longest pause where several rings are followed.
const AMONG_OTHERS: Duration = Duration::from_millis(6);
/// The same for who never sleeps, and looks at the first of them alone meanwhile.
const SPINNING_AMONG_OTHERS: Duration = Duration::from_micros(1);
/// Steps along one ring before the next one has its turn.
const TURN: u32 = 256;

pub fn follow(
    args: &TailArgs,
    locations: &[Location],
    sources: &mut [Source],
    filter: &Filter,
    output: &mut Output,
    places: Option<&Places>,
) -> Result<(), Failure> {
    if sources.iter().all(|source| source.follow.reader().identity().saved_ns.is_some()) {
        output.flush().map_err(Failure::Output)?;
        say("this is a saved ring: nothing more will come");
        return Ok(());
    }
    if args.since.is_none_or(|since| since <= now()) {
        // Whatever is overwritten from here on was there to be read.
        sources.iter_mut().for_each(|source| source.gate.count_all());
    }
    let is_one = sources.len() == 1;
    let mut watches: Vec<Watch<'_>> = locations.iter().map(Watch::new).collect();
    let mut held = Held::new(sources.len());
    loop {
        let mut moved = false;
        held.begin();
        for (ring, source) in sources.iter_mut().enumerate() {
            for _ in 0..TURN {
                let progress = source.step(filter, |renderer, item| match is_one {
                    true => output.item(ring, renderer, item),
                    false => held.take(ring, renderer, item),
                })?;
                if progress != Progress::Moved {
                    break;
                }
                moved = true;
            }
        }
        held.release(output).map_err(Failure::Output)?;
        held.passed(sources).for_each(|(ring, seq)| output.passed(ring, seq));
        if moved { output.flush_in_time() } else { output.flush() }.map_err(Failure::Output)?;
        if args.until.is_some_and(|until| until < now()) {
            held.release_all(output).map_err(Failure::Output)?;
            return finish(sources, filter, output);
        }
        for ring in 0..sources.len() {
            if !watches[ring].is_time() {
                continue;
            }
            if ring == 0 && output.is_deserted() {
                return Err(Failure::Output(io::ErrorKind::BrokenPipe.into()));
            }
            let Some(mut reader) = look_around(&mut watches[ring], sources[ring].follow.reader()) else { continue };
            held.release_all(output).map_err(Failure::Output)?;
            // Who still has the old ring open may append to it for ever: this far, and no further.
            let (_, end) = sources[ring].bounds()?;
            walk(&mut sources[ring..=ring], &[end], filter, &mut Sink::Output(output))?;
            output.flush().map_err(Failure::Output)?;
            watches[ring].say_replaced(sources[ring].follow.reader().counts());
            reader.set_spin(args.spin);
            sources[ring].replace(reader)?;
            output.passed(ring, 0);
            if let Some(places) = places {
                places.replace(ring, sources[ring].follow.reader().identity().ring_id);
            }
        }
        if !moved {
            // The others ring another bell.
            let limit = match (is_one, args.spin) {
                (true, _) => Duration::MAX,
                (false, false) => AMONG_OTHERS,
                (false, true) => SPINNING_AMONG_OTHERS,
            };
            sources[0].follow.pause_at_most(limit);
        }
    }
}

/// What a follower does now and then: sees to the last words of the dead, and to the ring's name.
fn look_around(watch: &mut Watch<'_>, reader: &Reader) -> Option<Reader> {
    last_words::append(reader);
    watch.successor(reader)
}

/// The rest of what was there when the time was past.
fn finish(sources: &mut [Source], filter: &Filter, output: &mut Output) -> Result<(), Failure> {
    let ends: Result<Vec<u64>, Failure> = sources.iter().map(|source| Ok(source.bounds()?.1)).collect();
    walk(sources, &ends?, filter, &mut Sink::Output(output))
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX)
}

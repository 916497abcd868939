//! Which part of each ring is shown before there is anything to follow.

use super::args::TailArgs;
use super::merge::{Sink, walk};
use super::output::Output;
use super::source::Source;
use super::window::Window;
use crate::args::Lines;
use crate::failure::Failure;
use lapwing_reader_shim::Filter;

/// What `-f` shows first when nothing else says.
const LAST_BEFORE_FOLLOWING: usize = 10;

/// How much further back is looked when too little was found: one record in so many is wanted, as a guess.
const SELDOM: u64 = 8;
const SHORTEST_SEARCH: u64 = 4096;

/// Where the walk along one ring begins and ends.
struct Part {
    /// The first sequence that is asked for.
    oldest: u64,
    end: u64,
}

impl Part {
    /// So many sequences in front of its end, as far as there are so many.
    fn near(&self, span: u64) -> u64 {
        self.end.saturating_sub(span).max(self.oldest)
    }
}

/// Shows what is there, up to where each ring ended when this was called, however fast writers are.
pub fn show(args: &TailArgs, sources: &mut [Source], filter: &Filter, output: &mut Output) -> Result<(), Failure> {
    let resumed = sources.iter().any(|source| source.gate.resume_at.is_some());
    let lines = match args.lines {
        // Where one ring is gone on with, the others are shown as they are.
        _ if resumed => None,
        None if args.follow && args.from_seq.is_none() && args.since.is_none() => {
            Some(Lines::Last(LAST_BEFORE_FOLLOWING))
        }
        lines => lines,
    };
    let mut parts = Vec::new();
    for source in sources.iter_mut() {
        parts.push(part(args, source, lines, resumed)?);
    }
    let ends: Vec<u64> = parts.iter().map(|part| part.end).collect();
    let oldest: Vec<u64> = parts.iter().map(|part| part.oldest).collect();
    for (ring, &seq) in oldest.iter().enumerate() {
        output.passed(ring, seq);
    }
    let count = match lines {
        Some(Lines::Last(count)) => count,
        _ if args.reverse => usize::MAX,
        _ => {
            start(sources, &oldest)?;
            return walk(sources, &ends, filter, &mut Sink::Output(output));
        }
    };
    // Most of the last ones lie near the end, and what was searched in vain is little against what is searched next.
    let mut span = match filter.is_empty() && args.until.is_none() {
        true => count as u64,
        false => (count as u64).saturating_mul(SELDOM).max(SHORTEST_SEARCH),
    };
    let mut starts: Vec<u64> = parts.iter().map(|part| part.near(span)).collect();
    let window = loop {
        let window = collect(sources, &starts, &ends, &oldest, filter, count)?;
        span = span.saturating_mul(SELDOM).max(SHORTEST_SEARCH);
        let further = |(ring, part): (usize, &Part)| match window.has_enough_of(ring) {
            true => starts[ring],
            false => part.near(span),
        };
        // Sequences that hold no record, or none that is wanted, do not count.
        let next: Vec<u64> = parts.iter().enumerate().map(further).collect();
        if next == starts {
            break window;
        }
        starts = next;
    };
    window.write(output, args.reverse).map_err(Failure::Output)?;
    for (ring, source) in sources.iter().enumerate() {
        output.passed(ring, source.passed());
    }
    Ok(())
}

fn part(args: &TailArgs, source: &mut Source, lines: Option<Lines>, resumed: bool) -> Result<Part, Failure> {
    let (oldest, end) = source.bounds()?;
    if let Some(seq) = source.gate.resume_at {
        source.gate.from_seq = seq;
        return Ok(Part { oldest: seq, end });
    }
    let from = args.from_seq.unwrap_or(0);
    source.gate.from_seq = from;
    source.gate.from_start = lines.is_none() && args.since.is_none() && !resumed;
    if source.gate.from_start {
        return Ok(Part { oldest: from, end });
    }
    let since = source.first_since()?.unwrap_or(oldest);
    Ok(Part { oldest: oldest.max(from).max(since), end })
}

fn start(sources: &mut [Source], seqs: &[u64]) -> Result<(), Failure> {
    sources.iter_mut().zip(seqs).try_for_each(|(source, &seq)| {
        source.gate.begin();
        source.start_at(seq)
    })
}

/// The last `count` wanted records between `starts` and `ends`.
fn collect(
    sources: &mut [Source],
    starts: &[u64],
    ends: &[u64],
    oldest: &[u64],
    filter: &Filter,
    count: usize,
) -> Result<Window, Failure> {
    let mut window = Window::new(count, sources.len(), starts != oldest);
    start(sources, starts)?;
    walk(sources, ends, filter, &mut Sink::Window(&mut window))?;
    Ok(window)
}

//! `lapwing tail`: which part of the log, and what becomes of each record.

use crate::args::{Lines, TailArgs};
use crate::failure::{DAMAGED, Failure, LOSS, NOTHING_MATCHED, say};
use crate::last_words;
use crate::watch::Watch;
use lapwing_reader_shim::{Filter, Follow, FollowError, Item, Loss, LossKind, Progress, Renderer};
use lapwing_ring::{Location, Purpose, ReadError, Reader, Record};
use lapwing_writer_shim::pump::through;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

/// No longer is waited for what pumps have not yet passed on.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// What `-f` shows first when nothing else says.
const LAST_BEFORE_FOLLOWING: usize = 10;
const OUTPUT_BUFFER: usize = 64 << 10;

pub fn tail(args: &TailArgs) -> Result<ExitCode, Failure> {
    let location = args.ring.location(Purpose::Read);
    // Of a program that has just ended: whoever waited for it wants to see all of it.
    through::wait_for_ended(location.path(), ON_THE_WAY);
    let mut reader = location.open_reader()?;
    reader.set_spin(args.spin);
    last_words::append(&reader);
    let path = reader.path().to_owned();
    let filter = Filter {
        levels: args.levels.clone(),
        pattern: args.pattern.clone(),
        pid: args.pid,
        tag: args.tag.as_ref().map(|tag| tag.as_bytes().to_vec()),
    };
    let filtered = !filter.is_empty();
    let mut output = Output::new(args, filter).map_err(Failure::Output)?;
    let mut follow = Follow::new(reader);
    let shown = show(args, &location, &mut follow, &mut output);
    // What was read before an error is worth as much as without one.
    let flushed = output.out.flush();
    shown.map_err(Failure::follow(path))?;
    flushed.map_err(Failure::Output)?;
    last_words::say_left(follow.reader());
    Ok(match output {
        Output { damaged: true, .. } => ExitCode::from(DAMAGED),
        Output { losses: 1.., .. } if args.fail_on_loss => ExitCode::from(LOSS),
        Output { records: 0, .. } if filtered => ExitCode::from(NOTHING_MATCHED),
        _ => ExitCode::SUCCESS,
    })
}

fn show(args: &TailArgs, location: &Location, follow: &mut Follow, output: &mut Output) -> Result<(), FollowError> {
    let bounds = follow.bounds()?;
    // Without -f this is the end, however fast writers are.
    let end = bounds.next_seq;
    let oldest = bounds.oldest_seq.max(args.from_seq.unwrap_or(0));
    let lines = match args.lines {
        None if args.follow && args.from_seq.is_none() => Some(Lines::Last(LAST_BEFORE_FOLLOWING)),
        lines => lines,
    };
    output.overwritten_counts = lines.is_none();
    match lines {
        Some(Lines::Last(count)) => {
            let near = end.saturating_sub(count as u64).max(oldest);
            let start = if output.filter.is_empty() { near } else { oldest };
            let mut window = collect(follow, output, start, end, count)?;
            // Sequences that hold no record do not count, so it can take more of them.
            if window.records < count && start > oldest {
                window = collect(follow, output, oldest, end, count)?;
            }
            window.write(output, args.reverse)?;
        }
        Some(Lines::All) | None => {
            let start = if lines.is_some() { oldest } else { args.from_seq.unwrap_or(0) };
            if args.reverse {
                collect(follow, output, start, end, usize::MAX)?.write(output, true)?;
            } else {
                follow.start_at(start)?;
                walk(follow, end, |item| output.item(item))?;
            }
        }
    }
    if !args.follow {
        return Ok(());
    }
    if follow.reader().identity().saved_ns.is_some() {
        output.out.flush()?;
        say("this is a saved ring: nothing more will come");
        return Ok(());
    }
    // Whatever is overwritten from here on was there to be read.
    output.overwritten_counts = true;
    let mut watch = Watch::new(location);
    let mut steps = 0u32;
    loop {
        let waiting = follow.step(|item| output.item(item))? != Progress::Moved;
        if waiting {
            output.out.flush()?;
        }
        steps = steps.wrapping_add(1);
        if (waiting || steps.is_multiple_of(256))
            && watch.is_time()
            && let Some(mut reader) = look_around(&mut watch, follow.reader())
        {
            // Who still has the old ring open may append to it for ever: this far, and no further.
            let end = follow.bounds()?.next_seq;
            walk(follow, end, |item| output.item(item))?;
            output.out.flush()?;
            watch.say_replaced(follow.reader().counts());
            reader.set_spin(args.spin);
            *follow = Follow::new(reader);
            follow.start_at(0)?;
            output.from_seq = 0;
            continue;
        }
        if waiting {
            follow.pause();
        }
    }
}

/// What a follower does now and then: sees to the last words of the dead, and to the ring's name.
fn look_around(watch: &mut Watch<'_>, reader: &Reader) -> Option<Reader> {
    last_words::append(reader);
    watch.successor(reader)
}

/// Walks to `end`, waiting for records in flight before it.
fn walk(follow: &mut Follow, end: u64, mut each: impl FnMut(Item<'_>) -> io::Result<()>) -> Result<(), FollowError> {
    while follow.seq() < end {
        match follow.step(&mut each)? {
            Progress::Moved => {}
            Progress::Waiting => follow.pause(),
            // Sequences are never taken back.
            Progress::End => {
                let what = "it ends before a sequence that it had reserved";
                return Err(ReadError::Damaged { seq: follow.seq(), what }.into());
            }
        }
    }
    Ok(follow.finish(each)?)
}

/// The last `count` wanted records from `start` to `end`.
fn collect(
    follow: &mut Follow,
    output: &mut Output,
    start: u64,
    end: u64,
    count: usize,
) -> Result<Window, FollowError> {
    let mut window = Window { count, records: 0, cut: count == 0, entries: VecDeque::new() };
    follow.start_at(start)?;
    walk(follow, end, |item| {
        window.take(output, item);
        Ok(())
    })?;
    Ok(window)
}

/// The last records, and the losses between them.
struct Window {
    count: usize,
    records: usize,
    /// Something in front was dropped.
    cut: bool,
    entries: VecDeque<Entry>,
}

enum Entry {
    Record(Vec<u8>),
    Loss(Loss),
}

impl Window {
    fn take(&mut self, output: &mut Output, item: Item<'_>) {
        match item {
            Item::Damage(error) => return output.damage(error),
            Item::Loss(loss) if output.counts(&loss) => self.entries.push_back(Entry::Loss(loss)),
            Item::Record(record, who) if output.wants(&record) => {
                let mut line = Vec::new();
                output.renderer.record(&mut line, &record, &who);
                self.entries.push_back(Entry::Record(line));
                self.records += 1;
            }
            _ => return,
        }
        while self.records > self.count {
            self.cut = true;
            if let Some(Entry::Record(_)) = self.entries.pop_front() {
                self.records -= 1;
            }
        }
        // What was lost in front of the first record that is shown is not part of what is shown.
        while self.cut && matches!(self.entries.front(), Some(Entry::Loss(_))) {
            self.entries.pop_front();
        }
    }

    fn write(mut self, output: &mut Output, reverse: bool) -> io::Result<()> {
        if reverse {
            self.entries.make_contiguous().reverse();
        }
        for entry in self.entries {
            match entry {
                Entry::Record(line) => output.record(&line)?,
                Entry::Loss(loss) => output.loss(&loss)?,
            }
        }
        Ok(())
    }
}

/// Where wanted records go, and how many they were.
struct Output {
    filter: Filter,
    renderer: Renderer,
    out: BufWriter<File>,
    line: Vec<u8>,
    from_seq: u64,
    /// Is what was overwritten before the first record a loss? Not where only what exists was asked for.
    overwritten_counts: bool,
    records: u64,
    losses: u64,
    /// A damaged record was met.
    damaged: bool,
}

impl Output {
    fn new(args: &TailArgs, filter: Filter) -> io::Result<Self> {
        let stdout = io::stdout();
        let to_terminal = stdout.is_terminal();
        // Not through std's own buffer, which looks for the end of every line.
        let file = File::from(stdout.as_fd().try_clone_to_owned()?);
        Ok(Self {
            filter,
            renderer: Renderer::new(args.output, to_terminal),
            out: BufWriter::with_capacity(OUTPUT_BUFFER, file),
            line: Vec::new(),
            from_seq: args.from_seq.unwrap_or(0),
            overwritten_counts: true,
            records: 0,
            losses: 0,
            damaged: false,
        })
    }

    fn wants(&mut self, record: &Record<'_>) -> bool {
        self.overwritten_counts = true;
        // A log can be shorter than --from-seq says.
        record.seq >= self.from_seq && self.filter.wants(record)
    }

    fn counts(&self, loss: &Loss) -> bool {
        self.overwritten_counts || loss.kind != LossKind::Lost
    }

    fn item(&mut self, item: Item<'_>) -> io::Result<()> {
        match item {
            Item::Record(record, who) if self.wants(&record) => {
                let mut line = std::mem::take(&mut self.line);
                line.clear();
                self.renderer.record(&mut line, &record, &who);
                let written = self.record(&line);
                self.line = line;
                written
            }
            Item::Loss(loss) if self.counts(&loss) => self.loss(&loss),
            Item::Damage(error) => {
                self.damage(error);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Says so once: a damaged ring can have a great many of them.
    fn damage(&mut self, error: ReadError) {
        if !std::mem::replace(&mut self.damaged, true) {
            say(format_args!("{error}; it is counted as lost, as are others like it"));
        }
    }

    fn record(&mut self, line: &[u8]) -> io::Result<()> {
        self.records += 1;
        self.out.write_all(line)
    }

    fn loss(&mut self, loss: &Loss) -> io::Result<()> {
        self.losses = self.losses.saturating_add(loss.gap.count);
        let mut line = Vec::new();
        self.renderer.loss(&mut line, loss);
        if self.renderer.loss_is_notice() {
            self.out.flush()?;
            // Nobody may be listening there, and the data is what counts.
            let _ = io::stderr().write_all(&line);
            return Ok(());
        }
        self.out.write_all(&line)
    }
}

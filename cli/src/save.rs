//! `lapwing save`: what a ring holds now, in a file of its own.

use crate::args::RingArgs;
use crate::failure::{DAMAGED, Failure, say};
use crate::last_words;
use crate::quantity::bytes;
use clap::Args;
use lapwing_reader_shim::push_escaped;
use lapwing_ring::{Error, Purpose, Snapshot};
use lapwing_writer_shim::pump::through;
use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// No longer is waited for what pumps have not yet passed on.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// What takes no longer says nothing of its progress.
const QUIET_FOR: Duration = Duration::from_millis(400);
const BETWEEN_WORDS: Duration = Duration::from_millis(100);

/// Save what a ring holds now as a file that every reading command takes for a ring
#[derive(Debug, Args)]
#[command(after_help = "\
The file has all records up to the moment of the save that are not overwritten while they are copied, each whole or
accounted for, the table of writers with what is known of each, and unfinished lines. Writers go on meanwhile. It is complete
and on its disk before it has its name, has mode 0600, takes no space where the ring is empty, and nobody can write to it.
Read it with --ring and a path, which has a / in it.

Exit code: 0 saved, 1 not, 4 the ring is damaged: what can be read of it is saved.

Examples:
  lapwing save crash.ring && lapwing tail --ring ./crash.ring
  lapwing save --force --ring /run/lapwing/ring /var/tmp/last.ring
  ssh host lapwing save - > host.ring")]
pub struct SaveArgs {
    /// Replace a file that is there, unless it is a ring which was not saved
    #[arg(short, long)]
    pub force: bool,
    #[command(flatten)]
    pub ring: RingArgs,
    /// The file, or - for standard output
    pub file: PathBuf,
}

pub fn save(args: &SaveArgs) -> Result<ExitCode, Failure> {
    let to_stdout = args.file == Path::new("-");
    if to_stdout && io::stdout().is_terminal() {
        return Err(Failure::ToTerminal);
    }
    let location = args.ring.location(Purpose::Read);
    // Of programs that have just ended all is wanted.
    through::wait_for_ended(location.path(), ON_THE_WAY);
    let reader = location.open_reader()?;
    last_words::append(&reader);
    let mut progress = Shown::new();
    let path = reader.path();
    let failed = |source| Failure::Read { path: path.to_owned(), source };
    let snapshot = reader.snapshot(|done, of| progress.say("copied", done, of, "pages")).map_err(failed)?;
    let mut wrote = |done: u64, of: u64| progress.say("written", done >> 20, of >> 20, "MiB");
    if to_stdout {
        let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
        snapshot.write(&mut out, &mut wrote).map_err(Failure::Output)?;
    } else {
        let saved = snapshot.save(&args.file, args.force, &mut wrote);
        saved.map_err(|error| match error {
            Error::Exists { path } if args.force => Failure::NotReplaced { path },
            error => error.into(),
        })?;
    }
    progress.clear();
    let text = summary(&snapshot, path, &args.file);
    if to_stdout {
        say(&text);
    } else {
        let mut stdout = io::stdout();
        writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::Output)?;
    }
    if snapshot.is_damaged() {
        say(format_args!("{}: the ring is damaged, and what could not be read is not saved", path.display()));
        return Ok(ExitCode::from(DAMAGED));
    }
    Ok(ExitCode::SUCCESS)
}

/// What was saved, in one line.
fn summary(snapshot: &Snapshot, ring: &Path, file: &Path) -> String {
    let (bounds, counts) = (snapshot.bounds(), snapshot.counts());
    let range = match bounds.next_seq.checked_sub(1) {
        Some(last) if bounds.oldest_seq <= last => format!(" (sequences {}..{last})", bounds.oldest_seq),
        _ => String::new(),
    };
    let mut text = format!("{}: {} records{range} of {}", shown(file), counts.read, shown(ring));
    let others = [(counts.abandoned, "abandoned"), (counts.stalled, "stalled"), (counts.lost, "lost")];
    for (count, name) in others.into_iter().filter(|&(count, _)| count > 0) {
        // A String takes everything.
        let _ = write!(text, ", {count} {name}");
    }
    match snapshot.unfinished_lines() {
        0 => {}
        lines => {
            let _ = write!(text, ", {lines} unfinished lines");
        }
    }
    let _ = write!(text, "; {}", bytes(snapshot.file_len()));
    text
}

fn shown(path: &Path) -> String {
    let mut out = Vec::new();
    push_escaped(&mut out, path.as_os_str().as_encoded_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// How far it has come, on a terminal and where it takes its time.
struct Shown {
    next: Option<Instant>,
    said: bool,
}

impl Shown {
    fn new() -> Self {
        Self { next: io::stderr().is_terminal().then(|| Instant::now() + QUIET_FOR), said: false }
    }

    fn say(&mut self, word: &str, done: u64, of: u64, unit: &str) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now >= next) {
            let _ = write!(io::stderr(), "\r{word} {done} of {of} {unit}\x1b[K");
            (self.next, self.said) = (Some(now + BETWEEN_WORDS), true);
        }
    }

    fn clear(&self) {
        if self.said {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}

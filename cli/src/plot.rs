//! `lapwing plot`: what a ring holds as a picture, in a file or on the terminal.

use crate::args::RingArgs;
use crate::failure::{DAMAGED, Failure, say};
use clap::{Args, ValueEnum};
use lapwing_reader_shim::{By, Chart, Follow, FollowError, Item, Plot, Progress};
use lapwing_ring::{MAGIC, Purpose, ReadError};
use lapwing_writer_shim::pump::through;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// No longer is waited for what pumps have not yet passed on.
const ON_THE_WAY: Duration = Duration::from_millis(250);
/// Where nobody says how wide the terminal is.
const WIDTH: usize = 80;

/// Draw a ring or a saved one: records per second of each process, levels, and losses along the time
#[derive(Debug, Args)]
#[command(after_help = "\
The processes that wrote most have a colour each, the rest is one area. Below are a row for each level, and for what was
lost, abandoned or stalled, which is marked in the picture too. Times are local.

Without -o the picture is text, as wide as the terminal, in colours on a terminal unless NO_COLOR is set.

Examples:
  lapwing plot
  lapwing plot -o week.svg --ring ./saved.ring
  lapwing plot --by name -o - | rsvg-convert > now.png")]
pub struct PlotArgs {
    /// Write SVG to this file, or to standard output if it is -
    #[arg(short, long, value_name = "FILE.svg")]
    pub output: Option<PathBuf>,
    /// What has an area of its own
    #[arg(long, value_enum, default_value = "process")]
    pub by: ByArg,
    #[command(flatten)]
    pub ring: RingArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ByArg {
    /// Each process
    Process,
    /// All processes of one name together
    Name,
}

pub fn plot(args: &PlotArgs) -> Result<ExitCode, Failure> {
    let location = args.ring.location(Purpose::Read);
    // Of programs that have just ended all is wanted.
    through::wait_for_ended(location.path(), ON_THE_WAY);
    let reader = location.open_reader()?;
    let path = reader.path().to_owned();
    let mut plot = Plot::new(match args.by {
        ByArg::Process => By::Process,
        ByArg::Name => By::Name,
    });
    let mut damage = None;
    let taken = take(Follow::new(reader), |item| match item {
        Item::Damage(error) => drop(damage.get_or_insert(error)),
        item => plot.take(item),
    });
    // What was read before an error is worth as much as without one.
    let name = path.display().to_string();
    match &args.output {
        Some(file) => write(file, plot.chart(&name, Chart::SVG_COLUMNS).svg().as_bytes())?,
        None => {
            let stdout = io::stdout();
            let columns = columns();
            let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            let colours = stdout.is_terminal() && !is_set("NO_COLOR");
            let text = plot.chart(&name, Chart::text_columns(columns)).text(columns, colours);
            let mut stdout = stdout.lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
        }
    }
    taken.map_err(Failure::follow(path))?;
    Ok(match damage {
        None => ExitCode::SUCCESS,
        Some(error) => {
            say(format_args!("{error}; it is counted as lost, as are others like it"));
            ExitCode::from(DAMAGED)
        }
    })
}

/// Walks over all that there is now.
fn take(mut follow: Follow, mut each: impl FnMut(Item<'_>)) -> Result<(), FollowError> {
    let end = follow.bounds()?.next_seq;
    follow.start_at(0)?;
    let mut each = |item: Item<'_>| {
        each(item);
        Ok(())
    };
    while follow.seq() < end {
        match follow.step(&mut each)? {
            Progress::Moved => {}
            Progress::Waiting => follow.pause(),
            Progress::End => {
                let what = "it ends before a sequence that it had reserved";
                return Err(ReadError::Damaged { seq: follow.seq(), what }.into());
            }
        }
    }
    Ok(follow.finish(each)?)
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if file == Path::new("-") {
        let mut stdout = io::stdout();
        return stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Output);
    }
    if is_ring(file) {
        return Err(Failure::IsRing { path: file.to_owned() });
    }
    std::fs::write(file, bytes).map_err(|source| Failure::File { path: file.to_owned(), source })
}

/// To cut it short would end whoever has it mapped.
fn is_ring(file: &Path) -> bool {
    let mut first = [0; size_of::<u64>()];
    // Only files: to open a pipe would wait for its other end.
    file.metadata().is_ok_and(|meta| meta.is_file())
        && File::open(file).and_then(|mut file| file.read_exact(&mut first)).is_ok()
        && u64::from_le_bytes(first) == MAGIC
}

/// How wide the text may be.
fn columns() -> usize {
    let of_terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| size.ws_col.into());
    let of_environment = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    of_terminal.filter(|columns| *columns > 0).or(of_environment).unwrap_or(WIDTH)
}

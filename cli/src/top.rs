//! `lapwing top`: what `stat` tells, live, on the whole screen.

mod draw;
mod screen;
mod view;

use crate::args::RingArgs;
use crate::failure::Failure;
use crate::look::Look;
use crate::quantity::parse_span;
use clap::Args;
use draw::Colours;
use lapwing_ring::{Error, Location, Purpose, ReadError, Reader};
use ratatui::crossterm::event::{Event, KeyEventKind};
use screen::Screen;
use std::collections::HashSet;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use view::{Action, Sort, View};

/// So often at least the screen is drawn: ages grow.
const PATIENCE: Duration = Duration::from_millis(250);

/// Show the writers of a ring and how fast they are, live
#[derive(Debug, Args)]
#[command(after_help = "\
Keys: p c r b t y l s sort by pid, comm, records/s, bytes/s, records, bytes, last write, state; i inverts. / filters by text,
Esc takes that back. Space pauses. Arrows, Page Up, Page Down, Home and End move. q quits.

Where there is no terminal, `lapwing stat --watch` tells the same. Without colours under NO_COLOR.

Examples:
  lapwing top
  lapwing top --every 500ms --sort total
  lapwing top --filter nginx --ring /run/lapwing/ring")]
pub struct TopArgs {
    /// How often to look
    #[arg(short, long, value_name = "SPAN", default_value = "1s", value_parser = parse_span)]
    pub every: Duration,
    /// What to sort by
    #[arg(short, long, value_name = "KEY", default_value = "rate")]
    pub sort: Sort,
    /// Only writers whose pid, comm or state contains this
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    pub filter: String,
    #[command(flatten)]
    pub ring: RingArgs,
}

pub fn top(args: &TopArgs) -> Result<ExitCode, Failure> {
    let location = args.ring.location(Purpose::Read);
    let reader = location.open_reader()?;
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Failure::NoTerminal);
    }
    let path = reader.path().to_owned();
    let mut watched = Watched { location, reader, asked: HashSet::new() };
    let mut view = View::new(&path, args.sort, &args.filter);
    let mut screen = Screen::enter().map_err(Failure::Terminal)?;
    let shown = show(args.every, &mut watched, &mut view, &mut screen);
    // Before anything is said.
    drop(screen);
    match shown {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(Trouble::Read(source)) => Err(Failure::Read { path, source }),
        Err(Trouble::Terminal(error)) => Err(Failure::Terminal(error)),
    }
}

enum Trouble {
    Read(ReadError),
    Terminal(io::Error),
}

impl From<ReadError> for Trouble {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error)
    }
}

/// The ring that is looked at, and how.
struct Watched {
    location: Location,
    reader: Reader,
    /// Whose last records were looked for: once they are known, counters tell whether there are newer ones.
    asked: HashSet<u32>,
}

impl Watched {
    fn look(&mut self) -> Result<Look, ReadError> {
        let asked = &mut self.asked;
        let look = Look::take(&mut self.reader, |writer| asked.insert(writer.pid))?;
        // A pid that comes again is another process.
        let writers: HashSet<u32> = look.stat.writers.iter().map(|writer| writer.pid).collect();
        asked.retain(|pid| writers.contains(pid));
        Ok(look)
    }

    /// Goes over to the ring that has taken the place of this one, or says why there is none.
    fn follow_the_name(&mut self) -> Option<String> {
        if self.reader.is_current().unwrap_or(true) {
            return None;
        }
        match self.location.open_reader() {
            Ok(reader) => {
                self.reader = reader;
                self.asked.clear();
                None
            }
            Err(Error::NotFound { .. }) => Some("the ring was removed; waiting for a new one".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Until a key ends it.
fn show(every: Duration, watched: &mut Watched, view: &mut View, screen: &mut Screen) -> Result<(), Trouble> {
    let colours = Colours::wanted();
    let mut due = Instant::now();
    loop {
        if Instant::now() >= due {
            view.notice = watched.follow_the_name();
            if !view.is_paused() {
                view.take(watched.look()?);
            }
            due = (due + every).max(Instant::now());
        }
        view.passed(watched.reader.bounds()?);
        screen.draw(|frame| draw::draw(frame, view, colours))?;
        let event = screen.event(due.saturating_duration_since(Instant::now()).min(PATIENCE))?;
        if let Some(Event::Key(key)) = event
            && key.kind != KeyEventKind::Release
        {
            match view.key(key) {
                Action::None => {}
                Action::Quit => return Ok(()),
                Action::Suspend => screen.suspend()?,
            }
        }
    }
}

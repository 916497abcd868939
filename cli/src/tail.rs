//! `lapwing tail`: the rings that were named, which part of them, and how it ends.

mod args;
mod behind;
mod color;
mod cursor;
mod entry;
mod follow;
mod legible;
mod merge;
mod output;
mod pager;
mod part;
mod places;
mod source;
mod window;

pub use args::TailArgs;

use crate::failure::{DAMAGED, Failure, LOSS, NOTHING_MATCHED, say};
use crate::last_words;
use crate::symbols::Symbols;
use cursor::CursorFile;
use lapwing_reader_shim::{Filter, Format, Renderer};
use lapwing_ring::{Location, Purpose};
use lapwing_writer_shim::pump::through;
use legible::Legible;
use output::Output;
use pager::Pager;
use source::{Gate, Source};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

/// No longer is waited for what pumps have not yet passed on.
const ON_THE_WAY: Duration = Duration::from_millis(250);

pub fn tail(args: &TailArgs) -> Result<ExitCode, Failure> {
    let locations = locations(args);
    // Before anything is printed: what is wrong here is wrong for all of it.
    let mut cursor = args.cursor_file.as_deref().map(CursorFile::open).transpose()?;
    let to_terminal = io::stdout().is_terminal();
    let mut sources = sources(args, &locations, to_terminal)?;
    let paged = to_terminal && !args.follow && !args.no_pager;
    let places = cursor.as_mut().map(|cursor| cursor.begin(&mut sources, paged)).transpose()?;

    let pager = if paged { Pager::start() } else { None };
    let colored = color::is_wanted(args.color, to_terminal, pager.as_ref());
    for source in &mut sources {
        source.renderer.set_colored(colored);
    }
    let result = show(args, &locations, &mut sources, pager.as_ref(), places.clone());
    if let Some(pager) = pager {
        pager.finish();
    }
    // Also behind an error: what was written before it was written.
    let saved = places.map_or(Ok(()), |places| places.save());
    let (records, losses) = result?;
    saved?;
    Ok(if sources.iter().any(Source::is_damaged) {
        ExitCode::from(DAMAGED)
    } else if losses > 0 && args.fail_on_loss {
        ExitCode::from(LOSS)
    } else if records == 0 && !filter(args).is_empty() {
        ExitCode::from(NOTHING_MATCHED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Where the rings are; one that is named twice is one.
fn locations(args: &TailArgs) -> Vec<Location> {
    let mut locations: Vec<Location> = Vec::new();
    let named = args.rings.iter().map(|name| Location::find(Some(name), Purpose::Read));
    for location in named {
        if !locations.iter().any(|other| other.path() == location.path()) {
            locations.push(location);
        }
    }
    if locations.is_empty() {
        locations.push(Location::find(None, Purpose::Read));
    }
    locations
}

fn sources(args: &TailArgs, locations: &[Location], to_terminal: bool) -> Result<Vec<Source>, Failure> {
    let names: Vec<&[u8]> = locations.iter().map(|location| location.path().as_os_str().as_bytes()).collect();
    let file_names: Vec<&[u8]> =
        locations.iter().filter_map(|location| Some(location.path().file_name()?.as_bytes())).collect();
    let distinct = file_names.len() == names.len()
        && file_names.iter().enumerate().all(|(i, name)| !file_names[..i].contains(name));
    let symbols = symbols(args)?;
    let mut sources = Vec::new();
    for (i, location) in locations.iter().enumerate() {
        // Of a program that has just ended: whoever waited for it wants to see all of it.
        through::wait_for_ended(location.path(), ON_THE_WAY);
        let mut reader = location.open_reader()?;
        reader.set_spin(args.spin);
        last_words::append(&reader);
        let mut renderer = Renderer::new(args.output, to_terminal);
        if locations.len() > 1 {
            renderer = renderer.of_ring(if distinct { file_names[i] } else { names[i] }, names[i]);
        }
        let legible = Legible::new(symbols.clone());
        sources.push(Source::new(i, reader, renderer, Gate::new(args.since, args.until), legible));
    }
    Ok(sources)
}

/// What `--symbolize` asks for. Where the kernel does not show it, a log is worth reading without it.
fn symbols(args: &TailArgs) -> Result<Option<Rc<RefCell<Symbols>>>, Failure> {
    // Its bytes are those of the payload.
    if !args.symbolize || args.output == Format::Raw {
        return Ok(None);
    }
    args.symbols.check();
    match Symbols::open(&args.symbols) {
        Ok(mut symbols) => {
            if args.follow {
                symbols.keep_fresh();
            }
            Ok(Some(Rc::new(RefCell::new(symbols))))
        }
        Err(failure) if failure.is_hidden() || !args.symbols.are_named() => {
            say(format_args!("{failure}; addresses stay as they are"));
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn filter(args: &TailArgs) -> Filter {
    Filter {
        levels: args.levels.clone(),
        pattern: args.pattern.clone(),
        pid: args.pid,
        tag: args.tag.as_ref().map(|tag| tag.as_bytes().to_vec()),
        query: args.query.clone(),
    }
}

/// Gives how many records were shown, and how many were lost between them.
fn show(
    args: &TailArgs,
    locations: &[Location],
    sources: &mut [Source],
    pager: Option<&Pager>,
    places: Option<places::Places>,
) -> Result<(u64, u64), Failure> {
    // Not through std's own buffer, which looks for the end of every line.
    let stdout = match pager {
        Some(pager) => pager.input(),
        None => io::stdout().as_fd().try_clone_to_owned(),
    };
    let file = File::from(stdout.map_err(Failure::Output)?);
    let watched = args.follow || io::stdout().is_terminal();
    let loss_is_notice = sources.iter().any(|source| source.renderer.loss_is_notice());
    let mut output = Output::new(file, watched, loss_is_notice, sources.len(), places.clone());
    if pager.is_none() {
        behind::watch(sources);
    }
    let filter = filter(args);
    let shown = part::show(args, sources, &filter, &mut output).and_then(|()| match args.follow {
        true => follow::follow(args, locations, sources, &filter, &mut output, places.as_ref()),
        false => Ok(()),
    });
    // What was read before an error is worth as much as without one.
    let flushed = output.flush();
    shown?;
    flushed.map_err(Failure::Output)?;
    for source in sources {
        last_words::say_left(source.follow.reader());
    }
    Ok((output.records, output.losses))
}

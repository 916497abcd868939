//! `lapwing pages`, which packages call: man pages and shell completions, out of the command line itself.

use crate::args::Cli;
use crate::failure::Failure;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write man pages and shell completions
#[derive(Debug, Args)]
pub struct PagesArgs {
    /// The folder for lapwing.1 and a page for each command
    #[arg(long, value_name = "FOLDER")]
    pub man: Option<PathBuf>,
    /// The folder for completions of bash, zsh and fish
    #[arg(long, value_name = "FOLDER")]
    pub completions: Option<PathBuf>,
}

/// What the command line does not say: for lapwing(1).
const MORE: [(&str, &str); 3] = [
    (
        "ENVIRONMENT",
        "LAPWING_RING: the default ring.
LAPWING_PRELOAD: the library that `lapwing run` preloads, instead of the one that came with it.
LAPWING_STREAM, LAPWING_QUIET, LAPWING_BUFFER, LAPWING_PUMP: what `lapwing run` tells that library.
LAPWING_PROPAGATE: 0 keeps programs from handing the capture on to those that they start.
LAPWING_PAGER, PAGER: what shows the output of `lapwing tail` on a terminal, instead of less; cat for nothing.
NO_COLOR: no colours.",
    ),
    (
        "FILES",
        "/run/lapwing/ring: the ring of the whole system, where an administrator has made one.
$XDG_RUNTIME_DIR/lapwing/ring, /dev/shm/lapwing-UID/ring: a user's own.",
    ),
    (
        "SECURITY",
        "A ring is a file. Its mode says who may write to it and who may read it; whoever may write to it can also damage it, \
         which readers find out. Text from a ring is escaped in every format but raw, and cat where that is not to a terminal.",
    ),
];

/// When what the pages say was last changed.
const DATE: &str = "2026-11-21";

pub fn pages(args: &PagesArgs) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    command.build();
    if let Some(folder) = &args.man {
        fs::create_dir_all(folder).map_err(Failure::Output)?;
        page(&command, None, folder).map_err(Failure::Output)?;
        for each in visible(&command) {
            page(each, Some(&command), folder).map_err(Failure::Output)?;
        }
    }
    if let Some(folder) = &args.completions {
        fs::create_dir_all(folder).map_err(Failure::Output)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            // A fresh one, for `build` gives commands names that completions do not want.
            clap_complete::generate_to(shell, &mut Cli::command(), "lapwing", folder).map_err(Failure::Output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|each| !each.is_hide_set() && each.get_name() != "help")
}

/// Writes the page of `command`, or of one of those of `of`.
fn page(command: &Command, of: Option<&Command>, folder: &Path) -> io::Result<()> {
    let name = match of {
        Some(_) => format!("lapwing-{}", command.get_name()),
        None => "lapwing".to_owned(),
    };
    let named = command.clone().name(name.clone()).after_help("");
    let man = Man::new(named).source(format!("lapwing {}", env!("CARGO_PKG_VERSION"))).manual("Lapwing").date(DATE);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        man.render_options_section(&mut text)?;
    }
    let mut rest = Roff::new();
    if of.is_none() {
        commands(&mut rest, command);
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    sections(&mut rest, &after);
    if of.is_none() {
        for (title, lines) in MORE {
            rest.control("SH", [title]);
            paragraphs(&mut rest, lines.lines());
        }
    }
    rest.control("SH", ["SEE ALSO"]);
    rest.text(see_also(of.unwrap_or(command), &name));
    rest.to_writer(&mut text)?;
    fs::write(folder.join(format!("{name}.1")), text)
}

fn commands(page: &mut Roff, command: &Command) {
    page.control("SH", ["COMMANDS"]);
    for each in visible(command) {
        page.control("TP", []);
        page.text([bold(format!("lapwing-{}", each.get_name())), roman("(1)")]);
        page.text([roman(each.get_about().map(ToString::to_string).unwrap_or_default())]);
    }
}

/// A paragraph that begins with a line `Title:` is a section of its own, and its lines stay as they are.
fn sections(page: &mut Roff, text: &str) {
    let (mut titled, mut notes) = (Vec::new(), Vec::new());
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        match paragraph.split_once('\n') {
            Some((title, lines)) if title.ends_with(':') && lines.lines().all(|line| line.starts_with("  ")) => {
                titled.push((title.trim_end_matches(':'), lines));
            }
            _ => notes.push(paragraph),
        }
    }
    if !notes.is_empty() {
        page.control("SH", ["NOTES"]);
        paragraphs(page, notes);
    }
    for (title, lines) in titled {
        let title = if title == "Exit codes" { "EXIT STATUS".to_owned() } else { title.to_uppercase() };
        page.control("SH", [title.as_str()]).control("nf", []);
        for line in lines.lines() {
            page.text([roman(line.trim_start())]);
        }
        page.control("fi", []);
    }
}

fn paragraphs<'a>(page: &mut Roff, texts: impl IntoIterator<Item = &'a str>) {
    for (i, text) in texts.into_iter().enumerate() {
        if i > 0 {
            page.control("PP", []);
        }
        page.text([roman(text)]);
    }
}

fn see_also(all: &Command, except: &str) -> Vec<Inline> {
    let names = visible(all).map(|each| format!("lapwing-{}", each.get_name()));
    let names = std::iter::once("lapwing".to_owned()).chain(names).filter(|name| name != except);
    let mut line = Vec::new();
    for name in names {
        line.extend([roman(if line.is_empty() { "" } else { ", " }), bold(name), roman("(1)")]);
    }
    line
}

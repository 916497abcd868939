//! The pager between `lapwing tail` and the terminal: what is written goes to it, notices included, and the command ends
//! when it does.

use super::color::terminal_is_dumb;
use crate::failure::say;
use rustix::stdio::dup2_stderr;
use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What less does unless the user says otherwise: end at the end of a short text (F), show colors (R), cut long lines (S),
/// leave the text on the screen (X), prompt with its place (M), end at ^C (K).
const LESS: &str = "FRSXMK";

pub struct Pager {
    child: Child,
    input: Option<OwnedFd>,
    /// Standard error, where it was the terminal.
    stderr: Option<OwnedFd>,
    shows_color: bool,
}

impl Pager {
    /// `$LAPWING_PAGER`, else `$PAGER`, else less. None where that is `cat` or empty, the terminal is dumb, or no pager can be
    /// started.
    pub fn start() -> Option<Self> {
        if terminal_is_dumb() {
            return None;
        }
        let set = ["LAPWING_PAGER", "PAGER"].into_iter().find_map(env::var_os);
        let is_set = set.is_some();
        let text = set.map_or("less".to_owned(), |text| text.to_string_lossy().into_owned());
        let text = text.trim();
        if text.is_empty() || text == "cat" {
            return None;
        }
        let mut command = command(text);
        let less = env::var("LESS").unwrap_or(LESS.to_owned());
        let defaults = [("LESS", less.as_str()), ("LESSCHARSET", "utf-8"), ("LESSSECURE", "1")];
        command.envs(defaults.into_iter().filter(|(name, _)| env::var_os(name).is_none()));
        let mut child = match command.stdin(Stdio::piped()).spawn() {
            Ok(child) => child,
            // Who asked for no pager has nothing to be told of.
            Err(error) => {
                if is_set {
                    say(format_args!("cannot start the pager {text:?}: {error}"));
                }
                return None;
            }
        };
        let input = child.stdin.take().map(OwnedFd::from)?;
        // An interrupt is for the pager: it tells us by ending.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::new(AtomicBool::new(false)));
        // Notices would stand anywhere on its screen.
        let stderr = io::stderr();
        let saved = stderr.is_terminal().then(|| stderr.as_fd().try_clone_to_owned().ok()).flatten();
        let saved = saved.filter(|_| dup2_stderr(&input).is_ok());
        let shows_color = shows_color(text, &less);
        Some(Self { child, input: Some(input), stderr: saved, shows_color })
    }

    /// A descriptor that leads to it.
    pub fn input(&self) -> io::Result<OwnedFd> {
        self.input.as_ref().map_or(Err(io::ErrorKind::BrokenPipe.into()), OwnedFd::try_clone)
    }

    /// Does it show colors as colors?
    pub fn shows_color(&self) -> bool {
        self.shows_color
    }

    /// That was all: waits until the user has seen enough. Every descriptor that leads to it is closed by now.
    pub fn finish(mut self) {
        drop(self.input.take());
        if let Some(stderr) = self.stderr.take() {
            let _ = dup2_stderr(&stderr);
        }
        let _ = self.child.wait();
    }
}

/// Is it less, with the option R or r?
fn shows_color(text: &str, less: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let is_less = words.next().is_some_and(|program| program == "less" || program.ends_with("/less"));
    let is_raw = |option: &str| match option.strip_prefix("--") {
        Some(long) => long.eq_ignore_ascii_case("raw-control-chars"),
        None => option.contains(['R', 'r']),
    };
    is_less && words.filter(|word| word.starts_with('-')).chain(less.split_ascii_whitespace()).any(is_raw)
}

/// A shell's work only where there is something for a shell in it; so a program that is missing is found out about here.
fn command(text: &str) -> Command {
    if text.contains(|c: char| !c.is_ascii_alphanumeric() && !" -_./=+:,".contains(c)) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", text]);
        return command;
    }
    let mut words = text.split_ascii_whitespace();
    let mut command = Command::new(words.next().unwrap_or("less"));
    command.args(words);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_for_less_with_its_option_r() {
        for (text, less, expected) in [
            ("less", LESS, true),
            ("/usr/bin/less", "-M", false),
            ("less -R", "", true),
            ("less --RAW-CONTROL-CHARS", "", true),
            ("less --tilde", "--mouse -F", false),
            ("less", "-FrX", true),
            ("more", LESS, false),
            ("lesser", LESS, false),
            ("", LESS, false),
        ] {
            assert_eq!(shows_color(text, less), expected, "{text}, {less}");
        }
    }
}

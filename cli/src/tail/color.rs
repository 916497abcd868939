//! Are levels shown in color?

use super::pager::Pager;
use clap::ValueEnum;
use std::env;

/// What `--color` asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// NO_COLOR as <https://no-color.org> has it: set to anything but nothing.
pub fn is_wanted(color: Color, to_terminal: bool, pager: Option<&Pager>) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let forbidden = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            to_terminal && !forbidden && !terminal_is_dumb() && pager.is_none_or(Pager::shows_color)
        }
    }
}

/// Does the terminal understand nothing but text?
pub fn terminal_is_dumb() -> bool {
    env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

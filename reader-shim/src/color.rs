//! Which color a level has on a terminal: what asks for attention stands out, and what is only there in case stands back.

use lapwing_ring::Level;

/// Ends every color.
pub(crate) const NONE: &str = "\x1b[0m";
/// A loss: red in reverse, which no record is.
pub(crate) const LOSS: &str = "\x1b[1;7;31m";

/// The sequence (ECMA-48, "SGR") that begins the color of `level`; empty where it has none.
pub(crate) fn of(level: Level) -> &'static str {
    match level {
        level if level >= Level::CRIT => "\x1b[1;31m",
        level if level >= Level::ERR => "\x1b[31m",
        level if level >= Level::WARN => "\x1b[33m",
        level if level >= Level::NOTICE => "\x1b[1m",
        level if level >= Level::INFO => "",
        _ => "\x1b[2m",
    }
}

//! The lines that writers had not finished when they died: who comes next appends them, or at least says what they are.

#![forbid(unsafe_code)]

use crate::failure::say;
use lapwing_ring::{Log, Reader};

/// Appends them to the ring that `reader` reads, if it is one of ours; so every reader finds them, under sequences.
pub fn append(reader: &Reader) {
    // Not to somebody else's: who owns a ring can take it away under its writers. And to look into that one costs most.
    if !reader.is_ours().unwrap_or(false)
        || !reader.may_have_last_words()
        || !reader.last_words().is_ok_and(|words| !words.is_empty())
    {
        return;
    }
    if let Ok(log) = Log::open(reader.path())
        && reader.is_of(&log)
    {
        // What cannot be appended stays where it is, and is said.
        let _ = log.append_last_words();
    }
}

/// Says which nobody has appended: to a ring of somebody else, of another boot, or a copy.
pub fn say_left(reader: &Reader) {
    for words in reader.last_words().unwrap_or_default() {
        let (comm, text) = (String::from_utf8_lossy(&words.comm), String::from_utf8_lossy(&words.text));
        let why = match words.alive {
            false => "died before it had finished a line, which is not in the log yet",
            true => "had not finished a line when the ring was saved, which is not in the log",
        };
        say(format_args!("{comm}[{}] {why}: {text}", words.pid));
    }
}

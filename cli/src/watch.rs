//! What `lapwing tail -f` does about a ring that is removed or replaced while it follows it.

use crate::failure::say;
use lapwing_ring::{Counts, Error, Location, Reader};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(200);

/// Looks now and then whether the path still means the ring that is followed.
pub struct Watch<'a> {
    location: &'a Location,
    name: String,
    next: Instant,
    /// What was said last of a ring that is not there.
    said: Option<String>,
}

impl<'a> Watch<'a> {
    pub fn new(location: &'a Location) -> Self {
        // Escaped when it is said.
        let name = location.path().display().to_string();
        Self { location, name, next: Instant::now() + EVERY, said: None }
    }

    /// Is it time to look again? Every 200 ms.
    pub fn is_time(&mut self) -> bool {
        let now = Instant::now();
        let due = now >= self.next;
        if due {
            self.next = now + EVERY;
        }
        due
    }

    /// The ring that has taken the place of `reader`'s.
    pub fn successor(&mut self, reader: &Reader) -> Option<Reader> {
        if reader.is_current().unwrap_or(true) {
            self.said = None;
            return None;
        }
        match self.location.open_reader() {
            // Put back meanwhile?
            Ok(successor) => (!reader.is_current().unwrap_or(true)).then_some(successor),
            Err(Error::NotFound { .. }) => {
                self.say_once(format!("{} was removed; waiting for a new one", self.name));
                None
            }
            Err(error) => {
                self.say_once(format!("{} was replaced by something else: {error}; waiting for a ring", self.name));
                None
            }
        }
    }

    fn say_once(&mut self, text: String) {
        if self.said.as_ref() != Some(&text) {
            say(&text);
            self.said = Some(text);
        }
    }

    /// With what was read of the old ring, so that the counts of each ring stand for themselves.
    pub fn say_replaced(&mut self, old: Counts) {
        let Counts { read, lost, abandoned, stalled } = old;
        say(format_args!(
            "{} was replaced; of the old ring {read} records were read, {lost} lost, {abandoned} abandoned, \
             {stalled} stalled; following the new ring from its sequence 0",
            self.name
        ));
        self.said = None;
    }
}

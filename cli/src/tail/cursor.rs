//! `--cursor-file`: where the last run ended, and that it is written down when this one ends, also by a signal.

use super::places::{Place, Places, beside, load};
use super::source::Source;
use crate::failure::{Failure, say};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::fs;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// While following, a crash costs no more than showing this much again.
const EVERY: Duration = Duration::from_secs(1);

/// What was read of the file.
pub struct CursorFile {
    path: PathBuf,
    places: Vec<Place>,
}

impl CursorFile {
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let places = load(path)?;
        // Better now than behind all that is shown.
        beside(path).map_err(|source| Failure::Cursor { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), places })
    }

    /// Tells each ring where it goes on, and sees to it that the file is written from now on.
    /// `paged`: an interrupt is the pager's.
    pub fn begin(&mut self, sources: &mut [Source], paged: bool) -> Result<Places, Failure> {
        let mut shown = Vec::new();
        for source in sources {
            let ring_id = source.follow.reader().identity().ring_id;
            let here = Place::new(ring_id, 0, source.path());
            let is_known = |place: &&Place| place.ring_id == ring_id;
            if let Some(place) = self.places.iter().find(is_known) {
                source.gate.resume_at = Some(place.next_seq);
            } else if self.places.iter().any(|place| place.path == here.path) {
                say(format_args!(
                    "{}: the ring was made anew since {} was written; starting at its sequence 0",
                    source.path().display(),
                    self.path.display()
                ));
                source.gate.resume_at = Some(0);
            }
            self.places.retain(|place| place.ring_id != ring_id && place.path != here.path);
            shown.push(Place { next_seq: source.gate.resume_at.unwrap_or(0), ..here });
        }
        let places = Places::new(self.path.clone(), shown, std::mem::take(&mut self.places));
        watch_signals(places.clone(), paged).map_err(|source| Failure::Cursor { path: self.path.clone(), source })?;
        Ok(places)
    }
}

/// A thread of its own, because nobody knows how long a write takes: saves now and then, and when a signal ends us.
fn watch_signals(places: Places, paged: bool) -> io::Result<()> {
    let (mut woken, wake) = UnixStream::pair()?;
    woken.set_read_timeout(Some(EVERY))?;
    let which = Arc::new(AtomicUsize::new(0));
    let is_ours = |&signal: &i32| !(is_ignored(signal) || paged && signal == SIGINT);
    for signal in [SIGHUP, SIGINT, SIGTERM].into_iter().filter(is_ours) {
        // In this order: who is woken finds the number.
        flag::register_usize(signal, Arc::clone(&which), signal as usize)?;
        low_level::pipe::register(signal, wake.try_clone()?)?;
    }
    let watch = move || {
        let mut said = false;
        loop {
            let is_signal = woken.read(&mut [0]).is_ok_and(|len| len > 0);
            if let Err(failure) = places.save()
                && !std::mem::replace(&mut said, true)
            {
                say(failure);
            }
            if is_signal {
                let _ = low_level::emulate_default_handler(which.load(Relaxed) as i32);
            }
        }
    };
    std::thread::Builder::new().name("cursor".to_owned()).spawn(watch)?;
    Ok(())
}

/// nohup(1) and the like: who is not to end by it does not.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

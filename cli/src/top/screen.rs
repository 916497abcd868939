//! The terminal while `lapwing top` has it: taken as a whole, and given back as it was, however this ends.

use ratatui::DefaultTerminal;
use ratatui::Frame;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, raise};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// For so long a signal waits for the screen to be drawn: a terminal that takes nothing must not keep us alive.
const DRAWN_WITHIN: u32 = 50;
const DRAWN_SOON: Duration = Duration::from_millis(10);

/// Gives the terminal back when it is dropped, when a signal ends us, and when a panic is about to be said.
pub struct Screen {
    terminal: DefaultTerminal,
    /// Held by whoever writes to the terminal.
    writing: Arc<Mutex<()>>,
}

impl Screen {
    pub fn enter() -> io::Result<Self> {
        let writing = Arc::new(Mutex::new(()));
        end_by_signals(Arc::clone(&writing))?;
        Ok(Self { terminal: ratatui::try_init()?, writing })
    }

    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.terminal.draw(draw).map(drop)
    }

    /// What the user does, if it is done in time.
    ///
    /// # Errors
    /// The terminal is gone, which crossterm 0.29 would not notice: it would read the end of the file again and again.
    pub fn event(&self, within: Duration) -> io::Result<Option<Event>> {
        wait_for_input(Duration::ZERO)?;
        // It may have read more than one at a time.
        if event::poll(Duration::ZERO)? || wait_for_input(within)? && event::poll(Duration::ZERO)? {
            return event::read().map(Some);
        }
        Ok(None)
    }

    /// Lets the shell have the terminal until it gives us back ours.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        raise(SIGTSTP)?;
        self.terminal = ratatui::try_init()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A second time would put the cursor back over what the panic has said.
        if !thread::panicking() {
            give_back();
        }
    }
}

fn give_back() {
    ratatui::restore();
    // Nothing can be done about a terminal that takes nothing any more.
    let _ = execute!(io::stdout(), Show);
}

/// From a thread of its own, because the other may be waiting for the rest of a key.
fn end_by_signals(writing: Arc<Mutex<()>>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            let tries = std::iter::repeat_with(|| writing.try_lock().ok()).take(DRAWN_WITHIN as usize);
            let _drawn = tries
                .inspect(|lock| {
                    if lock.is_none() {
                        thread::sleep(DRAWN_SOON)
                    }
                })
                .find_map(|lock| lock);
            give_back();
            // Ends us as the signal would have.
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map(drop)
}

fn wait_for_input(within: Duration) -> io::Result<bool> {
    let stdin = io::stdin();
    let mut input = [PollFd::new(&stdin, PollFlags::IN)];
    let within = Timespec::try_from(within).unwrap_or_default();
    match poll(&mut input, Some(&within)) {
        Err(rustix::io::Errno::INTR) => return Ok(false),
        polled => polled?,
    };
    let found = input[0].revents();
    if found.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
        return Err(io::Error::other("it is gone"));
    }
    Ok(found.contains(PollFlags::IN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Output};
    use std::time::Instant;

    const ROLE: &str = "LAPWING_TEST_PANICS";

    /// Does nothing unless the test below runs it, in a terminal.
    #[test]
    fn panics_with_the_screen_taken() {
        if std::env::var_os(ROLE).is_none() {
            return;
        }
        let _screen = Screen::enter().unwrap();
        panic!("words that are to be read");
    }

    #[test]
    fn after_a_panic_the_terminal_is_as_it_was_and_the_words_can_be_read() {
        let socket = format!("lapwing-panic-{}", std::process::id());
        let tmux = |args: &[&str]| -> Option<Output> {
            Command::new("tmux").args(["-L", &socket, "-f", "/dev/null"]).args(args).output().ok()
        };
        let text = |output: Option<Output>| String::from_utf8(output.unwrap().stdout).unwrap();
        let test = concat!(module_path!(), "::panics_with_the_screen_taken");
        let test = test.split_once("::").unwrap().1;
        let program = std::env::current_exe().unwrap();
        let line = format!("echo before; {ROLE}=1 {} --nocapture --exact {test}; echo code=$?; cat", program.display());
        if tmux(&["new-session", "-d", "-x", "120", "-y", "50", &line]).is_none() {
            println!("skipped: there is no tmux here");
            return;
        }
        let since = Instant::now();
        let screen = loop {
            let screen = text(tmux(&["capture-pane", "-p"]));
            if screen.contains("code=") || since.elapsed() > Duration::from_secs(30) {
                break screen;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let flags = text(tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]));
        tmux(&["kill-server"]);
        for expected in ["before\n", "words that are to be read", "code=101"] {
            assert!(screen.contains(expected), "no {expected:?} in\n{screen}");
        }
        assert_eq!(flags, "0 1\n", "the first screen, with a cursor");
    }
}

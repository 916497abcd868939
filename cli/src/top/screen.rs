//! The terminal while `lapwing top` has it: taken as a whole, and given back as it was, however this ends.

use crate::failure::Failure;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, raise};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Gives the terminal back when it is dropped, and when a panic is about to be said.
pub struct Screen {
    pub terminal: DefaultTerminal,
    /// The signal that wants us to end, 0 for none.
    signal: Arc<AtomicUsize>,
}

impl Screen {
    pub fn enter() -> io::Result<Self> {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            signal_hook::flag::register_usize(number, Arc::clone(&signal), number as usize)?;
        }
        Ok(Self { terminal: ratatui::try_init()?, signal })
    }

    pub fn signal(&self) -> Option<i32> {
        match self.signal.load(Relaxed) {
            0 => None,
            number => Some(number as i32),
        }
    }

    /// What the user does, if it is done in time.
    pub fn event(&self, within: Duration) -> io::Result<Option<Event>> {
        let is_there = match event::poll(within) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
            polled => polled?,
        };
        is_there.then(event::read).transpose()
    }

    /// Lets the shell have the terminal until it gives us back ours.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.terminal.show_cursor()?;
        ratatui::restore();
        raise(signal_hook::consts::SIGTSTP)?;
        self.terminal = ratatui::try_init()?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A second time would put the cursor back over what the panic has said.
        if !std::thread::panicking() {
            ratatui::restore();
        }
    }
}

/// Ends as the signal would have ended us; comes back only where the kernel refuses that.
pub fn die_of(signal: i32) -> Failure {
    let refused = emulate_default_handler(signal);
    Failure::Terminal(refused.err().unwrap_or_else(|| io::ErrorKind::Interrupted.into()))
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

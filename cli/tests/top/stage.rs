//! A shell in a tmux of its own, whose screen can be read and whose keys can be pressed.

use crate::sandbox::Sandbox;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// For what happens soon, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(40);

/// Says so where it is not.
pub fn tmux_is_here() -> bool {
    let here = Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success());
    if !here {
        println!("skipped: there is no tmux here");
    }
    here
}

pub struct Screen {
    socket: String,
}

impl Screen {
    /// A shell with `$LAPWING`, at its prompt.
    pub fn new(sandbox: &Sandbox, (width, height): (u16, u16)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let socket = format!("lapwing-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let mut screen = Self { socket };
        let (width, height) = (width.to_string(), height.to_string());
        let mut command =
            screen.command(&["new-session", "-d", "-x", &width, "-y", &height, "bash", "--norc", "--noprofile"]);
        command.env("LAPWING", env!("CARGO_BIN_EXE_lapwing")).env("LAPWING_RING", sandbox.path("ring"));
        command
            .env("PS1", "ready> ")
            .env_remove("ENV")
            .env_remove("NO_COLOR")
            .env_remove("TMUX")
            .env("LC_ALL", "C.UTF-8");
        let output = command.current_dir(sandbox.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        screen.until(|text| text.contains("ready>"));
        screen
    }

    /// A tmux that no configuration and no other tmux has a part in.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-L", &self.socket, "-f", "/dev/null"]).args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    pub fn keys(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Types a line for the shell.
    pub fn line(&self, text: &str) {
        self.run(&["send-keys", "-l", text]);
        self.keys(&["Enter"]);
    }

    pub fn resize(&self, width: u16, height: u16) {
        self.run(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    fn text(&self, more: &[&str]) -> String {
        String::from_utf8(self.run(&[&["capture-pane", "-p"], more].concat()).stdout).unwrap()
    }

    pub fn with_escapes(&self) -> String {
        self.text(&["-e"])
    }

    /// The screen as soon as it is as it should be.
    #[track_caller]
    pub fn until(&mut self, mut done: impl FnMut(&str) -> bool) -> String {
        let since = Instant::now();
        loop {
            let text = self.text(&[]);
            if done(&text) {
                return text;
            }
            assert!(since.elapsed() < PATIENCE, "the screen never came to that:\n{text}");
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Waits until the other screen is shown or not, and the cursor is or not.
    #[track_caller]
    pub fn until_shown(&self, other_screen: bool, cursor: bool) {
        let expected = format!("{} {}\n", u8::from(other_screen), u8::from(cursor));
        let flags = || self.run(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]).stdout;
        let since = Instant::now();
        while flags() != expected.as_bytes() {
            assert!(since.elapsed() < PATIENCE, "never {expected:?} but {}", String::from_utf8_lossy(&flags()));
            std::thread::sleep(Duration::from_millis(25));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).output();
    }
}

/// `lapwing top` on a screen.
pub fn start(sandbox: &Sandbox, args: &str, size: (u16, u16)) -> Screen {
    let mut screen = Screen::new(sandbox, size);
    screen.line(&format!("$LAPWING top {args}"));
    screen.until(|text| text.contains(" processes"));
    screen
}

/// A `lapwing log` that waits for more lines as long as this lives.
pub struct Writer(Child);

impl Writer {
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn append(&mut self, text: &[u8]) {
        self.0.stdin.as_mut().unwrap().write_all(text).unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One that has appended `lines`.
pub fn writer(sandbox: &Sandbox, lines: &[&str]) -> Writer {
    writer_of(env!("CARGO_BIN_EXE_lapwing"), sandbox, lines)
}

/// The same by another name.
pub fn writer_of(program: &str, sandbox: &Sandbox, lines: &[&str]) -> Writer {
    let next = || {
        let report: serde_json::Value = serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap();
        report["next_seq"].as_u64().unwrap()
    };
    let before = next();
    let mut command = Command::new(program);
    command.arg("log").env("LAPWING_RING", sandbox.path("ring")).current_dir(sandbox.path(""));
    let mut writer = Writer(command.stdin(Stdio::piped()).spawn().unwrap());
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    writer.append(text.as_bytes());
    wait_for("the records", || next() == before + lines.len() as u64);
    writer
}

pub fn kill(writer: &Writer, signal: &str) {
    assert!(Command::new("kill").args([signal, &writer.id().to_string()]).status().unwrap().success());
}

/// Sends `signal` to the `lapwing top` that runs in the sandbox.
pub fn kill_top(sandbox: &Sandbox, signal: &str) {
    let pids = tops(sandbox);
    assert_eq!(pids.len(), 1, "{pids:?}");
    assert!(Command::new("kill").arg(signal).args(pids).status().unwrap().success());
}

pub fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PATIENCE, "{what} never came");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The pids of the `lapwing top` that run in the sandbox.
pub fn tops(sandbox: &Sandbox) -> Vec<OsString> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let is_here = std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| sandbox.path("").starts_with(cwd));
        let is_ours = std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe.ends_with("lapwing"));
        is_here && is_ours && std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.ends_with(b"\0top\0"))
    });
    processes.map(|entry| entry.file_name()).collect()
}

//! A folder of its own for every test, and the real command run in it.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod following;

use std::fs::{File, Permissions, set_permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Tests that run in the background of a shell ignore what ends programs there, and so would their children.
#[allow(unsafe_code)]
pub fn minds_signals(command: &mut Command) {
    let reset = || {
        for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP] {
            // SAFETY: gives a signal its default action, which is safe between fork and exec.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: the closure makes async-signal-safe calls alone.
    unsafe { command.pre_exec(reset) };
}

/// Makes the ring at `path` look as it does when the machine was started anew. A file in memory that has its time of birth
/// would be known to be of this boot, and sandboxes may lie in memory.
pub fn is_of_another_boot(path: &Path) {
    const BOOT_ID: u64 = 80;
    const BIRTH: u64 = 128;
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(&[0x55; 16], BOOT_ID).unwrap();
    file.write_all_at(&[0; 8], BIRTH).unwrap();
}

pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        Self { folder }
    }

    /// With a ring of `size` that every command takes for the default ring.
    pub fn with_ring(size: &str) -> Self {
        let sandbox = Self::new();
        let path = sandbox.path("ring");
        let created = sandbox.run(&["create", "-s", size, path.to_str().unwrap()]);
        assert_eq!((created.code, created.stderr.as_str()), (0, ""));
        sandbox
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.command_without_ring(args);
        command.env("LAPWING_RING", self.path("ring"));
        command
    }

    /// Finds its default ring through `$XDG_RUNTIME_DIR`.
    pub fn command_without_ring(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lapwing"));
        command.args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("LAPWING_RING").env("XDG_RUNTIME_DIR", self.folder.path()).env("TZ", "UTC");
        minds_signals(&mut command);
        command
    }

    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).output().unwrap())
    }

    /// A run that has to succeed; gives its output.
    pub fn ok(&self, args: &[&str]) -> String {
        let done = self.run(args);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{args:?}");
        done.stdout
    }

    pub fn run_with_input(&self, args: &[&str], input: &[u8]) -> Done {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Done::of(child.wait_with_output().unwrap())
    }

    /// Appends each line as one record.
    pub fn log_lines(&self, lines: impl IntoIterator<Item = impl std::fmt::Display>) {
        let input: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        let done = self.run_with_input(&["log"], input.as_bytes());
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    }
}

/// A test that fails must not leave processes behind: they would keep its output open.
impl Drop for Sandbox {
    fn drop(&mut self) {
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            if std::fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == self.folder.path()) {
                let _ = Command::new("kill").arg("-9").arg(entry.file_name()).status();
            }
        }
    }
}

pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub raw: Vec<u8>,
    pub stderr: String,
}

impl Done {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            raw: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }
}

//! A session daemon of the race's own, and what is said to it.

use crate::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

/// How long the daemon may take to start, and to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to install where its programs are not there.
pub fn missing(packages: &str) -> Option<String> {
    let there = |name: &str| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    ["lttng", "lttng-sessiond", "setpriv"]
        .into_iter()
        .find(|name| !there(name))
        .map(|name| format!("no {name} (Debian: {packages})"))
}

/// Where clients, daemon and traced processes meet, unless they are root's: these do in /run/lttng.
pub fn home(folder: &Path) -> (&'static str, PathBuf) {
    ("LTTNG_HOME", folder.join("lttng"))
}

/// A running session daemon. It ends with the last who shares it, or with this process, however that ends.
pub struct Daemon {
    process: Child,
    folder: PathBuf,
}

impl Daemon {
    /// The one of this process.
    pub fn shared(folder: &Path) -> Result<Arc<Self>> {
        static DAEMON: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());
        let mut shared = DAEMON.lock().expect("nobody panics while it is held");
        if let Some(daemon) = shared.upgrade() {
            return Ok(daemon);
        }
        let daemon = Arc::new(Self::start(folder)?);
        *shared = Arc::downgrade(&daemon);
        Ok(daemon)
    }

    fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(home(folder).1)?;
        if lttng(folder, &["list"]).is_ok() {
            return Err("a session daemon runs already, and its sessions are not to be disturbed: end it".into());
        }
        let log = folder.join("lttng-sessiond.log");
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "lttng-sessiond", "--no-kernel"]).envs([home(folder)]);
        command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        let mut daemon = Self { process: command.spawn()?, folder: folder.into() };
        let since = Instant::now();
        while daemon.lttng(&["list"]).is_err() {
            if daemon.process.try_wait()?.is_some() || since.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(
                    format!("lttng-sessiond does not start: {}", said.lines().last().unwrap_or_default()).into()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    pub fn home(&self) -> PathBuf {
        home(&self.folder).1
    }

    /// A command for it.
    pub fn lttng(&self, arguments: &[&str]) -> Result<()> {
        lttng(&self.folder, arguments).map(drop)
    }

    /// Its consumers, by their process ids.
    #[cfg(test)]
    pub fn consumers(&self) -> Vec<i32> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let children = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).unwrap());
        let pids: Vec<i32> = children
            .flat_map(|pids| pids.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .map(|pid| pid.parse().unwrap())
            .collect();
        pids.into_iter()
            .filter(|pid| {
                std::fs::read_to_string(format!("/proc/{pid}/comm"))
                    .is_ok_and(|name| name.starts_with("lttng-consumerd"))
            })
            .collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let pid = Pid::from_child(&self.process);
        let _ = kill_process(pid, Signal::TERM);
        let since = Instant::now();
        while let Ok(None) = self.process.try_wait() {
            if since.elapsed() > PATIENCE {
                let _ = self.process.kill();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What a session has discarded since it was made. It has to be stopped for that: only full buffers are counted before.
pub fn discarded(folder: &Path, session: &str) -> Result<u64> {
    lttng(folder, &["stop", session])?;
    let said = lttng(folder, &["list", session])?;
    lttng(folder, &["start", session])?;
    let counts = said.lines().filter_map(|line| line.trim().strip_prefix("Discarded events:"));
    let counts = counts.map(|count| count.trim().parse::<u64>()).collect::<Result<Vec<_>, _>>()?;
    if counts.is_empty() {
        return Err(format!("lttng list {session} does not say what was discarded").into());
    }
    Ok(counts.iter().sum())
}

/// A command for the daemon of that folder, and what it answered.
fn lttng(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new("lttng").arg("--no-sessiond").args(arguments).envs([home(folder)]).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("lttng {}: {}", arguments.join(" "), said.lines().next().unwrap_or_default()).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

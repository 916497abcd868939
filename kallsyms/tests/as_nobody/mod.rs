//! Runs one test of the calling test program as a user without any privilege.

use std::os::unix::process::CommandExt;
use std::process::Command;

const NOBODY: u32 = 65534;

/// Calls `body` in a process of user and group 65534, which runs test `name` of the same program again. By name skipped
/// where there is no way to become that user, or where that user may not run the program.
pub fn as_nobody(name: &str, body: impl FnOnce()) {
    if rustix::process::geteuid().as_raw() == NOBODY {
        body();
        return;
    }
    let program = std::env::current_exe().unwrap();
    let run = Command::new(program).args(["--exact", name, "--nocapture"]).uid(NOBODY).gid(NOBODY).output();
    let run = match run {
        Ok(run) => run,
        Err(error) => {
            eprintln!("{name}: skipped: no process of user {NOBODY}: {error}");
            return;
        }
    };
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "as user {NOBODY}:\n{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

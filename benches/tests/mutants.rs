//! Do the planted errors of `benches/mutants` still fit the code? Whether torture catches them, `benches/mutants/run` tells.

use std::path::Path;
use std::process::{Command, Stdio};

/// Would `patch` apply to the tree at `root`? `None`: no program here can tell.
fn applies(root: &Path, patch: &Path) -> Option<bool> {
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program).args(arguments).arg(patch).current_dir(root).stdout(Stdio::null()).status();
        Some(status.ok()?.success())
    };
    run("git", &["apply", "--check"]).or_else(|| run("patch", &["--dry-run", "-p1", "-i"]))
}

#[test]
fn every_planted_error_still_fits() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let patches: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "patch")).collect();
    assert!(patches.len() > 10, "{patches:?}");
    for patch in patches {
        match applies(root, &patch) {
            Some(fits) => assert!(fits, "{} no longer applies", patch.display()),
            None => return eprintln!("SKIPPED: neither git nor patch is here"),
        }
    }
}

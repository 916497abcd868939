//! A sample of what `steps` does in full: does it find everything in order, and does it try what it should?

use std::process::Command;

#[test]
#[cfg(target_arch = "x86_64")]
fn a_sample_of_all_instructions_adds_up() {
    // Another sample each time; what fails says how to repeat it.
    let seed = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_steps")).args(["--sample", "2", "--seed", &seed]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}", output.status);
    let summary = text.lines().last().unwrap();
    let (tried, violations) = summary.split_once(" instructions tried, ").unwrap();
    assert_eq!(violations, "0 violations");
    // Fifteen cases, killed, held and paused, at two places each; a few operations end before theirs.
    assert!(tried.parse::<u32>().unwrap() > 15 * 3 * 2 * 3 / 4, "{summary}");
    let cases = text.lines().filter(|line| line.contains(" tried, 0 violations") && *line != summary).count();
    assert_eq!(cases, 15, "a line for each case");
}

#[test]
fn an_option_that_does_not_exist_is_refused() {
    for args in [&["--fast", "1"][..], &["--only", "nothing"], &["--at"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_steps")).args(args).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{args:?}");
    }
}

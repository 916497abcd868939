//! Is torture clean, and is it torture? Ten seconds of the real thing; the long run is `torture --minutes 10`.

use std::process::Command;

/// The number in front of `word` in the last line.
fn number(summary: &str, word: &str) -> u64 {
    let words: Vec<&str> = summary.split([' ', ',', ';', ':']).filter(|word| !word.is_empty()).collect();
    let at = words.windows(2).rposition(|pair| pair[1] == word).unwrap_or_else(|| panic!("{word}: {summary}"));
    words[at].parse().unwrap()
}

#[test]
fn ten_seconds_without_a_violation() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_torture")).args(["--seconds", "10", "--round-seconds", "2"]).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}{errors}");
    let summary = text.lines().last().unwrap_or_default();
    println!("{summary}");
    for word in
        ["rounds", "appended", "delivered", "kills", "stops", "naps", "unreturned", "abandoned", "stalled", "lost"]
    {
        assert!(number(summary, word) > 0, "no {word}: {summary}");
    }
    assert_eq!(number(summary, "violations"), 0);
}

#[test]
fn an_option_that_does_not_exist_is_refused() {
    for args in [&["--fast", "1"][..], &["--minutes"], &["--seed", "x"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_torture")).args(args).output().unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{args:?}");
    }
}

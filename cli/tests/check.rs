//! `lapwing check`: what it prints, and its exit code.

mod sandbox;

use sandbox::Sandbox;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

#[test]
fn a_sound_ring_is_0_and_the_counts_add_up() {
    let sandbox = Sandbox::with_ring("64K");
    let path = sandbox.path("ring");
    assert_eq!(sandbox.ok(&["check"]), format!("{0}: nothing was written yet\n{0}: no damage\n", path.display()));
    sandbox.log_lines(0..5000);
    let json: serde_json::Value = serde_json::from_str(&sandbox.ok(&["check", "--json"])).unwrap();
    let counts =
        ["overwritten", "readable", "not_committed", "damaged", "next_seq"].map(|key| json[key].as_u64().unwrap());
    assert_eq!(counts[..4].iter().sum::<u64>(), counts[4]);
    assert_eq!((counts[4], json["writable"].as_bool()), (5000, Some(true)));
    let shown = sandbox.ok(&["tail", "-n", "all", "-o", "cat"]).lines().count() as u64;
    assert_eq!(counts[1], shown, "readable is what tail shows");
    fs::copy(&path, sandbox.path("copy")).unwrap();
    let text = sandbox.ok(&["check", "./copy", "ring"]);
    assert!(text.contains("copy: this is a copy of a ring") && text.contains("ring: no damage"), "{text}");
}

#[test]
fn damage_is_4_and_named_and_what_is_no_ring_is_1() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..20);
    let file = File::options().write(true).open(sandbox.path("ring")).unwrap();
    // The index of page 1 begins 64 bytes into it; a hole, and an offset beyond the page.
    let index = 12288 + 4096 + 64;
    file.write_all_at(&[0; 8], index + 8 * 3).unwrap();
    file.write_all_at(&(1u64 << 16 | 500).to_le_bytes(), index + 8 * 7).unwrap();
    let done = sandbox.run(&["check"]);
    let path = sandbox.path("ring").display().to_string();
    let right = done.lines()[0].rsplit(' ').next().unwrap().to_owned();
    let expected = format!(
        "{path}: offset {}, sequence 7: the offset of a record is 499, expected {right}\n\
         {path}: sequences 3..3: not committed, abandoned by a writer that died\n\
         {path}: sequences 0..19: 0 overwritten, 18 readable, 1 not committed, 1 damaged\n\
         {path}: damaged in one place\n",
        index + 8 * 7
    );
    assert_eq!((done.code, done.stdout, done.stderr), (4, expected, String::new()));
    let json: serde_json::Value = serde_json::from_str(&sandbox.run(&["check", "--json"]).stdout).unwrap();
    assert_eq!((&json["findings"][0]["seq"], &json["findings"][0]["value"]), (&7.into(), &499.into()));

    fs::write(sandbox.path("text"), "no ring, only some text").unwrap();
    for (name, code) in [("./text", 1), ("./missing", 1), (".", 1), ("./ring", 4)] {
        assert_eq!(sandbox.run(&["check", name]).code, code, "{name}");
    }
    let both = sandbox.run(&["check", "./text", "./ring"]);
    assert_eq!(both.code, 4);
    assert!(both.stderr.contains("is not a ring") && both.stdout.contains("damaged in one place"));
}

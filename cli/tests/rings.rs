//! `create`, `rm`, `log`, `stat`, and where the default ring is.

mod sandbox;

use sandbox::{Done, Sandbox};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_log_appends_is_all_there() {
    let sandbox = Sandbox::with_ring("128K");
    let lines: Vec<String> = (0..1000).map(|i| format!("{i:0100}")).collect();
    sandbox.log_lines(&lines);
    assert_eq!(sandbox.ok(&["tail", "-o", "cat", "--fail-on-loss"]).lines().collect::<Vec<_>>(), lines);
}

#[test]
fn log_reads_levels_from_lines_and_marks_what_it_splits() {
    let sandbox = Sandbox::with_ring("64K");
    let long = "x".repeat(5000);
    let input = format!("<3>bad\n<192>no level\n\n{long}\nend");
    assert_eq!(sandbox.run_with_input(&["log", "-p", "notice", "-t", "t"], input.as_bytes()).code, 0);
    let out = sandbox.ok(&["tail", "-o", "json"]);
    let records: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |i: usize, key: &str| records[i][key].as_str().unwrap().to_owned();
    assert_eq!((of(0, "level"), of(0, "text")), ("err".into(), "bad".into()));
    assert_eq!((of(1, "level"), of(1, "text")), ("notice".into(), "<192>no level".into()));
    assert_eq!((of(2, "level"), of(2, "text")), ("notice".into(), "".into()));
    let last = records.len() - 1;
    assert_eq!((of(last, "text"), records[last]["flags"].to_string()), ("end".into(), r#"["partial"]"#.into()));
    let pieces = &records[3..last];
    assert!(pieces.len() > 1);
    assert_eq!(pieces.iter().map(|piece| piece["text"].as_str().unwrap()).collect::<String>(), long);
    assert!(pieces.iter().rev().skip(1).all(|piece| piece["flags"] == serde_json::json!(["cont"])));
    assert!(pieces[pieces.len() - 1].get("flags").is_none());
    assert!(records.iter().all(|record| record["tag"] == "t" && record["src"] == "log"));
}

#[test]
fn words_are_one_record_as_they_stand() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.ok(&["log", "<3>no", "prefix", "here"]);
    sandbox.ok(&["log", ""]);
    sandbox.ok(&["log", "--", "-x"]);
    assert_eq!(sandbox.ok(&["tail", "-o", "cat"]), "<3>no prefix here\n\n-x\n");
    let long = "y".repeat(3000);
    sandbox.ok(&["log", &long]);
    let out = sandbox.ok(&["tail", "--from-seq", "3", "-o", "cat"]);
    assert_eq!(out.replace('\n', ""), long);
    let next = sandbox.ok(&["tail", "-o", "cat"]).lines().count().to_string();
    sandbox.ok(&["log", "--tag", &"t".repeat(200), &long]);
    let out = sandbox.ok(&["tail", "--from-seq", &next, "-o", "cat"]);
    assert_eq!(out.replace('\n', ""), long, "a tag takes room, and the text is split to fit");
    assert_eq!(sandbox.run(&["log", "-p", "loud", "x"]).code, 2);
}

#[test]
fn refused_records_are_an_error_and_counted() {
    let sandbox = Sandbox::with_ring("64K");
    let done = sandbox.run(&["log", "-t", &"t".repeat(3000), "text"]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.starts_with("lapwing: 1 records were refused"), "{}", done.stderr);
    let stat: serde_json::Value = serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap();
    assert_eq!((&stat["refused"]["too_large"], &stat["refused"]["total"]), (&1.into(), &1.into()));
}

#[test]
fn stat_tells_geometry_bounds_and_writers() {
    let sandbox = Sandbox::with_ring("128K");
    let stat = || serde_json::from_str::<serde_json::Value>(&sandbox.ok(&["stat", "--json"])).unwrap();
    assert!(stat()["newest_seq"].is_null());
    let log = lapwing_ring::Log::open(&sandbox.path("ring")).unwrap();
    for text in [&b"a"[..], b"bcd"] {
        log.append(lapwing_ring::Level::INFO, text).unwrap();
    }
    let stat = stat();
    assert_eq!((&stat["size"], &stat["page_size"], &stat["pages"]), (&(128 << 10).into(), &8192.into(), &16.into()));
    let bounds = ["oldest_seq", "newest_seq", "next_seq", "held"].map(|key| stat[key].as_u64().unwrap());
    assert_eq!(bounds, [0, 1, 2, 2]);
    let writer = &stat["writers"][0];
    assert_eq!(writer["pid"], std::process::id());
    assert_eq!((&writer["records"], &writer["bytes"], &writer["state"]), (&2.into(), &4.into(), &"alive".into()));
    for args in [&["stat"][..], &["stat", "--verbose"]] {
        let text = sandbox.ok(args);
        assert!(text.contains("128 KiB in 16 pages of 8 KiB") && text.contains("oldest 0, newest 1, next 2"), "{text}");
        assert!(text.contains(&std::process::id().to_string()), "{text}");
    }
}

#[test]
fn create_makes_what_was_asked_for_and_never_replaces() {
    let sandbox = Sandbox::new();
    sandbox.ok(&["create", "-s", "1M", "--page-size", "8K", "--mode", "0640", "./a"]);
    let meta = fs::metadata(sandbox.path("a")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o640);
    let stat: serde_json::Value = serde_json::from_str(&sandbox.ok(&["stat", "--json", "--ring", "./a"])).unwrap();
    assert_eq!((&stat["size"], &stat["page_size"]), (&(1 << 20).into(), &8192.into()));
    let again = sandbox.run(&["create", "./a"]);
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    assert_eq!(fs::metadata(sandbox.path("a")).unwrap().len(), meta.len());
    for args in [&["-s", "100K"][..], &["-s", "4K"], &["-s", "lots"], &["--page-size", "128K"], &["--mode", "9"]] {
        assert_eq!(sandbox.run(&[&["create"], args, &["./b"]].concat()).code, 2, "{args:?}");
    }
    assert_eq!(sandbox.run(&["create", "--group", "no such group", "./b"]).code, 1);
    assert_eq!(sandbox.run(&["create", "./no/such/folder/b"]).code, 1);
    assert!(!sandbox.path("b").exists());
}

#[test]
fn rm_removes_rings_and_nothing_else() {
    let sandbox = Sandbox::with_ring("64K");
    fs::write(sandbox.path("text"), "precious, and longer than eight bytes").unwrap();
    fs::write(sandbox.path("short"), "x").unwrap();
    fs::create_dir(sandbox.path("folder")).unwrap();
    std::os::unix::fs::symlink("ring", sandbox.path("link")).unwrap();
    for name in ["text", "short", "folder", "link", "missing"] {
        let done = sandbox.run(&["rm", &format!("./{name}")]);
        assert_eq!(done.code, 1, "{name}");
        assert!(done.stderr.starts_with("lapwing: "), "{}", done.stderr);
        assert_eq!(sandbox.path(name).symlink_metadata().is_ok(), name != "missing", "{name}");
    }
    fs::File::options().write(true).open(sandbox.path("ring")).unwrap().set_len(5000).unwrap();
    sandbox.ok(&["rm", "./ring"]);
    assert!(!sandbox.path("ring").exists(), "a ring that is cut short is what rm is for");
}

#[test]
fn the_default_ring_is_made_by_writers_in_a_folder_of_ours() {
    if std::path::Path::new(lapwing_ring::SYSTEM_RING).exists() {
        eprintln!("skipped: this host has a system ring");
        return;
    }
    let sandbox = Sandbox::new();
    let run = |args: &[&str]| Done::of(sandbox.command_without_ring(args).output().unwrap());
    assert_eq!(run(&["tail"]).code, 1);
    assert!(!sandbox.path("lapwing").exists(), "readers make nothing");
    assert_eq!(run(&["log", "hello"]).code, 0);
    let mode = |name| fs::metadata(sandbox.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("lapwing"), mode("lapwing/ring")), (0o700, 0o600));
    assert_eq!(run(&["tail", "-o", "cat"]).stdout, "hello\n");
    assert_eq!(run(&["create", "-s", "64K", "other"]).code, 0);
    assert_eq!(run(&["log", "--ring", "other", "beside"]).code, 0);
    assert_eq!(run(&["tail", "-o", "cat", "--ring", "other"]).stdout, "beside\n");
    assert!(sandbox.path("lapwing/other").exists());
    assert_eq!(run(&["rm", "other"]).code, 0);

    fs::set_permissions(sandbox.path("lapwing"), Permissions::from_mode(0o755)).unwrap();
    for args in [&["tail"][..], &["log", "x"], &["stat"], &["create", "third"]] {
        let done = run(args);
        assert_eq!((done.code, done.stdout.as_str()), (1, ""), "{args:?}");
        assert!(done.stderr.contains("0700") && done.stderr.contains("0755"), "{}", done.stderr);
    }
}

#[test]
fn a_file_that_is_no_ring_is_1_and_every_command_has_help() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.path("ring"), "not a ring, just some text").unwrap();
    for args in [&["tail"][..], &["stat"], &["log", "x"]] {
        let done = sandbox.run(args);
        assert_eq!(done.code, 1, "{args:?}");
        assert!(done.stderr.contains("is not a ring"), "{}", done.stderr);
    }
    for command in ["run", "log", "tail", "stat", "create", "rm", "check", "save", "plot", "ls", "gc", "kmsg", "doctor"]
    {
        assert!(sandbox.ok(&[command, "--help"]).contains(&format!("Examples:\n  lapwing {command}")), "{command}");
    }
    assert!(sandbox.ok(&["--help"]).contains("4  the ring is damaged"));
    assert!(sandbox.ok(&["--version"]).starts_with("lapwing "));
}

#[test]
fn a_damaged_ring_is_4_for_every_command_that_opens_it() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..100);
    let whole = std::fs::read(sandbox.path("ring")).unwrap();
    let mut header = whole.clone();
    // The length of the header, by its own account.
    header[16] = 1;
    for (name, bytes) in [("cut", &whole[..50_000]), ("header", &header)] {
        std::fs::write(sandbox.path("ring"), bytes).unwrap();
        for args in [&["tail"][..], &["stat"], &["log", "x"], &["run", "--", "echo", "ran"]] {
            let done = sandbox.run(args);
            assert_eq!((done.code, done.stdout.as_str()), (4, ""), "{name} {args:?} {}", done.stderr);
            assert!(done.stderr.starts_with("lapwing: ") && !done.stderr.contains("format version"), "{}", done.stderr);
        }
    }
}

#[test]
fn an_empty_name_is_wrong_usage() {
    let sandbox = Sandbox::with_ring("64K");
    for words in [&["tail", "--ring", ""][..], &["stat", "--ring", ""], &["log", "--ring", "", "x"], &["create", ""]] {
        let done = sandbox.run(words);
        assert_eq!(done.code, 2, "{words:?}: {}", done.stderr);
        assert!(done.stderr.contains("a ring has a name"), "{words:?}: {}", done.stderr);
    }
}

//! `lapwing dump` into files: what is in them, who may read them, how they are rotated, and how it goes on.

mod sandbox;
#[path = "dump/stage.rs"]
mod stage;

use lapwing_ring::Log;
use rustix::process::Signal;
use sandbox::Sandbox;
use stage::{Account, Dumping, append, read, rotated, wait_until};
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, Instant};

fn dump_until_now(sandbox: &Sandbox, args: &[&str]) -> stage::End {
    // What is in the ring when it is told to end goes out, also if it has not begun to read by then.
    Dumping::start(sandbox, args).end()
}

#[test]
fn everything_goes_into_a_private_file_up_to_the_moment_of_the_signal() {
    let sandbox = Sandbox::with_ring("1M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    append(&log, 0..100, 1);
    let mut dumping = Dumping::start(&sandbox, &["--to", "out"]);
    wait_until("a hundred lines", || read(&sandbox.path("out")).lines().count() == 100);
    append(&log, 100..3000, 1);
    assert_eq!(dumping.end(), (0, String::new()));
    let text = read(&sandbox.path("out"));
    let account = Account::from(0).take(&text);
    assert_eq!((account.next, account.lost), (3000, 0));
    assert!(text.starts_with(char::is_alphabetic), "a date: {}", &text[..20]);
    for name in ["out", "out.state"] {
        assert_eq!(sandbox.path(name).metadata().unwrap().mode() & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn it_goes_on_where_it_was_and_what_was_overwritten_meanwhile_is_a_loss() {
    for format in ["short", "cat", "json", "raw"] {
        let sandbox = Sandbox::with_ring("64K");
        let log = Log::open(&sandbox.path("ring")).unwrap();
        let args = ["--to", "out", "-o", format];
        let mut texts = Vec::new();
        let mut said = Vec::new();
        for (from, to) in [(0, 10), (10, 10), (10, 30), (30, 9000), (9000, 9001)] {
            append(&log, from..to, 1);
            let (code, notice) = dump_until_now(&sandbox, &args);
            assert_eq!(code, 0, "{notice}");
            said.push(notice);
            let text = read(&sandbox.path("out"));
            texts.push(text);
        }
        assert_eq!(texts[0], texts[1], "nothing new");
        let all = &texts[4];
        assert!(texts.iter().all(|text| all.starts_with(text.as_str())), "{format}");
        match format {
            "raw" => {
                let numbers: String = (0..30).map(|seq| seq.to_string()).collect();
                let rest = all.strip_prefix(&numbers).unwrap();
                let (lost, first, last) = stage::loss(said[3].trim().strip_prefix("lapwing: ").unwrap()).unwrap();
                assert_eq!((first, last), (30, 29 + lost));
                assert_eq!(rest, (last + 1..9001).map(|seq| seq.to_string()).collect::<String>());
            }
            "json" => {
                let mut next = 0;
                for line in all.lines() {
                    let line: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!(line["seq"].as_u64().or(line["first"].as_u64()), Some(next));
                    next = line["last"].as_u64().unwrap_or(next) + 1;
                }
                assert_eq!(next, 9001);
            }
            _ => {
                let account = Account::from(0).take(all);
                assert_eq!((account.next, account.losses), (9001, 1));
            }
        }
    }
}

#[test]
fn a_second_one_refuses_and_the_first_is_not_disturbed() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    let mut first = Dumping::start(&sandbox, &["--to", "out"]);
    wait_until("three lines", || read(&sandbox.path("out")).lines().count() == 3);
    for args in [&["dump", "--to", "out"][..], &["dump", "--to", "./out"], &["dump", "--to", "out", "--state", "other"]]
    {
        let second = sandbox.run(args);
        assert_eq!(second.code, 1);
        assert!(second.stderr.ends_with(": another dump writes to it\n"), "{}", second.stderr);
    }
    sandbox.log_lines(3..5);
    assert_eq!(first.end(), (0, String::new()));
    assert_eq!(Account::from(0).take(&read(&sandbox.path("out"))).next, 5);
}

#[test]
fn planted_links_and_files_of_others_are_refused_and_left_alone() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    let (secret, link) = (sandbox.path("secret"), sandbox.path("out"));
    fs::write(&secret, "secret").unwrap();
    symlink("secret", &link).unwrap();
    let refused = |args: &[&str], part: &str| {
        let done = sandbox.run(&[&["dump"], args].concat());
        assert_eq!(done.code, 1, "{args:?}");
        assert!(done.stderr.contains(part), "{args:?}: {}", done.stderr);
    };
    refused(&["--to", "out"], "symbolic link");
    fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    refused(&["--to", "out"], "symbolic link");
    assert!(!sandbox.path("nowhere").exists() && !sandbox.path("out.state").exists());
    symlink("secret", sandbox.path("log.state")).unwrap();
    refused(&["--to", "log"], "symbolic link");
    refused(&["--to", "log", "--state", "secret"], "no state of a dump");
    fs::create_dir(sandbox.path("folder")).unwrap();
    refused(&["--to", "folder"], "a folder");
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    // A link of ours to a device is no danger.
    symlink("/dev/null", sandbox.path("null")).unwrap();
    assert_eq!(dump_until_now(&sandbox, &["--to", "null"]), (0, String::new()));
    if !rustix::process::geteuid().is_root() {
        return eprintln!("SKIPPED: only root can make files of others");
    }
    fs::write(sandbox.path("theirs"), "").unwrap();
    std::os::unix::fs::chown(sandbox.path("theirs"), Some(65_534), None).unwrap();
    refused(&["--to", "theirs"], "belongs to user 65534");
    std::os::unix::fs::lchown(sandbox.path("null"), Some(65_534), None).unwrap();
    refused(&["--to", "null"], "symbolic link");
}

#[test]
fn a_hangup_opens_the_file_again_and_nothing_is_missing_between_the_two() {
    let sandbox = Sandbox::with_ring("16M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let mut dumping = Dumping::start(&sandbox, &["--to", "out", "-o", "cat"]);
    let (out, mut all) = (sandbox.path("out"), String::new());
    for round in 0..20 {
        append(&log, round * 1000..(round + 1) * 1000, 1);
        wait_until("lines", || fs::metadata(&out).is_ok_and(|meta| meta.len() > 0));
        let moved = sandbox.path("moved");
        fs::rename(&out, &moved).unwrap();
        dumping.signal(Signal::HUP);
        wait_until("another file", || out.exists());
        all += &read(&moved);
    }
    // Nobody has moved it: the same file goes on.
    let inode = out.metadata().unwrap().ino();
    dumping.signal(Signal::HUP);
    append(&log, 20_000..20_010, 1);
    assert_eq!(dumping.end(), (0, String::new()));
    assert_eq!(out.metadata().unwrap().ino(), inode);
    all += &read(&out);
    let account = Account::from(0).take(&all);
    assert_eq!((account.next, account.lost), (20_010, 0));
}

#[test]
fn under_load_files_are_rotated_by_size_compressed_and_the_oldest_removed() {
    let sandbox = Sandbox::with_ring("16M");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let args = ["--to", "out", "-o", "cat", "--rotate", "20000", "--zstd"];
    let mut dumping = Dumping::start(&sandbox, &args);
    append(&log, 0..60_000, 10);
    wait_until("everything to be written", || {
        read(&sandbox.path("out")).lines().last().is_some_and(|line| line.ends_with("59999"))
    });
    wait_until("everything to be compressed", || {
        rotated(&sandbox, "out").iter().all(|path| path.extension().is_some_and(|ending| ending == "zst"))
    });
    let files = rotated(&sandbox, "out");
    // 1818 lines of 11 bytes are the most that 20000 bytes hold.
    assert_eq!(files.len(), 60_000_usize.div_ceil(1818) - 1);
    let mut account = Account::from(0);
    for path in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let first = name.strip_suffix(".zst").unwrap().rsplit('.').next().unwrap();
        assert_eq!(first.parse(), Ok(account.next), "the name has the first sequence: {name}");
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o600);
        let text = read(path);
        assert!(text.len() <= 20_000);
        account = account.take(&text);
    }
    account = account.take(&read(&sandbox.path("out")));
    assert_eq!((account.next, account.lost), (60_000, 0));
    // Every tool of zstd's reads them.
    if let Ok(output) = std::process::Command::new("zstd").args(["-dc", "--"]).arg(&files[0]).output() {
        assert_eq!(String::from_utf8_lossy(&output.stdout), read(&files[0]));
    } else {
        eprintln!("SKIPPED: zstd is not installed");
    }
    assert_eq!(dumping.end(), (0, String::new()));
    fs::write(sandbox.path("out.1"), "somebody else's").unwrap();
    let mut dumping = Dumping::start(&sandbox, &[&args[..], &["--keep", "3"]].concat());
    append(&log, 60_000..62_000, 10);
    wait_until("three", || rotated(&sandbox, "out").len() == 3);
    assert_eq!(dumping.end(), (0, String::new()));
    assert_eq!(read(&sandbox.path("out.1")), "somebody else's");
    let kept = rotated(&sandbox, "out");
    let mut account = Account::from(kept[0].to_str().unwrap().split('.').rev().nth(1).unwrap().parse().unwrap());
    for path in kept.iter().chain([&sandbox.path("out")]) {
        account = account.take(&read(path));
    }
    assert_eq!(account.next, 62_000);
}

#[test]
fn a_file_s_time_ends_also_when_nothing_comes() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..3);
    let mut dumping = Dumping::start(&sandbox, &["--to", "out", "--rotate-time", "1s"]);
    wait_until("a rotated file", || !rotated(&sandbox, "out").is_empty());
    wait_until("the next one", || sandbox.path("out").exists());
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(rotated(&sandbox, "out").len(), 1, "an empty file is not rotated");
    sandbox.log_lines(3..5);
    wait_until("two", || rotated(&sandbox, "out").len() == 2);
    assert_eq!(dumping.end(), (0, String::new()));
    let files = rotated(&sandbox, "out");
    let account = Account::from(0).take(&read(&files[0])).take(&read(&files[1]));
    assert_eq!((account.next, read(&sandbox.path("out"))), (5, String::new()));
}

#[test]
fn only_what_is_wanted_is_written_and_what_is_not_comes_no_second_time() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines((0..20).map(|i| if i % 4 == 0 { format!("<3>{i}") } else { format!("{i}") }));
    let args = ["--to", "out", "-o", "cat", "-p", "err", "-g", "[048]$"];
    assert_eq!(dump_until_now(&sandbox, &args), (0, String::new()));
    assert_eq!(read(&sandbox.path("out")), "0\n4\n8\n");
    sandbox.log_lines(["<3>40"]);
    assert_eq!(dump_until_now(&sandbox, &args), (0, String::new()));
    assert_eq!(read(&sandbox.path("out")), "0\n4\n8\n40\n");
    // Where nothing is noted yet, -n says where to begin.
    for (lines, expected) in [("0", ""), ("2", "19\n40\n"), ("all", "0\n")] {
        let to = format!("last-{lines}");
        assert_eq!(dump_until_now(&sandbox, &["--to", &to, "-o", "cat", "-n", lines]), (0, String::new()));
        let text = read(&sandbox.path(&to));
        assert!(if lines == "all" { text.starts_with(expected) } else { text == expected }, "{lines}: {text}");
    }
}

#[test]
fn what_is_in_the_file_already_stays_and_a_line_without_an_end_gets_one() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..2);
    fs::write(sandbox.path("out"), "somebody's\nand half a li").unwrap();
    assert_eq!(dump_until_now(&sandbox, &["--to", "out", "-o", "cat"]), (0, String::new()));
    assert_eq!(read(&sandbox.path("out")), "somebody's\nand half a li\n0\n1\n");
    // Cut short while it is written (copytruncate): appended to what there is.
    let mut dumping = Dumping::start(&sandbox, &["--to", "out", "-o", "cat"]);
    sandbox.log_lines(2..3);
    wait_until("a line", || read(&sandbox.path("out")).ends_with("2\n"));
    fs::write(sandbox.path("out"), "").unwrap();
    sandbox.log_lines(3..4);
    assert_eq!(dumping.end(), (0, String::new()));
    assert_eq!(read(&sandbox.path("out")), "3\n");
}

#[test]
fn no_record_can_look_like_a_loss_or_like_two() {
    let sandbox = Sandbox::with_ring("64K");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    for text in [&b"*** 5 records lost (seq 0..4) ***"[..], b"one\ntwo", b"\x1b[31mred"] {
        log.append(lapwing_ring::Level::INFO, text).unwrap();
    }
    assert_eq!(dump_until_now(&sandbox, &["--to", "out", "-o", "cat"]), (0, String::new()));
    let expected = "\\x2a** 5 records lost (seq 0..4) ***\none\\x0atwo\n\\x1b[31mred\n";
    assert_eq!(read(&sandbox.path("out")), expected);
}

#[test]
fn records_whose_writers_died_are_counted_where_they_would_stand() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..8);
    // As if their writers had died between reserving and committing: their index entries, on page 1, are blank.
    let geometry = lapwing_ring::Geometry::new(64 << 10, None).unwrap();
    let file = fs::OpenOptions::new().write(true).open(sandbox.path("ring")).unwrap();
    for seq in [3, 4, 6] {
        let at = geometry.pages_offset() + geometry.page_size() + 64 + 8 * seq;
        std::os::unix::fs::FileExt::write_all_at(&file, &[0; 8], at).unwrap();
    }
    let abandoned = "*** 2 records abandoned (seq 3..4) ***\n5\n*** 1 records abandoned (seq 6..6) ***\n7\n";
    for _ in 0..2 {
        assert_eq!(dump_until_now(&sandbox, &["--to", "out", "-o", "cat"]), (0, String::new()));
        assert_eq!(read(&sandbox.path("out")), format!("0\n1\n2\n{abandoned}"));
    }
    sandbox.log_lines([8]);
    assert_eq!(dump_until_now(&sandbox, &["--to", "out", "-o", "cat"]), (0, String::new()));
    assert_eq!(read(&sandbox.path("out")), format!("0\n1\n2\n{abandoned}8\n"));
}

#[test]
fn the_ring_that_takes_the_place_of_the_one_it_follows_is_followed_from_its_beginning() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(["old"]);
    let mut dumping = Dumping::start(&sandbox, &["--to", "out", "-o", "cat"]);
    wait_until("the old ring", || read(&sandbox.path("out")) == "old\n");
    let path = sandbox.path("ring");
    sandbox.ok(&["rm", "ring"]);
    sandbox.ok(&["create", "-s", "64K", path.to_str().unwrap()]);
    sandbox.log_lines(["new"]);
    wait_until("the new ring", || read(&sandbox.path("out")) == "old\nnew\n");
    dumping.wait_for_said("following the new ring");
    assert_eq!(dumping.end().0, 0);
    // And once more, while nobody follows.
    sandbox.ok(&["rm", "ring"]);
    sandbox.ok(&["create", "-s", "64K", path.to_str().unwrap()]);
    sandbox.log_lines(["newest"]);
    // -n is for a dump that is the first one.
    let (code, said) = dump_until_now(&sandbox, &["--to", "out", "-o", "cat", "-n", "0"]);
    assert!(code == 0 && said.contains("beginning with its sequence 0"), "{said}");
    assert_eq!(read(&sandbox.path("out")), "old\nnew\nnewest\n");
}

#[test]
fn a_rate_is_kept_and_a_pipe_whose_reader_leaves_is_no_error() {
    let sandbox = Sandbox::with_ring("64K");
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let since = Instant::now();
    let mut dumping = Dumping::start(&sandbox, &["--to", "out", "-o", "cat", "--rate", "20K"]);
    // Ten times what may pass, all of which could be read in time.
    for i in 0..40 {
        append(&log, i * 250..(i + 1) * 250, 39);
        std::thread::sleep(Duration::from_millis(50));
    }
    let bytes = sandbox.path("out").metadata().unwrap().len();
    // A line more than that may be on its way, and as much as it may catch up on.
    let most = since.elapsed().as_millis() as u64 * 20_480 / 1000 + 80 + 205;
    assert!(bytes > 0 && bytes <= most, "{bytes} of at most {most}");
    assert_eq!(dumping.end(), (0, String::new()));
    assert_eq!(Account::from(0).take(&read(&sandbox.path("out"))).next, 10_000);

    let pipe = sandbox.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(sandbox.run(&["dump", "--to", "pipe"]).code, 1, "nobody reads it");
    let reader = std::thread::spawn(move || {
        let mut first = [0; 1];
        fs::File::open(&pipe).unwrap().read_exact(&mut first).unwrap();
    });
    // Until the reader is there, opening the pipe is an error.
    let mut dumping = Dumping::start(&sandbox, &["--to", "pipe"]);
    wait_until("a dump that has begun", || {
        std::thread::sleep(Duration::from_millis(20));
        let has_failed = dumping.child.try_wait().unwrap().is_some_and(|status| status.code() == Some(1));
        if has_failed {
            dumping = Dumping::start(&sandbox, &["--to", "pipe"]);
        }
        !has_failed
    });
    reader.join().unwrap();
    sandbox.log_lines(["the pipe has no reader any more"]);
    assert_eq!(dumping.wait(), (0, String::new()));
}

#[test]
fn wrong_usage_is_2_and_a_missing_ring_is_1() {
    let sandbox = Sandbox::with_ring("64K");
    for args in [
        &["dump"][..],
        &["dump", "--to", "-"],
        &["dump", "--to", ""],
        &["dump", "--to", "out", "--keep", "3"],
        &["dump", "--to", "out", "--zstd"],
        &["dump", "--to", "out", "--rate", "0"],
        &["dump", "--to", "out", "--rotate", "0"],
        &["dump", "--to", "out", "--rotate-time", "0s"],
        &["dump", "--to", "out", "--fsync", "often"],
        &["dump", "--to", "out", "-p", "loud"],
        &["dump", "--to", "/dev/null", "--rotate", "1M"],
        &["dump", "--to", "/dev/null", "--fsync", "record"],
    ] {
        let done = sandbox.run(args);
        assert_eq!(done.code, 2, "{args:?}: {}", done.stderr);
    }
    assert!(!sandbox.path("out").exists());
    let missing = sandbox.run(&["dump", "--to", "out", "--ring", "none"]);
    assert!(missing.code == 1 && missing.stderr.contains("no such ring"), "{}", missing.stderr);
    assert!(!sandbox.path("out").exists() && !sandbox.path("none").exists());
    fs::set_permissions(sandbox.path("ring"), PermissionsExt::from_mode(0o400)).unwrap();
    assert_eq!(dump_until_now(&sandbox, &["--to", "out"]).0, 0, "to read it is enough");
}

#[test]
fn every_policy_of_syncing_writes_the_same() {
    for policy in ["never", "rotate", "1s", "record"] {
        let sandbox = Sandbox::with_ring("1M");
        let log = Log::open(&sandbox.path("ring")).unwrap();
        let mut dumping =
            Dumping::start(&sandbox, &["--to", "out", "-o", "cat", "--fsync", policy, "--rotate", "1000"]);
        append(&log, 0..1000, 1);
        assert_eq!(dumping.end(), (0, String::new()), "{policy}");
        let mut account = Account::from(0);
        for path in rotated(&sandbox, "out").iter().chain([&sandbox.path("out")]) {
            account = account.take(&read(path));
        }
        assert_eq!(account.next, 1000, "{policy}");
    }
}

#[test]
fn a_ring_or_a_folder_is_refused_and_nothing_is_left_beside_it() {
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(["one"]);
    assert_eq!(sandbox.run(&["create", "-s", "64K", sandbox.path("other").to_str().unwrap()]).code, 0);
    let folder = sandbox.run(&["dump", "--to", "."]);
    assert_eq!((folder.code, folder.stderr.contains("this is a folder")), (1, true), "{}", folder.stderr);
    assert!(!sandbox.path("..state").exists());
    for target in ["./ring", "./other"] {
        let before = fs::read(sandbox.path(target)).unwrap();
        let done = sandbox.run(&["dump", "--to", target]);
        assert_eq!((done.code, done.stderr.contains("is a ring")), (1, true), "{target}: {}", done.stderr);
        assert!(fs::read(sandbox.path(target)).unwrap() == before, "{target} was written to");
        assert!(!sandbox.path(&format!("{target}.state")).exists(), "{target}.state was made");
    }
}

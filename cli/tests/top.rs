//! `lapwing top` in a real terminal: tmux plays the screen and the keyboard, and what the screen shows is compared with what
//! `stat` says.

mod sandbox;
#[path = "top/stage.rs"]
mod stage;

use sandbox::Sandbox;
use stage::{Screen, start, tmux_is_here, writer};
use std::fs::File;
use std::os::unix::fs::symlink;

/// The pids in the table, from the top.
fn pids(screen: &str) -> Vec<u32> {
    table(screen).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

fn table(screen: &str) -> impl Iterator<Item = &str> {
    screen.lines().skip_while(|line| !line.trim_start().starts_with("pid")).skip(1).take_while(|line| !line.is_empty())
}

/// The cells of the row of a process; nothing in any of them where it has none.
fn row(screen: &str, pid: u32) -> Vec<String> {
    let pid = pid.to_string();
    let row = table(screen).find(|line| line.split_whitespace().next() == Some(&pid));
    // A number and its unit are one cell.
    let units = regex::Regex::new(r"(\d) ([KMG]?i?B/s|[a-z]+ ago)").unwrap();
    let row = units.replace_all(row.unwrap_or_default(), "$1_$2").replace(" ago", "_ago");
    let mut cells: Vec<String> = row.split_whitespace().map(str::to_owned).collect();
    cells.resize(cells.len().max(8), String::new());
    cells
}

/// The last cell of its row.
fn state(screen: &str, pid: u32) -> String {
    row(screen, pid)[7].clone()
}

#[test]
fn the_screen_shows_the_numbers_of_stat() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let writers = [writer(&sandbox, &["a"; 3]), writer(&sandbox, &["two bytes"; 40]), writer(&sandbox, &["c"; 20])];
    let mut screen = start(&sandbox, "--every 100ms", (110, 24));
    let text = screen.until(|text| pids(text).len() == 3);
    let report: serde_json::Value = serde_json::from_str(&sandbox.ok(&["stat", "--json"])).unwrap();
    for writer in report["writers"].as_array().unwrap() {
        let row = row(&text, writer["pid"].as_u64().unwrap() as u32);
        let expected = [&writer["records"], &writer["bytes"]].map(ToString::to_string);
        assert_eq!((row[1].as_str(), &row[4..6]), ("lapwing", &expected[..]), "{row:?}");
        assert_eq!(row[7], "alive");
    }
    let fill = (report["fill"].as_f64().unwrap() * 100.0).round();
    assert!(text.contains(&format!("64 KiB in 16 pages, {fill} % full")), "{text}");
    assert!(text.contains("records   63 held, next 63, oldest 0, "), "{text}");
    assert!(text.contains("refused   0 records") && text.contains("levels    info 100 %"), "{text}");
    assert!(text.contains("3 of 3 processes"), "{text}");
    // A process that dies is seen to be dead, and its numbers stay.
    let pid = writers[1].id();
    stage::kill(&writers[1], "-KILL");
    screen.until(|text| state(text, pid) == "dead" && row(text, pid)[4] == "40");
}

#[test]
fn keys_sort_the_table_and_filter_it() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let name = sandbox.path("zebra\u{1b}[31m");
    symlink(env!("CARGO_BIN_EXE_lapwing"), &name).unwrap();
    let long = "a line that is a good deal longer than the others are, so there are more bytes";
    let writers = [
        writer(&sandbox, &["x"; 30]),
        writer(&sandbox, &[long; 20]),
        stage::writer_of(name.to_str().unwrap(), &sandbox, &["x"; 10]),
    ];
    let [many, long, zebra] = writers.each_ref().map(stage::Writer::id);
    let mut screen = start(&sandbox, "--every 100ms", (110, 24));
    screen.until(|text| pids(text).len() == 3);
    let mut order = |key: &str, expected: [u32; 3]| {
        screen.keys(&[key]);
        screen.until(|text| pids(text) == expected);
    };
    let mut by_pid = [many, long, zebra];
    by_pid.sort_unstable();
    order("t", [many, long, zebra]);
    order("y", [long, many, zebra]);
    order("l", [zebra, long, many]);
    order("i", [many, long, zebra]);
    order("p", by_pid);
    order("i", [by_pid[2], by_pid[1], by_pid[0]]);
    screen.keys(&["c"]);
    let text = screen.until(|text| text.contains("comm*") && pids(text)[2] == zebra);
    assert_eq!(row(&text, zebra)[1], r"zebra\x1b[31m", "a name steers no terminal");

    screen.keys(&["/", "Z", "E", "B"]);
    screen.until(|text| pids(text) == [zebra] && text.contains("filter: ZEB_"));
    // Keys are text meanwhile.
    screen.keys(&["q", "BSpace", "Enter"]);
    screen.until(|text| text.contains("1 of 3 processes, filter: ZEB") && pids(text) == [zebra]);
    screen.keys(&["Escape"]);
    screen.until(|text| text.contains("3 of 3 processes") && pids(text).len() == 3);
    screen.keys(&["Down", "Down", "Down", "Down"]);
    screen.until(|text| pids(text) == [zebra]);
    screen.keys(&["Home"]);
    screen.until(|text| pids(text).len() == 3);
}

#[test]
fn rates_are_live_until_it_is_paused() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("1M");
    let mut idle = writer(&sandbox, &["idle"; 5]);
    let mut busy = writer(&sandbox, &["busy"; 5]);
    let mut screen = start(&sandbox, "--every 1s", (110, 24));
    let mut appended = 5;
    // 500 records of 7 bytes a second, but for the time that the loop itself takes.
    let rate = |text: &str| row(text, busy_pid(text, idle.id()))[2].parse::<f64>();
    fn busy_pid(text: &str, idle: u32) -> u32 {
        pids(text).into_iter().find(|&pid| pid != idle).unwrap_or_default()
    }
    let text = screen.until(|text| {
        busy.append(&b"another\n".repeat(50));
        appended += 50;
        std::thread::sleep(std::time::Duration::from_millis(75));
        pids(text).len() == 2 && rate(text).is_ok_and(|rate| rate > 50.0) && text.contains("looked at")
    });
    let pid = busy_pid(&text, idle.id());
    assert_eq!(pids(&text)[0], pid, "the fastest comes first");
    assert_eq!(row(&text, idle.id())[2], "0");
    assert!(rate(&text).unwrap() <= 800.0 && text.contains("a record is overwritten after"), "{text}");
    // When nothing more comes, all that was appended is on the screen, and then it is quiet.
    let records = appended.to_string();
    let text = screen.until(|text| row(text, pid)[4] == records && row(text, pid)[2] == "0");
    assert!(text.contains(&format!("next {},", appended + 5)), "{text}");

    screen.keys(&["Space"]);
    screen.until(|text| text.contains("PAUSED"));
    idle.append(b"1\n2\n3\n");
    let text = screen.until(|text| text.contains("paused, 3 behind"));
    assert_eq!(row(&text, idle.id())[4], "5", "what is on the screen stands still");
    screen.keys(&["Space"]);
    screen.until(|text| row(text, idle.id())[4] == "8" && text.contains("reader    0 behind; looked at 0 of 0"));
}

#[test]
fn who_writes_through_somebody_else_or_has_left_has_a_row_too() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let log = lapwing_ring::Log::open(&sandbox.path("ring")).unwrap();
    let origin = lapwing_ring::Origin { pid: 4_000_123, tid: 4_000_123, comm: Some(b"spoken for"), uid: None };
    let mut screen = start(&sandbox, "--every 100ms", (110, 24));
    screen.until(|text| {
        let draft = lapwing_ring::Draft::new(lapwing_ring::Level::WARN);
        log.append_for(&origin, &draft, &[b"eight..."]).unwrap();
        let row = row(text, 4_000_123);
        // The name has two words, and so has the state.
        row[1..3] == ["spoken", "for"] && row[3] != "0" && row[5..7] == ["-", "-"] && row[8..] == ["no", "slot"]
    });
    // It has gone from the screen when it has written nothing for a second.
    screen.until(|text| pids(text) == [std::process::id()]);
}

#[test]
fn however_it_ends_the_terminal_is_as_it_was() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let _writer = writer(&sandbox, &["a line"]);
    let signals = [("-TERM", 143), ("-HUP", 129), ("-INT", 130), ("in a key", 143)];
    for (end, code) in [("q", 0), ("C-c", 0)].into_iter().chain(signals).chain([("cut", 4)]) {
        let mut screen = Screen::new(&sandbox, (120, 40));
        screen.line("stty -a; echo before");
        let before = screen.until(|text| text.lines().any(|line| line == "before"));
        screen.line("$LAPWING top");
        screen.until(|text| text.contains("1 of 1 processes"));
        screen.until_shown(true, false);
        match end {
            "cut" => File::options().write(true).open(sandbox.path("ring")).unwrap().set_len(4096).unwrap(),
            "in a key" => {
                // The first half of an arrow.
                screen.keys(&["-H", "1b", "5b"]);
                std::thread::sleep(std::time::Duration::from_millis(300));
                stage::kill_top(&sandbox, "-TERM");
            }
            signal if signal.starts_with('-') => stage::kill_top(&sandbox, signal),
            key => screen.keys(&[key]),
        }
        // At its prompt again.
        screen.until(|text| text.trim_end().ends_with("\nready>"));
        screen.until_shown(false, true);
        screen.line("echo \"code=$?\"; stty -a; echo after");
        let after = screen.until(|text| text.lines().any(|line| line == "after"));
        assert!(after.lines().any(|line| line == format!("code={code}")), "after {end}:\n{after}");
        let settings = |text: &str| {
            let lines = text.lines().filter(|line| line.contains("icanon") || line.contains("intr = "));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let (old, new) = (settings(&before), settings(&after));
        assert!(old.len() == 2 && new == [&old[..], &old].concat(), "after {end}:\n{after}");
        assert!(after.lines().any(|line| line == "before"), "what was there before is there again:\n{after}");
        if end == "cut" {
            assert!(after.contains("the file was cut short under its readers"), "{after}");
        }
    }
}

#[test]
fn when_the_terminal_goes_away_it_ends() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    // Also where nobody is told: the shell is killed first, and with setsid its signals reach nobody.
    for line in ["$LAPWING top", "setsid -w $LAPWING top"] {
        let mut screen = Screen::new(&sandbox, (100, 24));
        screen.line(line);
        screen.until(|text| text.contains("0 of 0 processes"));
        assert_eq!(stage::tops(&sandbox).len(), 1);
        drop(screen);
        stage::wait_for("its end", || stage::tops(&sandbox).is_empty());
    }
}

#[test]
fn it_stops_and_goes_on_as_the_shell_says() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let _writer = writer(&sandbox, &["a line"]);
    let mut screen = Screen::new(&sandbox, (100, 24));
    screen.line("set -m; $LAPWING top; echo stopped");
    screen.until(|text| text.contains("1 of 1 processes"));
    screen.keys(&["C-z"]);
    screen.until(|text| text.lines().any(|line| line == "stopped"));
    screen.until_shown(false, true);
    screen.line("fg");
    screen.until(|text| text.contains("1 of 1 processes"));
    screen.until_shown(true, false);
    screen.keys(&["q"]);
    screen.until(|text| text.lines().any(|line| line == "stopped"));
}

#[test]
fn a_screen_of_any_size_has_whole_numbers() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let writer = writer(&sandbox, &["some line"; 1234]);
    let mut screen = start(&sandbox, "--every 100ms", (200, 50));
    screen.until(|text| text.contains("1 of 1 processes") && row(text, writer.id())[5] == "11106");
    // The number of bytes gives way first, then the time of the last write.
    screen.resize(80, 24);
    screen.until(|text| !table_head(text).contains("bytes ") && row(text, writer.id())[4] == "1234");
    screen.resize(50, 10);
    screen
        .until(|text| table_head(text).ends_with("records/s* state") && row(text, writer.id())[2..4] == ["0", "alive"]);
    screen.resize(20, 3);
    screen.resize(110, 24);
    screen.until(|text| table_head(text).contains("last write") && row(text, writer.id())[5] == "11106");
}

fn table_head(screen: &str) -> &str {
    screen.lines().find(|line| line.trim_start().starts_with("pid")).unwrap_or_default()
}

#[test]
fn there_are_colours_unless_somebody_wants_none() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let _writer = writer(&sandbox, &["<3>a line"]);
    let colour = regex::Regex::new("\x1b\\[(\\d+;)*(3[0-7]|9[0-7]|38|48|4[0-7])[;m]").unwrap();
    for (assignment, coloured) in [("NO_COLOR=1", false), ("NO_COLOR=", true)] {
        let mut screen = Screen::new(&sandbox, (110, 24));
        screen.line(&format!("{assignment} $LAPWING top"));
        screen.until(|text| text.contains("1 of 1 processes"));
        let text = screen.with_escapes();
        assert_eq!(colour.is_match(&text), coloured, "{assignment}: {text:?}");
        assert!(text.contains("\x1b["), "marked all the same");
    }
}

#[test]
fn a_ring_that_is_replaced_is_left_for_the_new_one() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    sandbox.log_lines(0..7);
    let mut screen = start(&sandbox, "--every 100ms", (110, 24));
    screen.until(|text| text.contains("records   7 held"));
    sandbox.ok(&["rm", "ring"]);
    screen.until(|text| text.contains("the ring was removed; waiting for a new one"));
    sandbox.ok(&["create", "-s", "128K", "ring"]);
    sandbox.log_lines(0..3);
    screen.until(|text| text.contains("128 KiB") && text.contains("records   3 held") && !text.contains("removed"));
}

#[test]
fn what_nobody_writes_to_any_more_is_shown_as_it_was_left() {
    if !tmux_is_here() {
        return;
    }
    let sandbox = Sandbox::with_ring("64K");
    let writer = writer(&sandbox, &["<4>ten bytes."; 12]);
    let pid = writer.id();
    drop(writer);
    std::fs::copy(sandbox.path("ring"), sandbox.path("copy")).unwrap();
    let mut screen = start(&sandbox, "--every 100ms --ring ./copy", (110, 24));
    let shown = |text: &str| {
        let whole = ["full  copy", "rate      12 records/s, 120 B/s in its last 1 s", "levels    warn 100 %"];
        whole.iter().all(|part| text.contains(part)) && row(text, pid)[1..4] == ["lapwing", "-", "-"]
    };
    let text = screen.until(shown);
    assert_eq!(&row(&text, pid)[4..6], ["12", "120"], "{text}");
    // And goes on so.
    std::thread::sleep(std::time::Duration::from_millis(500));
    screen.until(|text| shown(text) && row(text, pid)[6].ends_with("_ago") && state(text, pid) == "dead");
}

#[test]
fn without_a_terminal_it_says_what_to_use_instead() {
    let sandbox = Sandbox::with_ring("64K");
    let done = sandbox.run(&["top"]);
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    assert!(done.stderr.contains("`lapwing stat --watch` tells the same"), "{}", done.stderr);
}

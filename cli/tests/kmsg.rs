//! `lapwing kmsg`, with the machine's own kernel log and with a pipe that gives one record a read.

mod sandbox;

use lapwing_ring::{Field, Level, Log, Read as Step, Reader, Record, Seek, Source};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox::{Done, Sandbox};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const DEVICE: &str = "/dev/kmsg";

/// What the kernel has now: sequence, and text as it stands there. `None`, and says so, where we may not look.
fn kernel_log() -> Option<Vec<(u64, String)>> {
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(DEVICE);
    let mut device = match opened {
        Ok(device) => device,
        Err(error) => {
            println!("skipped: {DEVICE} cannot be read here: {error}");
            return None;
        }
    };
    let (mut records, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        match device.read(&mut buffer) {
            Ok(len) => {
                let read = String::from_utf8(buffer[..len].to_vec()).expect("the kernel escapes what is not ASCII");
                let (head, text) = read.split_once(';').unwrap();
                let seq = head.split(',').nth(1).unwrap().parse().unwrap();
                records.push((seq, text.split('\n').next().unwrap().to_owned()));
            }
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(records),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Says a line in the kernel log. Opened anew each time, for the kernel counts what one descriptor writes.
fn tell_kernel(text: &str) -> bool {
    // Without a newline it could still go on, and nobody gets to read it.
    let text = format!("{text}\n");
    let told = OpenOptions::new().write(true).open(DEVICE).and_then(|mut device| device.write_all(text.as_bytes()));
    if let Err(error) = &told {
        println!("skipped: {DEVICE} cannot be written here: {error}");
    }
    told.is_ok()
}

fn records(sandbox: &Sandbox) -> Vec<Value> {
    // What a bridge that was killed has reserved is no loss of the kernel's.
    let done = Done::of(sandbox.command(&["tail", "-n", "all", "-o", "json"]).output().unwrap());
    assert_eq!(done.stderr, "");
    let lines = done.lines().into_iter().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|value: &Value| value.get("abandoned").is_none()).collect()
}

fn number(record: &Value, field: &str) -> Option<u64> {
    record["fields"][field].as_u64()
}

/// Every kernel record once and in order, or said to be lost; gives the sequences from the first to the last.
fn check_sequences(records: &[Value]) -> Option<(u64, u64)> {
    let mut span: Option<(u64, u64)> = None;
    for record in records {
        assert_eq!((&record["src"], &record["pid"], &record["comm"]), (&json!("kmsg"), &json!(0), &json!("kernel")));
        let (first, last) = match number(record, "kernel_seq") {
            Some(seq) => (seq, seq),
            None => (number(record, "kernel_first").unwrap(), number(record, "kernel_last").unwrap()),
        };
        if let Some((_, before)) = span {
            assert_eq!(first, before + 1, "{record}");
        }
        span = Some((span.map_or(first, |(first, _)| first), last));
    }
    span
}

fn follow(sandbox: &Sandbox, more: &[&str]) -> Child {
    let args = [&["kmsg", "-f"], more].concat();
    sandbox.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn end(mut child: Child) -> String {
    child.kill().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    child.wait().unwrap();
    stderr
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let since = Instant::now();
    while !there() {
        assert!(since.elapsed() < Duration::from_secs(30), "{what}");
        sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_kernel_log_of_this_machine_is_in_the_ring_once_however_often_it_is_asked_for() {
    let sandbox = Sandbox::with_ring("4M");
    let Some(before) = kernel_log() else { return };
    sandbox.ok(&["kmsg"]);
    let first = records(&sandbox);
    let (from, to) = check_sequences(&first).unwrap();
    assert_eq!(from, 0, "what was overwritten before the first look is said as well");
    assert!(to >= before.last().unwrap().0);
    for (seq, text) in before {
        let record = first.iter().find(|record| number(record, "kernel_seq") == Some(seq)).unwrap();
        // Nothing in it that is escaped: the same text. Otherwise what it stands for.
        let unescaped = record["text"].as_str().unwrap_or_default();
        assert!(text.contains("\\x") || unescaped == text, "{record} {text}");
    }
    assert!(sandbox.path("ring.kmsg").is_file());
    sandbox.ok(&["kmsg"]);
    let again = records(&sandbox);
    assert_eq!(again[..first.len()], first);
    assert_eq!(check_sequences(&again).unwrap().0, 0);
}

#[test]
fn what_the_kernel_is_told_comes_with_its_level_and_its_bytes() {
    let sandbox = Sandbox::with_ring("4M");
    if kernel_log().is_none() {
        return;
    }
    let child = follow(&sandbox, &[]);
    let me = format!("lapwing-test-{}", std::process::id());
    if !tell_kernel(&format!("<28>{me}: a\ttab, a \\ and \u{e9}")) || !tell_kernel(&format!("<4>{me}: two")) {
        end(child);
        return;
    }
    let mine = || -> Vec<Value> {
        records(&sandbox)
            .into_iter()
            .filter(|record| record["text"].as_str().unwrap_or_default().contains(&me))
            .collect()
    };
    wait_for("both are there", || mine().len() == 2);
    assert_eq!(end(child), "");
    let mine = mine();
    assert_eq!(mine[0]["text"], json!(format!("{me}: a\ttab, a \\ and \u{e9}")));
    assert_eq!((&mine[0]["level"], &mine[0]["fields"]["facility"]), (&json!("warn"), &json!("daemon")));
    // A user space program cannot speak for the kernel: facility 0 is made 1.
    assert_eq!((&mine[1]["level"], &mine[1]["fields"]["facility"]), (&json!("warn"), &json!("user")));
    assert!(number(&mine[0], "kernel_us").unwrap() <= number(&mine[1], "kernel_us").unwrap());
    check_sequences(&records(&sandbox));
}

#[test]
fn killed_anywhere_and_started_again_it_leaves_nothing_out_and_says_nothing_twice() {
    let sandbox = Sandbox::with_ring("4M");
    let Some(before) = kernel_log() else { return };
    let (mut rounds, mut kills) = (0, 0);
    let mut delay = 0;
    // From the beginning again and again: each ring is another, so nothing that was noted counts.
    let since = Instant::now();
    while rounds < 12 || kills < 40 {
        assert!(since.elapsed() < Duration::from_secs(120), "{rounds} rounds, {kills} kills");
        sandbox.ok(&["rm", "./ring"]);
        sandbox.ok(&["create", "-s", "4M", "./ring"]);
        loop {
            let mut child = sandbox.command(&["kmsg"]).stderr(Stdio::null()).spawn().unwrap();
            // From before its first record to behind its last, which takes a few milliseconds.
            delay = (delay + 617) % 12_000;
            sleep(Duration::from_micros(delay + 1000));
            let status = child.try_wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            if let Some(status) = status {
                assert!(status.success(), "{status}");
                break;
            }
            kills += 1;
        }
        let (from, to) = check_sequences(&records(&sandbox)).unwrap();
        assert!(from == 0 && to >= before.last().unwrap().0, "{from} {to} {before:?}");
        rounds += 1;
    }
    println!("{rounds} rounds, {kills} kills");
}

/// What a kernel record in the ring tells of: the first and the last, and whether it only may be lost.
fn told(record: &Record<'_>) -> Option<(u64, u64, bool)> {
    let number = |name: &[u8]| {
        record.fields.into_iter().find_map(|field| match field {
            Field::KeyValue(key, lapwing_ring::Value::Uint(number)) if key == name => Some(number),
            _ => None,
        })
    };
    if record.source != Source::Kmsg {
        return None;
    }
    let (first, last) = match number(b"kernel_seq") {
        Some(seq) => (seq, seq),
        None => (number(b"kernel_first").unwrap(), number(b"kernel_last").unwrap()),
    };
    Some((first, last, record.payload.windows(10).any(|part| part == b" may be lo")))
}

#[test]
fn killed_anywhere_and_the_ring_overwritten_before_the_next_it_says_of_what_nobody_knows() {
    let Some(before) = kernel_log() else { return };
    let (mut kills, mut unsure, mut delay) = (0, 0, 0);
    let since = Instant::now();
    while kills < 40 || unsure == 0 {
        assert!(since.elapsed() < Duration::from_secs(120), "{kills} kills, {unsure} unsure");
        let sandbox = Sandbox::with_ring("1M");
        let noise = Log::open(&sandbox.path("ring")).unwrap();
        let mut reader = Reader::open(&sandbox.path("ring")).unwrap();
        let mut known = None;
        let mut is_over = false;
        while !is_over {
            let mut child = sandbox.command(&["kmsg"]).stderr(Stdio::null()).spawn().unwrap();
            delay = (delay + 617) % 12_000;
            sleep(Duration::from_micros(delay + 1000));
            is_over = child.try_wait().unwrap().is_some();
            child.kill().unwrap();
            child.wait().unwrap();
            kills += u32::from(!is_over);
            loop {
                match reader.next().unwrap() {
                    Step::Record(record) => {
                        let Some((first, last, may_be)) = told(&record) else { continue };
                        let next = known.map_or(0, |known: u64| known + 1);
                        assert!(first == next || may_be && Some(last) == known, "{first} {last} behind {known:?}");
                        unsure += u32::from(may_be);
                        known = Some(last);
                    }
                    Step::Abandoned(_) => {}
                    Step::NotYet { in_flight: false } => break,
                    Step::NotYet { in_flight: true } => reader.pause(),
                    other => panic!("{other:?}"),
                }
            }
            for _ in 0..12_000 {
                noise.append(Level::INFO, &[b'x'; 100]).unwrap();
            }
            reader.seek(Seek::Newest).unwrap();
        }
        assert!(known >= before.last().map(|&(seq, _)| seq));
    }
    println!("{kills} kills, {unsure} unsure");
}

/// A pipe in packet mode: what one write puts in, one read gets, as with /dev/kmsg. Its path, and both its ends.
fn pipe() -> (String, (File, File)) {
    let (read, write) = pipe_with(PipeFlags::DIRECT | PipeFlags::CLOEXEC).unwrap();
    let path = format!("/proc/{}/fd/{}", std::process::id(), read.as_raw_fd());
    (path, (read.into(), write.into()))
}

fn tell((_, pipe): &(File, File), seq: u64, rest: &str) {
    let mut pipe = pipe;
    pipe.write_all(format!("6,{seq},{}{rest}", seq * 10).as_bytes()).unwrap();
}

#[test]
fn a_jump_of_the_kernels_sequence_is_said_with_its_count() {
    let sandbox = Sandbox::with_ring("1M");
    let (device, pipe) = pipe();
    let drain = || sandbox.ok(&["kmsg", "--device", &device]);
    tell(&pipe, 5, ",-,caller=T1;first\\x0aline\n SUBSYSTEM=net\n DEVICE=n2\n");
    tell(&pipe, 6, ",c;second\n");
    drain();
    tell(&pipe, 9, ",-;third\n");
    // Twice: the second has been read.
    tell(&pipe, 6, ",-;second\n");
    tell(&pipe, 10, ",-;fourth\n");
    drain();
    let records = records(&sandbox);
    let seen: Vec<_> =
        records.iter().map(|record| json!([record["level"], record["text"], record["fields"]])).collect();
    let lost = |count: u64, first: u64, last: u64| {
        let text = format!("{count} kernel records lost (kernel sequence {first}..{last})");
        json!(["warn", text, {"kernel_lost": count, "kernel_first": first, "kernel_last": last}])
    };
    let plain =
        |text: &str, seq: u64| json!(["info", text, {"facility": "kern", "kernel_seq": seq, "kernel_us": seq * 10}]);
    let fields = json!({"facility": "kern", "kernel_seq": 5, "kernel_us": 50, "caller": "T1", "SUBSYSTEM": "net", "DEVICE": "n2"});
    let mut second = plain("second", 6);
    second[2]["kernel_flags"] = json!("c");
    let expected = [
        lost(5, 0, 4),
        json!(["info", "first\nline", fields]),
        second,
        lost(2, 7, 8),
        plain("third", 9),
        plain("fourth", 10),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn where_the_note_is_gone_the_ring_itself_says_how_far_it_came() {
    let sandbox = Sandbox::with_ring("1M");
    let (device, pipe) = pipe();
    for seq in 0..5 {
        tell(&pipe, seq, ",-;text\n");
    }
    sandbox.ok(&["kmsg", "--device", &device]);
    for note in [
        None,
        Some("lapwing-kmsg 1 ring=00000000000000000000000000000000 taken  kernel=9..9 seq=9\n"),
        Some("nonsense"),
    ] {
        let path = sandbox.path("ring.kmsg");
        match note {
            Some(note) => std::fs::write(path, note).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
        tell(&pipe, 4, ",-;text\n");
        sandbox.ok(&["kmsg", "--device", &device]);
    }
    assert_eq!(records(&sandbox).len(), 5);
}

const FOUR: &str = "kernel=00000000000000000004..00000000000000000004";

#[test]
fn whoever_was_killed_in_an_append_is_believed_as_far_as_the_ring_tells() {
    let sandbox = Sandbox::with_ring("64K");
    let (device, pipe) = pipe();
    for seq in 0..5 {
        tell(&pipe, seq, ",-;text\n");
    }
    sandbox.ok(&["kmsg", "--device", &device]);
    let note = std::fs::read_to_string(sandbox.path("ring.kmsg")).unwrap();
    let taking = |from: &str, to: &str| {
        assert!(note.contains("taken ") && note.contains(from), "{note}");
        std::fs::write(sandbox.path("ring.kmsg"), note.replace("taken ", "taking").replace(from, to)).unwrap();
    };
    // Killed behind the append of 4, which is in the ring; then in front of the one of 5, which is not.
    taking(" seq=00000000000000000005", " seq=00000000000000000004");
    tell(&pipe, 4, ",-;text\n");
    sandbox.ok(&["kmsg", "--device", &device]);
    assert_eq!(records(&sandbox).len(), 5);
    taking(FOUR, &FOUR.replace('4', "5"));
    tell(&pipe, 5, ",-;text\n");
    sandbox.ok(&["kmsg", "--device", &device]);
    assert_eq!(records(&sandbox).len(), 6);
    // Killed in front of the record that says that 6 and 7 are lost.
    taking(FOUR, "kernel=00000000000000000006..00000000000000000007");
    tell(&pipe, 8, ",-;text\n");
    sandbox.ok(&["kmsg", "--device", &device]);
    assert_eq!(check_sequences(&records(&sandbox)), Some((0, 8)));
    // Killed in the append of 9, and the ring has been overwritten since: nobody knows.
    taking(FOUR, &FOUR.replace('4', "9"));
    sandbox.log_lines(0..2000);
    tell(&pipe, 9, ",-;text\n");
    tell(&pipe, 10, ",-;text\n");
    sandbox.ok(&["kmsg", "--device", &device]);
    let records = records(&sandbox);
    let [.., lost, behind] = &records[..] else { panic!("{records:?}") };
    assert_eq!(lost["text"], "1 kernel records may be lost (kernel sequence 9..9)");
    assert_eq!(number(behind, "kernel_seq"), Some(10));
}

#[test]
fn a_second_bridge_is_refused_and_a_ring_that_lost_its_name_ends_the_first() {
    let sandbox = Sandbox::with_ring("1M");
    let (device, pipe) = pipe();
    let mut child = follow(&sandbox, &["--device", &device]);
    tell(&pipe, 0, ",-;text\n");
    wait_for("the first is at work", || !records(&sandbox).is_empty());
    let second = sandbox.run(&["kmsg", "--device", &device]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("another bridge writes the kernel log to this ring"), "{}", second.stderr);
    sandbox.ok(&["rm", "./ring"]);
    wait_for("it has noticed", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(stderr.contains("removed or replaced"), "{stderr}");
}

#[test]
fn a_ring_that_refuses_loses_nothing_that_the_kernel_still_has() {
    let sandbox = Sandbox::with_ring("64K");
    let (device, pipe) = pipe();
    let slots = serde_json::from_str::<Value>(&sandbox.ok(&["stat", "--json"])).unwrap()["slots"].as_u64().unwrap();
    let others: Vec<_> = (0..slots).map(|_| lapwing_ring::Writer::open(&sandbox.path("ring")).unwrap()).collect();
    tell(&pipe, 0, ",-;text\n");
    let refused = sandbox.run(&["kmsg", "--device", &device]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("refuses the kernel's records") && refused.stderr.contains("slots"),
        "{}",
        refused.stderr
    );
    let child = follow(&sandbox, &["--device", &device]);
    for seq in 0..3 {
        tell(&pipe, seq, ",-;text\n");
    }
    sleep(Duration::from_millis(300));
    assert_eq!(records(&sandbox).len(), 0);
    drop(others);
    wait_for("all are there", || records(&sandbox).len() == 3);
    let stderr = end(child);
    assert_eq!(stderr.lines().count(), 1, "said once: {stderr}");
    assert_eq!(check_sequences(&records(&sandbox)), Some((0, 2)));
}

#[test]
fn rm_takes_the_note_along_unless_it_is_somebody_else_s_or_in_use() {
    let sandbox = Sandbox::with_ring("64K");
    let (device, pipe) = pipe();
    let made = |sandbox: &Sandbox| {
        tell(&pipe, 0, ",-;text\n");
        sandbox.ok(&["kmsg", "--device", &device]);
        sandbox.path("ring.kmsg").exists()
    };
    assert!(made(&sandbox));
    sandbox.ok(&["rm", "./ring"]);
    assert!(!sandbox.path("ring.kmsg").exists());
    sandbox.ok(&["create", "-s", "64K", "./ring"]);
    std::fs::write(sandbox.path("ring.kmsg"), "somebody's own notes\n").unwrap();
    sandbox.ok(&["rm", "./ring"]);
    assert!(sandbox.path("ring.kmsg").exists());
    std::fs::remove_file(sandbox.path("ring.kmsg")).unwrap();
    sandbox.ok(&["create", "-s", "64K", "./ring"]);
    assert!(made(&sandbox));
    let child = follow(&sandbox, &["--device", &device]);
    tell(&pipe, 1, ",-;text\n");
    wait_for("it is at work", || records(&sandbox).len() == 2);
    sandbox.ok(&["rm", "./ring"]);
    assert!(sandbox.path("ring.kmsg").exists());
    end(child);
}

#[test]
fn what_cannot_be_read_says_why() {
    let sandbox = Sandbox::with_ring("64K");
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", env!("CARGO_BIN_EXE_lapwing")];
    let restricted = std::fs::read_to_string("/proc/sys/kernel/dmesg_restrict").is_ok_and(|value| value.trim() == "1");
    std::fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o777)).unwrap();
    std::fs::set_permissions(sandbox.path("ring"), Permissions::from_mode(0o666)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(nobody).arg("kmsg").arg("--ring").arg(sandbox.path("ring"));
    match command.output() {
        Ok(output) if restricted && output.status.code() == Some(1) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                stderr.contains("/dev/kmsg: cannot read the kernel log") && stderr.contains("it takes root"),
                "{stderr}"
            );
        }
        other => println!("skipped: not restricted here: {other:?}"),
    }
    std::fs::set_permissions(sandbox.path(""), Permissions::from_mode(0o700)).unwrap();
    let _ = std::fs::remove_file(sandbox.path("ring.kmsg"));
    let missing = sandbox.run(&["kmsg", "--device", "/no such device"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("/no such device: cannot read the kernel log: No such file"), "{}", missing.stderr);
    let (device, (_read, mut pipe)) = pipe();
    pipe.write_all(b"no kernel record\n").unwrap();
    let done = sandbox.run(&["kmsg", "--device", &device]);
    assert_eq!((done.code, records(&sandbox).len()), (0, 0));
    assert!(done.stderr.contains("no kernel record\\n") || done.stderr.contains("no kernel record"), "{}", done.stderr);
}

/// Fills the whole kernel log with its own records, so it is run by hand: `cargo test --test kmsg -- --ignored`.
#[test]
#[ignore = "overwrites the kernel log of the machine"]
fn what_the_kernel_overwrote_while_nobody_read_is_counted_exactly() {
    let sandbox = Sandbox::with_ring("16M");
    if kernel_log().is_none() {
        return;
    }
    sandbox.ok(&["kmsg"]);
    let Some((last, oldest)) = flood(&sandbox) else { return };
    sandbox.ok(&["kmsg"]);
    check_lost(&sandbox, last, oldest);
    // And while somebody follows, who is stopped in the middle.
    let child = follow(&sandbox, &[]);
    let send = |signal: &str| {
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    };
    sleep(Duration::from_millis(100));
    send("-STOP");
    let flooded = flood(&sandbox);
    send("-CONT");
    let newest = kernel_log().unwrap().last().unwrap().0;
    wait_for("it has caught up", || check_sequences(&records(&sandbox)).unwrap().1 >= newest);
    assert_eq!(end(child), "");
    let (last, oldest) = flooded.expect("it could be written a moment ago");
    check_lost(&sandbox, last, oldest);
}

/// Overwrites what the ring has not got. Gives the last that it has, and the oldest that the kernel has now.
fn flood(sandbox: &Sandbox) -> Option<(u64, u64)> {
    let (_, last) = check_sequences(&records(sandbox)).unwrap();
    let text = "x".repeat(900);
    loop {
        let oldest = kernel_log().unwrap()[0].0;
        if oldest > last + 100 {
            return Some((last, oldest));
        }
        for _ in 0..100 {
            if !tell_kernel(&format!("<15>lapwing-test: {text}")) {
                return None;
            }
        }
    }
}

fn check_lost(sandbox: &Sandbox, last: u64, oldest: u64) {
    let records = records(sandbox);
    check_sequences(&records);
    let lost = records.iter().find(|record| number(record, "kernel_first") == Some(last + 1)).unwrap();
    assert!(number(lost, "kernel_last").unwrap() + 1 >= oldest, "{lost} {oldest}");
}

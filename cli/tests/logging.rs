//! Programs that log, under `lapwing run`: each message is one record, and arrives as it would without us.

#[path = "logging/stage.rs"]
mod stage;

use lapwing_ring::Flags;
use regex::Regex;
use stage::{Seen, Stage, can_mount, program, text, texts};

fn plain() -> String {
    program("plain", &["-O0"]).expect("a C compiler")
}

fn fields(record: &Seen) -> Vec<(&str, &str)> {
    record.fields.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

/// What was sent, without what differs from run to run: date and pid.
fn unchanging(received: &[Vec<u8>]) -> Vec<String> {
    let date = Regex::new(r"^(<\d+>)(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d |1 [-\d]+T[-+:.\d]+ )").unwrap();
    let pid = Regex::new(r"^([^ :]+)\[\d+\]: ").unwrap();
    let one = |sent: &Vec<u8>| pid.replace(&date.replace(&text(sent), "$1"), "$1[]: ").into_owned();
    received.iter().map(one).collect()
}

/// Is this program here? Says so if not.
fn have(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

const CALLS: [&str; 10] = [
    "syslog info NAME: before openlog",
    "syslog warn named: after",
    "syslog err named: a facility of its own",
    "syslog info named: 1 2 3 4 5 6 7 8",
    "syslog info named: 0.5 1 1.5 s 2.5 3.5 4.5 5.5 6.5 7.5 8.5",
    "syslog crit named: list 2 3.5",
    "syslog notice named: No such file or directory",
    "syslog alert named: two\nlines",
    "LARGE",
    "syslog emerg NAME: behind closelog",
];

fn is_calls(records: &[Seen], name: &str) {
    let (large, others): (Vec<_>, Vec<_>) =
        records.iter().cloned().partition(|record| record.what.starts_with("syslog debug"));
    let mut expected: Vec<_> = CALLS.iter().map(|call| call.replace("NAME", name)).collect();
    expected.retain(|call| call != "LARGE");
    assert_eq!(texts(&others), expected);
    let facilities: Vec<_> = others.iter().map(|record| fields(record)[0].1).collect();
    assert_eq!(facilities, ["user", "daemon", "local3", "daemon", "daemon", "daemon", "daemon", "daemon", "daemon"]);
    let large: Vec<_> =
        large.iter().map(|record| (&record.what["syslog debug named: ".len()..], record.flags)).collect();
    assert!(large.iter().rev().skip(1).all(|(_, flags)| *flags == Flags::CONT) && large.len() == 3);
    assert_eq!(large[2].1, Flags::NONE);
    let all: String = large.iter().map(|(text, _)| *text).collect();
    assert!(all == "l".repeat(20_000) + " Operation not permitted", "{}", all.len());
}

#[test]
fn what_is_said_by_syslog_is_recorded_where_nobody_listens() {
    for (name, options) in [("plain", &["-O0"][..]), ("checked", &["-O2", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"])]
    {
        let Some(program) = program(name, options) else { continue };
        let symbols = std::fs::read(&program).unwrap();
        let uses_checked = symbols.windows(14).any(|part| part == b"__vsyslog_chk\0");
        assert_eq!(uses_checked, name == "checked");
        let stage = Stage::new();
        let output = stage.run(&[], &[&program, "calls"]);
        assert_eq!(text(&output.stdout), "errno -1 Operation not permitted\n", "the program's errno");
        let records: Vec<_> = stage.records().into_iter().filter(|record| record.what.starts_with("syslog")).collect();
        is_calls(&records, &format!("logging-{name}"));
        assert_eq!(stage.records().len(), records.len() + 1, "and one line on standard output");
    }
}

#[test]
fn what_is_said_by_syslog_arrives_as_ever_and_is_recorded_once() {
    if !can_mount() {
        return;
    }
    let (stage, program) = (Stage::new(), plain());
    let (_, without) = stage.plain(&[&program, "calls"]);
    assert_eq!(stage.records(), []);
    let (output, with) = stage.served(&[&program, "calls"]);
    assert_eq!((output.status.code(), without.len()), (Some(0), 10));
    assert_eq!(unchanging(&with), unchanging(&without));
    let records: Vec<_> = stage.records().into_iter().filter(|record| record.what.starts_with("syslog")).collect();
    is_calls(&records, "logging-plain");
}

#[test]
fn the_copy_on_standard_error_is_no_second_record() {
    let program = plain();
    for quiet in [false, true] {
        let stage = Stage::new();
        let output = stage.run(if quiet { &["--quiet"] } else { &[] }, &[&program, "copied"]);
        let records = stage.records();
        let expected = [
            "syslog warn copied: on standard error too",
            "syslog warn copied: with a newline",
            "stderr info something else",
        ];
        assert_eq!(texts(&records), expected);
        let pid = records[0].pid;
        let all = format!("copied[{pid}]: on standard error too\ncopied[{pid}]: with a newline\nsomething else\n");
        assert_eq!(text(&output.stderr), if quiet { String::new() } else { all });
    }
}

/// What `program.c datagrams` sends, as records.
const DATAGRAMS: [&str; 11] = [
    "syslog warn sent: by send",
    "syslog err sendto: connected",
    "syslog crit piece: of sendmsg",
    "syslog alert many: one",
    "syslog emerg many: two",
    "syslog debug write: it",
    "syslog crit piece: of sendmsg",
    "syslog info no priority",
    "syslog info to: an address",
    "journal warn raw: native",
    "journal crit in a file",
];

#[test]
fn datagrams_are_recorded_once_and_arrive_as_ever() {
    if !can_mount() {
        return;
    }
    let (stage, program) = (Stage::new(), plain());
    let (plain, without) = stage.plain(&[&program, "datagrams"]);
    let (output, with) = stage.served(&[&program, "datagrams"]);
    assert_eq!(without.len(), 12, "{without:?}");
    assert_eq!(with, without);
    assert_eq!(text(&output.stdout), text(&plain.stdout), "results and errors");
    let records: Vec<_> = stage.records().into_iter().filter(|record| !record.what.starts_with("stdout")).collect();
    assert_eq!(texts(&records), DATAGRAMS);
    assert_eq!(fields(&records[0]), [("facility", "daemon"), ("pid", "9")]);
    assert_eq!(fields(&records[7]), []);
    assert_ne!(records[7].pid, records[0].pid, "a forked child's");
    assert_eq!(fields(&records[9]), [("KEY", "value")]);
}

#[test]
fn datagrams_that_nobody_takes_are_recorded() {
    if std::path::Path::new("/dev/log").exists() || std::path::Path::new("/run/systemd/journal/socket").exists() {
        println!("skipped: somebody listens here");
        return;
    }
    let stage = Stage::new();
    let output = stage.run(&[], &[&plain(), "datagrams"]);
    let said = text(&output.stdout);
    assert!(said.contains("send -1 Transport endpoint is not connected\n"), "{said}");
    assert!(said.contains("address -1 No such file or directory\n"), "{said}");
    let records: Vec<_> = stage.records().into_iter().filter(|record| !record.what.starts_with("stdout")).collect();
    // What sendmmsg is told stops at its first one.
    let expected: Vec<_> = DATAGRAMS.into_iter().filter(|text| !text.ends_with("many: two")).collect();
    assert_eq!(texts(&records), expected);
}

#[test]
fn a_descriptor_that_is_something_else_now_is_not_captured() {
    if !can_mount() {
        return;
    }
    let program = plain();
    for how in ["close", "fclose", "dup2", "dup3", "close_range", "connect"] {
        let stage = Stage::new();
        let (output, received) = stage.served(&[&program, "reused", how]);
        assert!(output.status.success() && received == [b"<14>how: seen"], "{how}: {output:?}");
        assert_eq!(texts(&stage.records()), ["syslog info how: seen"], "{how}");
    }
}

#[test]
fn a_socket_that_was_there_before_the_program_is_known_by_its_peer() {
    if !can_mount() {
        return;
    }
    let stage = Stage::new();
    let (output, _) = stage.served(&[&plain(), "inherited"]);
    assert_eq!(text(&output.stdout), "inherited 17 \nduplicate 16 \n");
    let mut records = stage.records();
    records.retain(|record| record.what.starts_with("syslog"));
    assert_eq!(texts(&records), ["syslog info heir: by exec", "syslog info heir: by dup"]);
}

#[test]
fn sending_again_what_the_kernel_did_not_take_is_no_second_record() {
    if !can_mount() {
        return;
    }
    let stage = Stage::new();
    let (output, _) = stage.served(&[&plain(), "again"]);
    let sent = text(&output.stdout).trim().parse::<usize>().unwrap();
    let records: Vec<_> = stage.records().into_iter().filter(|record| record.what.starts_with("syslog")).collect();
    // The last one was never taken.
    let expected: Vec<_> = (0..=sent).map(|n| format!("syslog info again: {n}")).collect();
    assert!(sent > 3, "{output:?}");
    assert_eq!(texts(&records), expected);
}

#[test]
fn no_message_of_many_threads_is_lost_or_torn() {
    if !can_mount() {
        return;
    }
    let stage = Stage::new();
    let (output, received) = stage.served(&[&plain(), "threads"]);
    assert_eq!((output.status.code(), received.len()), (Some(0), 2 * 24 * 100));
    let records = stage.records();
    assert_eq!(records.len(), received.len());
    for thread in 0..24u8 {
        let sent = format!("syslog info t{thread}: ");
        let said = format!(" of {thread}");
        let tail = char::from(b'a' + thread).to_string().repeat(3000);
        let whole = (0..100).map(|i| format!("{i} {tail}"));
        assert!(records.iter().filter_map(|record| record.what.strip_prefix(&sent)).eq(whole), "thread {thread}");
        let count = |text: &&Seen| text.what.ends_with(&said) && text.what.starts_with("syslog info logging-plain: ");
        assert_eq!(records.iter().filter(count).count(), 100, "thread {thread}");
    }
}

#[test]
fn a_signal_handler_that_sends_loses_nothing() {
    if !can_mount() {
        return;
    }
    let stage = Stage::new();
    let (output, received) = stage.served(&[&plain(), "signals"]);
    let told = text(&output.stderr).trim().parse::<usize>().unwrap();
    let records = stage.records();
    let count = |what: &str| records.iter().filter(|record| record.what == what).count();
    assert!(told > 10, "{told} signals are too few to prove anything");
    assert_eq!((count("syslog info tick: tick"), count("syslog info logging-plain: line")), (told, 5000));
    assert_eq!(received.len(), told + 5000);
}

#[test]
fn a_thread_can_be_cancelled_inside_syslog_and_send() {
    if !can_mount() {
        return;
    }
    let program = plain();
    for how in ["syslog", "send"] {
        let stage = Stage::new();
        let (output, _) = stage.served(&["timeout", "20", &program, "cancelled", how]);
        assert_eq!((text(&output.stdout), output.status.code()), ("cancelled\n".into(), Some(0)), "{how}");
        assert!(stage.records().len() > 2, "{how}");
    }
}

#[test]
fn what_goes_to_the_journal_by_its_library_is_recorded_once() {
    if !can_mount() {
        return;
    }
    let Some(program) = program("journal", &["-DJOURNAL", "-lsystemd"]) else { return };
    let stage = Stage::new();
    let (_, without) = stage.plain(&[&program, "journal"]);
    let (output, with) = stage.served(&[&program, "journal"]);
    assert_eq!(text(&output.stdout), "large 0 \n");
    assert_eq!(with, without);
    let records: Vec<_> = stage.records().into_iter().filter(|record| record.what.starts_with("journal")).collect();
    let expected = [
        "journal warn logging-journal: print 1",
        "journal err logging-journal: send 2",
        "journal err logging-journal: perror: No such file or directory",
        "journal debug own: sendv",
    ];
    assert_eq!(texts(&records[..4]), expected);
    for field in [("KEY", "value"), ("LINES", "a\nb"), ("CODE_FUNC", "journal")] {
        assert!(fields(&records[1]).contains(&field), "{:?}", records[1]);
    }
    let (last, cont) = records[4..].split_last().unwrap();
    assert!(records[4].what.starts_with("journal info largelll") && last.flags == Flags::PARTIAL);
    assert!(cont.iter().all(|record| record.flags == Flags::CONT));
    let len: usize = records[4..].iter().map(|record| record.what.len() - "journal info ".len()).sum();
    assert_eq!(len, (64 << 10) - "MESSAGE=".len(), "what is kept of it, once");
}

#[test]
fn programs_of_other_kinds_are_recorded_once() {
    if !can_mount() {
        return;
    }
    let handler = "import logging, logging.handlers as h
log = logging.getLogger('x'); log.addHandler(h.SysLogHandler('/dev/log')); log.warning('by a handler')
log.handlers[0].ident = 'ident: '; log.error('with a tag')";
    let python = "import syslog as s; s.openlog('py', s.LOG_PID, s.LOG_LOCAL0); s.syslog(s.LOG_ERR, 'by python')";
    let perl = "use Sys::Syslog; openlog 'pl', 'pid', 'mail'; syslog 'warning', 'by %s', 'perl'";
    let socket =
        "use Sys::Syslog qw(:standard :extended); setlogsock 'unix'; openlog 'pl', '', 'mail'; syslog 'err', 'x'";
    let cases: [(&[&str], &[&str]); 6] = [
        (&["logger", "-p", "user.warn", "-t", "tag", "some text"], &["syslog warn tag: some text"]),
        (&["logger", "--rfc5424", "-p", "local1.crit", "-t", "tag", "new style"], &["syslog crit tag: new style"]),
        (&["python3", "-c", python], &["syslog err py: by python"]),
        (&["python3", "-c", handler], &["syslog warn by a handler", "syslog err ident: with a tag"]),
        (&["perl", "-e", perl], &["syslog warn pl: by perl"]),
        (&["perl", "-e", socket], &["syslog err pl: x"]),
    ];
    for (command, expected) in cases.into_iter().filter(|(command, _)| have(command[0])) {
        let stage = Stage::new();
        let (plain, without) = stage.plain(command);
        let (output, with) = stage.served(command);
        assert_eq!((output.status.code(), &output.stderr), (Some(0), &plain.stderr), "{command:?}");
        assert_eq!(unchanging(&with), unchanging(&without), "{command:?}");
        assert_eq!((texts(&stage.records()), with.len()), (expected.to_vec(), expected.len()), "{command:?}");
    }
}

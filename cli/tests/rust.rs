//! The front ends for Rust in programs of their own: what they log, `lapwing tail -o json` shows.
#![allow(unsafe_code)]

mod sandbox;

use sandbox::{Done, Sandbox};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, exit};
use std::thread;
use tracing_subscriber::prelude::*;

/// Names the program that this test binary is to be.
const ROLE: &str = "LAPWING_TEST_PROGRAM";
const THREADS: u64 = 4;
const EACH: u64 = 500;
const CHILDREN: u64 = 50;

/// The programs. Runs as one of them if the test that starts them has said so.
#[test]
fn program() {
    let Ok(role) = env::var(ROLE) else { return };
    match role.as_str() {
        "log" => log_program(),
        "tracing" => tracing_program(),
        "panic" => panic_program(),
        "crowded" => crowded_program(),
        _ => unreachable!("{role}"),
    }
    exit(0);
}

/// Forks; the child ends behind `child`. Gives the child's pid when it has ended well.
fn fork(child: impl FnOnce()) -> u32 {
    // SAFETY: if other threads are at work the child only logs, which takes no lock and no memory; it ends by _exit.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        child();
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: room for the status; a child of ours.
    let ended = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!((ended, status), (pid, 0));
    pid as u32
}

fn log_program() {
    let logger = lapwing_log::init().unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    log::error!("an error");
    log::warn!(target: "disk", free = 12, part = 0.5, name = "sda", ok = true, big = u128::MAX, debug:? = [1]; "almost {}", "full");
    log::info!("");
    log::debug!("two\nlines");
    log::trace!("a trace");
    let child = fork(|| {
        log::info!("from the child");
        fork(|| log::info!("from the grandchild"));
    });
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || (0..EACH).for_each(|i| log::info!(thread, i; "from a thread")));
        }
        // While they are at it.
        for i in 0..CHILDREN {
            fork(|| log::info!(i; "from among threads"));
        }
    });
    log::set_max_level(log::LevelFilter::Warn);
    log::info!("not this");
    assert_eq!(logger.refused(), 0);
    println!("child={child}");
}

fn tracing_program() {
    let layer = lapwing_tracing::layer().unwrap();
    let sink = layer.sink().clone();
    tracing_subscriber::registry().with(layer).init();
    tracing::warn!(target: "disk", free = 12, part = 0.5, name = "sda", ok = true, list = ?[1], "almost {}", "full");
    tracing::info!(alone = -1);
    let request = tracing::info_span!("request", id = 7, user = tracing::field::Empty, phase = "outer");
    let _request = request.enter();
    tracing::debug!("without a user");
    request.record("user", "ann");
    let query = tracing::info_span!("query", phase = "inner", table = %"t");
    query.in_scope(|| {
        tracing::info!(table = "mine", "inside");
        // A span that is not the current one.
        tracing::error!(parent: &request, "in the outer");
        fork(|| tracing::info!("from the child"));
    });
    request.record("user", "bob");
    tracing::trace!("behind");
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let request = request.clone();
            scope.spawn(move || {
                let _entered = request.enter();
                (0..EACH).for_each(|i| tracing::info!(thread, i, "from a thread"));
            });
        }
    });
    assert_eq!(sink.refused(), 0);
}

fn panic_program() {
    lapwing_panic::init().unwrap();
    let name = "worker".to_owned();
    let thread = thread::Builder::new().name(name).spawn(|| panic!("disk {}\nand line two", "full")).unwrap();
    assert!(thread.join().is_err());
    assert!(thread::spawn(|| std::panic::panic_any(7)).join().is_err());
    // Not caught by the test harness: in a child, whose first record this is.
    // SAFETY: no other thread of this program is at work.
    if unsafe { libc::fork() } == 0 {
        let _abort = Abort;
        let empty: &[u8] = &[];
        let i = empty.len();
        println!("{}", empty[i]);
    }
    let mut status = 0;
    // SAFETY: room for the status.
    unsafe { libc::wait(&mut status) };
    assert!(std::process::ExitStatus::from_raw(status).signal() == Some(libc::SIGABRT));
}

/// Ends a program that panics where nobody can catch it.
struct Abort;

impl Drop for Abort {
    fn drop(&mut self) {
        std::process::abort();
    }
}

fn crowded_program() {
    let logger = lapwing_log::init().unwrap();
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..EACH).for_each(|i| log::info!("{i}")));
        }
    });
    println!("refused={}", logger.refused());
}

fn run(sandbox: &Sandbox, role: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "program", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env("LAPWING_RING", sandbox.path("ring"));
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE").envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

fn records(sandbox: &Sandbox) -> Vec<Value> {
    let done = Done::of(sandbox.command(&["tail", "-o", "json", "--fail-on-loss"]).output().unwrap());
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    done.lines().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Level, tag, text and fields, but for where in this file it was.
fn essence(record: &Value) -> Value {
    let mut fields = record["fields"].clone();
    let place = fields.as_object_mut().map(|fields| (fields.remove("file"), fields.remove("line")));
    assert!(matches!(place, Some((Some(Value::String(file)), Some(Value::Number(_)))) if file.ends_with("rust.rs")));
    json!([record["level"], record["tag"], record["text"], fields])
}

/// Each thread's records in order, all of them, each thread under a tid of its own.
fn check_threads(records: &[Value]) {
    let mut threads: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for record in records.iter().filter(|record| record["text"] == "from a thread") {
        let (thread, i) = (record["fields"]["thread"].as_u64().unwrap(), record["fields"]["i"].as_u64().unwrap());
        let (tid, next) = threads.entry(thread).or_insert((record["tid"].as_u64().unwrap(), 0));
        assert_eq!((record["tid"].as_u64(), i), (Some(*tid), *next));
        *next += 1;
    }
    assert_eq!(threads.values().map(|&(_, count)| count).collect::<Vec<_>>(), [EACH; THREADS as usize]);
    assert_eq!(threads.values().map(|&(tid, _)| tid).collect::<BTreeSet<_>>().len(), 4);
}

#[test]
fn what_is_logged_by_the_log_facade_is_in_the_ring_with_its_fields() {
    let sandbox = Sandbox::with_ring("4M");
    let output = run(&sandbox, "log", &[]);
    let records = records(&sandbox);
    let me = "rust";
    let fields = json!({"free": 12, "part": 0.5, "name": "sda", "ok": true, "big": u128::MAX.to_string(), "debug": "[1]", "module": me});
    let expected = [
        json!(["err", me, "an error", {}]),
        json!(["warn", "disk", "almost full", fields]),
        json!(["info", me, "", {}]),
        json!(["debug", me, "two\nlines", {}]),
        json!(["trace", me, "a trace", {}]),
        json!(["info", me, "from the child", {}]),
        json!(["info", me, "from the grandchild", {}]),
    ];
    assert_eq!(records[..7].iter().map(essence).collect::<Vec<_>>(), expected);
    assert!(records.iter().all(|record| record["src"] == "api"));
    check_threads(&records);
    let children: Vec<_> = records.iter().filter(|record| record["text"] == "from among threads").collect();
    let order: Vec<_> = children.iter().map(|record| record["fields"]["i"].as_u64().unwrap()).collect();
    assert_eq!(order, (0..CHILDREN).collect::<Vec<_>>());
    assert_eq!(children.iter().map(|record| record["pid"].as_u64()).collect::<BTreeSet<_>>().len() as u64, CHILDREN);
    assert_eq!(records.len() as u64, 7 + THREADS * EACH + CHILDREN);
    let pids: Vec<_> = records[4..7].iter().map(|record| record["pid"].as_u64().unwrap()).collect();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains(&format!("child={}\n", pids[1])), "{stdout} {pids:?}");
    assert!(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2]);
}

#[test]
fn what_is_logged_by_tracing_has_the_fields_of_its_spans() {
    let sandbox = Sandbox::with_ring("4M");
    run(&sandbox, "tracing", &[]);
    let records = records(&sandbox);
    let me = "rust";
    let disk = json!({"free": 12, "part": 0.5, "name": "sda", "ok": true, "list": "[1]", "module": me});
    let inner = json!({"span": "request:query", "phase": "inner", "table": "t", "id": 7, "user": "ann"});
    let mut mine = inner.clone();
    mine["table"] = "mine".into();
    let outer = |user: Option<&str>| {
        let mut fields = json!({"span": "request", "id": 7, "phase": "outer"});
        if let Some(user) = user {
            fields["user"] = user.into();
        }
        fields
    };
    let expected = [
        json!(["warn", "disk", "almost full", disk]),
        json!(["info", me, "", {"alone": -1}]),
        json!(["debug", me, "without a user", outer(None)]),
        json!(["info", me, "inside", mine]),
        json!(["err", me, "in the outer", outer(Some("ann"))]),
        json!(["info", me, "from the child", inner]),
        json!(["trace", me, "behind", outer(Some("bob"))]),
    ];
    assert_eq!(records[..7].iter().map(essence).collect::<Vec<_>>(), expected);
    assert_ne!(records[4]["pid"], records[5]["pid"]);
    check_threads(&records);
    assert!(records[7..].iter().all(|record| record["fields"]["user"] == "bob"));
    assert_eq!(records.len() as u64, 7 + THREADS * EACH);
}

#[test]
fn a_panic_is_a_record_and_is_printed_as_ever() {
    let sandbox = Sandbox::with_ring("4M");
    let output = run(&sandbox, "panic", &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("thread 'worker'") && stderr.contains("disk full\nand line two"), "{stderr}");
    let records = records(&sandbox);
    assert_eq!(records.len(), 3);
    for (record, thread, end) in [
        (&records[0], "worker", ": disk full\nand line two"),
        (&records[1], "<unnamed>", ": Box<dyn Any>"),
        (&records[2], "program", ": index out of bounds: the len is 0 but the index is 0"),
    ] {
        let fields = &record["fields"];
        let place = format!("{}:{}:{}", fields["file"].as_str().unwrap(), fields["line"], fields["column"]);
        assert!(place.starts_with("cli/tests/rust.rs:"), "{place}");
        let text = format!("thread '{thread}' panicked at {place}{end}");
        assert_eq!(json!([record["level"], record["tag"], record["text"]]), json!(["crit", "panic", text]));
        assert_eq!((fields["thread"].as_str(), fields.get("backtrace")), (Some(thread), None));
    }
    assert_eq!(records[0]["pid"], records[1]["pid"]);
    assert_ne!(records[0]["pid"], records[2]["pid"]);
}

#[test]
fn a_panic_has_its_backtrace_where_that_is_asked_for() {
    let sandbox = Sandbox::with_ring("4M");
    run(&sandbox, "panic", &[("RUST_BACKTRACE", "1")]);
    let records = records(&sandbox);
    assert_eq!(records.len(), 3);
    for record in records {
        let backtrace = record["fields"]["backtrace"].as_str().unwrap();
        assert!(backtrace.contains("panic_program"), "{backtrace}");
    }
}

#[test]
fn what_a_crowded_ring_refuses_is_counted_by_the_logger_and_by_the_ring() {
    let sandbox = Sandbox::with_ring("64K");
    let stat = |sandbox: &Sandbox| serde_json::from_str::<Value>(&sandbox.ok(&["stat", "--json"])).unwrap();
    let slots = stat(&sandbox)["slots"].as_u64().unwrap();
    // All slots belong to others, who stay.
    let others: Vec<_> = (0..slots).map(|_| lapwing_ring::Writer::open(&sandbox.path("ring")).unwrap()).collect();
    let output = run(&sandbox, "crowded", &[]);
    let refused = stat(&sandbox)["refused"]["too_many_writers"].as_u64().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains(&format!("refused={refused}\n")), "{stdout} {refused}");
    assert_eq!(refused, THREADS * EACH);
    drop(others);
}

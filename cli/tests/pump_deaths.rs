//! The pump and its guard are killed and stopped: the program goes on, and what it prints arrives.

#[path = "pump/stage.rs"]
mod stage;

use lapwing_ring::Source;
use stage::{Ring, behind, have, program, signal, text, wait_until};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a pump has in hand at most.
const CHUNK: usize = 64 << 10;

fn start(ring: &Ring, options: &[&str], command: &[&str]) -> Child {
    let mut command = ring.command(&[&["--capture", "pump"], options].concat(), command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The one process of that name behind a program.
fn one(pid: u32, name: &str) -> i32 {
    wait_until(name, || match behind(pid, name)[..] {
        [one] => Some(one),
        _ => None,
    })
}

#[test]
fn between_two_lines_a_death_costs_nothing() {
    for transport in ["socket", "pipe", "pty"] {
        let ring = Ring::new();
        let mut child = start(&ring, &["--pump", transport], &[program(), "told"]);
        let mut input = child.stdin.take().unwrap();
        let pid = child.id();
        for i in 0..6 {
            ring.wait_for(i + 1);
            // By turns the pump and its guard.
            let name = ["lapwing-pump", "lapwing-guard"][i % 2];
            let victim = one(pid, name);
            signal("KILL", victim);
            wait_until("another one", || behind(pid, name).iter().any(|&new| new != victim).then_some(()));
            one(pid, "lapwing-pump");
            one(pid, "lapwing-guard");
            std::io::Write::write_all(&mut input, b"x").unwrap();
        }
        drop(input);
        let output = child.wait_with_output().unwrap();
        let expected: Vec<_> = (0..7).map(|i| format!("told {i}")).collect();
        assert_eq!(output.status.code(), Some(0), "{transport}");
        assert_eq!(text(&output.stdout).lines().collect::<Vec<_>>(), expected, "{transport}");
        assert_eq!(ring.texts(Source::Stdout), expected, "{transport}");
        wait_until("the end of both", || {
            (behind(pid, "lapwing-pump").len() + behind(pid, "lapwing-guard").len() == 0).then_some(())
        });
    }
}

#[test]
fn under_full_load_a_death_costs_no_more_than_what_the_pump_had_in_hand() {
    const LINES: usize = 200_000;
    let whole: usize = (0..LINES).map(|i| format!("line {i} of the program\n").len()).sum();
    for transport in ["socket", "pipe"] {
        let ring = Ring::new();
        let mut child = start(&ring, &["--pump", transport], &[program(), "lines", &LINES.to_string()]);
        let pid = child.id();
        let mut stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            stdout.read_to_end(&mut all).unwrap();
            all
        });
        let mut deaths = 0;
        for name in ["lapwing-pump", "lapwing-pump", "lapwing-guard"].into_iter().cycle().take(8) {
            std::thread::sleep(Duration::from_millis(25));
            // Both at once is another matter.
            let pair = wait_until("a pump and a guard", || {
                let pair = [behind(pid, "lapwing-pump"), behind(pid, "lapwing-guard")];
                (pair.iter().all(|one| one.len() == 1) || child.try_wait().unwrap().is_some()).then_some(pair)
            });
            for victim in &pair[usize::from(name == "lapwing-guard")] {
                signal("KILL", *victim);
                deaths += 1;
                wait_until("its death", || (!behind(pid, name).contains(victim)).then_some(()));
            }
        }
        assert_eq!(child.wait().unwrap().code(), Some(0), "{transport}");
        let all = reader.join().unwrap();
        println!("{transport}: {deaths} deaths, {} bytes of {whole} lost", whole - all.len());
        assert!(deaths >= 3 && all.len() <= whole && whole - all.len() <= deaths * CHUNK, "{} of {whole}", all.len());
        // In order, and nothing twice: every number is larger than the one before.
        let number = |line: &[u8]| -> Option<usize> {
            let line = std::str::from_utf8(line).ok()?;
            line.strip_prefix("line ")?.strip_suffix(" of the program")?.parse().ok()
        };
        let numbers: Vec<_> = all.split(|&byte| byte == b'\n').filter_map(number).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b), "{transport}: standard output");
        assert_eq!(numbers.last(), Some(&(LINES - 1)), "{transport}");
        let recorded: Vec<_> = ring.records().iter().filter_map(|record| number(&record.text)).collect();
        // A record that was appended when its pump died before it could say so is there twice.
        let repeated = recorded.windows(2).filter(|pair| pair[0] >= pair[1]).count();
        println!("{transport}: {} records lost, {repeated} repeated", LINES - (recorded.len() - repeated));
        assert!(repeated <= deaths, "{transport}");
        assert!(recorded.len() + deaths * (CHUNK / 20 + 2) >= LINES, "{transport}: {} records", recorded.len());
    }
}

#[test]
fn a_stopped_pump_holds_the_program_up_and_loses_nothing() {
    let ring = Ring::new();
    let mut child = start(&ring, &[], &[program(), "lines", "50000"]);
    let pump = one(child.id(), "lapwing-pump");
    signal("STOP", pump);
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = String::new();
        stdout.read_to_string(&mut all).unwrap();
        all
    });
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it waits for the pump");
    signal("CONT", pump);
    assert!(child.wait().unwrap().success());
    assert_eq!(reader.join().unwrap().lines().count(), 50_000);
    assert_eq!(ring.texts(Source::Stdout).len(), 50_000);
}

#[test]
fn no_other_signal_ends_the_pump() {
    let ring = Ring::new();
    let mut child = start(&ring, &[], &[program(), "told"]);
    let (pump, guard) = (one(child.id(), "lapwing-pump"), one(child.id(), "lapwing-guard"));
    for name in ["HUP", "INT", "QUIT", "TERM", "PIPE", "ALRM", "USR1", "USR2", "CHLD", "TSTP", "TTOU", "XFSZ"] {
        signal(name, pump);
        signal(name, guard);
    }
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stdout), "told 0\n");
    assert_eq!(ring.texts(Source::Stdout), ["told 0"]);
}

#[test]
fn a_pump_without_a_ring_left_still_passes_everything_on() {
    if !have("sh") {
        return;
    }
    let ring = Ring::new();
    let mut child = start(&ring, &[], &[program(), "told"]);
    let pid = child.id();
    ring.wait_for(1);
    std::fs::remove_file(ring.path()).unwrap();
    let pump = one(pid, "lapwing-pump");
    signal("KILL", pump);
    wait_until("another pump", || behind(pid, "lapwing-pump").iter().any(|&new| new != pump).then_some(()));
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"xx").unwrap();
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "told 0\ntold 1\ntold 2\n");
}

#[test]
fn tail_waits_for_what_a_program_that_has_ended_wrote() {
    let ring = Ring::new();
    let mut child = start(&ring, &[], &[program(), "told"]);
    let pump = one(child.id(), "lapwing-pump");
    ring.wait_for(1);
    signal("STOP", pump);
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"x").unwrap();
    assert!(child.wait().unwrap().success());
    let mut tail = Command::new(env!("CARGO_BIN_EXE_lapwing"));
    let tail = tail.args(["tail", "-o", "cat", "--ring"]).arg(ring.path()).stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    signal("CONT", pump);
    assert_eq!(text(&tail.wait_with_output().unwrap().stdout), "told 0\ntold 1\n");
}

//! What the pump costs: a start, a line, and the time from a program's end to its last record in the ring.
//!
//! `pumped [LAPWING]`, where LAPWING is the command to measure, by default the one beside this program.

use lapwing_ring::{Create, Read, Reader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 200;
const LINES: u32 = 1_000_000;

fn main() {
    let beside = std::env::current_exe().expect("a program").with_file_name("lapwing");
    let lapwing = std::env::args_os().nth(1).map_or(beside, PathBuf::from);
    let folder = std::env::temp_dir().join(format!("lapwing-pumped-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let ring = folder.join("ring");
    Create::new().size(256 << 20).create(&ring).expect("a ring");

    let run = |options: &[&str], command: &[&str]| {
        let mut run = Command::new(&lapwing);
        run.arg("run").args(options).arg("--ring").arg(&ring).arg("--").args(command);
        run.env_remove("LD_PRELOAD").env_remove("LAPWING_STREAM").stdout(Stdio::null()).stderr(Stdio::null());
        run
    };

    println!("start of /bin/true, median of {STARTS}");
    for options in [&["--capture", "off"][..], &["--capture", "preload"], &["--capture", "pump"]] {
        let times = (0..STARTS).map(|_| time(&mut run(options, &["/bin/true"]))).collect();
        println!("  {:24} {}", options[1], quantiles(times));
    }

    println!("from a program's end to its last record, {STARTS} programs of one line");
    for options in [&["--pump", "socket"][..], &["--pump", "pipe"]] {
        let mut reader = Reader::open(&ring).expect("a ring");
        drain(&mut reader);
        let late = (0..STARTS).map(|_| {
            run(options, &["echo", "line"]).status().expect("a program");
            let end = Instant::now();
            while !matches!(reader.next(), Ok(Read::Record(_))) {}
            end.elapsed()
        });
        println!("  {:24} {}", options[1], quantiles(late.collect()));
    }

    println!("a line of seq 1 {LINES}, to /dev/null, best of 5");
    let lines = LINES.to_string();
    let keep = ["--buffer", "keep"];
    for (name, options) in [
        ("off", &["--capture", "off"][..]),
        ("preload", &["--capture", "preload"]),
        ("socket", &["--pump", "socket"]),
        ("pipe", &["--pump", "pipe"]),
    ] {
        let best =
            (0..5).map(|_| time_to_the_end(&mut run(&[options, &keep].concat(), &["seq", "1", &lines]), &ring)).min();
        println!("  {name:24} {:.1} ns", best.unwrap_or_default().as_nanos() as f64 / f64::from(LINES));
    }
    let _ = std::fs::remove_dir_all(&folder);
}

fn time(command: &mut Command) -> Duration {
    let start = Instant::now();
    assert!(command.status().expect("a program").success());
    start.elapsed()
}

/// Until all of it is through: for a pump, until it has given its slot back.
fn time_to_the_end(command: &mut Command, ring: &Path) -> Duration {
    let reader = Reader::open(ring).expect("a ring");
    let start = Instant::now();
    assert!(command.status().expect("a program").success());
    while reader.stat().is_ok_and(|stat| !stat.writers.is_empty()) {
        std::thread::sleep(Duration::from_micros(100));
    }
    start.elapsed()
}

fn drain(reader: &mut Reader) {
    while !matches!(reader.next(), Ok(Read::NotYet { .. }) | Err(_)) {}
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("median {:?}, 90 % {:?}, most {:?}", at(50), at(90), at(100))
}

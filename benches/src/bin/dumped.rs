//! What a dump costs writers: an append while nobody reads, and while a dump takes what it can to a serial line or a file;
//! and how much of it that is.
//!
//! `dumped [LAPWING]`, where LAPWING is the command to measure, by default the one beside this program.

use lapwing_ring::{Create, Level, Writer};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// 115,200 baud, ten bits a byte.
const BYTES_A_SECOND: usize = 11_520;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(700);
const BATCH: usize = 1000;
const RECORD: [u8; 100] = [b'x'; 100];

fn main() {
    let beside = std::env::current_exe().expect("a program").with_file_name("lapwing");
    let lapwing = std::env::args_os().nth(1).map_or(beside, PathBuf::from);
    let folder = std::env::temp_dir().join(format!("lapwing-dumped-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let ring = folder.join("ring");
    Create::new().size(16 << 20).create(&ring).expect("a ring");
    let mut writer = Writer::open(&ring).expect("a writer");
    let (line, carried) = serial_line();
    let file = folder.join("out");
    let (line, file) = (line.to_str().expect("a name"), file.to_str().expect("a name"));

    let cases: [(&str, &[&str]); 5] = [
        ("nobody reads", &[]),
        ("a serial line", &["--to", line, "-n", "0"]),
        ("--rate 11520", &["--to", "/dev/null", "--rate", "11520", "-n", "0"]),
        ("a file", &["--to", file, "-n", "0", "--rotate", "16M", "--keep", "1"]),
        ("a file, zstd", &["--to", file, "-n", "0", "--rotate", "16M", "--keep", "1", "--zstd"]),
    ];
    // In turns, so that what else the machine does falls on all of them.
    let mut times = [const { Vec::new() }; 5];
    let mut counts = [0; 5];
    for _ in 0..ROUNDS {
        for (i, (_, args)) in cases.iter().enumerate() {
            let dump = (!args.is_empty()).then(|| start(&lapwing, &ring, args));
            std::thread::sleep(Duration::from_millis(100));
            let begun = Instant::now();
            while begun.elapsed() < ROUND {
                let batch = Instant::now();
                for _ in 0..BATCH {
                    writer.append(Level::INFO, &RECORD).expect("an append");
                }
                times[i].push(batch.elapsed().as_nanos() as f64 / BATCH as f64);
                counts[i] += BATCH;
            }
            dump.into_iter().for_each(end);
        }
    }
    println!("an append of {} bytes, ns; batches of {BATCH}, {ROUNDS} rounds of {ROUND:?} in turns", RECORD.len());
    for ((name, _), (mut times, count)) in cases.iter().zip(times.into_iter().zip(counts)) {
        times.sort_by(f64::total_cmp);
        let at = |share: usize| times[(times.len() - 1) * share / 100];
        println!("  {name:24} median {:6.1}, 90 % {:6.1}, {count} records", at(50), at(90));
    }
    println!("bytes that the serial line has carried: {}", carried.load(Relaxed));
    let _ = std::fs::remove_dir_all(&folder);
}

fn start(lapwing: &Path, ring: &Path, args: &[&str]) -> Child {
    let mut dump = Command::new(lapwing);
    dump.arg("dump").args(args).arg("--ring").arg(ring).stdin(Stdio::null()).stderr(Stdio::null());
    dump.spawn().expect("a dump")
}

fn end(mut dump: Child) {
    // What it has not written is nobody's loss here.
    dump.kill().expect("a dump");
    dump.wait().expect("a dump");
}

/// A terminal whose other end is read as fast as a serial line carries, and the bytes that were.
fn serial_line() -> (PathBuf, Arc<AtomicUsize>) {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&controller).expect("a terminal");
    unlockpt(&controller).expect("a terminal");
    let path = PathBuf::from(ptsname(&controller, Vec::new()).expect("a terminal").to_str().expect("a name"));
    let kept = File::options().read(true).write(true).open(&path).expect("a terminal");
    let carried = Arc::new(AtomicUsize::new(0));
    let count = carried.clone();
    std::thread::spawn(move || {
        let (mut controller, mut buffer, _kept) = (File::from(controller), [0; 4096], kept);
        let since = Instant::now();
        loop {
            let may = since.elapsed().as_micros() as usize * BYTES_A_SECOND / 1_000_000;
            let most = may.saturating_sub(count.load(Relaxed)).min(buffer.len());
            if most == 0 {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let Ok(len) = controller.read(&mut buffer[..most]) else { return };
            count.fetch_add(len, Relaxed);
        }
    });
    (path, carried)
}

//! `lapwing dump` to a serial line: a terminal that is read as fast as 115,200 baud carry, while writers write much faster.

mod sandbox;
#[path = "dump/stage.rs"]
mod stage;

use lapwing_ring::Log;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use sandbox::Sandbox;
use stage::{Account, Dumping, append, wait_until};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BYTES_A_SECOND: usize = 11_520;

/// A terminal, and what has come out of its other end.
struct Line {
    path: PathBuf,
    /// Kept open, so that the terminal stays what it is while nobody writes to it.
    terminal: File,
    read: Arc<Mutex<Vec<u8>>>,
    rate: Arc<AtomicUsize>,
    is_read: Arc<AtomicBool>,
    is_hung_up: Arc<AtomicBool>,
}

impl Line {
    fn open(is_raw: bool) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let path = PathBuf::from(ptsname(&controller, Vec::new()).unwrap().to_str().unwrap());
        let terminal = File::options().read(true).write(true).open(&path).unwrap();
        if is_raw {
            let mut modes = tcgetattr(terminal.as_fd()).unwrap();
            modes.make_raw();
            tcsetattr(terminal.as_fd(), OptionalActions::Now, &modes).unwrap();
        }
        let line = Self {
            path,
            terminal,
            read: Arc::default(),
            rate: Arc::new(AtomicUsize::new(BYTES_A_SECOND)),
            is_read: Arc::new(AtomicBool::new(true)),
            is_hung_up: Arc::default(),
        };
        let (read, rate, is_read) = (line.read.clone(), line.rate.clone(), line.is_read.clone());
        let is_hung_up = line.is_hung_up.clone();
        std::thread::spawn(move || {
            let (mut controller, mut buffer) = (File::from(controller), [0; 4096]);
            let (mut since, mut passed) = (Instant::now(), 0);
            while !is_hung_up.load(Relaxed) {
                if !is_read.load(Relaxed) {
                    std::thread::sleep(Duration::from_millis(1));
                    (since, passed) = (Instant::now(), 0);
                    continue;
                }
                let rate = rate.load(Relaxed);
                let may = (since.elapsed().as_micros() as usize).saturating_mul(rate) / 1_000_000;
                if passed >= may {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                }
                let most = (may - passed).min(buffer.len());
                let Ok(len) = controller.read(&mut buffer[..most]) else { break };
                passed += len;
                read.lock().unwrap().extend_from_slice(&buffer[..len]);
            }
        });
        line
    }

    fn text(&self) -> String {
        String::from_utf8(self.read.lock().unwrap().clone()).unwrap()
    }

    fn lines(&self) -> usize {
        self.read.lock().unwrap().iter().filter(|&&byte| byte == b'\n').count()
    }
}

/// The account of whole lines, each of which ends in one carriage return and a newline.
fn account(text: &str, from: u64) -> Account {
    assert_eq!(text.matches("\r\n").count(), text.matches('\n').count());
    assert_eq!(text.matches('\r').count(), text.matches('\n').count());
    Account::from(from).take(&text.replace('\r', ""))
}

#[test]
fn what_a_serial_line_cannot_carry_is_lost_and_said_in_its_place_and_everything_adds_up() {
    for is_raw in [false, true] {
        let sandbox = Sandbox::with_ring("64K");
        let line = Line::open(is_raw);
        let modes = |line: &Line| format!("{:?}", tcgetattr(line.terminal.as_fd()).unwrap());
        let before = modes(&line);
        let log = Log::open(&sandbox.path("ring")).unwrap();
        let to = line.path.to_str().unwrap();
        let mut dumping = Dumping::start(&sandbox, &["--to", to, "--finish-within", "60s"]);
        // 40 times what the line carries, from two threads' point of view at once: bursts.
        let since = Instant::now();
        let mut written = 0;
        while since.elapsed() < Duration::from_secs(4) {
            append(&log, written..written + 100, 60);
            written += 100;
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(dumping.end(), (0, String::new()), "all that is in the ring goes out");
        line.rate.store(usize::MAX >> 32, Relaxed);
        let last = format!("{:060}\r\n", written - 1);
        wait_until("the last line", || line.text().ends_with(&last));
        let account = account(&line.text(), 0);
        assert_eq!((account.next, account.shown + account.lost), (written, written), "{account:?}");
        assert!(account.losses > 1 && account.lost > account.shown, "{account:?}");
        assert_eq!(modes(&line), before, "the terminal is left as it was");
        eprintln!("raw {is_raw}: {written} written, {account:?}");
    }
}

#[test]
fn a_terminal_that_takes_nothing_holds_nobody_up() {
    let sandbox = Sandbox::with_ring("64K");
    let line = Line::open(false);
    line.is_read.store(false, Relaxed);
    let log = Log::open(&sandbox.path("ring")).unwrap();
    let to = line.path.to_str().unwrap();
    let args = ["--to", to, "--state", "state", "--finish-within", "1s"];
    let mut dumping = Dumping::start(&sandbox, &args);
    append(&log, 0..20_000, 60);
    let second = sandbox.run(&["dump", "--to", to]);
    assert!(second.code == 1 && second.stderr.contains("another dump"), "{}", second.stderr);
    let since = Instant::now();
    let (code, said) = dumping.end();
    assert!(since.elapsed() < Duration::from_secs(20), "told to end, it ends");
    assert!(code == 1 && said.contains("told to end before all was out"), "{said}");
    // Who comes next goes on with the line that was not out, and says what is lost by then.
    let lines = line.lines();
    assert_eq!(lines, 0);
    append(&log, 20_000..20_100, 60);
    line.is_read.store(true, Relaxed);
    line.rate.store(usize::MAX >> 32, Relaxed);
    let mut dumping = Dumping::start(&sandbox, &args);
    let last = format!("{:060}\r\n", 20_099);
    wait_until("the last line", || line.text().ends_with(&last));
    assert_eq!(dumping.end(), (0, String::new()));
    let text = line.text();
    let torn = text.lines().position(|line| !line.ends_with(|c: char| c.is_ascii_digit() || c == '*'));
    assert_eq!(torn, None, "{text}");
    assert!(text.contains(" records lost (seq "));
}

#[test]
fn a_terminal_that_hangs_up_is_an_error() {
    let sandbox = Sandbox::with_ring("64K");
    let line = Line::open(false);
    sandbox.log_lines(0..3);
    let mut dumping = Dumping::start(&sandbox, &["--to", line.path.to_str().unwrap()]);
    wait_until("three lines", || line.lines() == 3);
    // The program behind it, a terminal emulator or an ssh server, is gone. Its end is closed once it has read something.
    line.is_hung_up.store(true, Relaxed);
    sandbox.log_lines(3..4);
    wait_until("the end of the one that reads", || Arc::strong_count(&line.read) == 1);
    sandbox.log_lines(4..5);
    let (code, said) = dumping.wait();
    assert!(code == 1 && said.contains("cannot write: "), "{said}");
}

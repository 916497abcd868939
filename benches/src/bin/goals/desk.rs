//! Other processes of a measurement, and the ring through which they report. Both sides of it: who starts them, and who
//! was started.

use lapwing_benches::cores;
use lapwing_ring::{Create, Level, Log, Read, Reader, Seek};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long a process may take to the next thing that it has to say.
const PATIENCE: Duration = Duration::from_secs(60);

/// Figures of one record: the ring's pages are cut for a hundred of them and more.
const FIGURES: usize = 100;

/// Who starts processes and hears of them.
pub(crate) struct Desk {
    path: PathBuf,
    log: Log,
    reader: Reader,
    /// Heard, and not asked for yet: by whom, and what.
    heard: Vec<(u32, String)>,
}

/// A process at work. Killed when it is not waited for.
pub(crate) struct Worker(Child);

impl Desk {
    pub(crate) fn new() -> Self {
        let path = PathBuf::from(format!("/dev/shm/lapwing-bench-desk-{}", std::process::id()));
        Create::new().create(&path).expect("room for a ring in /dev/shm");
        let log = Log::open(&path).expect("a ring of our own");
        let reader = Reader::open(&path).expect("a ring of our own");
        Self { path, log, reader, heard: Vec::new() }
    }

    /// Starts `work ROLE ARGUMENTS` on this processor, and waits until it is ready.
    pub(crate) fn start(&mut self, core: usize, role: &str, arguments: &[&str]) -> Worker {
        let mut command = Command::new(std::env::current_exe().expect("where this program is"));
        command.args(["work", &core.to_string()]).arg(&self.path).arg(role).args(arguments);
        let worker = Worker(command.spawn().expect("a process"));
        self.figures(&worker, "ready");
        worker
    }

    /// Tells all that are ready to begin.
    pub(crate) fn go(&self) {
        self.log.append(Level::INFO, b"go").expect("a record");
    }

    /// Waits for what `worker` says under this word.
    pub(crate) fn figures(&mut self, worker: &Worker, word: &str) -> Vec<f64> {
        let mut figures = Vec::new();
        loop {
            let text = self.next_of(worker.0.id());
            let mut words = text.split_ascii_whitespace();
            assert_eq!(words.next(), Some(word), "{text}");
            let before = figures.len();
            figures.extend(words.map(|figure| figure.parse::<f64>().expect("a figure")));
            if figures.len() - before < FIGURES {
                return figures;
            }
        }
    }

    fn next_of(&mut self, pid: u32) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.heard.iter().position(|(by, _)| *by == pid) {
                return self.heard.remove(at).1;
            }
            assert!(Instant::now() < until, "process {pid} says nothing");
            self.reader.wait(Duration::from_millis(100)).expect("a ring of our own");
            let heard = &mut self.heard;
            let each = |read: Read<'_>| {
                let Read::Record(record) = read else { panic!("more was said than was listened to") };
                heard.push((record.pid, String::from_utf8_lossy(record.payload).into_owned()));
                ControlFlow::Continue(())
            };
            self.reader.batch(usize::MAX, each).expect("a ring of our own");
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Worker {
    /// Waits for its end.
    pub(crate) fn join(mut self) {
        assert!(self.0.wait().expect("a process of ours").success());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The other side: a process that was started, on its processor.
pub(crate) struct Place {
    log: Log,
    path: PathBuf,
}

impl Place {
    /// `CORE DESK`, as [`Desk::start`] wrote them.
    pub(crate) fn take(core: &str, desk: &str) -> Self {
        settle(core);
        Self { log: Log::open(Path::new(desk)).expect("the desk"), path: desk.into() }
    }

    /// Says that it is ready, without waiting for anything.
    pub(crate) fn ready(&self) {
        self.say("ready", &[]);
    }

    /// Says that it is ready, and waits until all are told to begin.
    pub(crate) fn await_go(&self) {
        let mut reader = Reader::open(&self.path).expect("the desk");
        reader.seek(Seek::Newest).expect("the desk");
        self.ready();
        let until = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < until, "nobody said go");
            reader.wait(Duration::from_millis(100)).expect("the desk");
            let mut told = false;
            let each = |read: Read<'_>| {
                told |= matches!(read, Read::Record(record) if record.payload == b"go");
                ControlFlow::Continue(())
            };
            reader.batch(usize::MAX, each).expect("the desk");
            if told {
                return;
            }
        }
    }

    /// What [`Desk::figures`] waits for.
    pub(crate) fn say(&self, word: &str, figures: &[f64]) {
        let mut left = figures;
        loop {
            let (these, rest) = left.split_at(left.len().min(FIGURES));
            let text = these.iter().fold(word.to_owned(), |text, figure| format!("{text} {figure}"));
            self.log.append(Level::INFO, text.as_bytes()).expect("a record");
            if these.len() < FIGURES {
                return;
            }
            left = rest;
        }
    }
}

/// Keeps this process on the processor of this number among those that it may run on.
pub(crate) fn settle(number: &str) {
    let (number, allowed) = (number.parse::<usize>().expect("a number"), cores::allowed());
    cores::pin(allowed[number % allowed.len()]);
}

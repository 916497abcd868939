//! Runs a command as it is and under `lapwing run`, in the same folder with the same environment, and says how it went.

use lapwing_ring::{Create, Flags, Read as Step, Reader, Source};
use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any of these commands takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn lapwing() -> &'static str {
    env!("CARGO_BIN_EXE_lapwing")
}

/// The library that belongs to this build.
pub fn library() -> PathBuf {
    Path::new(lapwing()).with_file_name("deps").join("liblapwing_preload.so")
}

/// How a command ended and what it printed.
#[derive(Clone, PartialEq)]
pub struct End {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub has_core: bool,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub pid: u32,
}

impl End {
    pub fn status(&self) -> (Option<i32>, Option<i32>, bool) {
        (self.code, self.signal, self.has_core)
    }

    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).into_owned();
        write!(f, "{:?}\nout: {}\nerr: {}\n", self.status(), short(&self.out), short(&self.err))
    }
}

/// A ring, and a folder that is empty at the beginning of each run.
pub struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Create::new().size(1 << 20).create(&folder.path().join("ring")).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn ring(&self) -> PathBuf {
        self.path("ring")
    }

    /// `lapwing run OPTIONS -- COMMAND` by the preloaded library.
    pub fn captured(&self, options: &[&str], command: &[&str]) -> Vec<String> {
        let ring = self.ring();
        let run = [lapwing(), "run", "--capture", "preload", "--ring", ring.to_str().unwrap()];
        [&run[..], options, &["--"], command].concat().into_iter().map(String::from).collect()
    }

    /// Runs it in the empty folder.
    pub fn run(&self, line: &[impl AsRef<str>]) -> End {
        self.run_with(line, &[])
    }

    /// As [`Stage::run`], with more variables.
    pub fn run_with(&self, line: &[impl AsRef<str>], variables: &[(&str, &str)]) -> End {
        let work = self.path("work");
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).unwrap();
        let mut command = Command::new(line[0].as_ref());
        command.args(line[1..].iter().map(AsRef::as_ref)).current_dir(&work).stdin(Stdio::null());
        command.env_clear().env("PATH", path()).env("HOME", &work).env("LC_ALL", "C").env("TERM", "dumb");
        command.envs(variables.iter().copied());
        end_of(command)
    }

    /// The records of the ring that captured programs made, from the first one on; none may be missing.
    pub fn records(&self) -> Vec<(Source, Flags, String)> {
        Self::records_of(&self.ring())
    }

    /// As [`Stage::records`], of another ring.
    pub fn records_of(ring: &Path) -> Vec<(Source, Flags, String)> {
        let mut reader = Reader::open(ring).unwrap();
        let mut records = Vec::new();
        loop {
            match reader.next().unwrap() {
                Step::Record(record) => {
                    assert_eq!(record.seq, records.len() as u64);
                    let text = String::from_utf8_lossy(record.payload).into_owned();
                    records.push((record.source, record.flags, text));
                }
                Step::NotYet { in_flight: false } => return records,
                other => panic!("behind {} records: {other:?}", records.len()),
            }
        }
    }

    /// The texts of one source, in order.
    pub fn texts(&self, of: Source) -> Vec<String> {
        self.records().into_iter().filter(|(source, ..)| *source == of).map(|(.., text)| text).collect()
    }
}

/// What the machine has before what a version manager has put in front of it: that is slow.
fn path() -> OsString {
    let mut path = OsString::from("/usr/bin:/bin:/usr/sbin:/sbin:");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

/// Waits for the command, not for what it may have left behind.
pub fn end_of(mut command: Command) -> End {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pid = child.id();
    fn reading(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            all
        })
    }
    let (out, err) = (reading(child.stdout.take().unwrap()), reading(child.stderr.take().unwrap()));
    let status = wait(&mut child, &command);
    let (out, err) = (out.join().unwrap(), err.join().unwrap());
    End { code: status.code(), signal: status.signal(), has_core: status.core_dumped(), out, err, pid }
}

fn wait(child: &mut Child, command: &Command) -> std::process::ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{command:?} does not end");
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// A program that not every machine has. Says so when it is missing.
pub fn have(program: &str) -> bool {
    let found = std::env::split_paths(&path()).any(|folder| folder.join(program).is_file());
    if !found {
        println!("skipped: there is no {program} here");
    }
    found
}

pub fn is_root() -> bool {
    let is = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if !is {
        println!("skipped: this takes root");
    }
    is
}

/// Compiles `source` once for all tests, if `compiler` is here.
pub fn compiled(compiler: &str, name: &str, source: &str, options: &[&str]) -> Option<String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if !have(compiler) {
        return None;
    }
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("transparent-{name}"));
    let sum = binary.with_extension("source");
    let wanted = format!("{compiler} {options:?}\n{source}");
    if !binary.is_file() || fs::read_to_string(&sum).ok().as_deref() != Some(&wanted) {
        let mine = binary.with_extension(std::process::id().to_string());
        let language = if compiler == "g++" { "c++" } else { "c" };
        let mut command = Command::new(compiler);
        command.args(["-x", language, "-w", "-o"]).arg(&mine).args(["-", "-x", "none"]).args(options);
        let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        if !output.status.success() {
            println!("skipped: {compiler} {options:?} makes no {name}: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        fs::rename(&mine, &binary).unwrap();
        fs::write(&sum, wanted).unwrap();
    }
    Some(binary.to_str().unwrap().to_owned())
}

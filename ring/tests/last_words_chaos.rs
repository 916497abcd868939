//! Writers that keep each line before they append it, and those who look for the lines of the dead, all killed at any moment:
//! what was kept is found, what was finished is there once, and nothing is taken from the living.
#![allow(unsafe_code)]

mod folder;
#[allow(dead_code, reason = "other tests use the rest")]
mod rng;

use folder::Folder;
use lapwing_ring::{Create, Flags, Kept, Level, Log, Read, Reader, Source};
use rng::Rng;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const ROLE: &str = "LAST_WORDS_CHAOS";
const WRITERS: usize = 80;
const AT_ONCE: usize = 6;
/// Fits into the ring with all that is found.
const LINES: u64 = 1000;
/// In the place of a length: the line is being appended.
const APPENDING: u64 = u64::MAX;

/// The line `counter` of the process `pid`.
fn line(pid: u32, counter: u64) -> String {
    let len = (counter * 37 + u64::from(pid)) % 90 + 30;
    let mut line = format!("{pid}:{counter}:");
    line.extend((line.len() as u64..len).map(|i| char::from(b'a' + (i % 26) as u8)));
    line
}

/// What a writer has done, in a file that outlives it: the line it is at, and how much of it is kept.
struct Journal(File);

impl Journal {
    fn note(&self, counter: u64, len: u64) {
        let words = [counter.to_le_bytes(), len.to_le_bytes()];
        self.0.write_all_at(words.as_flattened(), 0).unwrap();
    }
}

#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, folder) = role.split_once(' ').unwrap();
    // SAFETY: asks for a signal, no more.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let log = Log::open(&Path::new(folder).join("ring")).unwrap();
    let pid = std::process::id();
    if role == "finder" {
        loop {
            log.append_last_words().unwrap();
            std::thread::sleep(Duration::from_micros(300));
        }
    }
    let journal = Journal(File::create(Path::new(folder).join(pid.to_string())).unwrap());
    let mut random = Rng::new(u64::from(pid));
    let mut kept = Kept::NOWHERE;
    for counter in 0..LINES {
        let text = line(pid, counter);
        let mut len = 0;
        while len < text.len() {
            len = (len + 1 + random.below(60) as usize).min(text.len());
            assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, &text.as_bytes()[..len]), "there is room");
            journal.note(counter, len as u64);
            std::thread::sleep(Duration::from_micros(random.below(200)));
        }
        journal.note(counter, APPENDING);
        log.append(Level::INFO, text.as_bytes()).unwrap();
        if random.below(2) == 0 {
            log.let_go(&mut kept);
        } else {
            // The next line comes into the same place.
            kept.begin_anew();
        }
    }
    log.let_go(&mut kept);
    journal.note(LINES, 0);
}

fn start(role: &str, folder: &Folder) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "actor", "--nocapture", "--test-threads=1", "-q"]);
    command.env(ROLE, format!("{role} {}", folder.0.display())).stdout(Stdio::null()).spawn().unwrap()
}

/// Ends by itself or is killed.
fn end(mut child: Child) -> u32 {
    child.kill().unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn no_line_is_lost_taken_or_torn() {
    let folder = Folder::new("last-chaos");
    let path = folder.join("ring");
    Create::new().size(8 << 20).create(&path).unwrap();
    let mut random = Rng::new(7);
    let mut finders: Vec<Child> = (0..2).map(|_| start("finder", &folder)).collect();
    let (mut writers, mut pids, mut killed_finders): (Vec<Child>, Vec<u32>, usize) = (Vec::new(), Vec::new(), 0);
    for _ in 0..WRITERS {
        writers.push(start("writer", &folder));
        std::thread::sleep(Duration::from_micros(random.below(12_000)));
        if writers.len() == AT_ONCE {
            let one = random.next() as usize % AT_ONCE;
            pids.push(end(writers.swap_remove(one)));
        }
        if random.below(4) == 0 {
            let one = random.next() as usize % finders.len();
            let old = std::mem::replace(&mut finders[one], start("finder", &folder));
            end(old);
            killed_finders += 1;
        }
    }
    pids.extend(writers.into_iter().map(end));
    finders.into_iter().for_each(|finder| {
        end(finder);
    });
    Log::open(&path).unwrap().append_last_words().unwrap();
    assert_eq!(Reader::open(&path).unwrap().last_words().unwrap(), [], "all are found");

    let mut own: BTreeMap<u32, u64> = pids.iter().map(|&pid| (pid, 0)).collect();
    let mut last: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let mut reader = Reader::open(&path).unwrap();
    loop {
        match reader.next().unwrap() {
            Read::Record(record) => {
                let text = String::from_utf8(record.payload.to_vec()).unwrap();
                if record.flags.contains(Flags::LAST_WORDS) {
                    last.entry(record.pid).or_default().push(text);
                    continue;
                }
                assert!(!last.contains_key(&record.pid), "{text} was written behind the last words of its writer");
                let counter = own.get_mut(&record.pid).unwrap();
                assert_eq!(text, line(record.pid, *counter));
                *counter += 1;
            }
            // Killed inside an append: of a writer the line is kept, of a finder it is found again.
            Read::Abandoned(_) => {}
            Read::NotYet { in_flight: true } => reader.pause(),
            Read::NotYet { in_flight: false } => break,
            other => panic!("{other:?}"),
        }
    }
    let (mut found, mut cut) = (0, 0);
    for &pid in &pids {
        let mut words = [0; 16];
        let noted = match File::open(folder.join(&pid.to_string())) {
            Ok(journal) => journal.read_at(&mut words, 0).unwrap() == 16,
            // Killed before it could begin.
            Err(_) => false,
        };
        let said = last.remove(&pid).unwrap_or_default();
        let appended = own[&pid];
        for text in &said {
            let is_of = |counter: u64| line(pid, counter).starts_with(text);
            let fits = is_of(appended) || appended > 0 && is_of(appended - 1);
            assert!(fits, "{text} is not the line it died in ({appended})");
        }
        assert!(said.len() <= 1 + killed_finders, "{said:?}");
        if !noted {
            continue;
        }
        let counter = u64::from_le_bytes(words[..8].try_into().unwrap());
        let len = u64::from_le_bytes(words[8..].try_into().unwrap());
        if len == APPENDING {
            assert!(appended > counter || said.contains(&line(pid, counter)), "line {counter} of {pid} is lost");
        } else if counter < LINES {
            assert_eq!(appended, counter, "of what {pid} has appended");
            let kept = said.iter().any(|text| text.len() as u64 >= len && line(pid, counter).starts_with(text));
            assert!(kept, "{len} bytes of line {counter} of {pid} were kept, and this was found: {said:?}");
            cut += 1;
        }
        found += said.len();
    }
    assert!(last.is_empty(), "of nobody we know: {last:?}");
    assert!(
        cut > WRITERS / 4 && killed_finders > 0,
        "{cut} of {WRITERS} were killed in a line, {killed_finders} finders"
    );
    println!("{WRITERS} writers, {found} last words, {cut} killed in a line, {killed_finders} finders killed");
    fs::remove_file(&path).unwrap();
}

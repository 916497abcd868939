//! Does an unfinished line outlive its writer, once, and nobody else's?
#![allow(unsafe_code)]

mod folder;

use atomic::Atomic;
use atomic::Ordering::Relaxed;
use folder::Folder;
use lapwing_ring::{Access, Create, Field, Flags, Kept, Level, Log, Read, Reader, Source, WRITTEN, identify_path};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "LAST_WORDS_ROLE";

/// Another process, this program again, that keeps a line and then waits to be killed.
#[test]
fn actor() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.splitn(3, ' ').collect();
    let [role, text, ring] = words[..] else { panic!("{role}") };
    let log = Log::open(Path::new(ring)).unwrap();
    let mut kept = Kept::NOWHERE;
    let mut keep = |text: &str| assert!(log.keep(&mut kept, Level::WARN, Source::Stderr, text.as_bytes()), "no room");
    match role {
        "whole" => keep(text),
        "bytewise" => (1..=text.len()).for_each(|len| keep(&text[..len])),
        "finished" => {
            keep(text);
            log.append(Level::WARN, text.as_bytes()).unwrap();
            log.let_go(&mut kept);
        }
        "again" => {
            keep("a first line, and a longer one");
            kept.begin_anew();
            assert!(log.keep(&mut kept, Level::WARN, Source::Stderr, text.as_bytes()));
        }
        "two" => {
            let mut other = Kept::NOWHERE;
            keep("first");
            assert!(log.keep(&mut other, Level::WARN, Source::Stdout, b"second"));
            keep("first, and then third");
        }
        "forks" => {
            keep(text);
            // SAFETY: one thread; the child makes library calls that need no lock.
            if unsafe { libc::fork() } == 0 {
                let mut kept = Kept::NOWHERE;
                assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, b"the child's"));
                // SAFETY: ends the child.
                unsafe { libc::raise(libc::SIGKILL) };
            }
            let mut status = 0;
            // SAFETY: room for the status.
            unsafe { libc::wait(&mut status) };
        }
        _ => panic!("{role}"),
    }
    println!("\nkept");
    loop {
        std::thread::park();
    }
}

/// Kills its process when it goes out of scope.
struct Actor(Child);

impl Actor {
    /// Comes back when the line is kept.
    fn start(role: &str, text: &str, ring: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "actor", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, format!("{role} {text} {}", ring.display())).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "kept"), "{role} failed");
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn signal(&self, signal: libc::c_int) {
        // SAFETY: our own child, which was not waited for.
        assert_eq!(unsafe { libc::kill(self.pid() as i32, signal) }, 0);
    }

    fn kill(mut self) -> u32 {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        self.pid()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ring(folder: &Folder, size: u64) -> PathBuf {
    let path = folder.join("ring");
    Create::new().size(size).create(&path).unwrap();
    path
}

/// Pid, text and whether they are last words, of every record.
fn records(ring: &Path) -> Vec<(u32, String, bool)> {
    let mut reader = Reader::open(ring).unwrap();
    let mut all = Vec::new();
    while let Read::Record(record) = reader.next().unwrap() {
        let last = Flags::PARTIAL | Flags::LAST_WORDS;
        all.push((record.pid, String::from_utf8(record.payload.to_vec()).unwrap(), record.flags.contains(last)));
    }
    all
}

fn left(ring: &Path) -> Vec<(u32, String)> {
    let words = Reader::open(ring).unwrap().last_words().unwrap();
    words.into_iter().map(|words| (words.pid, String::from_utf8(words.text).unwrap())).collect()
}

#[test]
fn the_unfinished_line_of_a_killed_writer_is_found_once_with_all_that_is_known_of_it() {
    let folder = Folder::new("last-once");
    let path = ring(&folder, 1 << 20);
    let since = std::time::SystemTime::now();
    let pid = Actor::start("bytewise", "about_to_divide_by_zero", &path).kill();
    assert_eq!(left(&path), [(pid, "about_to_divide_by_zero".to_owned())], "a reader can see it");
    let [words] = &Reader::open(&path).unwrap().last_words().unwrap()[..] else { panic!("one line") };
    // SAFETY: no preconditions.
    assert_eq!((words.level, words.source, words.uid), (Level::WARN, Source::Stderr, unsafe { libc::geteuid() }));
    assert!(words.comm.starts_with(b"last_words"), "{}", words.comm.escape_ascii());
    let ns = |time: std::time::SystemTime| time.duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as i64;
    assert!((ns(since) - 1_000_000..=ns(std::time::SystemTime::now())).contains(&words.real_ns));

    let log = Log::open(&path).unwrap();
    assert_eq!(log.append_last_words(), Ok(1));
    assert_eq!(log.append_last_words(), Ok(0), "and not again");
    assert_eq!(left(&path), []);
    let mut reader = Reader::open(&path).unwrap();
    let Read::Record(record) = reader.next().unwrap() else { panic!("it is a record now") };
    assert_eq!((record.pid, record.tid, record.level, record.source), (pid, words.tid, Level::WARN, Source::Stderr));
    assert_eq!(record.payload, b"about_to_divide_by_zero");
    assert_eq!(record.flags.names().collect::<Vec<_>>(), ["partial", "last-words"]);
    let fields: Vec<_> = record.fields.collect();
    assert_eq!(fields[..2], [Field::Comm(&words.comm), Field::Uid(words.uid)]);
    let Field::KeyValue(key, lapwing_ring::Value::Int(written)) = fields[2] else { panic!("{fields:?}") };
    assert_eq!(key, WRITTEN.as_bytes());
    assert!((written - words.real_ns).abs() < 50_000_000, "{written} and {}", words.real_ns);
}

#[test]
fn what_a_living_or_stopped_writer_has_not_finished_stays_its_own() {
    let folder = Folder::new("last-alive");
    let path = ring(&folder, 1 << 20);
    let (alive, stopped) = (Actor::start("whole", "alive", &path), Actor::start("whole", "stopped", &path));
    stopped.signal(libc::SIGSTOP);
    let log = Log::open(&path).unwrap();
    assert_eq!((log.append_last_words(), left(&path)), (Ok(0), vec![]));
    let pid = stopped.kill();
    assert_eq!(log.append_last_words(), Ok(1));
    assert_eq!(records(&path), [(pid, "stopped".to_owned(), true)]);
    drop(alive);
    assert_eq!(log.append_last_words(), Ok(1));
}

#[test]
fn a_finished_line_leaves_nothing_and_a_new_one_nothing_of_the_old() {
    let folder = Folder::new("last-finished");
    let path = ring(&folder, 1 << 20);
    let finished = Actor::start("finished", "done", &path).kill();
    let again = Actor::start("again", "a_second", &path).kill();
    let log = Log::open(&path).unwrap();
    assert_eq!(log.append_last_words(), Ok(1));
    assert_eq!(records(&path), [(finished, "done".to_owned(), false), (again, "a_second".to_owned(), true)]);
}

#[test]
fn the_line_that_was_added_to_last_comes_last() {
    let folder = Folder::new("last-two");
    let path = ring(&folder, 1 << 20);
    let pid = Actor::start("two", "-", &path).kill();
    let expected = ["second", "first, and then third"].map(|text| (pid, text.to_owned()));
    assert_eq!(left(&path), expected);
    assert_eq!(Log::open(&path).unwrap().append_last_words(), Ok(2));
    assert_eq!(records(&path), expected.map(|(pid, text)| (pid, text, true)));
}

#[test]
fn a_forked_child_has_a_line_of_its_own() {
    let folder = Folder::new("last-fork");
    let path = ring(&folder, 1 << 20);
    let parent = Actor::start("forks", "the_parent's", &path);
    let log = Log::open(&path).unwrap();
    assert_eq!(log.append_last_words(), Ok(1), "the parent lives");
    let parent = parent.kill();
    assert_eq!(log.append_last_words(), Ok(1));
    let [(child, said, true), (pid, too, true)] = &records(&path)[..] else { panic!("two last words") };
    assert_eq!((&said[..], &too[..], *pid), ("the child's", "the_parent's", parent));
    assert_ne!(*child, parent);
}

#[test]
fn several_who_look_append_each_line_once() {
    let folder = Folder::new("last-several");
    let path = ring(&folder, 1 << 20);
    let mut expected = Vec::new();
    for i in 0..8 {
        let text = format!("line{i}");
        expected.push((Actor::start("whole", &text, &path).kill(), text, true));
    }
    let sum: usize = std::thread::scope(|scope| {
        let look = || Log::open(&path).unwrap().append_last_words().unwrap();
        let all: Vec<_> = (0..8).map(|_| scope.spawn(look)).collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!(sum, 8);
    let mut found = records(&path);
    found.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(found, expected);
}

#[test]
fn without_room_a_line_is_not_kept_and_room_comes_back() {
    let folder = Folder::new("last-full");
    let path = ring(&folder, 64 << 10);
    let room = identify_path(&path).unwrap().lines as usize;
    let log = Log::open(&path).unwrap();
    let mut kept = vec![Kept::NOWHERE; room + 1];
    let mut keep = |i: usize| log.keep(&mut kept[i], Level::INFO, Source::Stdout, b"text");
    assert!((0..room).all(&mut keep), "{room} lines");
    assert!(!keep(room), "and no more");
    assert!(log.is_full_of_lines());
    let mut first = std::mem::take(&mut kept[0]);
    log.let_go(&mut first);
    assert!(!first.is_somewhere() && !log.is_full_of_lines());
    assert!(log.keep(&mut kept[room], Level::INFO, Source::Stdout, b"text"));
    let long = vec![b'x'; 1 << 20];
    assert!(log.keep(&mut kept[1], Level::INFO, Source::Stdout, &long), "the first part of it");
}

#[test]
fn a_line_that_has_outgrown_its_place_may_go_on_growing() {
    let folder = Folder::new("last-outgrown");
    let path = ring(&folder, 1 << 20);
    let room = identify_path(&path).unwrap().geometry.line_len();
    let text: Vec<u8> = (0..3 * room).map(|i| b'a' + (i % 26) as u8).collect();
    let log = Log::open(&path).unwrap();
    let mut kept = Kept::NOWHERE;
    for len in [room - 1, room, room + 1, 2 * room, 3 * room] {
        assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, &text[..len]), "{len} bytes");
        assert_eq!(kept_in_a_copy(&folder, &path)[0].text, &text[..len.min(room)], "{len} bytes");
    }
}

/// What a copy of the ring, in which nobody lives, says of all lines.
fn kept_in_a_copy(folder: &Folder, ring: &Path) -> Vec<lapwing_ring::LastWords> {
    let copy = folder.join("copy");
    fs::copy(ring, &copy).unwrap();
    Reader::open(&copy).unwrap().last_words().unwrap()
}

#[test]
fn a_line_has_the_thread_that_began_it_also_in_the_place_of_another_s() {
    let folder = Folder::new("last-thread");
    let path = ring(&folder, 64 << 10);
    let log = Log::open(&path).unwrap();
    let mut kept = Kept::NOWHERE;
    // SAFETY: no preconditions.
    let tid = || unsafe { libc::gettid() } as u32;
    let mut begun_by = |text: &[u8]| {
        std::thread::scope(|scope| {
            let begin = || {
                kept.begin_anew();
                assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, text));
                tid()
            };
            scope.spawn(begin).join().unwrap()
        })
    };
    for text in [&b"the first line"[..], b"the second"] {
        let began = begun_by(text);
        let [words] = &kept_in_a_copy(&folder, &path)[..] else { panic!("one line") };
        assert_eq!((&words.text[..], words.tid), (text, began));
    }
}

#[test]
fn a_slot_under_which_a_line_is_kept_is_not_given_back() {
    let folder = Folder::new("last-release");
    let path = ring(&folder, 64 << 10);
    let (log, finder) = (Log::open(&path).unwrap(), Log::open(&path).unwrap());
    let mut kept = Kept::NOWHERE;
    let slots = || Reader::open(&path).unwrap().stat().unwrap().writers.len();
    let mut keep = |text: &[u8]| assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, text));
    keep(b"half");
    log.release();
    assert_eq!((finder.append_last_words(), left(&path)), (Ok(0), vec![]), "whose line it is lives");
    keep(b"half a line");
    finder.release();
    assert_eq!(slots(), 1);
    let mut kept_again = std::mem::take(&mut kept);
    log.let_go(&mut kept_again);
    log.release();
    assert_eq!(slots(), 0, "now nothing is in the way");
    assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, b"left behind"));
    drop(log);
    assert_eq!(finder.append_last_words(), Ok(1), "nobody has the handle any more that could finish it");
    assert_eq!(records(&path), [(std::process::id(), "left behind".to_owned(), true)]);
}

#[test]
fn in_a_copy_of_a_ring_every_line_was_the_last() {
    let folder = Folder::new("last-copy");
    let path = ring(&folder, 1 << 20);
    let alive = Actor::start("whole", "alive", &path);
    let copy = folder.join("copy");
    fs::copy(&path, &copy).unwrap();
    assert_eq!(left(&copy), [(alive.pid(), "alive".to_owned())]);
    assert_eq!(left(&path), []);
}

#[test]
fn nobody_who_comes_and_goes_is_taken_for_dead_by_who_reads_copies() {
    let folder = Folder::new("last-coming");
    let path = ring(&folder, 16 << 20);
    let reader = Reader::open_with(&path, Access::Copied).unwrap();
    let over = Atomic::new(false);
    std::thread::scope(|scope| {
        let come_and_go = || {
            let (log, mut kept) = (Log::open(&path).unwrap(), Kept::NOWHERE);
            while !over.load(Relaxed) {
                assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, b"half"));
                log.let_go(&mut kept);
                log.release();
            }
        };
        scope.spawn(come_and_go);
        let since = Instant::now();
        let seen = std::iter::repeat_with(|| (reader.last_words().unwrap(), reader.stat().unwrap().last_words));
        let wrong = seen
            .take_while(|_| since.elapsed() < Duration::from_secs(1))
            .find(|(words, n)| !words.is_empty() || *n != 0);
        over.store(true, Relaxed);
        assert_eq!(wrong, None);
    });
}

#[test]
fn who_would_append_what_he_read_finds_out_that_the_path_has_another_ring() {
    let folder = Folder::new("last-replaced");
    let path = ring(&folder, 64 << 10);
    let reader = Reader::open(&path).unwrap();
    assert!(reader.is_of(&Log::open(&path).unwrap()) && reader.is_ours().unwrap());
    fs::rename(&path, folder.join("old")).unwrap();
    ring(&folder, 64 << 10);
    assert!(!reader.is_of(&Log::open(&path).unwrap()) && !reader.is_ours().unwrap());
    assert!(reader.is_of(&Log::open(&folder.join("old")).unwrap()));
}

#[test]
fn any_words_where_lines_are_kept_do_no_harm() {
    let folder = Folder::new("last-hostile");
    let path = ring(&folder, 64 << 10);
    let identity = identify_path(&path).unwrap();
    let (from, to) = (identity.geometry.pages_end(), identity.geometry.file_len(identity.lines));
    let file = fs::File::options().write(true).open(&path).unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for round in 0..300 {
        for at in (from..to).step_by(8) {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            // Now and then words that are nearly right.
            let word = match random >> 60 {
                0..4 => random >> 12,
                4..8 => random >> 52,
                _ => random,
            };
            file.write_all_at(&word.to_le_bytes(), at).unwrap();
        }
        let seen = Reader::open(&path).unwrap().last_words().unwrap();
        assert!(seen.iter().all(|words| words.text.len() <= identity.geometry.line_len()));
        let log = Log::open(&path).unwrap();
        assert!(log.is_full_of_lines(), "no word is 0");
        let appended = log.append_last_words().unwrap();
        assert!(appended <= identity.lines as usize, "round {round}");
        let mut kept = Kept::NOWHERE;
        assert!(log.keep(&mut kept, Level::INFO, Source::Stdout, b"mine"), "there is room again");
        log.let_go(&mut kept);
    }
}

#[test]
fn a_ring_without_room_for_lines_works_as_ever() {
    let folder = Folder::new("last-none");
    let path = ring(&folder, 64 << 10);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&0u64.to_le_bytes(), 136).unwrap();
    file.set_len(identify_path(&path).unwrap().geometry.pages_end()).unwrap();
    let log = Log::open(&path).unwrap();
    let mut kept = Kept::NOWHERE;
    assert!(!log.keep(&mut kept, Level::INFO, Source::Stdout, b"text") && !kept.is_somewhere());
    log.let_go(&mut kept);
    assert_eq!((log.append_last_words(), left(&path)), (Ok(0), vec![]));
    assert_eq!(log.append(Level::INFO, b"a record"), Ok(0));
    file.write_all_at(&1025u64.to_le_bytes(), 136).unwrap();
    let error = Log::open(&path).err().unwrap().to_string();
    assert!(error.contains("the number of unfinished lines"), "{error}");
}

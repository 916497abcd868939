//! Do real processes agree? Four writers and three readers, one of which copies, over rings far too small, first in peace,
//! then with writers killed and stopped at random moments. Every payload describes itself, and at the end the books have to
//! balance.
//!
//! STRESS_SECONDS sets how long each round lasts (0.7), STRESS_SEED repeats one.

mod rng;

use lapwing_ring::{Access, Body, Create, Draft, Level, Read, Reader, Seek, Source, Writer};
use rng::Rng;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "STRESS_ROLE";
/// Bytes of the self-description: writer, counter, length, hash. Shorter payloads are one byte, repeated.
const DESCRIPTION: usize = 20;

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ byte as u64).wrapping_mul(0x0100_0000_01b3))
}

/// Fills `payload` for the `counter`th record of `writer`.
fn describe(payload: &mut [u8], writer: u32, counter: u32) {
    let len = payload.len();
    if len < DESCRIPTION {
        payload.fill(short_byte(writer, len));
        return;
    }
    let (head, rest) = payload.split_at_mut(DESCRIPTION);
    for (i, byte) in rest.iter_mut().enumerate() {
        *byte = (counter as usize * 31 + i) as u8 ^ writer as u8;
    }
    head[..4].copy_from_slice(&writer.to_le_bytes());
    head[4..8].copy_from_slice(&counter.to_le_bytes());
    head[8..12].copy_from_slice(&(len as u32).to_le_bytes());
    let sum = hash(rest) ^ hash(&head[..12]);
    head[12..].copy_from_slice(&sum.to_le_bytes());
}

fn short_byte(writer: u32, len: usize) -> u8 {
    (writer as usize * 41 + len * 7 + 1) as u8
}

/// The writer and counter that a payload names; panics when it is not what was written.
fn check(payload: &[u8], writer: u32) -> Option<u32> {
    if payload.len() < DESCRIPTION {
        assert!(payload.iter().all(|&byte| byte == short_byte(writer, payload.len())), "foreign bytes {payload:?}");
        return None;
    }
    let (head, rest) = payload.split_at(DESCRIPTION);
    let word = |i: usize| u32::from_le_bytes(head[i..i + 4].try_into().unwrap());
    let sum = u64::from_le_bytes(head[12..].try_into().unwrap());
    assert_eq!((word(0), word(8) as usize), (writer, payload.len()), "a payload of somebody else");
    assert_eq!(sum, hash(rest) ^ hash(&head[..12]), "a torn payload, writer {writer} counter {}", word(4));
    Some(word(4))
}

/// The process that this test binary becomes when a role is set.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = role.split(' ').collect();
    match words[..] {
        ["writer", ring, id, seed] => writer(Path::new(ring), id.parse().unwrap(), seed.parse().unwrap()),
        ["reader", ring, log] => reader(Path::new(ring), Path::new(log)),
        _ => panic!("{role}"),
    }
    // Without the test runner's own closing words.
    std::process::exit(0);
}

/// Appends until its standard input ends.
fn writer(ring: &Path, id: u32, seed: u64) {
    let mut writer = Writer::open(ring).unwrap();
    writer.set_modes(if id.is_multiple_of(2) { Body::Words } else { Body::Wide }, true);
    let (max, mut rng) = (writer.max_body(), Rng::new(seed));
    let mut payload = vec![0; max];
    let stop = until_stdin_ends();
    let mut counter = 0;
    while !stop.is_finished() {
        for _ in 0..64 {
            // Mostly short, now and then the longest there is. The source carries the writer's number.
            let len = match rng.below(40) {
                0 => max - rng.below(3).min(max as u64) as usize,
                1 => rng.below(max as u64 + 1) as usize,
                2 => 0,
                _ => rng.below(160) as usize,
            };
            describe(&mut payload[..len], id, counter);
            let level = Level::new(id as u8 % 24 + 1).unwrap();
            let draft = Draft { source: Source::Log, ..Draft::new(level) };
            let cut = rng.below(len as u64 + 1) as usize;
            let (a, b) = payload[..len].split_at(cut);
            match writer.append_slices(&draft, &[a, b]) {
                Ok(_) => counter += 1,
                Err(error) => panic!("refused: {error}"),
            }
        }
    }
    println!("\nwrote {counter}");
}

/// Reads until its standard input ends and nothing is left; logs sequence and hash of all it got.
fn reader(ring: &Path, log: &Path) {
    let access = if log.ends_with("log3") { Access::Copied } else { Access::Mapped };
    let mut reader = Reader::open_with(ring, access).unwrap();
    reader.set_copy_body(if log.ends_with("log1") { Body::Words } else { Body::Wide });
    let mut log = BufWriter::new(File::create(log).unwrap());
    let mut last: HashMap<(u32, u32), u32> = HashMap::new();
    let stop = until_stdin_ends();
    println!("\nreading");
    loop {
        // Asked before the look: what was written before the end is found by a look after it.
        let stopping = stop.is_finished();
        let expected = reader.seq();
        let nothing_left = match reader.next().unwrap() {
            Read::Record(record) => {
                assert_eq!(record.seq, expected);
                let writer = record.level.number() as u32 - 1;
                assert_eq!(record.source, Source::Log);
                if let Some(counter) = check(record.payload, writer)
                    && let Some(before) = last.insert((writer, record.pid), counter)
                {
                    assert!(counter > before, "writer {writer} out of order: {counter} after {before}");
                }
                let mut line = [0; 16];
                line[..8].copy_from_slice(&record.seq.to_le_bytes());
                line[8..].copy_from_slice(&(hash(record.payload) ^ record.pid as u64).to_le_bytes());
                log.write_all(&line).unwrap();
                false
            }
            Read::NotYet { in_flight } => {
                reader.pause();
                stopping && !in_flight
            }
            Read::Lost(gap) | Read::Abandoned(gap) | Read::Stalled(gap) => {
                assert_eq!(gap.first, expected);
                assert_eq!(reader.seq(), gap.last() + 1);
                false
            }
        };
        if nothing_left {
            break;
        }
    }
    log.flush().unwrap();
    let (counts, bounds) = (reader.counts(), reader.bounds().unwrap());
    let sum = counts.read + counts.lost + counts.abandoned + counts.stalled;
    assert_eq!(sum, bounds.next_seq, "read + lost + abandoned + stalled == reserved: {counts:?}");
    println!("read {} lost {} abandoned {} stalled {}", counts.read, counts.lost, counts.abandoned, counts.stalled);
}

fn until_stdin_ends() -> std::thread::JoinHandle<()> {
    std::thread::spawn(|| drop(std::io::stdin().read_to_end(&mut Vec::new())))
}

fn start(role: String) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

/// Ends a child by ending its standard input; gives the numbers of the line that starts with `word`.
fn finish(mut child: Child, word: &str) -> Vec<u64> {
    drop(child.stdin.take());
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let line = text.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("{word}: {text}"));
    line.split(' ').filter_map(|word| word.parse().ok()).collect()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(status.success(), "kill -{name}");
}

fn read_log(path: &Path) -> BTreeMap<u64, u64> {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    let word = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    bytes.chunks_exact(16).map(|line| (word(&line[..8]), word(&line[8..]))).collect()
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn seconds() -> f64 {
    std::env::var("STRESS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(0.7)
}

/// One round; `violent` kills and stops writers all the time.
fn round(size: u64, violent: bool) {
    println!("ring of {size} bytes");
    let mut rng = Rng::seeded_by("STRESS_SEED");
    let folder = Folder(PathBuf::from(format!("/dev/shm/lapwing-stress-{}-{size}-{violent}", std::process::id())));
    std::fs::create_dir(&folder.0).unwrap();
    let ring = folder.0.join("ring");
    Create::new().size(size).create(&ring).unwrap();

    let logs = [1, 2, 3].map(|i| folder.0.join(format!("log{i}")));
    let readers: Vec<Child> =
        logs.iter().map(|log| start(format!("reader {} {}", ring.display(), log.display()))).collect();
    let mut readers: Vec<_> = readers
        .into_iter()
        .map(|mut child| {
            // All stand before sequence 0 when the first record comes.
            let mut lines = BufReader::new(child.stdout.take().unwrap());
            while !{
                let mut line = String::new();
                assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the reader ended early");
                line.starts_with("reading")
            } {}
            (child, lines)
        })
        .collect();
    let mut dice = Rng::new(rng.next());
    let mut start_writer = |id: usize| start(format!("writer {} {id} {}", ring.display(), rng.next()));
    let mut writers: Vec<Child> = (0..4).map(&mut start_writer).collect();

    let mut kills = 0;
    let until = Instant::now() + Duration::from_secs_f64(seconds());
    while Instant::now() < until {
        std::thread::sleep(Duration::from_micros(500 + dice.below(4000)));
        if !violent {
            continue;
        }
        let id = dice.below(4) as usize;
        if dice.below(2) == 0 {
            signal(&writers[id], "STOP");
            std::thread::sleep(Duration::from_micros(dice.below(20_000)));
            signal(&writers[id], "CONT");
        } else {
            writers[id].kill().unwrap();
            writers[id].wait().unwrap();
            kills += 1;
            writers[id] = start_writer(id);
        }
    }
    let wrote: u64 = writers.drain(..).map(|child| finish(child, "wrote")[0]).sum();
    let mut all = Vec::new();
    for (mut child, mut lines) in readers.drain(..) {
        drop(child.stdin.take());
        let mut text = String::new();
        lines.read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        let line = text.lines().find(|line| line.starts_with("read ")).unwrap_or_else(|| panic!("{text}"));
        println!("  {line}, {kills} killed");
        let numbers: Vec<u64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        all.push(numbers);
    }

    let mut last = Reader::open(&ring).unwrap();
    let reserved = last.bounds().unwrap().next_seq;
    assert!(reserved > 1000, "the round was a round: {reserved}");
    let refused = last.stat().unwrap().refused.total();
    assert_eq!(refused, 0, "at most three writers were stopped at once");
    for counts in &all {
        let [read, lost, abandoned, stalled] = counts[..] else { panic!("{counts:?}") };
        assert_eq!(read + lost + abandoned + stalled, reserved);
        assert!(abandoned <= kills, "{abandoned} abandoned, {kills} killed");
        if !violent {
            assert_eq!((abandoned, stalled, reserved), (0, stalled, wrote));
        }
    }
    let logs: Vec<_> = logs.iter().map(|log| read_log(log)).collect();
    for (log, counts) in logs.iter().zip(&all) {
        assert_eq!(log.len() as u64, counts[0], "no sequence twice");
    }
    for pair in [[0, 1], [1, 2]] {
        let [one, two] = pair.map(|i| &logs[i]);
        let differ = one.iter().filter(|(seq, hash)| two.get(seq).is_some_and(|other| other != *hash)).count();
        assert_eq!(differ, 0, "readers agree on every sequence that both got");
    }

    // Whoever comes now finds an unbroken rest.
    let bounds = last.bounds().unwrap();
    assert_eq!(last.seek(Seek::Oldest).unwrap(), bounds.oldest_seq);
    let mut left = 0;
    while !matches!(last.next().unwrap(), Read::NotYet { in_flight: false }) {
        left += 1;
    }
    let counts = last.counts();
    assert_eq!(counts.lost, 0, "nobody writes any more");
    assert!(
        left >= counts.read && bounds.oldest_seq + counts.read + counts.abandoned + counts.stalled == bounds.next_seq
    );
}

#[test]
fn four_writers_and_three_readers_in_peace() {
    for size in [64 << 10, 256 << 10, 1 << 20, 16 << 20] {
        round(size, false);
    }
}

#[test]
fn four_writers_killed_and_stopped_at_random() {
    for size in [64 << 10, 256 << 10, 1 << 20, 16 << 20] {
        round(size, true);
    }
}

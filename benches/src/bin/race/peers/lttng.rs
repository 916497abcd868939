//! LTTng-UST in its two modes: buffers that are overwritten until somebody takes a snapshot, and buffers that a consumer
//! writes to files.

mod daemon;

use crate::Result;
use crate::object::{Append, Object, Source};
use crate::peer::{Measure, Payload, Peer, Unread, Write};
use daemon::Daemon;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SOURCE: Source = Source {
    compiler: "cc",
    files: &[("lttng.c", include_str!("lttng.c")), ("lttng_record.h", include_str!("lttng_record.h"))],
    header: "lttng/tracepoint.h",
    flags: &[],
    libraries: &["lttng-ust", "dl"],
    packages: "lttng-tools, liblttng-ust-dev and gcc",
};

/// What every record has in the channel of the tracepoint whose name ends so, beside its time.
const META: &str = "_meta";
const CONTEXTS: [&str; 4] = ["-t", "vpid", "-t", "vtid"];

/// Four sub-buffers of 4 MiB for each processor: as much for each as the ring has for all, and more is not faster.
const BUFFERS: [&str; 2] = ["--num-subbuf=4", "--subbuf-size=4M"];

/// How long a tracepoint may take to be enabled in a process that has just started.
const PATIENCE: Duration = Duration::from_secs(5);

/// Overwrites the oldest.
pub struct Snapshot;
/// Discards the newest. In real time the consumer gets no processor beside as many writers as there are, and two of three
/// records are dropped; in turns with other programs none is, and all take twice as long and more.
pub struct Discard;

macro_rules! session {
    ($session:ident, $name:literal, $tracepoint:literal, $about:literal, $create:expr, $channel:expr, $dropped:expr) => {
        impl Peer for $session {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = $about;
            // In neither can another process follow the records while the race is on.
            const MEASURES: &'static [Measure] = &[Measure::Append, Measure::AppendMeta, Measure::Writers(2)];
            type Channel = Object;
            type Writer<'c> = Append<'c>;
            type Reader<'c> = Unread;

            fn missing() -> Option<String> {
                SOURCE.missing().or_else(|| daemon::missing(SOURCE.packages))
            }

            fn set_up(folder: &Path) -> Result<Box<dyn Any>> {
                SOURCE.compile(folder)?;
                let daemon = Daemon::shared(folder)?;
                record(&daemon, $tracepoint, $create, $channel)?;
                Ok(Box::new(daemon))
            }

            /// The session records whatever process appends next.
            fn create(_: &Path) -> Result<()> {
                Ok(())
            }

            fn environment(place: &Path) -> Vec<(&'static str, PathBuf)> {
                vec![daemon::home(folder(place))]
            }

            fn dropped(place: &Path) -> Result<Option<u64>> {
                let dropped: fn(&Path) -> Result<Option<u64>> = $dropped;
                dropped(folder(place))
            }

            fn open(place: &Path) -> Result<Object> {
                SOURCE.load(folder(place))
            }

            fn writer(object: &Object, meta: bool) -> Result<Append<'_>> {
                let suffix = if meta { META } else { "" };
                writer(object, &format!("{}{suffix}", $tracepoint))
            }

            fn reader(_: &Object) -> Result<Unread> {
                Err("nobody reads it".into())
            }
        }
    };
}

session!(
    Snapshot,
    "lttng-snapshot",
    "snapshot",
    "needs a daemon; any processes, a buffer for each processor, no common order, read by snapshots, overwrites 4 MiB at once",
    &["--snapshot"],
    &["--overwrite"],
    |_| Ok(None)
);

session!(
    Discard,
    "lttng-discard",
    "discard",
    "needs a daemon and a consumer that writes files; any processes, no common order, drops the newest and counts that",
    &[],
    // What the consumer has written is of no interest, and must not fill the memory.
    &["--discard", "--tracefile-size=32M", "--tracefile-count=2"],
    |folder| daemon::discarded(folder, "discard").map(Some)
);

/// Starts a session of that name, with the tracepoint of that name in a channel of its own, and with that for metadata.
fn record(daemon: &Daemon, name: &str, create: &[&str], channel: &[&str]) -> Result<()> {
    let output = format!("--output={}", daemon.home().join(name).display());
    daemon.lttng(&[&["create", name, &output][..], create].concat())?;
    let meta = format!("{name}{META}");
    for tracepoint in [name, &meta] {
        let of = ["-u", "-s", name];
        daemon.lttng(&[&["enable-channel"], &of[..], channel, &BUFFERS, &[tracepoint]].concat())?;
        if tracepoint == meta {
            daemon.lttng(&[&["add-context"], &of[..], &["-c", tracepoint], &CONTEXTS].concat())?;
        }
        let event = format!("lapwing_race:{tracepoint}");
        daemon.lttng(&[&["enable-event"], &of[..], &["-c", tracepoint, &event]].concat())?;
    }
    daemon.lttng(&["start", name])
}

/// Once its tracepoint is enabled: before, an append does nothing.
fn writer<'o>(object: &'o Object, tracepoint: &str) -> Result<Append<'o>> {
    let since = Instant::now();
    while object.number(&format!("enabled_{tracepoint}"))? == 0 {
        if since.elapsed() > PATIENCE {
            return Err(format!("nobody has enabled the tracepoint {tracepoint}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    object.append(&format!("append_{tracepoint}"))
}

/// The race's folder, of a run's place in it.
fn folder(place: &Path) -> &Path {
    place.parent().expect("a place in the race's folder")
}

impl Write for Append<'_> {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        self.call(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::LEN;
    use crate::place::Place;
    use lapwing_benches::cores;
    use rustix::process::{Pid, Signal, kill_process};
    use std::process::Command;

    /// Where the process that appends finds its place, and how many records it is to append.
    const PLACE: &str = "LAPWING_RACE_TEST_PLACE";
    const COUNT: &str = "LAPWING_RACE_TEST_COUNT";
    /// More than the buffers of a processor hold.
    const MANY: usize = 200_000;

    /// All the sessions of a folder, and what a process of its own appends to one of them, since only its environment says
    /// which daemon it belongs to.
    #[test]
    fn what_is_appended_is_in_the_trace_or_counted() {
        if let Some(why) = Discard::missing() {
            return println!("skipped: {why}");
        }
        let place = Place::new().unwrap();
        let folder = place.folder();
        let _setting = match (Snapshot::set_up(folder), Discard::set_up(folder)) {
            (Ok(one), Ok(other)) => (one, other),
            (Err(why), _) | (_, Err(why)) if why.to_string().contains("runs already") => {
                return println!("skipped: {why}");
            }
            (Err(why), _) | (_, Err(why)) => panic!("{why}"),
        };
        let daemon = Daemon::shared(folder).unwrap();
        let run = folder.join("run");

        append(&run, 1000);
        assert_eq!(Discard::dropped(&run).unwrap(), Some(0));
        let all: Vec<_> = (0..1000).collect();
        assert_eq!(traced(&daemon, "discard"), all);
        daemon.lttng(&["snapshot", "record", "-s", "snapshot"]).unwrap();
        assert_eq!(traced(&daemon, "snapshot"), all);

        let consumers = daemon.consumers();
        assert!(!consumers.is_empty(), "somebody writes the files");
        let signal =
            |signal| consumers.iter().for_each(|&pid| kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap());
        signal(Signal::STOP);
        append(&run, MANY);
        signal(Signal::CONT);
        let dropped = Discard::dropped(&run).unwrap().unwrap() as usize;
        let kept = traced(&daemon, "discard").len() - all.len();
        assert!(dropped > 0, "{kept} records are more than the buffers hold");
        assert_eq!(kept + dropped, MANY);
    }

    /// Appends to both sessions in a process that ends.
    fn append(run: &Path, count: usize) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "peers::lttng::tests::appends"]);
        command.envs(Discard::environment(run)).env(PLACE, run).env(COUNT, count.to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    #[test]
    #[ignore = "a process of the test above"]
    fn appends() {
        let run = PathBuf::from(std::env::var_os(PLACE).expect("the test above says where"));
        let count = std::env::var(COUNT).unwrap().parse().unwrap();
        // One processor's buffers, so that the order is one.
        cores::pin(cores::allowed()[0]);
        let object = Discard::open(&run).unwrap();
        let mut writers = [Snapshot::writer(&object, false).unwrap(), Discard::writer(&object, true).unwrap()];
        for number in 0..count {
            let payload = payload(number);
            writers.iter_mut().for_each(|writer| Write::append(writer, &payload));
        }
    }

    fn payload(number: usize) -> Payload {
        let mut payload = [b'.'; LEN];
        payload[..13].copy_from_slice(format!("record {number:06}").as_bytes());
        payload
    }

    /// The numbers of the records in a session's files, which hold them byte for byte.
    fn traced(daemon: &Daemon, session: &str) -> Vec<usize> {
        let mut numbers = Vec::new();
        let mut folders = vec![daemon.home().join(session)];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let bytes = std::fs::read(&path).unwrap();
                let mut at = 0;
                while let Some(found) = bytes[at..].windows(7).position(|window| window == b"record ") {
                    let record = &bytes[at + found..][..LEN];
                    let number = std::str::from_utf8(&record[7..13]).unwrap().parse().unwrap();
                    assert_eq!(record, payload(number));
                    numbers.push(number);
                    at += found + LEN;
                }
            }
        }
        numbers
    }
}

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
/// Discards the newest.
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

//! iceoryx2: shared memory between processes without a daemon; each publisher has a queue for each subscriber.

use crate::Result;
use crate::peer::{LEN, Measure, Payload, Peer, Read, Write, pause};
use crate::place::remove_shared;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{Config, FileName, NodeBuilder, SemanticString, SignalHandlingMode, ipc};
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use std::any::Any;
use std::path::{Path, PathBuf};

/// What a subscriber's queue holds: about as many records as a ring of 16 MiB.
const RECORDS: usize = 1 << 17;
/// Publishers of a service.
const WRITERS: usize = 16;

/// Without a subscriber, unless somebody reads: what is published is nowhere.
pub struct Iceoryx2;
/// With one that reads nothing: what is published can be read later.
pub struct Kept;

macro_rules! peer {
    ($peer:ident, $name:literal, $about:literal, $measures:expr, $kept:literal) => {
        impl Peer for $peer {
            const NAME: &'static str = $name;
            const ABOUT: &'static str = $about;
            const MEASURES: &'static [Measure] = $measures;
            type Channel = PathBuf;
            type Writer<'c> = Writer;
            type Reader<'c> = Subscriber<ipc::Service, [u8], ()>;

            fn set_up(folder: &Path) -> Result<Box<dyn Any>> {
                Ok(Box::new(Names(name(folder)?.to_owned())))
            }

            fn create(place: &Path) -> Result<()> {
                Ok(std::fs::create_dir(place)?)
            }

            fn open(place: &Path) -> Result<PathBuf> {
                Ok(place.into())
            }

            fn writer(place: &PathBuf, _meta: bool) -> Result<Writer> {
                let service = service(place)?;
                // Of several writers the first one keeps it.
                let kept = if $kept { service.subscriber_builder().create().ok() } else { None };
                let publisher = service.publisher_builder().initial_max_slice_len(LEN).create()?;
                Ok(Writer { publisher, _kept: kept })
            }

            fn reader(place: &PathBuf) -> Result<Self::Reader<'_>> {
                Ok(service(place)?.subscriber_builder().create()?)
            }
        }
    };
}

peer!(
    Iceoryx2,
    "iceoryx2",
    "any processes, no order among writers, overwrites the oldest, counts no loss; kept only while somebody subscribes",
    &[Measure::Append, Measure::Writers(2), Measure::Deliver, Measure::Latency],
    false
);
peer!(
    Kept,
    "iceoryx2, kept",
    "the same with a subscriber that does not read",
    &[Measure::Append, Measure::Writers(2)],
    true
);

/// The service of a run. Its files are in `place`; its shared memory is named after it, since `place` cannot hold that.
fn service(place: &Path) -> Result<PortFactory<ipc::Service, [u8], ()>> {
    let run = format!("{}-{}-", name(place.parent().ok_or("a place is in a folder")?)?, name(place)?);
    let mut config = Config::default();
    config.global.prefix = FileName::new(run.as_bytes()).map_err(|error| format!("{run}: {error:?}"))?;
    let root = place.to_str().ok_or("a place is text")?;
    let root = iceoryx2::prelude::Path::new(root.as_bytes()).map_err(|error| format!("{root}: {error:?}"))?;
    config.global.set_root_path(&root);
    let node = NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()?;
    Ok(node
        .service_builder(&"race".try_into()?)
        .publish_subscribe::<[u8]>()
        .enable_safe_overflow(true)
        .subscriber_max_buffer_size(RECORDS)
        .max_subscribers(1)
        .max_publishers(WRITERS)
        .max_nodes(WRITERS + 1)
        .open_or_create()?)
}

fn name(path: &Path) -> Result<&str> {
    Ok(path.file_name().and_then(|name| name.to_str()).ok_or("a place has a name")?)
}

/// All shared memory of a race, by its folder's name: a process that was killed leaves some.
struct Names(String);

impl Drop for Names {
    fn drop(&mut self) {
        remove_shared(&self.0);
    }
}

pub struct Writer {
    publisher: Publisher<ipc::Service, [u8], ()>,
    _kept: Option<Subscriber<ipc::Service, [u8], ()>>,
}

impl Write for Writer {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        let sample = self.publisher.loan_slice_uninit(LEN).expect("one at a time is loaned");
        sample.write_from_slice(payload).send().expect("a service that is there");
    }
}

impl Read for Subscriber<ipc::Service, [u8], ()> {
    #[inline(always)]
    fn poll(&mut self, mut each: impl FnMut(&[u8])) -> usize {
        match self.receive().expect("a service that is there") {
            Some(sample) => {
                each(&sample);
                1
            }
            None => 0,
        }
    }

    fn idle(&mut self) {
        pause();
    }
}

//! spdlog, asynchronous: a queue with a lock, and a thread of the library's that empties it into nothing.
//!
//! Most of an append is the library's condition variable where its thread sleeps on another processor: it is woken again and
//! again. On the same processor an append takes a fourth of that, and most records are dropped.

use crate::Result;
use crate::object::{Append, Object, Source};
use crate::peer::{Measure, Payload, Peer, Unread, Write};
use std::any::Any;
use std::path::Path;

const SOURCE: Source = Source {
    compiler: "c++",
    files: &[("spdlog.cpp", include_str!("spdlog.cpp"))],
    header: "spdlog/version.h",
    // In headers only: Debian's library is some tenth slower, though the compiler takes 1 s for it instead of 9.
    flags: &["-std=c++17", "-pthread", "-DSPDLOG_FMT_EXTERNAL", "-DFMT_HEADER_ONLY"],
    libraries: &[],
    packages: "libspdlog-dev and g++",
};

pub struct Spdlog;

impl Peer for Spdlog {
    const NAME: &'static str = "spdlog";
    const ABOUT: &'static str = "one process only; a queue with a lock, drops the oldest, how many is counted but not where; time and thread always";
    // Its own thread is the only one that can read.
    const MEASURES: &'static [Measure] = &[Measure::Append, Measure::AppendMeta, Measure::Writers(2)];
    const ONE_PROCESS: bool = true;
    type Channel = Logger;
    type Writer<'c> = Writer<'c>;
    type Reader<'c> = Unread;

    fn missing() -> Option<String> {
        SOURCE.missing()
    }

    fn set_up(folder: &Path) -> Result<Box<dyn Any>> {
        SOURCE.compile(folder)?;
        Ok(Box::new(()))
    }

    fn create(_: &Path) -> Result<()> {
        Ok(())
    }

    fn open(place: &Path) -> Result<Logger> {
        let object = SOURCE.load(place.parent().expect("a place in the race's folder"))?;
        object.number("spdlog_open")?;
        Ok(Logger(object))
    }

    fn writer(logger: &Logger, _meta: bool) -> Result<Writer<'_>> {
        Ok(Writer { append: logger.0.append("spdlog_append")?, object: &logger.0 })
    }

    fn reader(_: &Logger) -> Result<Unread> {
        Err("nobody reads it".into())
    }
}

/// The process's only one.
pub struct Logger(Object);

impl Drop for Logger {
    fn drop(&mut self) {
        let _ = self.0.number("spdlog_close");
    }
}

pub struct Writer<'c> {
    append: Append<'c>,
    object: &'c Object,
}

impl Write for Writer<'_> {
    #[inline(always)]
    fn append(&mut self, payload: &Payload) {
        self.append.call(payload);
    }

    fn dropped(&self) -> Option<u64> {
        self.object.number("spdlog_dropped").ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::LEN;
    use crate::place::Place;
    use lapwing_benches::cores;

    const WRITERS: u64 = 8;
    const EACH: u64 = 40_000;

    #[test]
    fn what_is_appended_is_taken_or_counted() {
        if let Some(why) = Spdlog::missing() {
            return println!("skipped: {why}");
        }
        let place = Place::new().unwrap();
        Spdlog::set_up(place.folder()).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // All threads on one processor, so that the library's cannot keep up.
                cores::pin(cores::allowed()[0]);
                let logger = Spdlog::open(&place.folder().join("run")).unwrap();
                let dropped = || Spdlog::writer(&logger, true).unwrap().dropped().unwrap();
                let mut all = 0;
                while dropped() == 0 && all < 100 * WRITERS * EACH {
                    std::thread::scope(|scope| {
                        for _ in 0..WRITERS {
                            scope.spawn(|| {
                                let mut writer = Spdlog::writer(&logger, true).unwrap();
                                (0..EACH).for_each(|_| writer.append(&[b'x'; LEN]));
                            });
                        }
                    });
                    all += WRITERS * EACH;
                }
                let dropped = dropped();
                assert!(dropped > 0, "of {all} records");
                logger.0.number("spdlog_close").unwrap();
                assert_eq!(logger.0.number("spdlog_taken").unwrap(), (all - dropped) * LEN as u64);
            });
        });
    }
}

//! `lapwing dump`: the ring into a slow device or rotating files, until somebody says that it is enough.

mod args;

pub use args::DumpArgs;

use crate::failure::{DAMAGED, ERROR, Failure, say};
use crate::last_words;
use crate::watch::Watch;
use lapwing_reader_shim::{Dump, Flushed, Follow, Item, Orders, Progress};
use lapwing_ring::{Location, Purpose, ReadError};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level::pipe};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub fn dump(args: &DumpArgs) -> Result<ExitCode, Failure> {
    let orders = take_signals(args.finish_within).map_err(Failure::Signals)?;
    let location = args.ring.location(Purpose::Read);
    let reader = location.open_reader()?;
    last_words::append(&reader);
    let mut dump = Dump::open(args.options(), orders, |text| say(text))?;
    let start = match dump.resume(reader.identity().ring_id)? {
        Some(seq) => seq,
        None => args.first(reader.bounds().map_err(damaged(location.path()))?),
    };
    let mut run = Run { location: &location, follow: Follow::new(reader), dump, is_damaged: false };
    let end = match run.start_at(start).and_then(|()| run.until_told()) {
        Ok(end) => end,
        Err(failure) => {
            // What was read before it is worth as much as without it.
            let _ = run.dump.finish();
            return Err(failure);
        }
    };
    let next = run.dump.next_seq();
    run.dump.finish()?;
    last_words::say_left(run.follow.reader());
    if next < end {
        let missing = end - next;
        say(format_args!("told to end before all was out: {missing} records from sequence {next} on were not"));
        return Ok(ExitCode::from(ERROR));
    }
    Ok(if run.is_damaged { ExitCode::from(DAMAGED) } else { ExitCode::SUCCESS })
}

/// SIGTERM and SIGINT let it finish, the second one at once; SIGHUP has it open its file again.
fn take_signals(bound: Duration) -> io::Result<Orders> {
    let (finish, reopen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (wake, waking) = UnixStream::pair()?;
    for (signal, flag) in [(SIGTERM, &finish), (SIGINT, &finish), (SIGHUP, &reopen)] {
        if signal != SIGHUP {
            flag::register_conditional_shutdown(signal, ERROR.into(), finish.clone())?;
        }
        flag::register(signal, flag.clone())?;
        pipe::register(signal, waking.try_clone()?)?;
    }
    // A file that may not grow any more (ulimit -f) is an error of the write then.
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Orders::new(wake, finish, reopen, bound)
}

fn damaged(path: &Path) -> impl FnOnce(ReadError) -> Failure {
    let path = path.to_owned();
    move |source| Failure::Read { path, source }
}

struct Run<'a> {
    location: &'a Location,
    follow: Follow,
    dump: Dump,
    /// A damaged record was met.
    is_damaged: bool,
}

impl Run<'_> {
    fn start_at(&mut self, seq: u64) -> Result<(), Failure> {
        self.follow.start_at(seq).map_err(damaged(self.location.path()))?;
        let ring_id = self.follow.reader().identity().ring_id;
        Ok(self.dump.start_at(ring_id, seq)?)
    }

    /// Follows until we are told to end; gives where the ring ended then.
    fn until_told(&mut self) -> Result<u64, Failure> {
        let mut watch = Watch::new(self.location);
        let mut steps = 0u32;
        while !self.dump.orders().is_finish() {
            let is_moving = self.step()? == Progress::Moved;
            if !is_moving && self.dump.idle()? == Flushed::OutOfTime {
                break;
            }
            steps = steps.wrapping_add(1);
            if (!is_moving || steps.is_multiple_of(256)) && watch.is_time() {
                last_words::append(self.follow.reader());
                if let Some(successor) = watch.successor(self.follow.reader()) {
                    self.take_rest()?;
                    watch.say_replaced(self.follow.reader().counts());
                    self.follow = Follow::new(successor);
                    self.start_at(0)?;
                    continue;
                }
            }
            if !is_moving {
                self.follow.pause();
            }
        }
        self.take_rest()
    }

    /// Reads once, and writes in front of that what is ripe.
    fn step(&mut self) -> Result<Progress, Failure> {
        if self.dump.is_full() && self.dump.flush()? == Flushed::OutOfTime {
            return Ok(Progress::End);
        }
        let step = self.follow.step(|item| {
            self.is_damaged |= matches!(item, Item::Damage(_));
            self.dump.take(item);
            Ok(())
        });
        step.map_err(Failure::follow(self.location.path().to_owned()))
    }

    /// Everything that is in the ring now goes out, as far as time allows; gives where that ends.
    fn take_rest(&mut self) -> Result<u64, Failure> {
        let end = self.follow.bounds().map_err(damaged(self.location.path()))?.next_seq;
        while self.follow.seq() < end && !self.dump.orders().is_out_of_time() {
            match self.step()? {
                Progress::Moved => {}
                Progress::Waiting => {
                    // What stands in front of it need not wait for it.
                    self.dump.flush()?;
                    self.follow.pause();
                }
                Progress::End => break,
            }
        }
        let taken = self.follow.finish(|item| {
            self.dump.take(item);
            Ok(())
        });
        taken.map_err(Failure::Output)?;
        self.dump.flush()?;
        Ok(end)
    }
}

//! `lapwing kmsg`: the kernel log into the ring.

use crate::args::KmsgArgs;
use crate::failure::{Failure, say};
use lapwing_ring::Purpose;
use lapwing_writer_shim::kmsg::{Bridge, BridgeError, Taken};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// More than the kernel writes for one record: shorter reads are an error.
const LONGEST: usize = 64 << 10;
/// How long a ring may refuse records before that is an error, for who does not follow.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often somebody who follows looks whether the ring has its name still.
const LOOK_EVERY: Duration = Duration::from_secs(1);

pub fn kmsg(args: &KmsgArgs) -> Result<ExitCode, Failure> {
    let mut bridge = Bridge::open(&args.ring.location(Purpose::Write))?;
    let failed = |source| Failure::Device { path: args.device.clone(), source };
    let mut device = open(&args.device).map_err(failed)?;
    let mut buffer = vec![0; LONGEST];
    let mut looked = Instant::now();
    loop {
        if args.follow && looked.elapsed() >= LOOK_EVERY {
            // Nobody would look for records in a ring without its name.
            if !bridge.is_current().unwrap_or(true) {
                return Err(Failure::Replaced { path: bridge.path().to_owned() });
            }
            looked = Instant::now();
        }
        match device.read(&mut buffer).map_err(|error| (error.raw_os_error().map(Errno::from_raw_os_error), error)) {
            // The device never ends; what stands for it may.
            Ok(0) => return Ok(ExitCode::SUCCESS),
            Ok(len) => take(&mut bridge, &buffer[..len], args.follow)?,
            // Records were overwritten before we came. The sequence of the next one says how many.
            Err((Some(Errno::PIPE | Errno::INTR), _)) => {}
            Err((Some(Errno::AGAIN), _)) if args.follow => wait(&device)?,
            Err((Some(Errno::AGAIN), _)) => return Ok(ExitCode::SUCCESS),
            Err((_, error)) => return Err(failed(error)),
        }
    }
}

fn open(device: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(device)
}

/// Appends one record. While the ring refuses it the kernel keeps what comes; if that is too much, it is said as lost.
fn take(bridge: &mut Bridge, read: &[u8], for_ever: bool) -> Result<(), Failure> {
    let since = Instant::now();
    let mut is_said = false;
    loop {
        match bridge.take(read) {
            Ok(Taken::Recorded | Taken::Known) => return Ok(()),
            Ok(Taken::Unreadable) => {
                say(format_args!("passed over, for it is no kernel record: {}", read.escape_ascii()));
                return Ok(());
            }
            Err(error @ BridgeError::Refused(_)) if for_ever || since.elapsed() < PATIENCE => {
                if !is_said {
                    say(format_args!("{error}; trying again"));
                    is_said = true;
                }
                sleep(Duration::from_millis(100));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits until the device has something to read, or it is time to look after the ring.
fn wait(device: &File) -> Result<(), Failure> {
    let timeout = Timespec { tv_sec: LOOK_EVERY.as_secs() as i64, tv_nsec: 0 };
    match poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(Failure::Poll(error.into())),
    }
}

//! What no reader can do without, each in a process of its own that is pinned like the others: copying the bytes, and the
//! library's reader with nothing behind it.

use crate::children::{self, Cost};
use lapwing_ring::{Access, Read, Reader, Seek};
use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

/// Bytes that are copied at a time, into the same place.
const PIECE: usize = 64 << 10;

/// Runs `read floor WHAT RING`, which says how long it took: its start is not part of it.
pub(crate) fn measure(what: &str, ring: &Path) -> Cost {
    let mut command = children::pinned(&std::env::current_exe().expect("where this program is"));
    let output = command.args(["floor", what]).arg(ring).output().expect("a floor");
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    let seconds = String::from_utf8_lossy(&output.stdout).trim().parse().expect("seconds");
    Cost { wall: seconds, cpu: seconds }
}

pub(crate) fn work(arguments: &[String]) {
    let [what, ring] = arguments else { panic!("floor WHAT RING") };
    let ring = Path::new(ring);
    let seconds = match what.as_str() {
        "memcpy" => memcpy(ring),
        "file" => file(ring),
        "mapped" => drain(ring, Access::Mapped),
        "single" => single(ring),
        "copied" => drain(ring, Access::Copied),
        other => panic!("{other} is no floor"),
    };
    println!("{seconds}");
}

/// Once through memory as large as the ring's file.
fn memcpy(ring: &Path) -> f64 {
    let len = ring.metadata().expect("the ring").len() as usize;
    let (from, mut to) = (vec![1u8; len], vec![0u8; PIECE]);
    let since = Instant::now();
    for piece in from.chunks_exact(PIECE) {
        to.copy_from_slice(piece);
        black_box(to.as_mut_ptr());
    }
    since.elapsed().as_secs_f64()
}

fn file(ring: &Path) -> f64 {
    let (mut file, mut to) = (File::open(ring).expect("the ring"), vec![0u8; PIECE]);
    let since = Instant::now();
    while file.read(&mut to).expect("its bytes") > 0 {
        black_box(to.as_mut_ptr());
    }
    since.elapsed().as_secs_f64()
}

/// Every record handed out once, from a mapping that nobody has touched yet.
fn drain(ring: &Path, access: Access) -> f64 {
    let mut reader = Reader::open_with(ring, access).expect("the ring");
    let since = Instant::now();
    reader.seek(Seek::Oldest).expect("its oldest record");
    let mut bytes = 0;
    reader
        .batch(usize::MAX, |read| {
            if let Read::Record(record) = read {
                bytes += black_box(record.payload).len();
            }
            ControlFlow::Continue(())
        })
        .expect("a ring without damage");
    assert!(bytes > 0, "there was something to read");
    since.elapsed().as_secs_f64()
}

/// As [`drain`], with a call for each record, as programs do that have other things to do in between.
fn single(ring: &Path) -> f64 {
    let mut reader = Reader::open_with(ring, Access::Mapped).expect("the ring");
    let since = Instant::now();
    reader.seek(Seek::Oldest).expect("its oldest record");
    let mut bytes = 0;
    loop {
        match reader.next().expect("a ring without damage") {
            Read::Record(record) => bytes += black_box(record.payload).len(),
            Read::NotYet { .. } => break,
            _ => {}
        }
    }
    assert!(bytes > 0, "there was something to read");
    since.elapsed().as_secs_f64()
}

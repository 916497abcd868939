//! Processes with and without the preloaded library, which are told to write lines and say how long that took.

mod outputs;
mod worker;

pub use outputs::Output;
pub use worker::{Worker, work};

use std::env;
use std::path::PathBuf;

/// Writes of one round.
pub const WRITES: usize = 2000;
/// Where the output is emptied between two rounds: few enough for it to hold them. A socket counts more than the bytes.
pub const FEW: usize = 200;
/// The same for a pipe.
pub const SOME: usize = 900;

/// A line of 64 bytes, with its newline.
pub const LINE: &[u8; 64] = b"a line of sixty-four bytes, as programs write them all day long\n";

/// The library that cargo built with this program.
///
/// # Panics
/// When it is not beside it.
pub fn library() -> PathBuf {
    let program = env::current_exe().expect("where this program is");
    let folder = program.parent().expect("a folder");
    // A program lies above what it is made of, a criterion bench among it.
    let places = [folder.join("deps/liblapwing_preload.so"), folder.join("liblapwing_preload.so")];
    let library = places.iter().find(|place| place.is_file());
    library.unwrap_or_else(|| panic!("{} is not there", places[0].display())).clone()
}

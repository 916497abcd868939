//! Memory of a thread: the C library may allocate it when it is first touched, which no signal handler must do.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    /// All thread-locals of this library lie in one block.
    static BLOCK: Cell<u8> = const { Cell::new(0) };
}

/// Makes this thread ready to write in signal handlers. Needed only in programs that load the library by dlopen(3), once in
/// each thread whose first call may come from a signal handler; lapwing_writer_open does it for its own thread.
///
/// Any thread; not signal-safe; fork-safe.
#[unsafe(no_mangle)]
pub extern "C" fn lapwing_prepare_thread() {
    // The address escapes, so the block has to be there.
    BLOCK.with(|cell| black_box(cell.as_ptr()));
}

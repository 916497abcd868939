//! The LD_PRELOAD library: hooks and nothing else.
//!
//! `lapwing run` preloads it into a program; what the program writes to its standard output and standard error then goes
//! into the ring too. `start` decides once whether there is anything to do, `hooks` and `stdio` are what the program
//! calls instead of its C library, `capture` makes records of it, `state` is the memory that a forked child has anew.
//!
//! Rules for everything a hook runs: no allocation, no lock that waits, no stdio; errno and the result are those of the
//! real call. Nothing is ever printed.
//!
//! What is not seen: system calls that go around the C library (static programs, Go, io_uring), `sendfile` and its like,
//! what the C library says when it finds its heap or a stack damaged, stdio of C libraries other than glibc. An unfinished
//! line is lost when a signal kills the program. What a vfork child prints has its parent's pid.

// In a test build of this file the hooks are not there to be called.
#![cfg_attr(test, allow(dead_code, non_snake_case))]

mod capture;
mod hooks;
mod real;
mod start;
mod state;
mod stdio;

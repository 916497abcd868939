//! The LD_PRELOAD library: hooks and nothing else.
//!
//! `lapwing run` preloads it into a program; what the program writes to its standard output and standard error then goes
//! into the ring too, and so does what it logs. `start` decides once whether there is anything to do,
//! `by_hand` where there was no `lapwing run` to say what; `room` and `sanitizers` are about programs that could not bear us,
//! `confine` about those that may make no system calls of ours. `hooks`, `move_hooks`,
//! `print_hooks` and `stdio` are what the program calls instead of its C library when it writes, `descriptors` and `programs`
//! when it changes its descriptors, ends or starts others. `capture` and `moves` make records, `files` knows what the
//! descriptors are open on, `state` is the memory that a forked child has anew; `inherit` is what a program that is started
//! gets of all this. For logging that is `log_hooks` and `variadic`, which has dprintf and execl too; `calls` and `datagrams`
//! make records, of `labels` and text, and `sockets` knows which descriptors are connected to a system log.
//!
//! Rules for everything a hook runs: no allocation (but for long texts of syslog and dprintf), no lock that waits, no
//! stdio; errno and the result are those of the real call. Nothing is ever printed.
//!
//! What is not seen: system calls that go around the C library (static programs, Go, io_uring), what the C library says when
//! it finds its heap damaged, stdio of C libraries other than glibc. What a vfork child prints has its parent's pid.

// In a test build of this file the hooks are not there to be called.
#![cfg_attr(test, allow(dead_code, non_snake_case))]
// Elsewhere syslog(3), dprintf(3) and execl(3) are not hooked.
#![cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(dead_code))]

mod by_hand;
mod calls;
mod capture;
mod coarse;
mod confine;
mod copied;
mod datagrams;
mod descriptors;
mod early;
mod files;
mod frames;
mod hooks;
mod inherit;
mod labels;
mod listed;
mod log_hooks;
mod move_hooks;
mod moves;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod print_hooks;
mod programs;
mod real;
mod refused;
mod room;
mod sanitizers;
mod smashed;
mod sockets;
mod start;
mod state;
mod static_exec;
mod stdio;
mod va_list;
mod variables;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod variadic;
mod waits;

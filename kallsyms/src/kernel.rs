//! What the kernel is asked for by address: the modules below this one are the only ones of the crate with `unsafe`.

pub(crate) mod bpf;
pub(crate) mod map;
pub(crate) mod perf;

//! Lets programs that do not know the ring write to it.
//!
//! [`lines`] cuts text into records, [`syslog`] and [`journal`] take apart what programs send to a system log, [`kmsg`] what
//! the kernel says,
//! [`environment`] is what `lapwing run` tells the library that it preloads, [`identity`] tells files apart, [`program`]
//! says whether a program can be preloaded, [`pump`] captures those that cannot, [`calm`] keeps our part of a foreign
//! program's call apart from it. The hooks themselves are in `preload/`, a package of its own, so that nobody who links
//! this one gets his `write` replaced.

pub mod calm;
pub mod environment;
pub mod identity;
pub mod journal;
pub mod kmsg;
pub mod lines;
pub mod program;
pub mod pump;
pub mod syslog;

//! BPF programs as symbols: which are loaded ([`Programs`]), what comes and goes ([`Ksymbols`]), both together in whatever
//! order they arrive ([`ProgramSet`]), and all of that kept current ([`Watch`]).
//!
//! ```no_run
//! use lapwing_kallsyms::bpf::Watch;
//!
//! let mut watch = Watch::start()?;
//! loop {
//!     // poll(2) watch.descriptors() here
//!     if watch.update()? {
//!         for function in watch.functions() {
//!             println!("{:x} {}", function.address, function.name);
//!         }
//!     }
//! }
//! # Ok::<(), lapwing_kallsyms::bpf::BpfError>(())
//! ```
//!
//! A program is what `/proc/kallsyms` lists as `bpf_prog_TAG_NAME [bpf]`. The other images that the kernel makes for BPF
//! and lists there, trampolines, dispatchers and the functions of struct_ops maps, are in no list that can be asked for,
//! so they are left out of all of this: half of them would be worse than none.

#![forbid(unsafe_code)]

mod btf;
mod ksymbols;
mod set;
mod watch;

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd;

use crate::Hidden;
pub use crate::build::Function;
use crate::hidden::Rules;
use crate::kernel::bpf as kernel;
pub use ksymbols::{Change, Ksymbols, News};
pub use set::ProgramSet;
pub use watch::Watch;

/// The kernel's `KSYM_NAME_LEN` with the zero behind the name: what is longer it cuts.
const NAME_MAX: usize = 512 - 1;

/// One BPF program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The kernel's number for it, used again only after all others.
    pub id: u32,
    /// Its functions, first the one that is entered, called as `/proc/kallsyms` calls them: `bpf_prog_`, sixteen
    /// hexadecimal digits and, as a rule, `_` and a name. None where it was not compiled.
    pub functions: Vec<Function>,
}

/// The programs that were loaded at one time.
#[derive(Clone, Debug)]
pub struct Programs {
    /// When they were asked for: nanoseconds of `CLOCK_MONOTONIC`. Of what changed later, they may have some.
    pub asked: u64,
    /// In the order of their ids.
    pub list: Vec<Program>,
}

/// Why programs cannot be listed or followed; `/proc/kallsyms` lists those that there were when it was read.
#[derive(Debug, thiserror::Error)]
pub enum BpfError {
    /// This process may not.
    #[error("{call}: {error}: it takes {needs}")]
    Denied {
        /// What was asked.
        call: &'static str,
        /// What it takes: capabilities, or a setting.
        needs: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// The programs are listed, but not where they are, which is as secret as any address of the kernel.
    #[error("the addresses of BPF programs are hidden: {}", .0.advice())]
    Hidden(Hidden),
    /// The kernel was built without it, or is too old.
    #[error("{call}: {error}: this kernel has no such call")]
    Absent {
        /// What was asked.
        call: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// Anything else.
    #[error("{call}: {error}")]
    System {
        /// What was asked.
        call: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

impl BpfError {
    fn new(call: &'static str, needs: &'static str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Denied { call, needs, error },
            Some(libc::ENOSYS | libc::EINVAL | libc::E2BIG | libc::EOPNOTSUPP) => Self::Absent { call, error },
            _ => Self::System { call, error },
        }
    }
}

impl Programs {
    /// Asks the kernel for every program that is loaded now. Takes `CAP_SYS_ADMIN`, and what it takes to see addresses in
    /// `/proc/kallsyms`; ten microseconds a program. Each is held for an instant: who unloads it then unloads it a little
    /// later.
    ///
    /// # Errors
    ///
    /// That this process may not, that the addresses are hidden from it (where there are any programs), or that the kernel
    /// cannot.
    pub fn read() -> Result<Self, BpfError> {
        let failed = |call| move |error| BpfError::new(call, "CAP_SYS_ADMIN", error);
        let asked = now();
        let (mut list, mut names, mut id) = (Vec::new(), Names::default(), 0);
        while let Some(next) = kernel::next_program(id).map_err(failed("BPF_PROG_GET_NEXT_ID"))? {
            if next <= id {
                break;
            }
            id = next;
            let program = match kernel::program(id) {
                Ok(program) => program,
                // It was unloaded meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => continue,
                Err(error) => return Err(failed("BPF_PROG_GET_FD_BY_ID")(error)),
            };
            let info = kernel::program_info(program.as_fd()).map_err(failed("BPF_OBJ_GET_INFO_BY_FD"))?;
            list.push(Program { id, functions: names.functions(&info)? });
        }
        Ok(Self { asked, list })
    }

    /// All functions of all programs, in no order.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.list.iter().flat_map(|program| &program.functions)
    }
}

/// What functions are called, by BTF and type: many programs share one BTF, which is read once.
#[derive(Default)]
struct Names(HashMap<u32, HashMap<u32, String>>);

impl Names {
    fn functions(&mut self, info: &kernel::ProgramInfo) -> Result<Vec<Function>, BpfError> {
        let addresses = info.addresses.as_deref().ok_or_else(|| BpfError::Hidden(Rules::default().why()))?;
        let own = info.name.split(|&byte| byte == 0).next().unwrap_or_default();
        let own = String::from_utf8_lossy(own);
        let mut functions = Vec::with_capacity(addresses.len());
        for (at, (&address, &len)) in addresses.iter().zip(&info.lengths).enumerate() {
            // What was not compiled has the address of the interpreter, and no length.
            if len == 0 || address == 0 {
                continue;
            }
            // As bpf_prog_ksym_set_name of kernel/bpf/core.c does it: the program's tag is of the whole, the other
            // functions have their own; the full name is in the BTF; without, a function that is not entered first is F.
            let tag = if at == 0 { &info.tag } else { info.tags.get(at).unwrap_or(&info.tag) };
            let name = match info.types.get(at) {
                Some(&kind) => self.of(info.btf_id, kind)?,
                None if at == 0 => &own,
                None => "F",
            };
            functions.push(Function { address, len: u64::from(len), name: full_name(*tag, name) });
        }
        Ok(functions)
    }

    fn of(&mut self, btf_id: u32, kind: u32) -> Result<&str, BpfError> {
        let names = match self.0.entry(btf_id) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(new) => {
                let bytes = kernel::btf(btf_id);
                let bytes = bytes.map_err(|error| BpfError::new("BPF_BTF_GET_FD_BY_ID", "CAP_SYS_ADMIN", error))?;
                new.insert(btf::functions(&bytes).unwrap_or_default())
            }
        };
        Ok(names.get(&kind).map_or("", String::as_str))
    }
}

/// `bpf_prog_TAG_NAME`, or without a name `bpf_prog_TAG`; cut where the kernel cuts it.
fn full_name(tag: [u8; 8], name: &str) -> String {
    let mut full = format!("{PREFIX}{:016x}", u64::from_be_bytes(tag));
    if !name.is_empty() {
        full.push('_');
        full.push_str(name);
    }
    full.truncate(full.floor_char_boundary(NAME_MAX));
    full
}

/// How the names of programs begin, and of nothing else that the kernel makes for BPF.
const PREFIX: &str = "bpf_prog_";

/// `CLOCK_MONOTONIC`, in nanoseconds: the clock that the kernel stamps changes with.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::{Names, full_name};
    use crate::kernel::bpf::ProgramInfo;

    fn info() -> ProgramInfo {
        ProgramInfo {
            tag: [0x59, 0xf4, 0xa9, 0x31, 0x74, 0x4d, 0xcd, 0xc6],
            name: *b"xdp_pass\0\0\0\0\0\0\0\0",
            addresses: Some(vec![0xffff_ffff_c000_1000, 0xffff_ffff_c000_1040]),
            lengths: vec![20, 12],
            tags: vec![[1; 8], [2; 8]],
            btf_id: 0,
            types: vec![],
        }
    }

    #[test]
    fn functions_without_btf_are_named_by_tag() {
        let functions = Names::default().functions(&info()).unwrap();
        let names: Vec<_> = functions.iter().map(|function| function.name.as_str()).collect();
        assert_eq!(names, ["bpf_prog_59f4a931744dcdc6_xdp_pass", "bpf_prog_0202020202020202_F"]);
        assert_eq!((functions[1].address, functions[1].len), (0xffff_ffff_c000_1040, 12));
    }

    #[test]
    fn what_was_not_compiled_is_no_function() {
        let functions = Names::default().functions(&ProgramInfo { lengths: vec![0, 12], ..info() }).unwrap();
        assert_eq!(functions.len(), 1);
        assert_eq!(functions[0].address, 0xffff_ffff_c000_1040);
    }

    #[test]
    fn names_end_where_the_kernel_cuts_them() {
        assert_eq!(full_name([0xab; 8], ""), "bpf_prog_abababababababab");
        let long = full_name([0; 8], &"x".repeat(600));
        assert_eq!(long.len(), 511);
        assert!(long.starts_with("bpf_prog_0000000000000000_xxx"));
    }
}

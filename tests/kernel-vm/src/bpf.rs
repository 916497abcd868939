//! A BPF program that does nothing but be there.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_SOCKET_FILTER: u32 = 1;

/// `r0 = 0; exit`, as `struct bpf_insn`.
static RETURN_0: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];

/// What of `union bpf_attr` BPF_PROG_LOAD reads, up to the name.
#[repr(C)]
struct Load {
    kind: u32,
    instructions: u32,
    code: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// Loads it under `name`, of which the kernel takes 15 bytes; it is gone with the descriptor.
pub fn load(name: &str) -> io::Result<OwnedFd> {
    let mut load = Load {
        kind: BPF_PROG_TYPE_SOCKET_FILTER,
        instructions: RETURN_0.len() as u32,
        code: RETURN_0.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: [0; 16],
    };
    let taken = name.len().min(15);
    load.name[..taken].copy_from_slice(&name.as_bytes()[..taken]);
    // SAFETY: `load` is laid out as the first 64 bytes of the kernel's `union bpf_attr` for this command, without padding,
    // and that is the length given; code and license are statics, as long as said and ended by a zero, and only read.
    let made = unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>()) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(made as i32) })
}

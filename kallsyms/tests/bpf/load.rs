//! Loads small BPF programs into the running kernel.

#![allow(unsafe_code)]

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const PROG_LOAD: libc::c_int = 5;
const BTF_LOAD: libc::c_int = 18;
const SOCKET_FILTER: u32 = 1;

const RETURN: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]; // r0 = 0; exit
const CALL: u8 = 0x85;
const EXIT: [u8; 8] = [0x95, 0, 0, 0, 0, 0, 0, 0];

/// `union bpf_attr` of `BPF_PROG_LOAD`, up to what describes functions.
#[repr(C)]
#[derive(Default)]
struct LoadAttr {
    kind: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    expected_attach_type: u32,
    btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
}

const _: () = assert!(offset_of!(LoadAttr, func_info) == 80 && size_of::<LoadAttr>() == 96);

/// `union bpf_attr` of `BPF_BTF_LOAD`.
#[repr(C)]
struct BtfAttr {
    btf: u64,
    log_buf: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    log_true_size: u32,
}

const _: () = assert!(size_of::<BtfAttr>() == 32);

/// A program that is loaded until it is dropped: a socket filter that takes nothing.
pub struct Loaded(#[allow(dead_code, reason = "open is all it has to be")] OwnedFd);

/// A program of one function, called `name`, at most 15 bytes.
pub fn simple(name: &str) -> io::Result<Loaded> {
    load(name, &RETURN, None, &[])
}

/// A program called `name` of two functions, the first of which calls the second; with their full names in BTF, or none.
pub fn pair(name: &str, full: Option<[&str; 2]>) -> io::Result<Loaded> {
    // call +1; exit; r0 = 0; exit. A source register of 1 says that it is a function of the program itself.
    let insns = [&[CALL, 0x10, 0, 0, 1, 0, 0, 0], &EXIT[..], &RETURN].concat();
    match full {
        None => load(name, &insns, None, &[]),
        Some(full) => {
            let btf = load_btf(&btf(full))?;
            // (first instruction, type) of each function: types 3 and 4 of the BTF below.
            load(name, &insns, Some(&btf), &[[0, 3], [2, 4]])
        }
    }
}

/// int (*)(int), and two functions of that type.
fn btf(names: [&str; 2]) -> Vec<u8> {
    let strings = format!("\0int\0{}\0{}\0", names[0], names[1]);
    let second = 5 + names[0].len() as u32 + 1;
    let types = [
        [1, 1 << 24, 4].as_slice(),
        &[1 << 24 | 32], // signed, 32 bits
        &[0, 13 << 24 | 1, 1, 1, 1],
        &[5, 12 << 24, 2],
        &[second, 12 << 24, 2],
    ]
    .concat();
    let len = types.len() as u32 * 4;
    let mut btf = Vec::from(0xeb9f_u16.to_ne_bytes());
    btf.extend([1, 0]);
    for word in [24, 0, len, len, strings.len() as u32].into_iter().chain(types) {
        btf.extend(word.to_ne_bytes());
    }
    btf.extend(strings.as_bytes());
    btf
}

fn load_btf(btf: &[u8]) -> io::Result<OwnedFd> {
    let attr = BtfAttr {
        btf: btf.as_ptr().addr() as u64,
        log_buf: 0,
        size: btf.len() as u32,
        log_size: 0,
        log_level: 0,
        log_true_size: 0,
    };
    // SAFETY: `attr.btf` points to `attr.size` bytes that live on; the kernel reads them and writes nothing.
    unsafe { bpf(BTF_LOAD, &attr) }
}

fn load(name: &str, insns: &[u8], btf: Option<&OwnedFd>, functions: &[[u32; 2]]) -> io::Result<Loaded> {
    let mut attr = LoadAttr {
        kind: SOCKET_FILTER,
        insn_cnt: (insns.len() / 8) as u32,
        insns: insns.as_ptr().addr() as u64,
        license: c"GPL".as_ptr().addr() as u64,
        btf_fd: btf.map_or(0, |btf| btf.as_raw_fd() as u32),
        func_info_rec_size: if functions.is_empty() { 0 } else { 8 },
        func_info: functions.as_ptr().addr() as u64,
        func_info_cnt: functions.len() as u32,
        ..LoadAttr::default()
    };
    attr.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: instructions, license and functions live on and are as long as said; the kernel reads them, and writes
    // nothing, for there is no log.
    unsafe { bpf(PROG_LOAD, &attr) }.map(Loaded)
}

/// # Safety
///
/// `attr` is as `union bpf_attr` is for `command`, which makes a descriptor, and every pointer in it leads to as much
/// as the count beside it says.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> io::Result<OwnedFd> {
    let size = size_of::<T>() as libc::c_uint;
    loop {
        // SAFETY: `attr` has `size` bytes; the caller vouches for where it points.
        let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size) };
        if fd >= 0 {
            // SAFETY: the kernel made this descriptor for us just now, so nobody else owns it.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) });
        }
        let error = io::Error::last_os_error();
        // The verifier gives up for a signal, and for nothing that stays.
        if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) {
            return Err(error);
        }
    }
}

//! bpf(2), as far as BPF programs are listed with it: plain numbers and bytes out, nothing understood.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

const PROG_GET_NEXT_ID: c_int = 11;
const PROG_GET_FD_BY_ID: c_int = 13;
const OBJ_GET_INFO_BY_FD: c_int = 15;
const BTF_GET_FD_BY_ID: c_int = 19;

/// The kernel takes no BTF above 16 MiB (`BTF_MAX_SIZE`).
const BTF_MAX: u32 = 16 << 20;
/// No program has more functions than a program may have instructions (`BPF_COMPLEXITY_LIMIT_INSNS`).
const FUNCTIONS_MAX: u32 = 1_000_000;

/// `union bpf_attr` of the commands that go from one id to the next, and from an id to a descriptor.
#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}

/// `union bpf_attr` of `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct ByFd {
    fd: u32,
    info_len: u32,
    info: u64,
}

/// `struct bpf_prog_info` of <linux/bpf.h>, up to what Linux 5.0 has; a later kernel writes no more than it is given.
#[repr(C)]
#[derive(Default)]
struct RawProgram {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; 16],
    ifindex: u32,
    gpl_compatible: u32,
    netns_dev: u64,
    netns_ino: u64,
    nr_jited_ksyms: u32,
    nr_jited_func_lens: u32,
    jited_ksyms: u64,
    jited_func_lens: u64,
    btf_id: u32,
    func_info_rec_size: u32,
    func_info: u64,
    nr_func_info: u32,
    nr_line_info: u32,
    line_info: u64,
    jited_line_info: u64,
    nr_jited_line_info: u32,
    line_info_rec_size: u32,
    jited_line_info_rec_size: u32,
    nr_prog_tags: u32,
    prog_tags: u64,
}

const _: () = {
    assert!(offset_of!(RawProgram, name) == 64);
    assert!(offset_of!(RawProgram, nr_jited_ksyms) == 104);
    assert!(offset_of!(RawProgram, btf_id) == 128);
    assert!(offset_of!(RawProgram, prog_tags) == 184);
    assert!(size_of::<RawProgram>() == 192);
};

/// `struct bpf_btf_info`, without the name that the kernel gives some.
#[repr(C)]
#[derive(Default)]
struct RawBtf {
    btf: u64,
    btf_size: u32,
    id: u32,
}

/// What the kernel tells of one program; every list has one element for each of its functions, or is empty.
#[derive(Debug)]
pub(crate) struct ProgramInfo {
    /// The digest of the whole program.
    pub(crate) tag: [u8; 8],
    /// Its name, cut at 15 bytes and padded with zeros.
    pub(crate) name: [u8; 16],
    /// Where its functions are; `None` where the kernel does not say it to this process.
    pub(crate) addresses: Option<Vec<u64>>,
    /// How many bytes they have.
    pub(crate) lengths: Vec<u32>,
    /// The digest of each.
    pub(crate) tags: Vec<[u8; 8]>,
    /// Its BTF, 0 for none.
    pub(crate) btf_id: u32,
    /// The type id of each function in that BTF.
    pub(crate) types: Vec<u32>,
}

/// The lowest id of a program above `id`; `None` behind the last.
pub(crate) fn next_program(id: u32) -> io::Result<Option<u32>> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the command writes `next` into `attr` and nothing else.
    match unsafe { bpf(PROG_GET_NEXT_ID, &mut attr) } {
        Ok(_) => Ok(Some(attr.next)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A descriptor of the program with this id; it keeps the program loaded while it is open.
pub(crate) fn program(id: u32) -> io::Result<OwnedFd> {
    by_id(PROG_GET_FD_BY_ID, id)
}

/// What there is to know of a program.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<ProgramInfo> {
    let mut sizes = RawProgram::default();
    // SAFETY: every count in `sizes` is 0, so the kernel follows none of its pointers and writes into it alone.
    unsafe { info(program, &mut sizes) }?;
    let too_many = |count: u32| count > FUNCTIONS_MAX;
    if too_many(sizes.nr_jited_ksyms) || too_many(sizes.nr_func_info) || too_many(sizes.nr_prog_tags) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut addresses = vec![0u64; sizes.nr_jited_ksyms as usize];
    let mut lengths = vec![0u32; sizes.nr_jited_func_lens.min(sizes.nr_jited_ksyms) as usize];
    let mut tags = vec![[0u8; 8]; sizes.nr_prog_tags as usize];
    let record = sizes.func_info_rec_size as usize;
    let mut functions = vec![0u8; record * if (8..=256).contains(&record) { sizes.nr_func_info as usize } else { 0 }];
    let mut raw = RawProgram {
        nr_jited_ksyms: addresses.len() as u32,
        jited_ksyms: addresses.as_mut_ptr().addr() as u64,
        nr_jited_func_lens: lengths.len() as u32,
        jited_func_lens: lengths.as_mut_ptr().addr() as u64,
        nr_prog_tags: tags.len() as u32,
        prog_tags: tags.as_mut_ptr().addr() as u64,
        func_info_rec_size: sizes.func_info_rec_size,
        nr_func_info: functions.len().checked_div(record).unwrap_or(0) as u32,
        func_info: functions.as_mut_ptr().addr() as u64,
        ..RawProgram::default()
    };
    // SAFETY: each pointer in `raw` is that of a buffer above, which is not touched before the call is over, and the
    // count beside it is that buffer's own, in the kernel's elements; the kernel writes at most that many.
    unsafe { info(program, &mut raw) }?;
    Ok(ProgramInfo {
        tag: raw.tag,
        name: raw.name,
        // The kernel says "not to you" by a null pointer where ours was.
        addresses: (raw.jited_ksyms != 0 || addresses.is_empty()).then_some(addresses),
        lengths,
        tags,
        btf_id: raw.btf_id,
        types: functions
            .chunks_exact(record.max(8))
            .map(|one| u32::from_ne_bytes([one[4], one[5], one[6], one[7]]))
            .collect(),
    })
}

/// The BTF with this id, as it was loaded.
pub(crate) fn btf(id: u32) -> io::Result<Vec<u8>> {
    let fd = by_id(BTF_GET_FD_BY_ID, id)?;
    let mut size = RawBtf::default();
    // SAFETY: with no room for the data in `size` the kernel writes into it alone.
    unsafe { info(as_fd(&fd), &mut size) }?;
    if size.btf_size > BTF_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0u8; size.btf_size as usize];
    let mut raw = RawBtf { btf: bytes.as_mut_ptr().addr() as u64, btf_size: size.btf_size, id: 0 };
    // SAFETY: `btf` points to `btf_size` bytes of `bytes`, which is not touched before the call is over.
    unsafe { info(as_fd(&fd), &mut raw) }?;
    bytes.truncate(raw.btf_size as usize);
    Ok(bytes)
}

fn as_fd(fd: &OwnedFd) -> BorrowedFd<'_> {
    std::os::fd::AsFd::as_fd(fd)
}

fn by_id(command: c_int, id: u32) -> io::Result<OwnedFd> {
    let mut attr = ById { id, ..ById::default() };
    // SAFETY: the two commands that this is called with write nothing to memory.
    let fd = unsafe { bpf(command, &mut attr) }?;
    // SAFETY: the kernel made this descriptor for us just now, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
///
/// Every pointer in `info` leads to as much writable memory as the count that belongs to it says, in the elements that
/// `struct bpf_prog_info` or `struct bpf_btf_info` has there, and `T` is the beginning of the one that `fd` asks for.
unsafe fn info<T>(fd: BorrowedFd<'_>, info: &mut T) -> io::Result<RawFd> {
    let info_len = size_of::<T>() as u32;
    let mut attr = ByFd { fd: fd.as_raw_fd() as u32, info_len, info: std::ptr::from_mut(info).addr() as u64 };
    // SAFETY: the command writes at most `info_len` bytes to `info`, which has as many and is ours alone, and where the
    // pointers in it lead, which the caller vouches for.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attr) }
}

/// # Safety
///
/// Whatever `command` writes through pointers in `attr` is the caller's to be written; `T` is laid out as `union
/// bpf_attr` is for `command`.
unsafe fn bpf<T>(command: c_int, attr: &mut T) -> io::Result<c_int> {
    let size = size_of::<T>() as libc::c_uint;
    // SAFETY: `attr` has `size` bytes and is ours alone; where else the kernel writes, the caller vouches for.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size) };
    // Every answer of these commands is 0 or a descriptor.
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer as c_int) }
}

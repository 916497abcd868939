//! glibc's stdio does not call `write` by name: it goes through a table of functions for each kind of stream. The slot for
//! writing, in the tables of files, is made to point here. Where there is no such table, stdio is left alone.
#![allow(unsafe_code)]

use crate::capture::watching;
use libc::{FILE, c_int, c_void, iovec, ssize_t};
use std::ffi::CStr;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Relaxed, Release};

type Write = unsafe extern "C-unwind" fn(*mut FILE, *const c_void, ssize_t) -> ssize_t;

/// glibc's own function; stored before any slot points here.
static ORIGINAL: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Words of a table.
const SLOTS: usize = 21;

/// Takes the tables over, where they are as we know them.
pub(crate) fn hook() {
    let original = symbol(c"_IO_file_write");
    if original.is_null() {
        return;
    }
    ORIGINAL.store(original, Release);
    let slots = [c"_IO_file_jumps", c"_IO_wfile_jumps"].map(|name| {
        let table = symbol(name).cast::<AtomicPtr<c_void>>();
        if table.is_null() || !table.is_aligned() {
            return None;
        }
        // SAFETY: the table is a constant of the C library with this many words, and is never unmapped.
        let slots = unsafe { std::slice::from_raw_parts(table, SLOTS) };
        slots.iter().find(|slot| slot.load(Relaxed) == original)
    });
    replace(slots, write as Write as *mut c_void);
}

/// What stdio calls to write its buffer out. As for the hooks, nothing is left to clean up behind the real call.
unsafe extern "C-unwind" fn write(file: *mut FILE, data: *const c_void, len: ssize_t) -> ssize_t {
    // SAFETY: nothing but the address of glibc's function was ever stored.
    let original = unsafe { std::mem::transmute::<*mut c_void, Write>(ORIGINAL.load(Relaxed)) };
    // SAFETY: stdio gives us a file of its own.
    let fd = unsafe { libc::fileno(file) };
    let text = iovec { iov_base: data.cast_mut(), iov_len: usize::try_from(len).unwrap_or(0) };
    let watching = watching(fd);
    if let Some(capture) = watching {
        // SAFETY: one piece, which is stdio's.
        if let Some(taken) = unsafe { capture.divert(fd, &text, 1) } {
            return taken;
        }
    }
    // SAFETY: what stdio gave us.
    let written = unsafe { original(file, data, len) };
    if let Some(capture) = watching {
        // SAFETY: the piece has just been read.
        unsafe { capture.tee(fd, &text, 1, written) };
    }
    written
}

fn symbol(name: &CStr) -> *mut c_void {
    // SAFETY: a NUL-terminated name.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }
}

/// Stores `function` in slots, which may lie in memory that the loader has made read-only; then it is so again.
fn replace(slots: [Option<&'static AtomicPtr<c_void>>; 2], function: *mut c_void) {
    // SAFETY: only looks up a table.
    let page_size = unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize;
    let page_of = |slot: &AtomicPtr<c_void>| slot.as_ptr() as usize / page_size * page_size;
    let mut left = slots;
    while let Some(&first) = left.iter().flatten().next() {
        // Both lie in one page, mostly.
        let page = page_of(first);
        let here = left.each_mut().map(|slot| slot.take_if(|slot| page_of(slot) == page));
        let Some(segment) = segment_of(first.as_ptr() as usize) else { continue };
        // The loader protects whole pages; on what is left over at the ends there may be data.
        let protected = segment.relro.start / page_size * page_size..segment.relro.end / page_size * page_size;
        let is_protected = protected.contains(&page) || !segment.is_writable;
        if is_protected && !protect(page, page_size, libc::PROT_READ | libc::PROT_WRITE) {
            continue;
        }
        for slot in here.iter().flatten() {
            slot.store(function, Release);
        }
        if is_protected {
            // Failing leaves the page writable, and the program no worse off.
            protect(page, page_size, libc::PROT_READ);
        }
    }
}

fn protect(page: usize, len: usize, protection: c_int) -> bool {
    // SAFETY: the page holds constants of the C library, which stay as readable as they were.
    unsafe { libc::mprotect(page as *mut c_void, len, protection) == 0 }
}

/// How the memory around an address is protected, by the program headers of the object that it belongs to.
struct Segment {
    address: usize,
    is_found: bool,
    is_writable: bool,
    relro: Range<usize>,
}

fn segment_of(address: usize) -> Option<Segment> {
    let mut segment = Segment { address, is_found: false, is_writable: false, relro: 0..0 };
    // SAFETY: the function has the right type, and `segment` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut segment).cast()) };
    segment.is_found.then_some(segment)
}

unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, data: *mut c_void) -> c_int {
    // SAFETY: `segment_of` passed its Segment, and nobody else has it.
    let segment = unsafe { &mut *data.cast::<Segment>() };
    // SAFETY: the loader passes a valid description.
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: as the loader says.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize) };
    let range = |header: &libc::Elf64_Phdr| {
        let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let holds = |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && range(header).contains(&segment.address);
    let Some(load) = headers.iter().find(holds) else { return 0 };
    segment.is_found = true;
    segment.is_writable = load.p_flags & libc::PF_W != 0;
    if let Some(relro) = headers.iter().find(|header| header.p_type == libc::PT_GNU_RELRO) {
        segment.relro = range(relro);
    }
    1
}

//! Who we are: pid, start time, namespaces, thread; known again after a fork without a system call on the append path.
//! And what /proc says of another process. Nothing here allocates, so all of it may run in a signal handler.
#![allow(unsafe_code)]

use crate::clock::monotonic_ns;
use crate::descriptor::Descriptor;
use crate::sync::Atomic;
use atomic::Ordering::{Relaxed, Release};
use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::compiler_fence;

/// Memory that the kernel wipes in a forked child. Each word is complete by itself, and 0 says: find out again. So
/// threads that find out at the same time disturb nobody, and no order between the words matters.
#[repr(C)]
pub(crate) struct ForkPage {
    /// When this process found out who it is (41 bits of microseconds) and its pid (22 bits); the lowest bit is 0.
    generation: Atomic<u64>,
    start: Atomic<u64>,
}

/// Set for good: no system call is made any more, see [`Log::confine`](crate::Log::confine). A child inherits it.
static CONFINED: Atomic<bool> = Atomic::new(false);

pub(crate) fn confine() {
    CONFINED.store(true, Relaxed);
}

pub(crate) fn is_confined() -> bool {
    CONFINED.load(Relaxed)
}

static PAGE: OnceLock<&'static ForkPage> = OnceLock::new();

/// This process, as it is now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Process {
    /// Even, never 0, and new in every process.
    pub(crate) generation: u64,
    pub(crate) pid: u32,
    /// Clock ticks since boot; 0 when /proc does not say.
    pub(crate) start: u64,
    /// Inodes of the pid namespace (high half) and the time namespace; 0 when /proc does not say.
    pub(crate) namespaces: u64,
}

thread_local! {
    /// The id of this thread, a number of the thread's own, and the generation both belong to. Constants without
    /// destructors: reading them allocates nothing.
    static TID: Cell<u32> = const { Cell::new(0) };
    static PLACE: Cell<u32> = const { Cell::new(0) };
    static KNOWN: Cell<u64> = const { Cell::new(0) };
}

/// Memory of `len` bytes that the kernel wipes in a forked child, all zeros, aligned to 64 bytes and never unmapped. `false`:
/// the kernel is too old for that, and somebody has to tell the child. Called before a ring is opened, what the ring itself
/// has of this kind lies in the same page.
///
/// # Errors
/// The kernel has no memory for it.
#[doc(hidden)]
pub fn wiped_on_fork(len: usize) -> io::Result<(NonNull<u8>, bool)> {
    const OURS: usize = size_of::<ForkPage>().next_multiple_of(64);
    let (base, is_wiped) = map_wiped(OURS + len)?;
    // SAFETY: zeroed memory, aligned to a page, never unmapped; ForkPage is made of atomic words alone.
    PAGE.get_or_init(|| unsafe { base.cast::<ForkPage>().as_ref() });
    // SAFETY: within the mapping, which is this much longer.
    Ok((unsafe { base.add(OURS) }, is_wiped))
}

/// Maps it. What lies at its start is known to be a [`ForkPage`].
fn map_wiped(len: usize) -> io::Result<(NonNull<u8>, bool)> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh anonymous mapping, no address asked for.
    let base = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
    let base = NonNull::new(base).filter(|_| base != libc::MAP_FAILED).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: advice on the whole of the mapping just made.
    let is_wiped = unsafe { libc::madvise(base.as_ptr(), len, libc::MADV_WIPEONFORK) } == 0;
    if !is_wiped {
        // An old kernel, or an emulator: the C library tells the child instead.
        // SAFETY: the handler is a function that lives as long as the program.
        let failed = unsafe { libc::pthread_atfork(None, None, Some(forget_after_fork)) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
    }
    // SAFETY: zeroed memory, aligned to a page, never unmapped; ForkPage is made of atomic words alone.
    let page = unsafe { base.cast::<ForkPage>().as_ref() };
    // Before anybody reads it: that would be a page of the kernel's zeros first, and one of our own after it.
    page.generation.store(0, Relaxed);
    Ok((base.cast(), is_wiped))
}

impl ForkPage {
    /// The one page of this process; mapped at the first call.
    ///
    /// # Errors
    /// The kernel has no memory for it.
    pub(crate) fn get() -> io::Result<&'static Self> {
        if let Some(page) = PAGE.get() {
            return Ok(page);
        }
        let (base, _) = map_wiped(size_of::<Self>())?;
        // SAFETY: as in `wiped_on_fork`.
        Ok(PAGE.get_or_init(|| unsafe { base.cast::<Self>().as_ref() }))
    }

    /// The generation of this process: even, never 0, and no ancestor had it.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u64 {
        match self.generation.load(Relaxed) {
            0 => self.find_generation(),
            generation => generation,
        }
    }

    #[cold]
    #[inline(never)]
    fn find_generation(&self) -> u64 {
        // SAFETY: getpid has no preconditions.
        let pid = unsafe { libc::getpid() } as u64;
        // Time goes on between a process and its child, and it is long until 41 bits of it come again.
        let generation = (monotonic_ns() / 1000) << PID_END | pid << 1;
        // Threads that race here: the first stays.
        match self.generation.compare_exchange(0, generation, Relaxed, Relaxed) {
            Ok(_) => generation,
            Err(other) => other,
        }
    }

    pub(crate) fn process(&self) -> Process {
        let generation = self.generation();
        let start = known(&self.start, || Stat::of(None).map_or(0, |stat| stat.start));
        Process { generation, pid: pid_of(generation), start, namespaces: namespaces() }
    }
}

/// Inodes of the namespaces that we are in at this moment; setns(2) can move a process.
fn namespaces() -> u64 {
    let pair = namespace(c"/proc/self/ns/pid").zip(namespace(c"/proc/self/ns/time").or(Some(0)));
    pair.map_or(0, |(pid, time)| (pid as u64) << 32 | time as u64)
}

const PID_END: u32 = 23;

/// The pid in a generation.
#[inline(always)]
pub(crate) fn pid_of(generation: u64) -> u32 {
    (generation >> 1) as u32 & ((1 << (PID_END - 1)) - 1)
}

/// What `cell` says, or else what `find` does.
fn known(cell: &Atomic<u64>, find: impl FnOnce() -> u64) -> u64 {
    match cell.load(Relaxed) {
        0 => {
            let found = find();
            cell.store(found, Relaxed);
            found
        }
        value => value,
    }
}

extern "C" fn forget_after_fork() {
    if let Some(page) = PAGE.get() {
        for cell in [&page.generation, &page.start] {
            cell.store(0, Relaxed);
        }
    }
}

/// The id of this thread, asked from the kernel once in the life of a thread and process.
#[inline(always)]
pub(crate) fn tid(generation: u64) -> u32 {
    if KNOWN.get() == generation { TID.get() } else { meet(generation) }
}

#[cold]
#[inline(never)]
fn meet(generation: u64) -> u32 {
    let tid = match is_confined() {
        // It may not even ask who it is.
        true => 0,
        // SAFETY: gettid has no preconditions.
        false => unsafe { libc::gettid() as u32 },
    };
    TID.set(tid);
    PLACE.set(0);
    // A signal handler that comes in between must not find the generation without the rest.
    compiler_fence(Release);
    KNOWN.set(generation);
    tid
}

/// Is `tid` the thread that the process began with? It is there as long as the process.
#[inline(always)]
pub(crate) fn is_main_thread(generation: u64, tid: u32) -> bool {
    tid == pid_of(generation)
}

/// A number that this thread keeps for itself in this process; 0 at first. See [`set_place`].
#[inline(always)]
pub(crate) fn place(generation: u64) -> u32 {
    tid(generation);
    PLACE.get()
}

/// Remembers [`place`].
pub(crate) fn set_place(place: u32) {
    PLACE.set(place);
}

/// Gives errno back as it was: an append may stand in a signal handler.
pub(crate) struct KeepErrno(libc::c_int);

impl KeepErrno {
    pub(crate) fn new() -> Self {
        Self(io::Error::last_os_error().raw_os_error().unwrap_or(0))
    }
}

impl Drop for KeepErrno {
    fn drop(&mut self) {
        // SAFETY: the address of this thread's errno, which is always there.
        let errno = unsafe { libc::__errno_location() };
        // SAFETY: nobody else writes this thread's errno.
        unsafe { *errno = self.0 };
    }
}

/// Eight bits that differ between the images that one process runs through exec, most of the time.
pub(crate) fn image() -> u8 {
    // SAFETY: getauxval only looks up a table; AT_RANDOM is the address of 16 bytes that live as long as the image.
    let random = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const u64;
    if random.is_null() {
        return 0;
    }
    // SAFETY: 16 readable bytes, of no particular alignment.
    let bits = unsafe { random.read_unaligned() };
    (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

pub(crate) fn effective_uid() -> u32 {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() }
}

/// What kill(2) with signal 0 says of a pid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Probe {
    /// Somebody has it.
    Exists,
    /// Nobody in our pid namespace has it.
    NoSuchProcess,
    /// It does not say.
    Unknown,
}

pub(crate) fn probe(pid: u32) -> Probe {
    if pid == 0 || pid > i32::MAX as u32 || is_confined() {
        return Probe::Unknown;
    }
    // SAFETY: signal 0 is never sent; the pid is positive, so no group is meant.
    if unsafe { libc::kill(pid as i32, 0) } == 0 {
        return Probe::Exists;
    }
    match io::Error::last_os_error().raw_os_error() {
        Some(libc::ESRCH) => Probe::NoSuchProcess,
        Some(libc::EPERM) => Probe::Exists,
        _ => Probe::Unknown,
    }
}

/// Is the /proc we see the one of our own pid namespace?
pub(crate) fn proc_is_ours(pid: u32) -> bool {
    if is_confined() {
        return false;
    }
    let mut buf = [0; 32];
    // SAFETY: a NUL-terminated path and a buffer with its length.
    let n = unsafe { libc::readlink(c"/proc/self".as_ptr(), buf.as_mut_ptr().cast(), buf.len()) };
    usize::try_from(n).is_ok_and(|n| buf.get(..n).and_then(number) == Some(pid as u64))
}

/// The name of this process, without a newline, and its length.
pub(crate) fn comm() -> ([u8; 16], usize) {
    let mut buf = [0; 16];
    let len = read_file(c"/proc/self/comm", &mut buf).map_or(0, |name| name.strip_suffix(b"\n").unwrap_or(name).len());
    buf[len..].fill(0);
    (buf, len)
}

/// What /proc/PID/stat says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stat {
    pub(crate) state: u8,
    pub(crate) threads: u64,
    /// Clock ticks since boot.
    pub(crate) start: u64,
}

impl Stat {
    /// Of `pid`, or of ourselves.
    pub(crate) fn of(pid: Option<u32>) -> Option<Self> {
        let mut buf = [0; 1024];
        let Some(pid) = pid else { return Self::parse(read_file(c"/proc/self/stat", &mut buf)?) };
        let mut path = *b"/proc/0000000000/stat\0";
        let mut rest = pid;
        for digit in path[6..16].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        // procfs knows no leading zeros: the digits move up to the slash.
        let zeros = path[6..15].iter().take_while(|&&digit| digit == b'0').count();
        path.copy_within(6 + zeros.., 6);
        Self::parse(read_file(CStr::from_bytes_until_nul(&path).ok()?, &mut buf)?)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        // The name may hold anything, a parenthesis too; the last one ends it.
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let mut words = text[end + 1..].split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
        let state = *words.next()?.first()?;
        let threads = number(words.nth(16)?)?;
        let start = number(words.nth(1)?)?;
        Some(Self { state, threads, start })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads as much of a file as fits, in one call.
fn read_file<'b>(path: &CStr, buf: &'b mut [u8]) -> Option<&'b [u8]> {
    Descriptor::open(path, libc::O_RDONLY)?.read(buf)
}

fn namespace(path: &CStr) -> Option<u32> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: a NUL-terminated path, room for the answer.
    if unsafe { libc::stat(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so the answer is there.
    Some(unsafe { stat.assume_init() }.st_ino as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_any_name_is_parsed() {
        let tail = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 42 0 147522 9 9\n";
        for name in ["sh", "a b", "x) R 1 (y", ")", ""] {
            let text = format!("77 ({name}){tail}");
            assert_eq!(Stat::parse(text.as_bytes()), Some(Stat { state: b'S', threads: 42, start: 147522 }), "{name}");
        }
        assert_eq!(Stat::parse(b"77 (sh) S 1 2"), None);
        assert_eq!(Stat::parse(b""), None);
    }

    #[test]
    fn no_signal_is_for_a_group_or_for_everybody() {
        // To kill(2) these are our group, everybody, and groups.
        for pid in [0, u32::MAX, i32::MIN as u32, i32::MAX as u32 + 2] {
            assert_eq!(probe(pid), Probe::Unknown, "{pid:#x}");
        }
        assert_eq!(probe(std::process::id()), Probe::Exists);
    }

    #[test]
    fn our_own_stat_is_the_same_by_number_and_by_self() {
        let (by_self, by_pid) = (Stat::of(None).unwrap(), Stat::of(Some(std::process::id())).unwrap());
        assert_eq!(by_self.start, by_pid.start);
        assert!(by_self.start > 0 && by_self.threads >= 1);
        assert_eq!(Stat::of(Some(4_194_304)), None, "a pid that cannot be");
        assert!(proc_is_ours(std::process::id()));
    }
}

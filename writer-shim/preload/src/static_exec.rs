//! Programs that this library cannot be loaded into, about to be started by one that it is in: the command of `lapwing` is
//! started in front of them, puts the pump behind them, and becomes them. Nothing is allocated, and on any doubt they are
//! started as they are.
#![allow(unsafe_code)]

use crate::capture::Capture;
use crate::confine;
use crate::inherit::Strings;
use lapwing_writer_shim::calm::apart;
use lapwing_writer_shim::identity::FileId;
use lapwing_writer_shim::program::{LONGEST_LINE, Obstacle, interpreter_of, obstacle_of};
use libc::c_char;
use std::ffi::CStr;
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::FromRawFd;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicPtr, AtomicU32};

/// Arguments of a program that something is put in front of, and bytes of its path.
const MOST: usize = 256;
const LONGEST: usize = 1024;

/// Words in front of the program's own: the command, what it is to do, that options end here, and the path.
const AHEAD: usize = 4;

/// Room for the arguments and the path of what is started.
pub(crate) struct Stage {
    arguments: [MaybeUninit<*const c_char>; MOST + AHEAD + 1],
    path: [u8; LONGEST],
}

impl Stage {
    pub(crate) const fn new() -> Self {
        Self { arguments: [MaybeUninit::uninit(); MOST + AHEAD + 1], path: [0; LONGEST] }
    }
}

/// Where it is written down that this process, or one that it shares this word with by a fork, has started a program with
/// the pump behind it.
static STAGED: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// For the constructor: a word that children of a fork have in common with us.
pub(crate) fn share() {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh mapping, no address asked for.
    let base = unsafe { libc::mmap(ptr::null_mut(), size_of::<AtomicU32>(), protection, flags, -1, 0) };
    if base != libc::MAP_FAILED {
        STAGED.store(base.cast(), Relaxed);
    }
}

/// Has any program been started with the pump behind it?
pub(crate) fn any_staged() -> bool {
    // SAFETY: null, or the word that `share` mapped, which stays.
    unsafe { STAGED.load(Relaxed).as_ref() }.is_some_and(|staged| staged.load(Relaxed) != 0)
}

/// How a program is named, and what is known of its descriptors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// A path, with the descriptors of this process.
    Exec,
    /// Looked for along PATH, the same.
    ExecFound,
    /// As the first, with descriptors that only the C library knows.
    Spawn,
    /// As the second, the same.
    SpawnFound,
}

/// What to start in place of `name` with `arguments`: these, or the command in `stage`.
///
/// # Safety
/// `name` and `arguments` are as exec(3) wants them.
pub(crate) unsafe fn staged(
    name: *const c_char,
    arguments: Strings,
    start: Start,
    stage: &mut Stage,
) -> (*const c_char, Strings) {
    let can = |capture: &&Capture| capture.pump.is_some() && !name.is_null() && !confine::is_on();
    let Some(capture) = Capture::get().filter(can) else {
        return (name, arguments);
    };
    // SAFETY: the caller's promise.
    apart(|| unsafe { in_front_of(capture, name, arguments, start, stage) }).flatten().unwrap_or((name, arguments))
}

/// # Safety
/// As [`staged`].
unsafe fn in_front_of(
    capture: &Capture,
    name: *const c_char,
    arguments: Strings,
    start: Start,
    stage: &mut Stage,
) -> Option<(*const c_char, Strings)> {
    let pump = capture.pump.as_deref()?;
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    let path = match start {
        Start::ExecFound | Start::SpawnFound if !name.to_bytes().contains(&b'/') => find(name, &mut stage.path)?,
        _ => name,
    };
    let obstacle = obstacle(path)?;
    let is_captured = |fd| FileId::of_fd(fd).is_some_and(|id| capture.streams.find(fd, id).is_some());
    let is_known = matches!(start, Start::Exec | Start::ExecFound);
    // Where nothing of it is captured there is nothing to do but to take the library out of its way.
    if is_known && !is_captured(1) && !is_captured(2) && !obstacle.minds_a_library() {
        return None;
    }
    if !can_run(path) || !can_run(pump) {
        return None;
    }
    // SAFETY: the caller's promise.
    let given = unsafe { listed(arguments) }?;
    let ahead = [pump.as_ptr(), c"pump-exec".as_ptr(), c"--".as_ptr(), path.as_ptr()];
    let all = ahead.into_iter().chain(given.iter().copied()).chain([ptr::null()]);
    for (place, word) in stage.arguments.iter_mut().zip(all) {
        place.write(word);
    }
    // SAFETY: null, or the word that `share` mapped, which stays.
    if let Some(staged) = unsafe { STAGED.load(Relaxed).as_ref() } {
        staged.store(1, Relaxed);
    }
    Some((pump.as_ptr(), stage.arguments.as_ptr().cast()))
}

/// Why the loader will leave us out of the program that is run for `path`, for a script its interpreter.
fn obstacle(path: &CStr) -> Option<Obstacle> {
    let file = open(path)?;
    let mut line = [0; LONGEST_LINE];
    let Some(interpreter) = interpreter_of(&file, &mut line) else { return obstacle_of(&file) };
    let mut name = [0; LONGEST_LINE + 1];
    name[..interpreter.len()].copy_from_slice(interpreter);
    obstacle_of(&open(CStr::from_bytes_until_nul(&name).ok()?)?)
}

fn open(path: &CStr) -> Option<File> {
    // What it waits for, a pipe say, is no program.
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_NONBLOCK;
    // SAFETY: a NUL-terminated path.
    let fd = unsafe { libc::open(path.as_ptr(), flags) };
    // SAFETY: just opened, and nobody else's.
    (fd >= 0).then(|| unsafe { File::from_raw_fd(fd) })
}

fn can_run(path: &CStr) -> bool {
    // SAFETY: a NUL-terminated path.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

/// The first program called `name` along PATH, as execvp(3) finds it.
fn find<'p>(name: &CStr, path: &'p mut [u8; LONGEST]) -> Option<&'p CStr> {
    unsafe extern "C" {
        fn getenv(name: *const c_char) -> *const c_char;
    }
    // SAFETY: a NUL-terminated name.
    let folders = unsafe { getenv(c"PATH".as_ptr()) };
    if folders.is_null() {
        return None;
    }
    // SAFETY: a text of the environment, which the program does not change under its own exec.
    let folders = unsafe { CStr::from_ptr(folders) }.to_bytes();
    let name = name.to_bytes_with_nul();
    let mut len = None;
    for folder in folders.split(|&byte| byte == b':') {
        let folder: &[u8] = if folder.is_empty() { b"." } else { folder };
        let end = folder.len() + 1 + name.len();
        let place = path.get_mut(..end)?;
        place[..folder.len()].copy_from_slice(folder);
        place[folder.len()] = b'/';
        place[folder.len() + 1..].copy_from_slice(name);
        if CStr::from_bytes_with_nul(place).is_ok_and(can_run) {
            len = Some(end);
            break;
        }
    }
    CStr::from_bytes_with_nul(&path[..len?]).ok()
}

/// The arguments of a program; `None` where there are none, or too many.
///
/// # Safety
/// Null, or as exec(3) wants them.
unsafe fn listed<'a>(arguments: Strings) -> Option<&'a [*const c_char]> {
    if arguments.is_null() {
        return None;
    }
    for len in 0..=MOST {
        // SAFETY: a null comes behind the last one, which has not come yet.
        let place = unsafe { arguments.add(len) };
        // SAFETY: as above.
        if unsafe { *place }.is_null() {
            // SAFETY: so many have just been read.
            return (len > 0).then(|| unsafe { std::slice::from_raw_parts(arguments, len) });
        }
    }
    None
}

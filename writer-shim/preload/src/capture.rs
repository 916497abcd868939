//! From what a program writes to records in the ring.
#![allow(unsafe_code)]

use crate::confine;
use crate::copied;
use crate::inherit::Legacy;
use crate::state::{Held, State};
use lapwing_ring::{Draft, Flags, Level, Log, Source};
use lapwing_writer_shim::calm::{apart, kept_in};
use lapwing_writer_shim::environment::{Stream, Streams};
use lapwing_writer_shim::identity::Sort;
use lapwing_writer_shim::lines::{self, Lines};
use libc::{c_int, iovec, ssize_t};
use std::ffi::CString;
use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr};

/// Everything the hooks need, made once by the constructor and never freed.
pub(crate) struct Capture {
    pub(crate) log: Log,
    pub(crate) state: &'static State,
    pub(crate) streams: Streams,
    pub(crate) quiet: bool,
    /// What programs that it starts get of it.
    pub(crate) legacy: Option<Legacy>,
    /// The command that puts the pump behind a program.
    pub(crate) pump: Option<CString>,
    /// The longest text of one record.
    pub(crate) limit: usize,
    /// The program's own destructors are through. What is still written comes from the C library's flush, or from nobody
    /// who would finish a line, so no line waits any more.
    pub(crate) is_ending: AtomicBool,
}

static CAPTURE: AtomicPtr<Capture> = AtomicPtr::new(ptr::null_mut());

impl Capture {
    /// Turns the hooks on.
    pub(crate) fn publish(self) {
        CAPTURE.store(Box::into_raw(Box::new(self)), Release);
    }

    /// Turns the hooks off, for good.
    pub(crate) fn turn_off() {
        CAPTURE.store(ptr::null_mut(), Release);
    }

    /// `None`: nothing is captured in this process.
    #[inline(always)]
    pub(crate) fn get() -> Option<&'static Self> {
        // SAFETY: null, or what `publish` leaked.
        unsafe { CAPTURE.load(Acquire).as_ref() }
    }

    /// Records the first `len` bytes of `text`, in pieces, if `fd` is one of the streams. `is_out`: they are where `fd`
    /// leads already. Leaves errno alone, and is no place to be cancelled at.
    ///
    /// # Safety
    /// The pieces are memory that can be read, at least `len` bytes together.
    pub(crate) unsafe fn record(&self, fd: c_int, text: &[iovec], len: usize, is_out: bool) -> Option<()> {
        let (stream, _) = self.state.files.find(fd, &self.streams)?;
        if let [line] = text
            && fd == libc::STDERR_FILENO
            && len != 0
        {
            // SAFETY: the caller's promise.
            let line = unsafe { std::slice::from_raw_parts(line.iov_base.cast::<u8>(), len) };
            if copied::is_copy(line) {
                return Some(());
            }
        }
        // For children made without the C library's fork.
        self.state.claim();
        let otherwise = (!is_out).then_some(fd);
        let ending = self.is_ending.load(Relaxed);
        let mut whole = None;
        if let [line] = text
            && !ending
            && len != 0
            && self.state.has_no_unfinished(stream)
        {
            // SAFETY: the caller's promise.
            let bytes = unsafe { std::slice::from_raw_parts(line.iov_base.cast::<u8>(), len) };
            if let Some(line) = lines::only_line(bytes, self.limit) {
                self.append(stream, otherwise, &[line], Level::INFO, Flags::NONE);
                return Some(());
            }
            whole = bytes.ends_with(b"\n").then_some(bytes);
        }
        // SAFETY: the caller's promise.
        unsafe { self.assemble(stream, text, len, whole, otherwise) }
        Some(())
    }

    /// Cuts what is more or less than a line into records. `whole`: the text, if it is lines and nothing else and lies in
    /// one piece. `fd` is as [`Capture::append`] wants it.
    ///
    /// # Safety
    /// As [`Capture::record`].
    #[inline(never)]
    unsafe fn assemble(&self, stream: Stream, text: &[iovec], len: usize, whole: Option<&[u8]>, fd: Option<c_int>) {
        let mut finished = false;
        let mut sink = |text: &[&[u8]], level, flags| {
            finished = true;
            self.append(stream, fd, text, level, flags);
        };
        if let Some(lines) = whole {
            // Nothing is left to put together, so nobody's buffer is needed.
            return lines::split(lines, self.limit, &mut sink);
        }
        let ending = self.is_ending.load(Relaxed);
        if let Some(mut unfinished) = self.state.unfinished(stream, self.limit) {
            // SAFETY: the caller's promise.
            unsafe { pieces(text, len, |piece| unfinished.push(piece, &mut sink)) };
            if ending {
                unfinished.flush(&mut sink);
            }
            self.keep(stream, &mut unfinished, finished);
        } else if let Some(mut spare) = self.state.spare(self.limit) {
            // SAFETY: the caller's promise.
            unsafe { pieces(text, len, |piece| spare.push(piece, &mut sink)) };
            spare.flush(&mut sink);
        } else {
            // SAFETY: the caller's promise.
            unsafe { pieces(text, len, |piece| lines::split(piece, self.limit, &mut sink)) };
        }
        if ending {
            self.log.release();
        }
    }

    /// Keeps what is unfinished in the ring's file, so that it outlives this process. `anew`: it does not go on what was
    /// kept before, which is a record now.
    #[inline]
    fn keep(&self, stream: Stream, unfinished: &mut Held<'_>, anew: bool) {
        let (line, kept) = unfinished.kept();
        if line.text().is_empty() {
            if kept.is_somewhere() {
                self.log.let_go(kept);
            }
            return;
        }
        if anew {
            kept.begin_anew();
        }
        self.log.keep(kept, line.level(), source(stream), line.text());
    }

    /// `fd`: where it goes if the ring alone was to have it and refuses it.
    #[inline(always)]
    fn append(&self, stream: Stream, fd: Option<c_int>, text: &[&[u8]], level: Level, flags: Flags) {
        let draft = Draft { level, source: source(stream), flags, fields: &[] };
        // The ring counts what it refuses; there is nobody else to tell.
        let is_accepted = self.log.append_slices(&draft, text).is_ok();
        if self.quiet {
            self.state.set_accepted(is_accepted);
            if let (false, Some(fd)) = (is_accepted, fd) {
                self.hand_on(fd, text, flags);
            }
        }
    }

    /// Before this image ends: unfinished lines go out, and the ring's slots go back.
    fn leave(&self) {
        // What is unfinished is found as last words.
        if confine::is_on() {
            return;
        }
        // What a vfork child has changed about its descriptors must not be taken for its parent's.
        self.state.files.forget_all();
        if !self.state.is_ours() {
            return;
        }
        for stream in [Stream::Out, Stream::Err] {
            if self.state.has_no_unfinished(stream) {
                continue;
            }
            if let Some(mut unfinished) = self.state.unfinished(stream, self.limit) {
                let fd = if self.quiet { self.descriptor_of(stream) } else { None };
                Lines::flush(&mut unfinished, |text, level, flags| self.append(stream, fd, text, level, flags));
                self.keep(stream, &mut unfinished, true);
            }
        }
        self.log.release();
    }
}

const fn source(stream: Stream) -> Source {
    match stream {
        Stream::Out => Source::Stdout,
        Stream::Err => Source::Stderr,
    }
}

/// Hands out the first `len` bytes of `text`.
///
/// # Safety
/// The pieces are memory that can be read, at least `len` bytes together.
#[inline]
pub(crate) unsafe fn pieces(text: &[iovec], mut len: usize, mut each: impl FnMut(&[u8])) {
    for piece in text {
        let now = piece.iov_len.min(len);
        if now != 0 {
            // SAFETY: the caller's promise; a piece of no length may have no address.
            each(unsafe { std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), now) });
        }
        len -= now;
    }
}

/// What captures, if `fd` may be one of the streams; `None` if it is known to be neither. To be asked once in a call.
#[inline(always)]
pub(crate) fn watching(fd: c_int) -> Option<&'static Capture> {
    Capture::get().filter(|capture| capture.state.files.may_be_stream(fd))
}

impl Capture {
    /// Which stream `fd` is, and what sort of file.
    #[inline(never)]
    pub(crate) fn found(&self, fd: c_int) -> Option<(Stream, Sort)> {
        kept_in(|| self.state.files.find(fd, &self.streams))?
    }

    /// To be asked before the real call: takes all of `text` if the ring alone is to have it, and gives what to return.
    ///
    /// # Safety
    /// `text` and `count` are as writev(2) wants them.
    #[inline(always)]
    pub(crate) unsafe fn divert(&self, fd: c_int, text: *const iovec, count: usize) -> Option<ssize_t> {
        if !self.quiet {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe { self.take(fd, text, count) }
    }

    /// As [`Capture::divert`], for a call that other sorts of files than this one do not take.
    ///
    /// # Safety
    /// As [`Capture::divert`].
    #[inline(always)]
    pub(crate) unsafe fn divert_if(&self, sort: Sort, fd: c_int, text: *const iovec, count: usize) -> Option<ssize_t> {
        if !self.quiet || self.found(fd)?.1 != sort {
            return None;
        }
        // SAFETY: the caller's promise.
        unsafe { self.take(fd, text, count) }
    }

    /// To be called behind the real call: records what it says it has written. Where only the ring should have had it, that
    /// has been tried.
    ///
    /// # Safety
    /// `count` pieces of memory that can be read, at least `written` bytes together.
    #[inline(always)]
    pub(crate) unsafe fn tee(&self, fd: c_int, text: *const iovec, count: usize, written: ssize_t) {
        if written > 0 && !self.quiet {
            // SAFETY: the caller's promise.
            unsafe { self.copy(fd, text, count, written as usize) }
        }
    }

    /// As [`Capture::tee`], behind a call that is made in any case.
    ///
    /// # Safety
    /// As [`Capture::tee`].
    #[inline(always)]
    pub(crate) unsafe fn tee_always(&self, fd: c_int, text: *const iovec, count: usize, written: ssize_t) {
        if written > 0 {
            // SAFETY: the caller's promise.
            unsafe { self.copy(fd, text, count, written as usize) }
        }
    }

    /// # Safety
    /// As [`Capture::tee`].
    #[inline(never)]
    unsafe fn copy(&self, fd: c_int, text: *const iovec, count: usize, written: usize) {
        kept_in(|| {
            // SAFETY: the caller's promise.
            let text = unsafe { std::slice::from_raw_parts(text, count) };
            if !is_memory(text, written) {
                return None;
            }
            // SAFETY: the caller's promise.
            unsafe { self.record(fd, text, written, true) }
        });
    }

    /// Records all of `text`, and gives its length as write(2) would. `None`: that is for the real call to say.
    ///
    /// # Safety
    /// As [`Capture::divert`].
    #[inline(never)]
    unsafe fn take(&self, fd: c_int, text: *const iovec, count: usize) -> Option<ssize_t> {
        if !(1..=libc::UIO_MAXIOV as usize).contains(&count) || text.is_null() {
            return None;
        }
        kept_in(|| {
            // SAFETY: the caller's promise.
            let text = unsafe { std::slice::from_raw_parts(text, count) };
            let len = text.iter().try_fold(0, |sum: ssize_t, piece| sum.checked_add_unsigned(piece.iov_len))?;
            if !is_memory(text, len as usize) || !self.is_accepted(fd) {
                return None;
            }
            // SAFETY: the caller's promise.
            unsafe { self.record(fd, text, len as usize, false) }?;
            Some(len)
        })?
    }
}

/// False where an address cannot be the program's. The kernel takes such text nevertheless if it does not look at it, as for
/// /dev/null, and otherwise has an error to say.
fn is_memory(text: &[iovec], mut len: usize) -> bool {
    const ADDRESSES: std::ops::Range<usize> = 1 << 16..1 << 56;
    text.iter().all(|piece| {
        let now = piece.iov_len.min(len);
        len -= now;
        now == 0 || ADDRESSES.contains(&(piece.iov_base as usize))
    })
}

/// In a forked child, and in the constructor: finds out who we are before anybody else could.
///
/// A vfork child shares our memory. Were it the first to append, the ring would take its pid for that of this process.
pub(crate) fn introduce() {
    if let Some(capture) = Capture::get().filter(|_| !confine::is_on()) {
        apart(|| {
            capture.state.claim();
            // Gives nothing back, there is nothing yet; but asks who we are.
            capture.log.release();
        });
    }
}

/// Before this image ends by `_exit` or exec.
pub(crate) fn leave() {
    if let Some(capture) = Capture::get() {
        apart(|| capture.leave());
    }
}

/// Behind the program's own destructors.
pub(crate) fn end() {
    if let Some(capture) = Capture::get() {
        capture.is_ending.store(true, Relaxed);
        leave();
    }
}

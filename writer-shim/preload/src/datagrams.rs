//! From what a program sends to a system log's socket to records.
#![allow(unsafe_code)]

use crate::capture::{Capture, pieces};
use crate::copied::Hash;
use crate::labels::Labels;
use crate::sockets::{self, Service};
use lapwing_ring::{Flags, Level, Source, Value};
use lapwing_writer_shim::calm::{apart, errno};
use lapwing_writer_shim::{journal, syslog};
use libc::{c_int, cmsghdr, iovec, msghdr, sockaddr, socklen_t, ssize_t};
use std::cell::Cell;

/// A message in several pieces is put together here where every buffer is taken.
const SMALL: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Failed {
    service: Service,
    hash: u64,
    /// Trying again is what to do then: the same way, or as a file where it was too large.
    is_passing: bool,
}

thread_local! {
    /// The last message of this thread if the kernel would not take it: it has its record, and may be sent again.
    static FAILED: Cell<Option<Failed>> = const { Cell::new(None) };
}

/// To be called behind sendmsg(2), with what it gave.
///
/// # Safety
/// `message` is one that can be sent, except where the kernel has just said that it is none.
#[inline(always)]
pub(crate) unsafe fn sent(fd: c_int, message: *const msghdr, result: ssize_t) {
    if Capture::get().is_none() || result < 0 && !was_looked_at() {
        return;
    }
    // SAFETY: the caller's promise.
    let to = unsafe { &*message };
    let service = if to.msg_name.is_null() || to.msg_namelen == 0 {
        sockets::service(fd)
    } else {
        // SAFETY: the kernel has read the address.
        unsafe { sockets::named(to.msg_name.cast(), to.msg_namelen) }
    };
    if let Some(service) = service {
        // SAFETY: the caller's promise.
        unsafe { copy(service, message, result) }
    }
}

/// To be called behind send(2) and sendto(2).
///
/// # Safety
/// As [`sent`], for the message that they make of these.
#[inline(always)]
pub(crate) unsafe fn sent_to(fd: c_int, text: iovec, address: *const sockaddr, len: socklen_t, result: ssize_t) {
    if address.is_null() || len == 0 {
        if let Some(service) = sockets::service(fd) {
            // SAFETY: the caller's promise.
            unsafe { copy_pieces(service, &text, 1, result) }
        }
    } else if Capture::get().is_some()
        && (result >= 0 || was_looked_at())
        // SAFETY: the kernel has read the address.
        && let Some(service) = unsafe { sockets::named(address, len) }
    {
        // SAFETY: the caller's promise.
        unsafe { copy_pieces(service, &text, 1, result) }
    }
}

/// To be called behind write(2) and writev(2), for a descriptor that may be anything: the kernel is not asked.
///
/// # Safety
/// As [`sent`], `text` and `count` being what writev(2) got.
#[inline(always)]
pub(crate) unsafe fn written(fd: c_int, text: *const iovec, count: usize, result: ssize_t) {
    if let Some(service) = sockets::known(fd) {
        // SAFETY: the caller's promise.
        unsafe { copy_pieces(service, text, count, result) }
    }
}

/// Has the kernel read the message that it has just refused?
#[cold]
fn was_looked_at() -> bool {
    !matches!(errno(), libc::EBADF | libc::ENOTSOCK | libc::EFAULT | libc::EINVAL)
}

/// # Safety
/// As [`written`].
#[cold]
#[inline(never)]
unsafe fn copy_pieces(service: Service, text: *const iovec, count: usize, result: ssize_t) {
    // SAFETY: zeros are a valid message, of nothing to nobody.
    let mut message: msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = text.cast_mut();
    message.msg_iovlen = count as _;
    // SAFETY: the caller's promise.
    unsafe { copy(service, &message, result) }
}

/// # Safety
/// As [`sent`].
#[inline(never)]
unsafe fn copy(service: Service, message: *const msghdr, result: ssize_t) {
    let Some(capture) = Capture::get() else { return };
    if result < 0 && !was_looked_at() {
        return;
    }
    let error = errno();
    apart(|| {
        // SAFETY: the caller's promise.
        let message = unsafe { &*message };
        let text: &[iovec] = match message.msg_iovlen {
            0 => &[],
            // The kernel has not looked at them either.
            count if count > libc::UIO_MAXIOV as usize => return,
            // SAFETY: the kernel has read them.
            count => unsafe { std::slice::from_raw_parts(message.msg_iov, count) },
        };
        let all = text.iter().map(|piece| piece.iov_len).fold(0, usize::saturating_add);
        let len = usize::try_from(result).map_or(all, |sent| sent.min(all));
        if service == Service::Journal
            && len == 0
            && let Some(file) = passed(message)
        {
            if FAILED.take().is_some_and(|failed| failed.is_passing) {
                return;
            }
            with_buffer(capture, |buffer| {
                // SAFETY: room for as many bytes; any number may be asked for. The program's own position stays.
                let read = unsafe { libc::pread(file, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
                if let Some(text) = usize::try_from(read).ok().and_then(|read| buffer.get(..read)) {
                    record(capture, service, text, text.len() == buffer.len());
                }
            });
            return;
        }
        if len == 0 {
            return;
        }
        // SAFETY: the kernel has read them.
        if unsafe { is_again(service, text, len, result, error) } {
            return;
        }
        if let [piece] = text {
            // SAFETY: the kernel has read it.
            let text = unsafe { std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), len) };
            record(capture, service, text, false);
        } else {
            with_buffer(capture, |buffer| {
                let mut filled = 0;
                let gather = |piece: &[u8]| {
                    let now = piece.len().min(buffer.len() - filled);
                    buffer[filled..filled + now].copy_from_slice(&piece[..now]);
                    filled += now;
                };
                // SAFETY: the kernel has read them.
                unsafe { pieces(text, len, gather) };
                record(capture, service, &buffer[..filled], filled < len);
            });
        }
    });
}

/// Is this a message that failed before, and has its record? Remembers this one if it has failed.
///
/// # Safety
/// The pieces are memory that can be read, at least `len` bytes together.
unsafe fn is_again(service: Service, text: &[iovec], len: usize, result: ssize_t, error: c_int) -> bool {
    let before = FAILED.get();
    if result >= 0 && before.is_none() {
        return false;
    }
    let mut hash = Hash::new();
    // SAFETY: the caller's promise.
    unsafe { pieces(text, len, |piece| hash.add(piece)) };
    let is_passing = matches!(error, libc::EMSGSIZE | libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN | libc::EINTR);
    FAILED.set((result < 0).then_some(Failed { service, hash: hash.0, is_passing }));
    // Where nobody listens at all, the same text twice is said twice.
    let is_same = |before: &Failed| (before.service, before.hash) == (service, hash.0);
    before.filter(is_same).is_some_and(|before| result >= 0 || before.is_passing)
}

/// The first descriptor that goes with a message.
fn passed(message: &msghdr) -> Option<c_int> {
    // SAFETY: a message that was sent; gives null where there is nothing.
    let header: *const cmsghdr = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: null, or the header that the kernel has read.
    let known = unsafe { header.as_ref() }?;
    let room = size_of::<cmsghdr>() + size_of::<c_int>();
    if (known.cmsg_level, known.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_RIGHTS) || (known.cmsg_len as usize) < room {
        return None;
    }
    // SAFETY: the header is followed by its data.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: at least one descriptor, by the length.
    Some(unsafe { data.cast::<c_int>().read_unaligned() })
}

fn with_buffer(capture: &Capture, mut take: impl FnMut(&mut [u8])) {
    match capture.state.buffer() {
        Some(mut buffer) => take(buffer.bytes()),
        None => take(&mut [0; SMALL]),
    }
}

fn record(capture: &Capture, service: Service, sent: &[u8], is_cut: bool) {
    let flags = if is_cut { Flags::PARTIAL } else { Flags::NONE };
    match service {
        Service::Syslog => {
            let message = syslog::Message::parse(sent);
            let mut labels = Labels::new(&capture.log, message.tag);
            if let Some(facility) = message.facility {
                labels.add(b"facility", Value::Text(facility.as_bytes()));
            }
            // The record has the sender's own.
            if let Some(pid) = message.pid.filter(|&pid| pid != std::process::id()) {
                labels.add(b"pid", Value::Uint(pid.into()));
            }
            capture.log(Source::Syslog, message.level, &labels, message.text, flags);
        }
        Service::Journal => {
            let mut is_any = false;
            for entry in journal::entries(sent) {
                is_any = true;
                let mut labels = Labels::new(&capture.log, entry.tag);
                for &(key, value) in entry.others() {
                    labels.add(key, Value::Text(value));
                }
                capture.log(Source::Journal, entry.level, &labels, entry.text, flags);
            }
            if !is_any {
                let labels = Labels::new(&capture.log, None);
                capture.log(Source::Journal, Level::INFO, &labels, syslog::trimmed(sent), flags);
            }
        }
    }
}

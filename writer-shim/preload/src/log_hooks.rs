//! What a program calls instead of its C library when it logs, or sends to a socket. The rules are those of `hooks`.
#![allow(unsafe_code, clippy::missing_safety_doc)]

use crate::calls;
use crate::capture::{self, Capture};
use crate::datagrams::{sent, sent_to};
use crate::hooks::missing;
use crate::{real, sockets};
use lapwing_writer_shim::identity::Sort;
use libc::{c_char, c_int, c_uint, c_void, iovec, mmsghdr, msghdr, size_t, sockaddr, socklen_t, ssize_t};
use std::ptr;

fn piece(data: *const c_void, len: size_t) -> iovec {
    iovec { iov_base: data.cast_mut(), iov_len: len }
}

/// What captures, if standard output can be this socket. What is urgent is not of its stream.
#[inline(always)]
fn watching(fd: c_int, flags: c_int) -> Option<&'static Capture> {
    if flags & libc::MSG_OOB == 0 { capture::watching(fd) } else { None }
}

/// What goes with an address or a descriptor is sent in any case.
///
/// # Safety
/// As sendmsg(2).
unsafe fn divert_message(capture: &Capture, fd: c_int, message: *const msghdr) -> Option<ssize_t> {
    if !capture.quiet {
        return None;
    }
    // SAFETY: null, or the caller's promise.
    let plain = unsafe { message.as_ref() }.filter(|to| to.msg_name.is_null() && to.msg_controllen == 0)?;
    // SAFETY: the caller's promise.
    unsafe { capture.divert_if(Sort::Socket, fd, plain.msg_iov, plain.msg_iovlen as _) }
}

/// # Safety
/// As [`Capture::tee_always`], for the message's pieces.
unsafe fn tee_message(capture: &Capture, fd: c_int, message: *const msghdr, sent: ssize_t) {
    if sent > 0 {
        // SAFETY: the kernel has just read it.
        let message = unsafe { &*message };
        // SAFETY: the caller's promise.
        unsafe { capture.tee_always(fd, message.msg_iov, message.msg_iovlen as _, sent) }
    }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn send(fd: c_int, data: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    let Some(real) = real::SEND.find() else { return missing() as ssize_t };
    let text = piece(data, len);
    let watching = watching(fd, flags);
    if let Some(capture) = watching {
        // SAFETY: one piece, which is the caller's.
        if let Some(taken) = unsafe { capture.divert_if(Sort::Socket, fd, &text, 1) } {
            return taken;
        }
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd, data, len, flags) };
    if let Some(capture) = watching {
        // SAFETY: what the kernel has just looked at.
        unsafe { capture.tee_always(fd, &text, 1, result) };
    }
    // SAFETY: what the kernel has just looked at.
    unsafe { sent_to(fd, text, ptr::null(), 0, result) };
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn __send(fd: c_int, data: *const c_void, len: size_t, flags: c_int) -> ssize_t {
    // SAFETY: the same function under another name.
    unsafe { send(fd, data, len, flags) }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn sendto(
    fd: c_int,
    data: *const c_void,
    len: size_t,
    flags: c_int,
    address: *const sockaddr,
    address_len: socklen_t,
) -> ssize_t {
    let Some(real) = real::SENDTO.find() else { return missing() as ssize_t };
    let text = piece(data, len);
    let watching = watching(fd, flags);
    if let Some(capture) = watching
        && address.is_null()
    {
        // SAFETY: one piece, which is the caller's.
        if let Some(taken) = unsafe { capture.divert_if(Sort::Socket, fd, &text, 1) } {
            return taken;
        }
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd, data, len, flags, address, address_len) };
    if let Some(capture) = watching {
        // SAFETY: what the kernel has just looked at.
        unsafe { capture.tee_always(fd, &text, 1, result) };
    }
    // SAFETY: what the kernel has just looked at.
    unsafe { sent_to(fd, text, address, address_len, result) };
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
    let Some(real) = real::SENDMSG.find() else { return missing() as ssize_t };
    let watching = watching(fd, flags);
    if let Some(capture) = watching {
        // SAFETY: the caller's promise.
        if let Some(taken) = unsafe { divert_message(capture, fd, message) } {
            return taken;
        }
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd, message, flags) };
    if let Some(capture) = watching {
        // SAFETY: what the kernel has just looked at.
        unsafe { tee_message(capture, fd, message, result) };
    }
    // SAFETY: what the kernel has just looked at.
    unsafe { sent(fd, message, result) };
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    let Some(real) = real::SENDMMSG.find() else { return missing() };
    let mut taken = 0;
    let watching = watching(fd, flags);
    while let Some(capture) = watching
        && taken < count.min(libc::UIO_MAXIOV as c_uint)
    {
        // SAFETY: so many are there.
        let message = unsafe { messages.add(taken as usize) };
        // SAFETY: one of the caller's.
        let header = unsafe { &raw const (*message).msg_hdr };
        // SAFETY: the caller's promise.
        let Some(len) = (unsafe { divert_message(capture, fd, header) }) else { break };
        // SAFETY: as above; the kernel would write it too.
        unsafe { (*message).msg_len = len as c_uint };
        taken += 1;
    }
    if taken != 0 {
        return taken as c_int;
    }
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd, messages, count, flags) };
    if result < 0 && count != 0 {
        // SAFETY: there is a first one, and it is the one that failed.
        let first = unsafe { &raw const (*messages).msg_hdr };
        // SAFETY: what the kernel has just looked at.
        unsafe { sent(fd, first, -1) };
    }
    let mut i = 0;
    while i < result {
        // SAFETY: so many were sent.
        let message = unsafe { messages.add(i as usize) };
        // SAFETY: one of the caller's.
        let header = unsafe { &raw const (*message).msg_hdr };
        // SAFETY: the kernel has written it.
        let len = unsafe { (*message).msg_len };
        if let Some(capture) = watching {
            // SAFETY: what the kernel has just looked at.
            unsafe { tee_message(capture, fd, header, len as ssize_t) };
        }
        // SAFETY: what the kernel has just looked at.
        unsafe { sent(fd, header, len as ssize_t) };
        i += 1;
    }
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn connect(fd: c_int, address: *const sockaddr, len: socklen_t) -> c_int {
    let Some(real) = real::CONNECT.find() else { return missing() };
    // SAFETY: the caller's promise.
    let result = unsafe { real(fd, address, len) };
    if Capture::get().is_some()
        && (result == 0 || !matches!(lapwing_writer_shim::calm::errno(), libc::EBADF | libc::EFAULT))
    {
        // SAFETY: the kernel has read it.
        sockets::connected(fd, unsafe { sockets::named(address, len) });
    }
    result
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn openlog(tag: *const c_char, options: c_int, facility: c_int) {
    calls::opened(tag, options, facility);
    if let Some(real) = real::OPENLOG.find() {
        // SAFETY: the caller's promise.
        unsafe { real(tag, options, facility) };
    }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn closelog() {
    calls::closed();
    if let Some(real) = real::CLOSELOG.find() {
        // SAFETY: no preconditions.
        unsafe { real() };
    }
}

#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C-unwind" fn setlogmask(mask: c_int) -> c_int {
    calls::masked(mask);
    let Some(real) = real::SETLOGMASK.find() else { return 0xff };
    // SAFETY: no preconditions.
    unsafe { real(mask) }
}

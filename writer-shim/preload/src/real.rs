//! The functions that our hooks stand in front of: the next ones of their names.
//!
//! All are looked up once, by the constructor, since looking up may take locks that a signal handler or a fork's child
//! must not wait for. Before that the hooks have to work as well: constructors of other libraries come first.
#![allow(unsafe_code)]

use crate::va_list::VaList;
use libc::{
    c_char, c_int, c_uint, c_ulong, c_void, iovec, mmsghdr, msghdr, off64_t, pid_t, size_t, sockaddr, socklen_t,
    ssize_t,
};
use libc::{id_t, idtype_t, rusage, siginfo_t};
use libc::{posix_spawn_file_actions_t as Actions, posix_spawnattr_t as Attributes};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

/// One function of type `F`, a function pointer.
pub(crate) struct Real<F> {
    name: &'static CStr,
    address: AtomicPtr<c_void>,
    kind: PhantomData<F>,
}

impl<F: Copy> Real<F> {
    /// # Safety
    /// `F` is the type of the C function `name`, and a function pointer.
    const unsafe fn new(name: &'static CStr) -> Self {
        assert!(size_of::<F>() == size_of::<*mut c_void>());
        Self { name, address: AtomicPtr::new(ptr::null_mut()), kind: PhantomData }
    }

    /// The function if it has been looked up.
    #[inline(always)]
    pub(crate) fn known(&self) -> Option<F> {
        let address = self.address.load(Relaxed);
        // SAFETY: `new` promised that a function pointer F is what this name has, and F is as large as an address.
        (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
    }

    /// The function, looked up if need be. `None`: there is no other of this name.
    pub(crate) fn find(&self) -> Option<F> {
        if self.address.load(Relaxed).is_null() {
            // SAFETY: a NUL-terminated name; RTLD_NEXT means the libraries behind this one.
            self.address.store(unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) }, Relaxed);
        }
        self.known()
    }
}

macro_rules! reals {
    ($($static_name:ident = $name:literal: fn($($arg:ty),*) -> $result:ty;)*) => {
        $(
            pub(crate) static $static_name: Real<unsafe extern "C-unwind" fn($($arg),*) -> $result> =
                // SAFETY: the type is the one that the manual gives for this name.
                unsafe { Real::new($name) };
        )*

        /// Looks all of them up.
        pub(crate) fn find_all() {
            $($static_name.find();)*
        }
    };
}

type Strings = *const *const c_char;

reals! {
    WRITE = c"write": fn(c_int, *const c_void, size_t) -> ssize_t;
    WRITEV = c"writev": fn(c_int, *const iovec, c_int) -> ssize_t;
    PWRITE = c"pwrite": fn(c_int, *const c_void, size_t, off64_t) -> ssize_t;
    PWRITE64 = c"pwrite64": fn(c_int, *const c_void, size_t, off64_t) -> ssize_t;
    PWRITEV = c"pwritev": fn(c_int, *const iovec, c_int, off64_t) -> ssize_t;
    PWRITEV64 = c"pwritev64": fn(c_int, *const iovec, c_int, off64_t) -> ssize_t;
    PWRITEV2 = c"pwritev2": fn(c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    PWRITEV64V2 = c"pwritev64v2": fn(c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    SENDFILE = c"sendfile": fn(c_int, c_int, *mut off64_t, size_t) -> ssize_t;
    SENDFILE64 = c"sendfile64": fn(c_int, c_int, *mut off64_t, size_t) -> ssize_t;
    COPY_FILE_RANGE = c"copy_file_range": fn(c_int, *mut off64_t, c_int, *mut off64_t, size_t, c_uint) -> ssize_t;
    SPLICE = c"splice": fn(c_int, *mut off64_t, c_int, *mut off64_t, size_t, c_uint) -> ssize_t;
    VMSPLICE = c"vmsplice": fn(c_int, *const iovec, size_t, c_uint) -> ssize_t;
    TEE = c"tee": fn(c_int, c_int, size_t, c_uint) -> ssize_t;
    DUP = c"dup": fn(c_int) -> c_int;
    DUP2 = c"dup2": fn(c_int, c_int) -> c_int;
    DUP3 = c"dup3": fn(c_int, c_int, c_int) -> c_int;
    FCNTL = c"fcntl": fn(c_int, c_int, *mut c_void) -> c_int;
    FCNTL64 = c"fcntl64": fn(c_int, c_int, *mut c_void) -> c_int;
    CLOSE = c"close": fn(c_int) -> c_int;
    CLOSEFROM = c"closefrom": fn(c_int) -> ();
    CLOSE_RANGE = c"close_range": fn(c_uint, c_uint, c_int) -> c_int;
    FCLOSE = c"fclose": fn(*mut libc::FILE) -> c_int;
    FREOPEN = c"freopen": fn(*const c_char, *const c_char, *mut libc::FILE) -> *mut libc::FILE;
    FREOPEN64 = c"freopen64": fn(*const c_char, *const c_char, *mut libc::FILE) -> *mut libc::FILE;
    EXIT = c"_exit": fn(c_int) -> !;
    PRCTL = c"prctl": fn(c_int, c_ulong, c_ulong, c_ulong, c_ulong) -> c_int;
    EXECVE = c"execve": fn(*const c_char, Strings, Strings) -> c_int;
    EXECVP = c"execvp": fn(*const c_char, Strings) -> c_int;
    EXECVPE = c"execvpe": fn(*const c_char, Strings, Strings) -> c_int;
    FEXECVE = c"fexecve": fn(c_int, Strings, Strings) -> c_int;
    EXECVEAT = c"execveat": fn(c_int, *const c_char, Strings, Strings, c_int) -> c_int;
    POSIX_SPAWN = c"posix_spawn": fn(*mut pid_t, *const c_char, *const Actions, *const Attributes, Strings, Strings) -> c_int;
    POSIX_SPAWNP = c"posix_spawnp": fn(*mut pid_t, *const c_char, *const Actions, *const Attributes, Strings, Strings) -> c_int;
    WAIT = c"wait": fn(*mut c_int) -> pid_t;
    WAITPID = c"waitpid": fn(pid_t, *mut c_int, c_int) -> pid_t;
    WAIT3 = c"wait3": fn(*mut c_int, c_int, *mut rusage) -> pid_t;
    WAIT4 = c"wait4": fn(pid_t, *mut c_int, c_int, *mut rusage) -> pid_t;
    WAITID = c"waitid": fn(idtype_t, id_t, *mut siginfo_t, c_int) -> c_int;
    DAEMON = c"daemon": fn(c_int, c_int) -> c_int;
    STACK_CHK_FAIL = c"__stack_chk_fail": fn() -> !;
    BACKTRACE_SYMBOLS_FD = c"backtrace_symbols_fd": fn(*const *mut c_void, c_int, c_int) -> ();
    SEND = c"send": fn(c_int, *const c_void, size_t, c_int) -> ssize_t;
    SENDTO = c"sendto": fn(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t;
    SENDMSG = c"sendmsg": fn(c_int, *const msghdr, c_int) -> ssize_t;
    SENDMMSG = c"sendmmsg": fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int;
    CONNECT = c"connect": fn(c_int, *const sockaddr, socklen_t) -> c_int;
    OPENLOG = c"openlog": fn(*const c_char, c_int, c_int) -> ();
    CLOSELOG = c"closelog": fn() -> ();
    SETLOGMASK = c"setlogmask": fn(c_int) -> c_int;
    VSYSLOG = c"vsyslog": fn(c_int, *const c_char, *mut VaList) -> ();
    VSYSLOG_CHK = c"__vsyslog_chk": fn(c_int, c_int, *const c_char, *mut VaList) -> ();
    VDPRINTF = c"vdprintf": fn(c_int, *const c_char, *mut VaList) -> c_int;
    VDPRINTF_CHK = c"__vdprintf_chk": fn(c_int, c_int, *const c_char, *mut VaList) -> c_int;
    VSNPRINTF_CHK = c"__vsnprintf_chk": fn(*mut c_char, size_t, c_int, size_t, *const c_char, *mut VaList) -> c_int;
}

/// # Safety
/// As write(2).
#[inline]
pub(crate) unsafe fn write(fd: c_int, data: *const c_void, len: size_t) -> ssize_t {
    match WRITE.known() {
        // SAFETY: the caller's promise.
        Some(real) => unsafe { real(fd, data, len) },
        // SAFETY: the caller's promise.
        None => unsafe { libc::syscall(libc::SYS_write, fd, data, len) as ssize_t },
    }
}

/// # Safety
/// As writev(2).
#[inline]
pub(crate) unsafe fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> ssize_t {
    match WRITEV.known() {
        // SAFETY: the caller's promise.
        Some(real) => unsafe { real(fd, pieces, count) },
        // SAFETY: the caller's promise.
        None => unsafe { libc::syscall(libc::SYS_writev, fd, pieces, count) as ssize_t },
    }
}

pub(crate) fn close(fd: c_int) -> c_int {
    match CLOSE.known() {
        // SAFETY: whoever called the hook answers for the descriptor.
        Some(real) => unsafe { real(fd) },
        // SAFETY: as above.
        None => unsafe { libc::syscall(libc::SYS_close, fd) as c_int },
    }
}

pub(crate) fn exit(status: c_int) -> ! {
    if let Some(real) = EXIT.known() {
        // SAFETY: no preconditions.
        unsafe { real(status) }
    }
    loop {
        // SAFETY: does not come back.
        unsafe { libc::syscall(libc::SYS_exit_group, status) };
    }
}

//! Which descriptors are connected to a system log: those that the program had when it began are asked about, what it
//! connects tells whom to, and both are remembered until the descriptor changes. The kernel is asked about others (that
//! were duplicated, or passed) only in a program that has known such a socket before: getpeername(2) is not in every
//! sandbox's list.
//!
//! Not part of the state that a forked child has anew: it has its parent's sockets.
#![allow(unsafe_code)]

use crate::confine;
use crate::state::State;
use lapwing_writer_shim::calm::apart;
use libc::{AF_UNIX, c_int, c_uint, pollfd, sa_family_t, sockaddr, sockaddr_un, socklen_t};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};

/// What speaks which language.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    Syslog,
    Journal,
}

const SERVICES: [(&[u8], Service); 5] = [
    (b"/dev/log", Service::Syslog),
    (b"/run/systemd/journal/dev-log", Service::Syslog),
    (b"/var/run/systemd/journal/dev-log", Service::Syslog),
    (b"/run/systemd/journal/socket", Service::Journal),
    (b"/var/run/systemd/journal/socket", Service::Journal),
];

/// Descriptors from this one on are asked about each time.
const REMEMBERED: usize = 4096;

/// What each is connected to: generation (30 bits), what (2). The generation changes whenever the descriptor may have, so
/// that an answer which took too long is not kept.
static SOCKETS: [AtomicU32; REMEMBERED] = [const { AtomicU32::new(0) }; REMEMBERED];

/// Was there ever one?
static ANY: AtomicBool = AtomicBool::new(false);

/// Descriptors below this one are asked about when the program begins.
const FIRST: usize = 64;

const UNKNOWN: u32 = 0;
const OTHER: u32 = 1;
const SYSLOG: u32 = 2;
const JOURNAL: u32 = 3;
const WHAT: u32 = 3;
const GENERATION: u32 = 4;

const fn code(service: Option<Service>) -> u32 {
    match service {
        None => OTHER,
        Some(Service::Syslog) => SYSLOG,
        Some(Service::Journal) => JOURNAL,
    }
}

fn remembered(fd: c_int) -> Option<&'static AtomicU32> {
    SOCKETS.get(usize::try_from(fd).ok()?)
}

fn replace(word: &AtomicU32, what: u32) {
    let next = |word: u32| Some((word & !WHAT).wrapping_add(GENERATION) | what);
    let _ = word.fetch_update(Release, Relaxed, next);
}

/// Asks about the descriptors that the program begins with.
pub(crate) fn begin() {
    // Most are closed, which one call tells of all.
    let mut open = [const { pollfd { fd: 0, events: 0, revents: 0 } }; FIRST];
    for (fd, place) in open.iter_mut().enumerate() {
        place.fd = fd as c_int;
    }
    // SAFETY: so many that can be asked about; does not wait. Where it fails, all are asked about.
    unsafe { libc::poll(open.as_mut_ptr(), FIRST as libc::nfds_t, 0) };
    for place in open.iter().filter(|place| place.revents & libc::POLLNVAL == 0) {
        if let Some(service) = peer(place.fd) {
            connected(place.fd, Some(service));
        }
    }
}

/// Forgets what `fd` is connected to.
#[inline]
pub(crate) fn forget(fd: c_int) {
    if let Some(word) = remembered(fd)
        && (word.load(Relaxed) & WHAT <= OTHER || is_ours())
    {
        replace(word, UNKNOWN);
    }
}

/// False in a vfork child: what it closes its parent still has open.
#[cold]
fn is_ours() -> bool {
    !State::get().is_some_and(State::is_borrowed)
}

/// Forgets what the descriptors from `first` to `last` are connected to.
pub(crate) fn forget_range(first: c_uint, last: c_uint) {
    if !is_ours() {
        return;
    }
    let known = SOCKETS.iter().take((last as usize).saturating_add(1)).skip(first as usize);
    for word in known.filter(|word| word.load(Relaxed) & WHAT != UNKNOWN) {
        replace(word, UNKNOWN);
    }
}

/// Remembers that the program wants `fd` connected to `service`. It may come to nothing; what it sends then says whom it is
/// for nevertheless. And what a socket is bound to, seen from the other side of a mount or of a chroot, has another name.
pub(crate) fn connected(fd: c_int, service: Option<Service>) {
    if service.is_some() {
        ANY.store(true, Relaxed);
    } else if !ANY.load(Relaxed) {
        return;
    }
    if let Some(word) = remembered(fd) {
        replace(word, code(service));
    }
}

/// Was there ever a socket that is connected to a system log?
#[inline(always)]
pub(crate) fn any() -> bool {
    ANY.load(Relaxed)
}

/// What `fd` is known to be connected to. Nobody is asked.
#[inline(always)]
pub(crate) fn known(fd: c_int) -> Option<Service> {
    if !ANY.load(Relaxed) {
        return None;
    }
    match remembered(fd)?.load(Relaxed) & WHAT {
        SYSLOG => Some(Service::Syslog),
        JOURNAL => Some(Service::Journal),
        _ => None,
    }
}

/// What `fd` is connected to.
#[inline(always)]
pub(crate) fn service(fd: c_int) -> Option<Service> {
    if !ANY.load(Relaxed) {
        return None;
    }
    match remembered(fd) {
        Some(word) => {
            let known = word.load(Acquire);
            match known & WHAT {
                OTHER => None,
                SYSLOG => Some(Service::Syslog),
                JOURNAL => Some(Service::Journal),
                _ => ask(fd, Some((word, known))),
            }
        }
        None if fd < 0 => None,
        None => ask(fd, None),
    }
}

#[cold]
#[inline(never)]
fn ask(fd: c_int, place: Option<(&AtomicU32, u32)>) -> Option<Service> {
    apart(|| {
        let service = peer(fd);
        if let Some((word, known)) = place {
            // Losing means that the descriptor changed meanwhile, or that another thread found the same.
            let _ = word.compare_exchange(known, known | code(service), Release, Relaxed);
        }
        service
    })?
}

/// What the kernel says. A system call.
fn peer(fd: c_int) -> Option<Service> {
    if confine::is_on() {
        return None;
    }
    // SAFETY: zeros are a valid address.
    let mut address: sockaddr_un = unsafe { std::mem::zeroed() };
    let room = size_of::<sockaddr_un>() as socklen_t;
    let mut len = room;
    // SAFETY: room for the answer, of the length that is said.
    if unsafe { libc::getpeername(fd, (&raw mut address).cast(), &mut len) } != 0 {
        return None;
    }
    // SAFETY: an address that the kernel wrote; a longer one was cut to the room there is.
    unsafe { named((&raw const address).cast(), len.min(room)) }
}

/// What listens at an address.
///
/// # Safety
/// `len` bytes that can be read.
#[inline]
pub(crate) unsafe fn named(address: *const sockaddr, len: socklen_t) -> Option<Service> {
    let family = size_of::<sa_family_t>();
    if address.is_null() || (len as usize) <= family {
        return None;
    }
    // SAFETY: the caller's promise, and there are so many.
    if unsafe { address.cast::<sa_family_t>().read_unaligned() } != AF_UNIX as sa_family_t {
        return None;
    }
    // SAFETY: the caller's promise.
    let address = unsafe { std::slice::from_raw_parts(address.cast::<u8>(), len as usize) };
    let path = address[family..].split(|&byte| byte == 0).next()?;
    SERVICES.iter().find(|(known, _)| *known == path).map(|&(_, service)| service)
}

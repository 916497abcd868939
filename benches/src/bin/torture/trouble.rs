//! What befalls a process at bad moments: an alarm at any instruction, or a payload that faults while it is copied. It then
//! naps, stops, or dies where it stands.
#![allow(unsafe_code)]

use crate::dice::Dice;
use crate::journal::{Control, WriterJournal};
use crate::os;
use lapwing_ring::{AppendError, Level, Log};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

static CONTROL: OnceLock<Control> = OnceLock::new();
/// Our cell in it.
static CELL: AtomicUsize = AtomicUsize::new(0);
/// May this process stop and kill itself?
static DEADLY: AtomicBool = AtomicBool::new(false);
/// The handle that alarms append to, if they do.
static LOG: OnceLock<Log> = OnceLock::new();
static JOURNAL: AtomicPtr<WriterJournal> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    /// Constants without destructors: a handler may read them.
    static EXPOSED: Cell<bool> = const { Cell::new(false) };
    static DICE: Cell<Dice> = const { Cell::new(Dice::new(0)) };
    static ALARM: Cell<os::Alarm> = const { Cell::new(os::Alarm::NONE) };
    /// Nanoseconds between two alarms, on average; counted from the end of what the first one did.
    static INTERVAL: Cell<u64> = const { Cell::new(0) };
    /// Where this thread's fault page is; 0: it has none.
    static FAULT_PAGE: Cell<usize> = const { Cell::new(0) };
}

fn roll<R>(decide: impl FnOnce(&mut Dice) -> R) -> R {
    let mut dice = DICE.get();
    let result = decide(&mut dice);
    DICE.set(dice);
    result
}

/// Naps, mostly; stops; or dies. `harsh` is how often the worse of it happens, per mille.
fn strike(harsh: u64) {
    let (Some(control), cell) = (CONTROL.get(), CELL.load(Ordering::Relaxed)) else { return };
    let worse = DEADLY.load(Ordering::Relaxed) && roll(|dice| dice.below(1000)) < harsh;
    match roll(|dice| dice.below(4)) {
        0 if worse => {
            control.kills_itself(cell);
            os::signal(os::pid(), libc::SIGKILL);
        }
        _ if worse => {
            control.stops_itself(cell);
            os::signal(os::pid(), libc::SIGSTOP);
        }
        _ => {
            control.napped(cell);
            os::nap(roll(|dice| dice.magnitude(1_000, 2_000_000)));
        }
    }
}

extern "C" fn on_alarm(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the address of this thread's errno, which is always there.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: nobody else writes this thread's errno.
    let kept = unsafe { *errno };
    if EXPOSED.get() {
        if let Some(log) = LOG.get() {
            append_from_handler(log);
        }
        strike(8);
    }
    // Only now: an alarm that comes while the last one naps would strike at the same instruction again.
    ALARM.get().set(roll(|dice| INTERVAL.get() / 2 + dice.below(INTERVAL.get())));
    // SAFETY: as above.
    unsafe { *errno = kept };
}

/// One short record into the handler's own journal.
fn append_from_handler(log: &Log) {
    let journal = JOURNAL.load(Ordering::Acquire);
    // SAFETY: set once to a journal that is never freed; the alarm is blocked while its handler runs, and only one thread
    // gets it, so nobody else uses the journal.
    let Some(journal) = (unsafe { journal.as_mut() }) else { return };
    if journal.is_full() {
        return;
    }
    let (plan, counter) = (crate::payload::Plan::plain(Level::WARN, 40), roll(Dice::next));
    let mut payload = [0; 40];
    crate::payload::fill(&mut payload, 0xaaaa, counter);
    journal.begin(payload.len(), plan.hash(&payload));
    journal.end(log.append(plan.level, &payload).map_err(|error| cause(&error)));
}

extern "C" fn on_fault(_: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a valid structure to a handler of this kind.
    let info = unsafe { &*info };
    // SAFETY: SIGSEGV has an address.
    let address = unsafe { info.si_addr() } as usize;
    let page = FAULT_PAGE.get();
    if page == 0 || !(page..page + os::FaultPage::LEN).contains(&address) {
        // Nobody's plan: die of it, with a status of its own.
        os::leave(86);
    }
    strike(150);
    os::mend(page);
}

/// The place of an error in [`crate::journal::REFUSALS`].
pub(crate) fn cause(error: &AppendError) -> u64 {
    match error {
        AppendError::TooLarge { .. } => 0,
        AppendError::TooManyWriters(_) => 1,
        AppendError::AllPagesPinned { .. } => 2,
        AppendError::PoolBusy { .. } => 3,
        _ => 4,
    }
}

/// Prepares this process. `deadly`: it may also stop and kill itself.
pub(crate) fn install(control: Control, cell: usize, deadly: bool) -> &'static Control {
    CELL.store(cell, Ordering::Relaxed);
    DEADLY.store(deadly, Ordering::Relaxed);
    let control = CONTROL.get_or_init(|| control);
    // SAFETY: the handlers nap, kill, change a page's protection, store to mapped words and append to a Log, which is made
    // for it.
    unsafe { os::handle(libc::SIGALRM, on_alarm) };
    // SAFETY: as above.
    unsafe { os::handle(libc::SIGSEGV, on_fault) };
    control
}

/// A forked child is somebody else.
pub(crate) fn become_cell(cell: usize) {
    CELL.store(cell, Ordering::Relaxed);
}

/// From now on alarms append to `log` too. Once in a process, of one thread with alarms.
pub(crate) fn append_in_alarms(log: Log, journal: WriterJournal) -> &'static Log {
    JOURNAL.store(Box::into_raw(Box::new(journal)), Ordering::Release);
    LOG.get_or_init(|| log)
}

/// Alarms for this thread, and a page that faults.
pub(crate) fn expect_alarms(seed: u64, interval: u64) -> os::FaultPage {
    DICE.set(Dice::new(seed));
    let page = os::FaultPage::new();
    FAULT_PAGE.set(page.address());
    INTERVAL.set(interval);
    ALARM.set(os::Alarm::new());
    ALARM.get().set(interval);
    page
}

/// Runs `work`, in which alarms strike.
pub(crate) fn exposed<R>(work: impl FnOnce() -> R) -> R {
    EXPOSED.set(true);
    let result = work();
    EXPOSED.set(false);
    result
}

//! A forked child under ptrace: runs to a mark, one instruction at a time, and ends or goes on as we say.
#![allow(unsafe_code)]

use std::io;
use std::panic::AssertUnwindSafe;

/// A child that stops where it is told to. Killed and waited for when this goes out of scope.
pub struct Tracee {
    pid: libc::pid_t,
    running: bool,
}

/// Why a tracee stands still, or is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// One instruction further.
    Stepped,
    /// At a mark of its own.
    Marked,
    /// Before the delivery of this signal.
    Signal(i32),
    Exited(i32),
    KilledBy(i32),
}

/// The registers that say what a tracee does next.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    pub rip: u64,
    /// The number of the system call, before it.
    pub rax: u64,
    /// The number of the system call, after it.
    pub called: u64,
    /// The signal of kill.
    pub rsi: u64,
    /// The file descriptor of mmap.
    pub r8: u64,
}

impl Registers {
    /// Is the system call `number`, with these arguments, the one that makes a mark?
    pub fn is_mark(&self, number: u64) -> bool {
        number == libc::SYS_kill as u64 && self.rsi == libc::SIGSTOP as u64
    }
}

/// What a child calls to stop and be seen.
pub struct Mark(libc::pid_t);

impl Mark {
    /// Stops this process; the tracer sees [`Stop::Marked`].
    #[inline(never)]
    pub fn here(&self) {
        // SAFETY: a signal to ourselves.
        unsafe { libc::kill(self.0, libc::SIGSTOP) };
    }
}

impl Tracee {
    /// Forks a child that does `work` and exits; gives it back as it stands at its first mark. The caller has one thread.
    pub fn start(work: impl FnOnce(&Mark)) -> io::Result<Self> {
        // SAFETY: there is no other thread that could hold a lock in the child.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        if pid == 0 {
            let done = std::panic::catch_unwind(AssertUnwindSafe(|| {
                request(libc::PTRACE_TRACEME, 0, 0).expect("PTRACE_TRACEME");
                // SAFETY: getpid has no preconditions.
                work(&Mark(unsafe { libc::getpid() }));
            }));
            // SAFETY: ends the process here, without running what belongs to the parent.
            unsafe { libc::_exit(if done.is_ok() { 0 } else { 101 }) };
        }
        let mut child = Self { pid, running: true };
        match child.wait() {
            Stop::Marked => {}
            other => return Err(io::Error::other(format!("the child never came to its mark: {other:?}"))),
        }
        request(libc::PTRACE_SETOPTIONS, pid, libc::PTRACE_O_EXITKILL as usize)?;
        Ok(child)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid as u32
    }

    fn wait(&mut self) -> Stop {
        let mut status = 0;
        loop {
            // SAFETY: our own child, room for its status.
            let found = unsafe { libc::waitpid(self.pid, &mut status, libc::__WALL) };
            if found == self.pid {
                break;
            }
            assert_eq!(io::Error::last_os_error().kind(), io::ErrorKind::Interrupted, "waitpid");
        }
        if libc::WIFEXITED(status) {
            self.running = false;
            return Stop::Exited(libc::WEXITSTATUS(status));
        }
        if libc::WIFSIGNALED(status) {
            self.running = false;
            return Stop::KilledBy(libc::WTERMSIG(status));
        }
        match libc::WSTOPSIG(status) {
            libc::SIGTRAP => Stop::Stepped,
            libc::SIGSTOP => Stop::Marked,
            other => Stop::Signal(other),
        }
    }

    /// Runs one instruction.
    pub fn step(&mut self) -> io::Result<Stop> {
        request(libc::PTRACE_SINGLESTEP, self.pid, 0)?;
        Ok(self.wait())
    }

    /// Runs to the next mark, or to the end.
    pub fn go_on(&mut self) -> io::Result<Stop> {
        request(libc::PTRACE_CONT, self.pid, 0)?;
        Ok(self.wait())
    }

    /// Runs until it is about to do what stands at `rip`, or to a mark.
    pub fn run_to(&mut self, rip: u64) -> io::Result<Stop> {
        const BREAKPOINT: u64 = 0xcc;
        let word = self.peek(rip);
        request_at(libc::PTRACE_POKETEXT, self.pid, rip, (word & !0xff | BREAKPOINT) as usize)?;
        let stop = self.go_on()?;
        if self.running {
            request_at(libc::PTRACE_POKETEXT, self.pid, rip, word as usize)?;
        }
        if stop == Stop::Stepped {
            let mut all = self.all_registers()?;
            if all.rip != rip + 1 {
                return Err(io::Error::other(format!("a breakpoint of its own at {:#x}", all.rip)));
            }
            all.rip = rip;
            request(libc::PTRACE_SETREGS, self.pid, &raw mut all as usize)?;
        }
        Ok(stop)
    }

    /// Runs to the near or the far side of the next system call.
    pub fn run_to_call(&mut self) -> io::Result<Stop> {
        request(libc::PTRACE_SYSCALL, self.pid, 0)?;
        Ok(self.wait())
    }

    /// Kills it where it is, and waits until it is gone.
    pub fn kill(&mut self) -> Stop {
        // SAFETY: our own child, which was not waited for.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        self.wait()
    }

    /// What it is about to do.
    pub fn registers(&self) -> io::Result<Registers> {
        let all = self.all_registers()?;
        Ok(Registers { rip: all.rip, rax: all.rax, called: all.orig_rax, rsi: all.rsi, r8: all.r8 })
    }

    fn all_registers(&self) -> io::Result<libc::user_regs_struct> {
        let mut all = std::mem::MaybeUninit::<libc::user_regs_struct>::uninit();
        request(libc::PTRACE_GETREGS, self.pid, all.as_mut_ptr() as usize)?;
        // SAFETY: the request succeeded, so the registers are there.
        Ok(unsafe { all.assume_init() })
    }

    /// Is the instruction at `rip` a system call?
    pub fn calls_at(&self, rip: u64) -> bool {
        const SYSCALL: u64 = 0x050f;
        self.peek(rip) & 0xffff == SYSCALL
    }

    /// The word at `address`, which is one of code.
    fn peek(&self, address: u64) -> u64 {
        // SAFETY: reads a word of the tracee's memory, none of ours.
        let word = unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, address as *const libc::c_void, 0) };
        word as u64
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        if self.running {
            self.kill();
        }
    }
}

/// A ptrace request that takes no address and gives no answer in its result.
fn request(what: libc::c_uint, pid: libc::pid_t, data: usize) -> io::Result<()> {
    request_at(what, pid, 0, data)
}

/// A ptrace request that gives no answer in its result.
fn request_at(what: libc::c_uint, pid: libc::pid_t, address: u64, data: usize) -> io::Result<()> {
    // SAFETY: `address` is one of the tracee; `data` is 0, a signal, options, a word, or the address of registers of ours
    // that live through the call, as the request asks for.
    let result = unsafe { libc::ptrace(what, pid, address as *mut libc::c_void, data) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

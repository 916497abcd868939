//! A child that runs one instruction at a time.
#![allow(dead_code, unsafe_code, reason = "each test program uses a part of it")]

use atomic::Atomic;

/// A page that a child of a fork shares.
pub fn shared() -> &'static Atomic<usize> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: a fresh anonymous mapping, no address asked for.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0) };
    assert_ne!(page, libc::MAP_FAILED);
    // SAFETY: zeroed, aligned, and never unmapped.
    unsafe { &*page.cast::<Atomic<usize>>() }
}

/// A forked child under ptrace, killed when this goes out of scope.
pub struct Tracee(pub libc::pid_t);

impl Tracee {
    /// It does `first` alone, and `work` when it is told to.
    pub fn start(first: impl FnOnce(), work: impl FnOnce()) -> Self {
        // SAFETY: the child allocates nothing and takes no lock.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        if pid == 0 {
            first();
            // SAFETY: of ourselves.
            unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) };
            // SAFETY: stops us until the tracer goes on.
            unsafe { libc::raise(libc::SIGSTOP) };
            work();
            // SAFETY: ends the child, without running what is its parent's.
            unsafe { libc::_exit(0) };
        }
        let tracee = Self(pid);
        assert!(libc::WIFSTOPPED(tracee.wait()));
        tracee
    }

    fn wait(&self) -> libc::c_int {
        let mut status = 0;
        // SAFETY: our own child, room for its status.
        assert_eq!(unsafe { libc::waitpid(self.0, &mut status, libc::__WALL) }, self.0);
        status
    }

    /// One instruction. False: it has ended, as it should.
    pub fn step(&self) -> bool {
        self.go(libc::PTRACE_SINGLESTEP, 0)
    }

    /// To its end, or to where it stops, beginning with this signal.
    pub fn go_on_with(&self, signal: libc::c_int) -> bool {
        self.go(libc::PTRACE_CONT, signal)
    }

    fn go(&self, how: libc::c_uint, signal: libc::c_int) -> bool {
        // SAFETY: our own tracee, which stands still.
        assert_eq!(unsafe { libc::ptrace(how, self.0, 0, signal) }, 0);
        let status = self.wait();
        let stopped = libc::WIFSTOPPED(status) && libc::WSTOPSIG(status) == libc::SIGTRAP;
        assert!(stopped || status == 0, "{status:#x}");
        stopped
    }
}

impl Drop for Tracee {
    fn drop(&mut self) {
        // SAFETY: nobody else waits for it; if it is over this finds nobody.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
        // SAFETY: no room for a status is asked for.
        unsafe { libc::waitpid(self.0, std::ptr::null_mut(), libc::__WALL) };
    }
}

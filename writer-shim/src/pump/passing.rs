//! The way of one stream from its hand to the real standard output or standard error.

#![forbid(unsafe_code)]

use super::hand::Hand;
use super::sys;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What a pipe takes as a whole if it takes anything: such a write never waits behind poll(2).
const PIECE: usize = 4096;

/// Where a stream goes on to.
pub(super) struct Passing {
    to: RawFd,
    kind: libc::mode_t,
    /// It takes no more. What comes is counted and dropped, for the program must not wait for nobody.
    pub(super) failure: Option<io::Error>,
    /// Bytes that could not be passed on.
    pub(super) dropped: u64,
}

/// What became of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Passed {
    Some,
    /// Not now.
    Wait,
    /// Whoever read it is gone, and the program should hear so.
    NoReader,
}

impl Passing {
    pub(super) fn new(to: RawFd) -> Self {
        Self { to, kind: sys::kind(to), failure: None, dropped: 0 }
    }

    /// Passes on what can go at once of the hand's rest.
    pub(super) fn pass(&mut self, hand: &Hand) -> Passed {
        let rest = hand.rest();
        let piece = match self.kind {
            libc::S_IFREG | libc::S_IFSOCK => rest,
            _ => &rest[..rest.len().min(PIECE)],
        };
        let start = hand.passed.load(Acquire);
        // A pump that is killed in the middle has most likely done it. What is said twice is worse than what is not.
        hand.passed.store(start + piece.len() as u32, Release);
        let result = if self.kind == libc::S_IFSOCK { sys::send(self.to, piece) } else { sys::write(self.to, piece) };
        match result {
            Ok(len) => {
                hand.passed.store(start + len as u32, Release);
                Passed::Some
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                hand.passed.store(start, Release);
                Passed::Wait
            }
            Err(error) => {
                let has_reader = !matches!(error.raw_os_error(), Some(libc::EPIPE | libc::ECONNRESET));
                self.fail(hand, start, error);
                if has_reader { Passed::Some } else { Passed::NoReader }
            }
        }
    }

    /// Gives up what is in the hand, from `start` on.
    fn fail(&mut self, hand: &Hand, start: u32, error: io::Error) {
        let len = hand.bytes().len() as u32;
        self.dropped += u64::from(len - start.min(len));
        hand.passed.store(len, Release);
        self.failure = Some(error);
    }

    /// As [`Passing::pass`] where there is nobody to pass it to.
    pub(super) fn drop_rest(&mut self, hand: &Hand) {
        self.dropped += hand.rest().len() as u64;
        hand.passed.store(hand.bytes().len() as u32, Release);
    }
}

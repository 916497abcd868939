//! Where a tracee is stopped: at every instruction, or around every system call and every store to the ring.

use crate::books::View;
use crate::trace::{Registers, Stop, Tracee};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// A place in the run of a tracee: behind so many system calls, so many stores after the last of them, so many instructions
/// after the last of those. Where nothing is watched it is a count of instructions alone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
struct Way {
    calls: usize,
    points: usize,
    steps: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    way: Way,
    /// The last instruction in front of it that had not run since the last system call: so far it goes at full speed.
    new: Option<(u64, Way)>,
    what: What,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Instruction,
    BeforeCall(u64),
    AfterCall(u64),
    BeforeStore(usize),
    AfterStore(usize),
}

impl Place {
    /// In front of the instruction after `count` others.
    pub fn instruction(count: usize) -> Self {
        Self { way: Way { steps: count, ..Way::default() }, new: None, what: What::Instruction }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Instruction => write!(f, "after {} instructions", self.way.steps),
            What::BeforeCall(number) => write!(f, "before system call {number}"),
            What::AfterCall(number) => write!(f, "after system call {number}"),
            What::BeforeStore(offset) => write!(f, "before the store at {offset}"),
            What::AfterStore(offset) => write!(f, "after the store at {offset}"),
        }
    }
}

/// The words that a tracee's stores are noticed in.
pub enum Watch {
    /// Every instruction is a place of its own.
    Nothing,
    Ring(View),
    /// A ring that has no name yet: the first file that the tracee maps.
    FirstMapping,
}

/// How a walk ended early: at the mark behind the operation, or wrong.
enum End {
    Marked,
    Wrong(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Wrong(format!("ptrace: {error}"))
    }
}

/// Takes a tracee through its operation.
pub struct Walk<'a> {
    tracee: &'a mut Tracee,
    watch: Watch,
    seen: Vec<u8>,
    now: Vec<u8>,
    /// The system call that comes next, and the file it names.
    call: Option<(u64, u64)>,
    way: Way,
}

impl<'a> Walk<'a> {
    /// From where `tracee` stands now.
    pub fn new(tracee: &'a mut Tracee, watch: Watch) -> Self {
        let mut walk = Self { tracee, watch, seen: Vec::new(), now: Vec::new(), call: None, way: Way::default() };
        walk.look();
        walk
    }

    /// Remembers what the ring says now.
    fn look(&mut self) {
        if let Watch::Ring(view) = &self.watch {
            view.watched(&mut self.seen);
        }
    }

    /// One instruction. Gives the point that it led to.
    fn step(&mut self) -> Result<Option<What>, End> {
        match self.tracee.step()? {
            Stop::Stepped => {}
            Stop::Marked => return Err(End::Marked),
            other => return Err(End::Wrong(format!("the operation ended with {other:?}"))),
        }
        let what = if let Watch::Nothing = self.watch { None } else { self.point()? };
        self.way = match what {
            Some(What::AfterCall(_)) => Way { calls: self.way.calls + 1, points: 0, steps: 0 },
            Some(_) => Way { points: self.way.points + 1, steps: 0, ..self.way },
            None => Way { steps: self.way.steps + 1, ..self.way },
        };
        Ok(what)
    }

    fn point(&mut self) -> io::Result<Option<What>> {
        let called = self.call.take();
        if let Some((number, file)) = called {
            self.mapped(number, file)?;
        }
        let changed = self.changed();
        let registers = self.tracee.registers()?;
        if self.tracee.calls_at(registers.rip) && !registers.is_mark(registers.rax) {
            self.call = Some((registers.rax, registers.r8));
        }
        Ok(match (called, changed, self.call) {
            (Some((number, _)), ..) => Some(What::AfterCall(number)),
            (None, Some(offset), _) => Some(What::AfterStore(offset)),
            (None, None, Some((number, _))) => Some(What::BeforeCall(number)),
            (None, None, None) => None,
        })
    }

    /// The system call `number` has returned: was it the mapping of a ring without a name?
    fn mapped(&mut self, number: u64, file: u64) -> io::Result<()> {
        if matches!(self.watch, Watch::FirstMapping) && number == libc::SYS_mmap as u64 && file <= i32::MAX as u64 {
            let path = PathBuf::from(format!("/proc/{}/fd/{file}", self.tracee.pid()));
            self.watch = Watch::Ring(View::open(&path)?);
            self.look();
        }
        Ok(())
    }

    /// Where the last instruction changed the ring.
    fn changed(&mut self) -> Option<usize> {
        let Watch::Ring(view) = &self.watch else { return None };
        view.watched(&mut self.now);
        if self.now == self.seen {
            return None;
        }
        let offset = self.now.iter().zip(&self.seen).position(|(now, seen)| now != seen);
        std::mem::swap(&mut self.now, &mut self.seen);
        Some(offset.unwrap_or_default() & !7)
    }

    /// Goes through to the end and gives every place on the way; calls `each` after every instruction, with their number.
    /// Between system calls it looks closely only where `wanted` of the calls so far says so.
    ///
    /// # Errors
    /// ptrace failed, or the operation did not end at its mark.
    pub fn survey(mut self, wanted: impl Fn(usize) -> bool, mut each: impl FnMut(usize)) -> Result<Vec<Place>, String> {
        let every = matches!(self.watch, Watch::Nothing);
        let mut places = vec![Place::instruction(0)];
        let (mut seen, mut new) = (HashSet::new(), None);
        for steps in 1.. {
            let before = self.way;
            let skip = !every && before == (Way { calls: before.calls, ..Way::default() }) && !wanted(before.calls);
            let walked = if skip { self.skip().map(Some) } else { self.step() };
            let what = match walked {
                Ok(what) => what,
                Err(End::Marked) => break,
                Err(End::Wrong(error)) => return Err(error),
            };
            each(steps);
            if let Some(What::AfterStore(offset)) = what
                && before.steps > 0
            {
                places.push(Place { way: before, new, what: What::BeforeStore(offset) });
            }
            if self.way.calls > before.calls {
                (seen, new) = (HashSet::new(), None);
            } else {
                let rip = self.tracee.registers().map_err(|error| format!("ptrace: {error}"))?.rip;
                new = if seen.insert(rip) { Some((rip, self.way)) } else { new };
            }
            let what = what.or(every.then_some(What::Instruction));
            places.extend(what.map(|what| Place { way: self.way, new, what }));
        }
        Ok(places)
    }

    /// Goes to `place`; gives where the tracee stands then, or nothing where the operation has ended before.
    ///
    /// # Errors
    /// ptrace failed, or the operation ended otherwise than at its mark.
    pub fn go_to(mut self, place: &Place) -> Result<Option<u64>, String> {
        match self.walk(place) {
            Ok(rip) => Ok(Some(rip)),
            Err(End::Marked) => Ok(None),
            Err(End::Wrong(error)) => Err(error),
        }
    }

    fn walk(&mut self, place: &Place) -> Result<u64, End> {
        while self.way.calls < place.way.calls {
            self.skip()?;
        }
        if let Some((rip, way)) = place.new {
            match self.tracee.run_to(rip)? {
                Stop::Stepped => self.way = way,
                Stop::Marked => return Err(End::Marked),
                other => return Err(End::Wrong(format!("the operation ended with {other:?}"))),
            }
        }
        self.look();
        while self.way < place.way {
            self.step()?;
        }
        Ok(self.tracee.registers()?.rip)
    }

    /// Behind the next system call at full speed.
    fn skip(&mut self) -> Result<What, End> {
        let near = self.side_of_call()?;
        if near.is_mark(near.called) {
            // The mark shows when the call is over.
            while self.tracee.run_to_call()? == Stop::Stepped {}
            return Err(End::Marked);
        }
        let far = self.side_of_call()?;
        self.way = Way { calls: self.way.calls + 1, points: 0, steps: 0 };
        self.call = None;
        self.mapped(far.called, far.r8)?;
        self.look();
        Ok(What::AfterCall(far.called))
    }

    fn side_of_call(&mut self) -> Result<Registers, End> {
        match self.tracee.run_to_call()? {
            Stop::Stepped => Ok(self.tracee.registers()?),
            other => Err(End::Wrong(format!("the operation ended with {other:?}"))),
        }
    }
}

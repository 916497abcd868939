//! The writing roles: every kind of process that appends, each append written down before and after.

use crate::dice::Dice;
use crate::journal::{Control, RUN, WriterJournal};
use crate::os::{self, FaultPage};
use crate::payload::{Plan, fill};
use crate::scenario::{CHILDREN, Kind, Scenario};
use crate::trouble::{self, cause};
use lapwing_ring::{AppendError, Body, Draft, Error, Log, Writer, identify_path};
use std::path::{Path, PathBuf};

/// A process that writes, until the control file says that writers end, or earlier.
struct Role<'a> {
    folder: &'a Path,
    control: &'static Control,
    cell: usize,
    scenario: &'a Scenario,
}

/// Plays `kind`.
pub(crate) fn main(folder: &Path, control: &'static Control, cell: usize, kind: Kind, scenario: &Scenario, seed: u64) {
    let role = Role { folder, control, cell, scenario };
    let mut dice = Dice::new(seed);
    let life = dice.magnitude(20, 4000);
    match kind {
        Kind::Plain => role.plain(dice, life),
        Kind::Threads(n) => role.threads(n, dice, life),
        Kind::Forking => role.forking(dice, life),
        Kind::Attaching => role.attaching(dice),
        Kind::Signalled => role.signalled(dice, life),
    }
    if dice.one_in(2) {
        // Without giving anything back.
        os::leave(0);
    }
}

impl Role<'_> {
    fn path(&self) -> PathBuf {
        self.folder.join("ring")
    }

    /// Opens the ring that is at the path now, and tells which one that is. `None`: the round is over.
    fn attach<H>(&self, open: impl Fn(&Path) -> Result<H, Error>) -> Option<(H, [u64; 2])> {
        let path = self.path();
        while self.control.phase() == RUN {
            // No ring comes back once it is gone, so what has one name before and after had it in between.
            let before = identify_path(&path);
            let handle = trouble::exposed(|| open(&path));
            let after = identify_path(&path);
            match (before, handle, after) {
                (Ok(before), Ok(handle), Ok(after)) if before.ring_id == after.ring_id => {
                    return Some((handle, before.ring_id));
                }
                (_, Err(error), _) if !matches!(error, Error::NotFound { .. }) => panic!("{error}"),
                _ => os::nap(100_000),
            }
        }
        None
    }

    fn context(&self, ring: [u64; 2], max: usize, dice: &mut Dice, trap: Option<FaultPage>) -> Context {
        let journal = WriterJournal::create(self.control, self.folder, self.cell, ring, max);
        let (rate, big_quarters, dice) = (self.scenario.rate, self.scenario.big, Dice::new(dice.next()));
        let who = self.cell as u64 * 16 + os::tid() as u64 % 16;
        Context { journal, dice, trap, max, who, rate, counter: 0, big_quarters, big: false, payload: vec![0; max + 1] }
    }

    fn alarms(&self, dice: &mut Dice) -> FaultPage {
        trouble::expect_alarms(dice.next(), self.scenario.alarms)
    }

    /// Bursts until the round or this life is over.
    fn live(&self, context: &mut Context, handle: &mut Handle<'_>, life: u64) {
        for _ in 0..life {
            if self.control.phase() != RUN || !context.burst(handle, 2048) {
                return;
            }
        }
    }

    fn plain(&self, mut dice: Dice, life: u64) {
        let Some((mut writer, ring)) = self.attach(Writer::open) else { return };
        writer.set_modes(dice.of(&[Body::Words, Body::Wide]), true);
        let trap = self.alarms(&mut dice);
        let mut context = self.context(ring, writer.max_body(), &mut dice, Some(trap));
        self.live(&mut context, &mut Handle::Writer(&mut writer), life);
    }

    fn threads(&self, n: u64, mut dice: Dice, life: u64) {
        let Some((log, ring)) = self.attach(Log::open) else { return };
        std::thread::scope(|scope| {
            for _ in 0..n {
                let (log, mut dice) = (&log, Dice::new(dice.next()));
                scope.spawn(move || {
                    let trap = self.alarms(&mut dice);
                    let mut context = self.context(ring, log.max_body(), &mut dice, Some(trap));
                    self.live(&mut context, &mut Handle::Log(log), life);
                });
            }
        });
    }

    fn signalled(&self, mut dice: Dice, life: u64) {
        let Some((log, ring)) = self.attach(Log::open) else { return };
        let max = log.max_body();
        let journal = WriterJournal::create(self.control, self.folder, self.cell, ring, max);
        let log = trouble::append_in_alarms(log, journal);
        let trap = self.alarms(&mut dice);
        let mut context = self.context(ring, max, &mut dice, Some(trap));
        self.live(&mut context, &mut Handle::Log(log), life);
    }

    fn attaching(&self, mut dice: Dice) {
        let trap = self.alarms(&mut dice);
        let mut context: Option<([u64; 2], Context)> = None;
        for _ in 0..dice.magnitude(100, 20_000) {
            if dice.one_in(2) {
                let Some((mut writer, ring)) = self.attach(Writer::open) else { return };
                let max = writer.max_body();
                let context = self.switch(&mut context, ring, max, &mut dice, trap);
                context.burst(&mut Handle::Writer(&mut writer), 8);
                trouble::exposed(|| drop(writer));
            } else {
                let Some((log, ring)) = self.attach(Log::open) else { return };
                let context = self.switch(&mut context, ring, log.max_body(), &mut dice, trap);
                context.burst(&mut Handle::Log(&log), 8);
                if dice.one_in(2) {
                    trouble::exposed(|| log.release());
                    context.burst(&mut Handle::Log(&log), 2);
                }
            }
        }
    }

    /// A context for `ring`: the one there is, or a new one.
    fn switch<'c>(
        &self,
        context: &'c mut Option<([u64; 2], Context)>,
        ring: [u64; 2],
        max: usize,
        dice: &mut Dice,
        trap: FaultPage,
    ) -> &'c mut Context {
        if context.as_ref().is_none_or(|(of, context)| *of != ring || context.journal.is_full()) {
            *context = None;
        }
        &mut context.get_or_insert_with(|| (ring, self.context(ring, max, dice, Some(trap)))).1
    }

    fn forking(&self, mut dice: Dice, life: u64) {
        // Both handles go through the fork.
        let Some((mut writer, ring)) = self.attach(Writer::open) else { return };
        let Some((log, log_ring)) = self.attach(Log::open) else { return };
        let max = writer.max_body();
        let trap = self.alarms(&mut dice);
        let mut context = self.context(ring, max, &mut dice, Some(trap));
        let mut children = 0;
        for _ in 0..life {
            if self.control.phase() != RUN || !context.burst(&mut Handle::Writer(&mut writer), 512) {
                break;
            }
            while os::reap(false).is_some() {
                children -= 1;
            }
            if children < CHILDREN && dice.one_in(4) {
                let cell = self.control.new_cell(Some(self.cell), Kind::Forking.number());
                let (parent, seed) = (os::pid(), dice.next());
                if os::fork().expect("a process") == 0 {
                    os::die_with(parent);
                    self.control.set_pid(cell, os::pid());
                    trouble::become_cell(cell);
                    let child = Role { cell, ..*self };
                    child.forked(&mut writer, ring, &log, log_ring, Dice::new(seed));
                    os::leave(0);
                }
                children += 1;
            }
        }
        while os::reap(true).is_some() {}
    }

    fn forked(&self, writer: &mut Writer, ring: [u64; 2], log: &Log, log_ring: [u64; 2], mut dice: Dice) {
        let (max, trap) = (writer.max_body(), self.alarms(&mut dice));
        let life = dice.magnitude(1, 40);
        if dice.one_in(2) {
            let mut context = self.context(ring, max, &mut dice, Some(trap));
            self.live(&mut context, &mut Handle::Writer(writer), life);
        } else {
            let mut context = self.context(log_ring, max, &mut dice, Some(trap));
            self.live(&mut context, &mut Handle::Log(log), life);
            log.release();
        }
    }
}

enum Handle<'h> {
    Writer(&'h mut Writer),
    Log(&'h Log),
}

impl Handle<'_> {
    fn append(&mut self, draft: &Draft<'_>, pieces: &[&[u8]]) -> Result<u64, AppendError> {
        match self {
            Self::Writer(writer) => writer.append_slices(draft, pieces),
            Self::Log(log) => log.append_slices(draft, pieces),
        }
    }
}

/// One thread's appends to one ring.
struct Context {
    journal: WriterJournal,
    dice: Dice,
    trap: Option<FaultPage>,
    max: usize,
    /// Tells its payloads from others'.
    who: u64,
    rate: u64,
    counter: u64,
    big_quarters: u64,
    big: bool,
    payload: Vec<u8>,
}

impl Context {
    /// Up to `most` appends at full speed, and then a rest. False when the journal is full.
    fn burst(&mut self, handle: &mut Handle<'_>, most: u64) -> bool {
        let n = self.dice.magnitude(1, most);
        let since = os::now();
        let goes_on = trouble::exposed(|| (0..n).all(|_| self.one(handle)));
        let due = n * 1_000_000_000 / self.rate;
        let rest = due.saturating_sub(os::now() - since);
        if rest > 0 {
            os::nap(self.dice.below(2 * rest));
        }
        goes_on
    }

    fn one(&mut self, handle: &mut Handle<'_>) -> bool {
        if self.journal.is_full() {
            return false;
        }
        let dice = &mut self.dice;
        if dice.one_in(4096) {
            self.too_large(handle);
            return true;
        }
        let plan = Plan::new(dice, self.max, self.big);
        self.counter += 1;
        let payload = &mut self.payload[..plan.len];
        fill(payload, self.who, self.counter);
        let hash = plan.hash(payload);
        let fields = plan.fields();
        let fields =
            Draft { source: plan.source, flags: plan.flags, fields: fields.as_ref(), ..Draft::new(plan.level) };
        let (first, rest) = payload.split_at(dice.below(plan.len as u64 + 1) as usize);
        let (mut second, third) = rest.split_at(dice.below(rest.len() as u64 + 1) as usize);
        // Now and then the second piece faults while it is copied.
        if !second.is_empty()
            && second.len() <= FaultPage::LEN
            && dice.one_in(300)
            && let Some(trap) = &mut self.trap
        {
            second = trap.arm(second);
        }
        let begun = self.journal.begin(plan.len, hash);
        let result = handle.append(&fields, &[first, second, third]);
        self.journal.end(result.as_ref().copied().map_err(cause));
        // Each quarter is four milliseconds.
        self.big = begun >> 22 & 3 < self.big_quarters;
        if matches!(result, Err(AppendError::AllPagesPinned { .. })) {
            os::nap(200_000);
        }
        true
    }

    /// One byte more than there is room for.
    fn too_large(&mut self, handle: &mut Handle<'_>) {
        let plan = Plan::plain(lapwing_ring::Level::INFO, self.max + 1);
        self.journal.begin(plan.len, plan.hash(&self.payload));
        let result = handle.append(&Draft::new(plan.level), &[&self.payload]);
        self.journal.end(result.as_ref().copied().map_err(cause));
    }
}

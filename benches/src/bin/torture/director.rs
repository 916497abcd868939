//! The director of one round: starts the processes, kills, stops and continues them, removes the ring under them and makes
//! it again, and hands what it knows to the checker.

use crate::check::{RingFacts, Violation, check};
use crate::dice::Dice;
use crate::evidence::{Death, Evidence};
use crate::journal::{Control, READERS_END, RUN, WRITERS_END};
use crate::os;
use crate::reader::{DAMAGED, read_out};
use crate::scenario::{Kind, Scenario};
use crate::summary::Summary;
use lapwing_ring::{Create, Error, Reader, Seek};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

/// A process that lives, as far as is known.
struct Process {
    pid: i32,
    cell: usize,
    /// `None`: a reader.
    kind: Option<Kind>,
    /// `None`: our own child.
    parent: Option<i32>,
    /// When it is to go on; 0: not stopped by us.
    stopped_until: u64,
}

pub(crate) struct Director<'a> {
    folder: &'a Path,
    scenario: &'a Scenario,
    control: Control,
    dice: Dice,
    processes: Vec<Process>,
    /// Cells that were looked at for forked children.
    seen_cells: usize,
    /// When each process was killed by us, and when it was found to have ended.
    killed: HashMap<usize, u64>,
    ended: HashMap<usize, u64>,
    rings: Vec<Reader>,
    /// Every signal that was sent, for whoever looks into a violation: before, after, signal, pid.
    acts: BufWriter<File>,
    found: Vec<Violation>,
    summary: &'a mut Summary,
}

/// A process must do what it is told within so long.
const TOO_LONG: u64 = 30_000_000_000;
const MILLI: u64 = 1_000_000;

impl<'a> Director<'a> {
    /// # Errors
    /// There is no room for the files.
    pub(crate) fn new(folder: &'a Path, scenario: &'a Scenario, summary: &'a mut Summary) -> std::io::Result<Self> {
        let mut director = Self {
            folder,
            scenario,
            control: Control::create(folder)?,
            dice: Dice::new(scenario.seed),
            processes: Vec::new(),
            seen_cells: 0,
            killed: HashMap::new(),
            ended: HashMap::new(),
            rings: Vec::new(),
            acts: BufWriter::new(File::create(folder.join("acts"))?),
            found: Vec::new(),
            summary,
        };
        director.make_ring().map_err(std::io::Error::other)?;
        Ok(director)
    }

    fn make_ring(&mut self) -> Result<(), Error> {
        let path = self.folder.join("ring");
        Create::new().size(self.scenario.size).page_size(self.scenario.page_size).create(&path)?;
        // Whatever happens to the name, this handle sees the end of it.
        self.rings.push(Reader::open(&path)?);
        self.summary.rings += 1;
        Ok(())
    }

    fn violation(&mut self, check: &'static str, text: String) {
        self.found.push(Violation { check, text });
    }

    /// Runs the round for so long, or until the journals take `budget` bytes; then checks it. Gives what was found.
    pub(crate) fn run(mut self, seconds: f64, budget: u64) -> Vec<Violation> {
        for &kind in &self.scenario.writers {
            self.start(Some(kind));
        }
        for _ in 0..self.scenario.readers {
            self.start(None);
        }
        let end = os::now() + (seconds * 1e9) as u64;
        let every = |ms: u64| ms * MILLI;
        let scenario = self.scenario;
        let mut next = [os::now(); 5];
        while os::now() < end && self.found.is_empty() {
            os::nap(self.dice.below(2 * MILLI));
            self.find_forked();
            self.reap();
            self.carry_on();
            let now = os::now();
            let mut due = |i: usize, ms: u64, dice: &mut Dice| {
                let is_due = next[i] <= now;
                if is_due {
                    next[i] = now + dice.below(2 * every(ms));
                }
                is_due
            };
            if due(0, scenario.stop_every, &mut self.dice) {
                self.stop_one();
            }
            if due(1, scenario.kill_every, &mut self.dice) {
                self.kill_one();
            }
            if due(2, scenario.reader_every, &mut self.dice) {
                self.start(None);
            }
            if let Some(ms) = scenario.new_ring_every
                && due(3, ms, &mut self.dice)
            {
                self.renew_ring();
            }
            if due(4, 200, &mut self.dice) && used(self.folder) > budget {
                break;
            }
        }
        self.wind_down(WRITERS_END, "a writer that does not end", |process| process.kind.is_some());
        self.wind_down(READERS_END, "a reader that does not end", |_| true);
        self.conclude()
    }

    fn start(&mut self, kind: Option<Kind>) {
        let cell = self.control.new_cell(None, kind.map_or(Kind::reader(), Kind::number));
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        let (seed, me) = (self.dice.next(), os::pid());
        let round = self.scenario.seed;
        command.arg("--role").arg(self.folder);
        command.args([cell as u64, seed, round, me as u64].map(|n| n.to_string()));
        command.stdin(std::process::Stdio::null());
        let pid = command.spawn().expect("a process").id() as i32;
        self.control.set_pid(cell, pid);
        self.processes.push(Process { pid, cell, kind, parent: None, stopped_until: 0 });
        self.summary.processes += 1;
    }

    /// Forked children name themselves.
    fn find_forked(&mut self) {
        while self.seen_cells < self.control.cells() {
            let cell = self.control.cell(self.seen_cells);
            if let Some(parent) = cell.parent {
                // Not yet: its first steps, or its last ones.
                if cell.pid == 0 {
                    if self.ended.contains_key(&parent) {
                        self.seen_cells += 1;
                        continue;
                    }
                    return;
                }
                let (pid, parent) = (cell.pid, Some(self.control.cell(parent).pid));
                let kind = Kind::of(cell.kind);
                self.processes.push(Process { pid, cell: self.seen_cells, kind, parent, stopped_until: 0 });
                self.summary.forks += 1;
            }
            self.seen_cells += 1;
        }
    }

    /// Takes note of who ended, and replaces those that are ours.
    fn reap(&mut self) {
        while let Some((pid, status)) = os::reap(false) {
            self.find_forked();
            let Some(at) = self.processes.iter().rposition(|process| process.pid == pid) else { continue };
            let process = self.processes.swap_remove(at);
            self.ended.insert(process.cell, os::now());
            let killed = libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL;
            if killed && self.killed_since(process.cell).is_none() {
                self.violation("a kill that nobody recorded", format!("pid {pid}"));
            }
            let told = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
            match told {
                Some(0) => {}
                Some(DAMAGED) => self.violation("a reader calls the ring damaged", format!("pid {pid}")),
                _ if killed => {}
                _ => {
                    self.violation("a process that failed", format!("pid {pid} status {status:#x} {:?}", process.kind))
                }
            }
            let readers = self.processes.iter().filter(|process| process.kind.is_none()).count();
            let wanted = process.kind.is_some() || readers < self.scenario.readers;
            if wanted && process.parent.is_none() && self.control.phase() == RUN {
                self.start(process.kind);
            }
        }
        // Forked children that their own parent saw end.
        self.processes.retain(|process| process.parent.is_none() || os::parent_of(process.pid).is_some());
    }

    /// When the process of `cell` was killed, by itself, by us, or with the one that forked it; a little before at most.
    fn killed_since(&self, cell: usize) -> Option<u64> {
        let of = self.control.cell(cell);
        let own = Some(of.killed_itself).filter(|&when| when != 0);
        let ours = self.killed.get(&cell).copied();
        let parents = of.parent.and_then(|parent| self.killed_since(parent));
        [own, ours, parents].into_iter().flatten().min()
    }

    /// Sends `signal` to the process at `at`, if it is certainly still the one we mean.
    fn signal(&mut self, at: usize, signal: i32) -> bool {
        let (process, before) = (&self.processes[at], os::now());
        let sent = match process.parent {
            // A child of ours keeps its pid until we reap it.
            None => os::signal(process.pid, signal),
            Some(parent) => {
                let now = os::parent_of(process.pid);
                (now == Some(parent) || now == Some(os::pid())) && os::signal(process.pid, signal)
            }
        };
        if sent {
            let _ = writeln!(self.acts, "{before} {} {signal} {}", os::now(), process.pid);
        }
        sent
    }

    /// Continues who was stopped long enough, and one more, which may have stopped itself.
    fn carry_on(&mut self) {
        let now = os::now();
        for at in 0..self.processes.len() {
            if self.processes[at].stopped_until != 0 && self.processes[at].stopped_until <= now {
                self.processes[at].stopped_until = 0;
                self.signal(at, libc::SIGCONT);
            }
        }
        if let Some(at) = self.any(|process| process.stopped_until == 0) {
            self.signal(at, libc::SIGCONT);
        }
    }

    fn any(&mut self, which: impl Fn(&Process) -> bool) -> Option<usize> {
        let fits: Vec<usize> = (0..self.processes.len()).filter(|&at| which(&self.processes[at])).collect();
        (!fits.is_empty()).then(|| self.dice.of(&fits))
    }

    fn stop_one(&mut self) {
        if let Some(at) = self.any(|process| process.stopped_until == 0)
            && self.signal(at, libc::SIGSTOP)
        {
            self.processes[at].stopped_until = os::now() + self.dice.magnitude(100_000, 200 * MILLI);
            self.summary.stops += 1;
        }
    }

    fn kill_one(&mut self) {
        let Some(at) = self.any(|_| true) else { return };
        let (cell, before) = (self.processes[at].cell, os::now());
        if self.signal(at, libc::SIGKILL) {
            self.killed.entry(cell).or_insert(before);
            self.summary.kills += 1;
        }
    }

    fn renew_ring(&mut self) {
        if let Err(error) = std::fs::remove_file(self.folder.join("ring")) {
            self.violation("a ring that cannot be removed", error.to_string());
        } else if let Err(error) = self.make_ring() {
            self.violation("a ring that cannot be made again", error.to_string());
        }
    }

    /// Tells them to end and sees that they do.
    fn wind_down(&mut self, phase: u64, what: &'static str, whom: impl Fn(&Process) -> bool) {
        self.control.set_phase(phase);
        let since = os::now();
        loop {
            self.find_forked();
            self.reap();
            let left: Vec<usize> = (0..self.processes.len()).filter(|&at| whom(&self.processes[at])).collect();
            if left.is_empty() {
                return;
            }
            let late = os::now() - since > TOO_LONG;
            for at in left {
                if late {
                    let Process { pid, kind, .. } = self.processes[at];
                    self.violation(what, format!("pid {pid} {kind:?}"));
                    self.killed.entry(self.processes[at].cell).or_insert(os::now());
                }
                self.signal(at, if late { libc::SIGKILL } else { libc::SIGCONT });
            }
            os::nap(2 * MILLI);
        }
    }

    /// Reads every ring to its end, and has all of it checked.
    fn conclude(mut self) -> Vec<Violation> {
        let mut facts = Vec::new();
        let cell = self.control.new_cell(None, Kind::reader());
        for reader in std::mem::take(&mut self.rings) {
            match self.last_look(reader, cell) {
                Ok(ring) => facts.push(ring),
                Err(error) => self.violation("the last reader calls the ring damaged", error.to_string()),
            }
        }
        let cells = 0..self.control.cells();
        for cell in cells.clone().map(|cell| self.control.cell(cell)) {
            self.summary.kills += (cell.killed_itself != 0) as u64;
            self.summary.stops += cell.stops;
            self.summary.naps += cell.naps;
            self.summary.readers += (cell.kind == Kind::reader()) as u64;
        }
        let deaths = cells.filter_map(|cell| {
            let over = self.ended.get(&cell).copied().unwrap_or(u64::MAX);
            Some((cell, Death { since: self.killed_since(cell)?, over }))
        });
        match Evidence::load(self.folder, &self.control, deaths.collect()) {
            Err(error) => self.violation("journals that cannot be read", error.to_string()),
            Ok(evidence) => {
                for ring in &facts {
                    let (found, tally) = check(&evidence, ring);
                    self.found.extend(found);
                    self.summary.add(tally);
                }
            }
        }
        std::mem::take(&mut self.found)
    }

    fn last_look(&mut self, reader: Reader, cell: usize) -> Result<RingFacts, lapwing_ring::ReadError> {
        let oldest = reader.bounds()?.oldest_seq;
        let reader = read_out(reader, &self.control.new_journal(self.folder), cell, Seek::Oldest)?;
        let counts = reader.counts();
        if reader.seq() - oldest != counts.read + counts.abandoned {
            let text = format!("{counts:?} from {oldest} to {}, and nobody writes any more", reader.seq());
            self.violation("a quiet ring loses nothing", text);
        }
        let reader = read_out(reader, &self.control.new_journal(self.folder), cell, Seek::Seq(0))?;
        let stat = reader.stat()?;
        for writer in stat.writers.iter().filter(|writer| writer.is_alive()) {
            self.violation("a dead writer that counts as alive", format!("{writer:?}"));
        }
        let refused = stat.refused;
        Ok(RingFacts {
            id: stat.identity.ring_id,
            geometry: stat.identity.geometry,
            next_seq: stat.bounds.next_seq,
            refused: [refused.too_large, refused.too_many_writers, refused.all_pages_pinned, refused.damaged],
            never_refuses: self.scenario.never_refuses(),
            most_inside: self.scenario.most_inside(),
        })
    }
}

/// Bytes of memory that the files in `folder` take.
fn used(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.blocks() * 512)).sum()
}

impl Drop for Director<'_> {
    fn drop(&mut self) {
        // Only of a director that panics: nobody is left behind.
        for at in 0..self.processes.len() {
            self.signal(at, libc::SIGKILL);
        }
    }
}

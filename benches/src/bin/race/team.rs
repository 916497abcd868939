//! One run: starts the processes, has them begin together, and gathers what they report.

use crate::child::Role;
use crate::interrupt::Interrupt;
use crate::peer::{Entry, Measure};
use crate::place::Place;
use crate::report::{Report, Said};
use crate::roles::DROPPED;
use crate::{Result, clock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// From the last `ready` to the start: everybody has heard of it by then, and is awake.
const NOTICE_NS: u64 = 3_000_000;
/// The same where a reader counts: a slow one is through with what warmed the channel, too.
const NOTICE_TO_READER_NS: u64 = 100_000_000;

/// Who runs the processes.
pub struct Team {
    place: Place,
    interrupt: Interrupt,
    runs: u64,
}

/// What was said in a run: the numbers behind each word, of all processes.
pub type Answers = BTreeMap<String, Vec<u64>>;

impl Team {
    pub fn new(place: Place, interrupt: Interrupt) -> Self {
        Self { place, interrupt, runs: 0 }
    }

    /// One run of `entry`.
    pub fn run(&mut self, entry: &Entry, measure: Measure, cpus: &[usize]) -> Result<Answers> {
        self.runs += 1;
        let run = Files {
            place: self.place.folder().join(format!("{}-{}", entry.name.replace(' ', "-"), self.runs)),
            report: self.place.folder().join(format!("report-{}", self.runs)),
        };
        (entry.create)(&run.place)?;
        let mut report = Report::create(&run.report)?;
        let mut children = Children(Vec::new());
        for (role, cpus) in roles(entry, measure, cpus) {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["child", entry.name, &measure.to_string(), &role.to_string()]);
            command.envs((entry.environment)(&run.place));
            command.arg(&run.place).arg(&run.report).args(cpus.iter().map(usize::to_string));
            children.0.push(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?);
        }
        let mut answers = Answers::new();
        let (mut ready, mut done) = (0, 0);
        let mut dropped = None;
        let until = clock::now() + PATIENCE.as_nanos() as u64;
        while done < children.0.len() {
            let Some(Said { word, numbers, .. }) = report.hear(Duration::from_millis(100))? else {
                children.check()?;
                if self.interrupt.is_there() {
                    return Err("interrupted".into());
                }
                if clock::now() > until {
                    return Err(format!("not done after {} seconds", PATIENCE.as_secs()).into());
                }
                continue;
            };
            match word.as_str() {
                "ready" => {
                    ready += 1;
                    if ready == children.0.len() {
                        dropped = (entry.dropped)(&run.place)?;
                        let notice = if measure == Measure::Deliver { NOTICE_TO_READER_NS } else { NOTICE_NS };
                        report.say("start", &[clock::now() + notice])?;
                    }
                }
                "start" => {}
                "done" => done += 1,
                _ => answers.entry(word).or_default().extend(numbers),
            }
        }
        children.wait()?;
        if let (Some(before), Some(after)) = (dropped, (entry.dropped)(&run.place)?) {
            answers.entry(DROPPED.into()).or_default().push(after - before);
        }
        Ok(answers)
    }
}

/// Who has a part in a measurement, and on which processors.
fn roles(entry: &Entry, measure: Measure, cpus: &[usize]) -> Vec<(Role, Vec<usize>)> {
    let writers = match measure {
        Measure::Writers(count) => count,
        _ => 1,
    };
    if entry.one_process {
        return vec![(Role::All, cpus[..writers.max(cpus.len().min(2))].into())];
    }
    let mut roles: Vec<_> = cpus[..writers].iter().map(|&cpu| (Role::Writer, vec![cpu])).collect();
    match measure {
        Measure::Deliver | Measure::Latency => roles.insert(0, (Role::Reader, vec![cpus[1]])),
        Measure::Writers(_) if entry.needs_reader() => roles.insert(0, (Role::Reader, vec![])),
        _ => {}
    }
    roles
}

/// What one run leaves behind, removed with it.
struct Files {
    place: PathBuf,
    report: PathBuf,
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.report);
        let _ = std::fs::remove_file(&self.place).or_else(|_| std::fs::remove_dir_all(&self.place));
    }
}

/// Processes that do not outlive the run.
struct Children(Vec<Child>);

impl Children {
    /// That none has failed.
    fn check(&mut self) -> Result<()> {
        self.0.iter_mut().filter_map(|child| child.try_wait().transpose()).try_for_each(|status| good(status?))
    }

    fn wait(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|child| good(child.wait()?))
    }
}

fn good(status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(format!("a process of it ended with {status}").into()) }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

//! A writer and a reader in two processes on two processors: what each costs the other, what arrives and how late.

use crate::Options;
use crate::board::{Board, Goal, Line};
use crate::desk::Desk;
use lapwing_benches::Ring;
use lapwing_benches::cores;
use lapwing_benches::median::median;
use lapwing_benches::probe::{Class, probe};

/// Records of a run at full speed: some 200 ms.
const RECORDS: u64 = 6_000_000;

/// Runs of a class below which its median says nothing.
const ENOUGH: usize = 5;

/// What one run came to; 0 where it says nothing of that.
#[derive(Clone, Copy)]
struct Run {
    class: Class,
    /// How long a line took from one to the other, ns.
    hand_off: f64,
    figures: [f64; 4],
}

/// The runs of one kind.
struct Kind {
    name: &'static str,
    runs: Vec<Run>,
}

impl Kind {
    fn new(name: &'static str) -> Self {
        Self { name, runs: Vec::new() }
    }

    fn of(&self, class: Class, figure: usize) -> Option<f64> {
        self.median(class, |run| run.figures[figure])
    }

    fn median(&self, class: Class, figure: impl Fn(&Run) -> f64) -> Option<f64> {
        let figures: Vec<f64> = self.runs.iter().filter(|run| run.class == class).map(figure).collect();
        if figures.len() < ENOUGH { None } else { median(&figures) }
    }

    fn most(&self, figure: usize) -> f64 {
        self.runs.iter().map(|run| run.figures[figure]).fold(0.0, f64::max)
    }
}

pub(crate) fn all(board: &mut Board, options: &Options) {
    let [first, second, ..] = cores::allowed()[..] else { return eprintln!("skipped: one processor") };
    let hand_off = || probe([first, second]);
    let mut desk = Desk::new();
    let ring = Ring::new("goals-pairs");
    let path = ring.path().to_str().expect("a name");
    let flat = RECORDS.to_string();
    let mut kinds = ["alone", "followed", "20 M/s", "100 k/s"].map(Kind::new);
    for _ in 0..options.rounds() {
        for kind in &mut kinds {
            let before = hand_off();
            let figures = match kind.name {
                "alone" => {
                    let writer = desk.start(0, "write", &[path, &flat]);
                    desk.go();
                    let ns = desk.figures(&writer, "ns")[0];
                    writer.join();
                    [ns, 0.0, 0.0, 0.0]
                }
                "followed" => {
                    let writer = desk.start(0, "write", &[path, &flat]);
                    let reader = desk.start(1, "follow", &[path]);
                    desk.go();
                    let (ns, got) = (desk.figures(&writer, "ns")[0], desk.figures(&reader, "got"));
                    writer.join();
                    reader.join();
                    [ns, got[0] / 1e6, got[1], 0.0]
                }
                name => {
                    let (rate, role) = if name == "20 M/s" { ("20000000", "follow") } else { ("100000", "spin") };
                    let writer = desk.start(0, "write-at", &[path, rate, "300"]);
                    let reader = desk.start(1, role, &[path]);
                    desk.go();
                    let (rate, got) = (desk.figures(&writer, "rate")[0], desk.figures(&reader, "got"));
                    let late = if role == "spin" { desk.figures(&reader, "late") } else { vec![0.0; 3] };
                    writer.join();
                    reader.join();
                    [rate / 1e6, late[0], late[1], got[1]]
                }
            };
            let after = hand_off();
            let class = Class::of(&[before, after]);
            eprintln!("{:<10} {class:<8} {before:>6.1} {after:>6.1} {figures:.2?}", kind.name);
            kind.runs.push(Run { class, hand_off: (before + after) / 2.0, figures });
        }
    }
    report(board, &kinds);
}

fn report(board: &mut Board, [alone, followed, paced, spun]: &[Kind; 4]) {
    for class in [Class::Near, Class::Between, Class::Far] {
        let mut add = |what: &str, figure: Option<f64>, unit, yardstick: (&'static str, Option<f64>), goal| {
            let Some(figure) = figure else { return };
            let what = format!("{what}, {class}");
            board.add(Line { what, figure, unit, yardstick: yardstick.1.map(|much| (yardstick.0, much)), goal });
        };
        let if_near = |goal| if class == Class::Near { goal } else { Goal::None };
        let alone = alone.of(class, 0);
        let delivered = match class {
            Class::Near => Goal::AtLeast(30.0),
            Class::Between => Goal::None,
            Class::Far => Goal::AtLeast(7.0),
        };
        let (reader, none) = ("without reader", ("", None));
        let two = ("two hand-overs of a line", spun.median(class, |run| run.hand_off * 2.0));
        let followed = [0, 1].map(|figure| followed.of(class, figure));
        add("append with a following reader", followed[0], "ns", (reader, alone), if_near(Goal::Times(1.3)));
        add("delivered to another process", followed[1], "M/s", (reader, alone.map(|ns| 1e3 / ns)), delivered);
        add("reached by a writer at 20 M/s, followed", paced.of(class, 0), "M/s", none, Goal::None);
        add("latency at 100 k/s, spinning, 50 %", spun.of(class, 1), "ns", two, if_near(Goal::AtMost(100.0)));
        add("latency at 100 k/s, spinning, 90 %", spun.of(class, 2), "ns", two, Goal::None);
        let runs = spun.runs.iter().filter(|run| run.class == class).count();
        if runs < ENOUGH {
            eprintln!("{class}: {runs} of {} runs, not enough", spun.runs.len());
        }
    }
    for (what, most) in [
        ("lost at full speed, most of a run", followed.most(2)),
        ("lost at 20 M/s, most of a run", paced.most(3)),
        ("lost at 100 k/s, most of a run", spun.most(3)),
    ] {
        board.add(Line {
            what: what.to_owned(),
            figure: most,
            unit: "records",
            yardstick: None,
            goal: Goal::AtMost(0.0),
        });
    }
}

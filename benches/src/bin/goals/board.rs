//! The table: what was measured, its yardstick, the goal, and whether that is met.

/// One line of it.
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) unit: &'static str,
    /// What it is compared with, and how much that is in the same unit.
    pub(crate) yardstick: Option<(&'static str, f64)>,
    pub(crate) goal: Goal,
}

/// What a figure should be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At most this many times its yardstick.
    Times(f64),
    AtMost(f64),
    AtLeast(f64),
    /// No goal: it stands beside others.
    None,
}

#[derive(Default)]
pub(crate) struct Board(Vec<Line>);

impl Board {
    pub(crate) fn add(&mut self, line: Line) {
        eprintln!("{}: {:.2} {}", line.what, line.figure, line.unit);
        self.0.push(line);
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<52} {:>9} {:<11} {:>9} {:>6}  {:<14} {:<6}  yardstick",
            "what", "figure", "", "yardstick", "ratio", "goal", ""
        );
        for line in &self.0 {
            let (name, yardstick, ratio) = match line.yardstick {
                Some((name, much)) => (name, format!("{much:.2}"), format!("{:.2}", line.figure / much)),
                None => ("", String::new(), String::new()),
            };
            println!(
                "{:<52} {:>9.2} {:<11} {yardstick:>9} {ratio:>6}  {:<14} {:<6}  {name}",
                line.what,
                line.figure,
                line.unit,
                line.goal_text(),
                line.verdict()
            );
        }
    }
}

impl Line {
    fn goal_text(&self) -> String {
        match self.goal {
            Goal::Times(times) => format!("ratio <= {times}"),
            Goal::AtMost(most) => format!("<= {most}"),
            Goal::AtLeast(least) => format!(">= {least}"),
            Goal::None => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        let is_met = match (self.goal, self.yardstick) {
            (Goal::Times(times), Some((_, much))) => self.figure <= times * much,
            (Goal::AtMost(most), _) => self.figure <= most,
            (Goal::AtLeast(least), _) => self.figure >= least,
            (Goal::Times(_), None) | (Goal::None, _) => return "",
        };
        if is_met { "met" } else { "missed" }
    }
}

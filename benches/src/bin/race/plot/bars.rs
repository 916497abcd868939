//! A chart with a bar for each contestant, the best on top.

use super::paper::{Anchor, BOLD, GRID, INK, MARGIN, NOTE, OTHERS, OURS, PLAIN, Paper, WIDTH, escaped, width};
use super::scale::{self, Scale};

/// Where the bars begin, and how they lie, in pixels.
const TOP: f64 = 88.0;
const ROW: f64 = 30.0;
const BAR: f64 = 20.0;
/// Between a bar and the texts beside it.
const GAP: f64 = 8.0;

pub struct Bars {
    pub title: String,
    pub unit: &'static str,
    pub is_less_better: bool,
    /// In the order in which they are drawn.
    pub rows: Vec<Row>,
    /// What nothing can be better than, where that is known.
    pub floor: Option<f64>,
    pub caption: String,
}

pub struct Row {
    pub name: &'static str,
    pub value: f64,
    /// What stands at the bar's end.
    pub figure: String,
    pub is_ours: bool,
}

impl Bars {
    pub fn svg(&self) -> String {
        let scale = self.scale();
        let better = if self.is_less_better { "less is better" } else { "more is better" };
        let steps = if scale.is_log { ", logarithmic scale" } else { "" };
        let mut paper = Paper::new(&self.title, &format!("{}, {better}{steps}", self.unit));
        let font = |row: &Row| if row.is_ours { BOLD } else { PLAIN };
        let widest = |of: fn(&Row) -> &str| self.rows.iter().map(|row| width(of(row), font(row))).fold(0.0, f64::max);
        let left = MARGIN + widest(|row| row.name) + GAP;
        let right = WIDTH - MARGIN - GAP - widest(|row| &row.figure);
        let x = |value: f64| left + scale.place(value) * (right - left);
        let bottom = TOP + ROW * self.rows.len() as f64;
        for tick in scale.ticks() {
            paper.line((x(tick), TOP - 4.0), (x(tick), bottom), GRID, "");
            paper.text(x(tick), bottom + 16.0, Anchor::Middle, NOTE, &scale::text(tick));
        }
        for (row, y) in self.rows.iter().zip((0..).map(|nth| TOP + ROW * f64::from(nth))) {
            let base = y + ROW / 2.0 + 4.5;
            let colour = if row.is_ours { OURS } else { OTHERS };
            paper.text(left - GAP, base, Anchor::End, font(row), row.name);
            paper.element(&format!(
                "<rect class=\"bar\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{:.2}\" height=\"{BAR}\" fill=\"{colour}\"><title>{}: {}</title></rect>",
                y + (ROW - BAR) / 2.0,
                x(row.value) - left,
                escaped(row.name),
                escaped(&row.figure)
            ));
        }
        if let Some(floor) = self.floor {
            paper.line((x(floor), TOP - 8.0), (x(floor), bottom), INK, "stroke-width=\"1.5\" stroke-dasharray=\"4 3\"");
            let text = format!("floor {floor:.1}: memcpy + compare-exchange");
            paper.text(x(floor).max(MARGIN), TOP - 14.0, Anchor::Start, NOTE, &text);
        }
        // Above the floor's line.
        for (row, y) in self.rows.iter().zip((0..).map(|nth| TOP + ROW * f64::from(nth))) {
            paper.text(x(row.value) + GAP, y + ROW / 2.0 + 4.5, Anchor::Start, font(row), &row.figure);
        }
        paper.svg(&self.title, bottom + 16.0, &self.caption)
    }

    pub fn scale(&self) -> Scale {
        Scale::of(self.rows.iter().map(|row| row.value).chain(self.floor))
    }
}

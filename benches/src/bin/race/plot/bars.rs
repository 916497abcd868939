//! A chart with a bar for each contestant, the best on top.

use super::paper::{
    Anchor, BOLD, CONFINED, GRID, INK, MARGIN, NOTE, OTHERS, OURS, PLAIN, Paper, WIDTH, escaped, width,
};
use super::scale::{self, Scale};

/// Where the bars begin, without what stands above the floor, and how they lie, in pixels.
const TOP: f64 = 72.0;
const ABOVE: f64 = 18.0;
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
    /// To one process.
    pub is_confined: bool,
}

impl Bars {
    pub fn svg(&self) -> String {
        let scale = self.scale();
        let better = if self.is_less_better { "less is better" } else { "more is better" };
        let mut paper = Paper::new(&self.title, &format!("{}, {better}", self.unit));
        let font = |row: &Row| if row.is_ours { BOLD } else { PLAIN };
        let widest = |of: fn(&Row) -> &str| self.rows.iter().map(|row| width(of(row), font(row))).fold(0.0, f64::max);
        let left = MARGIN + widest(|row| row.name) + GAP;
        let right = WIDTH - MARGIN - GAP - widest(|row| &row.figure);
        let x = |value: f64| left + scale.place(value) * (right - left);
        let top = if self.floor.is_some() { TOP + ABOVE } else { TOP };
        let mut bottom = top + ROW * self.rows.len() as f64;
        for tick in scale.ticks() {
            paper.line((x(tick), top - 4.0), (x(tick), bottom), GRID, "");
            paper.text(x(tick), bottom + 16.0, Anchor::Middle, NOTE, &scale::text(tick));
        }
        for (row, y) in self.rows.iter().zip((0..).map(|nth| top + ROW * f64::from(nth))) {
            let base = y + ROW / 2.0 + 4.5;
            let colour = match row {
                Row { is_ours: true, .. } => OURS,
                Row { is_confined: true, .. } => CONFINED,
                _ => OTHERS,
            };
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
            paper.line((x(floor), top - 8.0), (x(floor), bottom), INK, "stroke-width=\"1.5\" stroke-dasharray=\"4 3\"");
            let text = format!("floor {floor:.1}: memcpy + compare-exchange");
            let has_room = x(floor) + width(&text, NOTE) < WIDTH - MARGIN;
            let anchor = if has_room { Anchor::Start } else { Anchor::End };
            paper.text(x(floor), top - 14.0, anchor, NOTE, &text);
        }
        // Above the floor's line.
        for (row, y) in self.rows.iter().zip((0..).map(|nth| top + ROW * f64::from(nth))) {
            paper.text(x(row.value) + GAP, y + ROW / 2.0 + 4.5, Anchor::Start, font(row), &row.figure);
        }
        bottom += 16.0;
        if scale.is_log {
            bottom += 16.0;
            paper.text((left + right) / 2.0, bottom, Anchor::Middle, NOTE, "logarithmic scale");
        }
        paper.svg(&self.title, bottom, &self.caption)
    }

    pub fn scale(&self) -> Scale {
        Scale::of(self.rows.iter().map(|row| row.value).chain(self.floor))
    }
}

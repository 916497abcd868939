//! A chart with a line for each contestant over the number of writers.

use super::paper::{Anchor, BOLD, Font, GRID, MARGIN, NOTE, OURS, PLAIN, Paper, WIDTH, escaped, width};
use super::scale::{self, Scale};

/// Where the lines lie, in pixels.
const TOP: f64 = 78.0;
const HEIGHT: f64 = 300.0;
const BOTTOM: f64 = TOP + HEIGHT;
const LEFT: f64 = MARGIN + 40.0;
/// From the last point to the names, and from one name to the next.
const GAP: f64 = 26.0;
const LEADING: f64 = 17.0;

/// Okabe and Ito's colours without their reds, which are ours; then again, in dashes.
const COLOURS: [&str; 6] = ["#0072b2", "#009e73", "#56b4e9", "#8c6d46", "#44546a", "#cc79a7"];

pub struct Lines {
    pub title: String,
    pub unit: &'static str,
    pub lines: Vec<Line>,
    pub caption: String,
}

pub struct Line {
    pub name: &'static str,
    /// How many writers, and what they come to.
    pub points: Vec<(usize, f64)>,
    pub is_ours: bool,
}

impl Lines {
    pub fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied());
        let scale = Scale::of(points().map(|(_, value)| value));
        let steps = if scale.is_log { ", logarithmic scale" } else { "" };
        let mut paper = Paper::new(&self.title, &format!("{}, more is better{steps}", self.unit));
        let names = self.lines.iter().map(|line| width(line.name, BOLD)).fold(0.0, f64::max);
        let right = WIDTH - MARGIN - names - GAP;
        let mut counts: Vec<_> = points().map(|(count, _)| count).collect();
        counts.sort_unstable();
        counts.dedup();
        let (first, last) = (counts[0] as f64, counts[counts.len() - 1] as f64);
        let wide = (last / first).ln().max(f64::MIN_POSITIVE);
        let x = |count: usize| LEFT + 10.0 + (count as f64 / first).ln() / wide * (right - LEFT - 10.0);
        let y = |value: f64| BOTTOM - scale.place(value) * HEIGHT;
        for tick in scale.ticks() {
            paper.line((LEFT, y(tick)), (right, y(tick)), GRID, "");
            paper.text(LEFT - 8.0, y(tick) + 4.0, Anchor::End, NOTE, &scale::text(tick));
        }
        for &count in &counts {
            paper.text(x(count), BOTTOM + 18.0, Anchor::Middle, NOTE, &count.to_string());
        }
        paper.text((LEFT + right) / 2.0, BOTTOM + 36.0, Anchor::Middle, NOTE, "writers");
        let ends: Vec<_> = self.lines.iter().map(|line| y(line.points[line.points.len() - 1].1)).collect();
        let places = apart(&ends);
        // What is drawn last is on top.
        let mut order: Vec<_> = (0..self.lines.len()).collect();
        order.sort_by_key(|&nth| self.lines[nth].is_ours);
        for nth in order {
            let (line, beside) = (&self.lines[nth], places[nth]);
            let colour = if line.is_ours { OURS } else { COLOURS[nth % COLOURS.len()] };
            let dashes = if line.is_ours || nth < COLOURS.len() { "none" } else { "6 3" };
            let thick = if line.is_ours { 3.5 } else { 1.8 };
            let path: Vec<_> =
                line.points.iter().map(|&(count, value)| format!("{:.1},{:.1}", x(count), y(value))).collect();
            paper.element(&format!(
                "<polyline class=\"line\" points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{thick}\" \
                 stroke-dasharray=\"{dashes}\" stroke-linejoin=\"round\"><title>{}</title></polyline>",
                path.join(" "),
                escaped(line.name)
            ));
            for &(count, value) in &line.points {
                let (x, y) = (x(count), y(value));
                paper.element(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{thick}\" fill=\"{colour}\"/>"));
            }
            let end = line.points[line.points.len() - 1];
            paper.line((x(end.0) + 5.0, y(end.1)), (right + GAP - 4.0, beside), colour, "stroke-opacity=\"0.35\"");
            let font = if line.is_ours { BOLD } else { Font { colour, ..PLAIN } };
            paper.text(right + GAP, beside + 4.5, Anchor::Start, font, line.name);
        }
        paper.svg(&self.title, BOTTOM + 36.0, &self.caption)
    }
}

/// Places for texts beside these, none over another.
fn apart(ends: &[f64]) -> Vec<f64> {
    let mut order: Vec<_> = (0..ends.len()).collect();
    order.sort_by(|&one, &other| ends[one].total_cmp(&ends[other]));
    let mut places = ends.to_vec();
    let mut least = TOP;
    for &nth in &order {
        places[nth] = places[nth].max(least);
        least = places[nth] + LEADING;
    }
    let mut most = BOTTOM;
    for &nth in order.iter().rev() {
        places[nth] = places[nth].min(most);
        most = places[nth] - LEADING;
    }
    places
}

//! The picture as SVG: an area for each process, a row for each kind of loss and each level, one time axis under all.

use super::axis::{about, span, ticks};
use super::number::{grouped, percent, records, short, tick_step};
use super::paper::{cut, round, width, xml};
use super::{By, Chart, Series};
use std::fmt::Write as _;

/// The size of the paper and where things lie on it, in pixels.
const WIDTH: f64 = 1000.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 770.0;
const TOP: f64 = 104.0;
const HEIGHT: f64 = 300.0;
const ROW: f64 = 22.0;
/// Above the first row of a section.
const HEADING: f64 = 28.0;
const BESIDE: f64 = RIGHT + 16.0;
/// What was lost in front of the first record has this much room in front of the first bin.
const BEFORE: f64 = 14.0;
/// The most bins, three pixels each.
pub(super) const COLUMNS: usize = 232;

/// Okabe and Ito's colours, which all kinds of eyes tell apart, without their red, which is for losses.
const COLOURS: [&str; 8] = ["#0072b2", "#e69f00", "#009e73", "#56b4e9", "#cc79a7", "#44546a", "#f0e442", "#8c6d46"];
const OTHERS: &str = "#bdbdbd";
const LOSS: &str = "#c8102e";
const INK: &str = "#222222";
const PALE: &str = "#5f6368";
const GRID: &str = "#e4e6e8";

impl Chart {
    /// The picture as an SVG file, 1000 pixels wide.
    pub fn svg(&self) -> String {
        Drawing { chart: self, out: String::new(), from: if self.overwritten > 0 { LEFT + BEFORE } else { LEFT } }
            .draw()
    }
}

struct Drawing<'c> {
    chart: &'c Chart,
    out: String,
    /// Where the first bin begins.
    from: f64,
}

/// One row below the areas, with what stands beside it.
struct RowOf<'c> {
    series: &'c Series,
    colour: &'static str,
    left: &'c str,
    right: String,
}

/// How a text stands to its place.
#[derive(Clone, Copy, PartialEq)]
enum Anchor {
    Start,
    Middle,
    End,
}

impl<'c> Drawing<'c> {
    fn draw(mut self) -> String {
        let chart = self.chart;
        let sections = self.sections();
        let high = sections.iter().map(|(_, rows)| HEADING + ROW * rows.len() as f64);
        let bottom = TOP + HEIGHT + high.sum::<f64>();
        let height = bottom + 48.0;
        // A String takes everything, here and below.
        let _ = write!(
            self.out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\" \
             font-family=\"system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif\" font-size=\"12\" \
             fill=\"{INK}\">\n<title>{}</title>\n<desc>{}</desc>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <defs><pattern id=\"hatch\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
             <rect width=\"5\" height=\"5\" fill=\"{LOSS}\" fill-opacity=\"0.12\"/><rect width=\"2\" height=\"5\" fill=\"{LOSS}\" \
             fill-opacity=\"0.75\"/></pattern></defs>\n",
            xml(&chart.title()),
            xml(&chart.subtitle())
        );
        self.heading();
        if chart.bins == 0 {
            self.text((LEFT + RIGHT) / 2.0, TOP + HEIGHT / 2.0, Anchor::Middle, PALE, "font-size=\"16\"", "no records");
            self.rect((LEFT, TOP), (RIGHT - LEFT, HEIGHT), &format!("fill=\"none\" stroke=\"{GRID}\""));
            return self.end();
        }
        self.time_axis(bottom);
        let top = self.scale();
        self.loss_bands(bottom);
        self.areas(top);
        self.legend();
        let mut y = TOP + HEIGHT;
        for (heading, rows) in sections {
            self.text(self.from, y + HEADING - 6.0, Anchor::Start, PALE, "font-size=\"11\"", heading);
            y += HEADING;
            for row in rows {
                y += ROW;
                self.row(&row, y);
            }
        }
        self.end()
    }

    /// What stands below the areas: a heading, and its rows.
    fn sections(&self) -> Vec<(&'static str, Vec<RowOf<'c>>)> {
        let chart = self.chart;
        let sources = chart.sources.iter().enumerate().map(|(i, series)| RowOf {
            series,
            colour: self.colour(i),
            left: "",
            right: series.name.clone(),
        });
        let levels = chart.levels.iter().map(|series| RowOf {
            series,
            colour: level_colour(&series.name),
            left: &series.name,
            right: self.numbers(series),
        });
        let losses = chart.losses.iter().map(|series| RowOf {
            series,
            colour: LOSS,
            left: &series.name,
            right: records(series.total()),
        });
        let heading = match chart.by {
            By::Process => "By process, each row on its own scale",
            By::Name => "By name, each row on its own scale",
        };
        let mut sections = Vec::new();
        // One alone is the picture above.
        if chart.sources.len() > 1 {
            sections.push((heading, sources.collect()));
        }
        if !chart.losses.is_empty() {
            sections.push(("What is missing", losses.collect()));
        }
        if !chart.levels.is_empty() {
            sections.push(("By level, each row on its own scale", levels.collect()));
        }
        sections
    }

    fn end(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }

    fn heading(&mut self) {
        let chart = self.chart;
        self.text(LEFT, 30.0, Anchor::Start, INK, "font-size=\"18\" font-weight=\"600\"", &chart.title());
        self.text(LEFT, 50.0, Anchor::Start, PALE, "", &cut(&chart.subtitle(), WIDTH - LEFT - 20.0, 12.0));
        let mut x = LEFT;
        if chart.bins > 0 {
            let (start, end) = (chart.start_ns, chart.end_ns());
            let text = format!("{}, {}", span(start, end, &chart.zone), about(chart.span_ns()));
            self.text(x, 67.0, Anchor::Start, PALE, "", &text);
            x += width(&text, 12.0) + 16.0;
        }
        if chart.overwritten > 0 {
            self.rect((x, 57.0), (12.0, 12.0), "fill=\"url(#hatch)\"");
            let text = format!("{} lost: overwritten before this begins", grouped(chart.overwritten));
            self.text(x + 18.0, 67.0, Anchor::Start, LOSS, "", &text);
        }
    }

    fn x(&self, bin: usize) -> f64 {
        self.from + (RIGHT - self.from) * bin as f64 / self.chart.bins as f64
    }

    /// Lines down through everything, and what is written under them.
    fn time_axis(&mut self, bottom: f64) {
        let chart = self.chart;
        let (start, end) = (chart.start_ns, chart.end_ns());
        for tick in ticks(start, end, 8, &chart.zone) {
            let x = self.from + (RIGHT - self.from) * chart.place(tick.at_ns);
            let _ = writeln!(
                self.out,
                "<path d=\"M{} {TOP}V{}\" stroke=\"{GRID}\"/><path d=\"M{0} {bottom}v5\" stroke=\"{PALE}\"/>",
                round(x),
                round(bottom)
            );
            // Not over the edge of the paper, nor into the numbers of the rows.
            self.text(x, bottom + 18.0, Anchor::Middle, INK, "font-size=\"11\"", &tick.label);
            if let Some(day) = tick.day {
                self.text(x, bottom + 32.0, Anchor::Middle, PALE, "font-size=\"11\"", &day);
            }
        }
        let _ = writeln!(self.out, "<path d=\"M{LEFT} {}H{RIGHT}\" stroke=\"{PALE}\"/>", round(bottom));
    }

    /// Lines across the areas; gives the rate at their top.
    fn scale(&mut self) -> f64 {
        let chart = self.chart;
        let step = tick_step(chart.rate(chart.peak()).max(f64::MIN_POSITIVE), 6);
        let steps = (chart.rate(chart.peak()) / step).ceil().max(1.0);
        let top = steps * step;
        for i in 0..=steps as usize {
            let (rate, y) = (step * i as f64, TOP + HEIGHT * (1.0 - i as f64 / steps));
            let colour = if i == 0 { PALE } else { GRID };
            let _ = writeln!(self.out, "<path d=\"M{LEFT} {}H{RIGHT}\" stroke=\"{colour}\"/>", round(y));
            self.text(LEFT - 8.0, y + 4.0, Anchor::End, INK, "font-size=\"11\"", &short(rate));
        }
        self.text(
            LEFT - 8.0,
            TOP - 14.0,
            Anchor::End,
            PALE,
            "font-size=\"11\"",
            &format!("records/{}", self.chart.unit().2),
        );
        top
    }

    fn areas(&mut self, top: f64) {
        let chart = self.chart;
        let mut under = vec![0u64; chart.bins];
        for (i, series) in chart.sources.iter().enumerate() {
            let over: Vec<u64> = under.iter().zip(&series.counts).map(|(under, count)| under + count).collect();
            let y = |count: u64| TOP + HEIGHT * (1.0 - chart.rate(count) / top);
            let mut path = String::new();
            let mut bin = 0;
            while bin < chart.bins {
                if series.counts[bin] == 0 {
                    bin += 1;
                    continue;
                }
                let end = (bin..chart.bins).find(|&i| series.counts[i] == 0).unwrap_or(chart.bins);
                self.outline(&mut path, bin..end, &over, &under, y);
                bin = end;
            }
            let colour = self.colour(i);
            let _ = writeln!(
                self.out,
                "<path fill=\"{colour}\" stroke=\"#ffffff\" stroke-width=\"0.4\" d=\"{path}\"><title>{}</title></path>",
                xml(&series.name)
            );
            under = over;
        }
    }

    /// Once around the bins of one run: along their upper edges, and back along the lower ones.
    fn outline(
        &self,
        path: &mut String,
        run: std::ops::Range<usize>,
        over: &[u64],
        under: &[u64],
        y: impl Fn(u64) -> f64,
    ) {
        let _ = write!(path, "M{} {}", round(self.x(run.start)), round(y(over[run.start])));
        for (i, bin) in run.clone().enumerate() {
            if i > 0 && over[bin] != over[bin - 1] {
                let _ = write!(path, "V{}", round(y(over[bin])));
            }
            if over.get(bin + 1) != Some(&over[bin]) || bin + 1 == run.end {
                let _ = write!(path, "H{}", round(self.x(bin + 1)));
            }
        }
        for bin in run.clone().rev() {
            if bin + 1 == run.end || under[bin] != under[bin + 1] {
                let _ = write!(path, "V{}", round(y(under[bin])));
            }
            if bin == run.start || under[bin - 1] != under[bin] {
                let _ = write!(path, "H{}", round(self.x(bin)));
            }
        }
        path.push('Z');
    }

    fn colour(&self, i: usize) -> &'static str {
        match self.chart.has_others && i + 1 == self.chart.sources.len() {
            true => OTHERS,
            false => COLOURS[i % COLOURS.len()],
        }
    }

    /// In the order of the areas, the uppermost first.
    fn legend(&mut self) {
        let chart = self.chart;
        for (place, (i, series)) in chart.sources.iter().enumerate().rev().enumerate() {
            let y = TOP + 10.0 + 36.0 * place as f64;
            let fill = format!("fill=\"{}\"", self.colour(i));
            self.rect((BESIDE, y - 10.0), (11.0, 11.0), &fill);
            let room = WIDTH - BESIDE - 18.0 - 8.0;
            self.text(
                BESIDE + 18.0,
                y,
                Anchor::Start,
                INK,
                "font-weight=\"600\"",
                &cut(&series.name, room / 1.08, 12.0),
            );
            self.text(BESIDE + 18.0, y + 15.0, Anchor::Start, PALE, "font-size=\"11\"", &self.numbers(series));
        }
    }

    /// How many records, their share, and the most in a second.
    fn numbers(&self, series: &Series) -> String {
        let (total, peak) = (series.total(), short(self.chart.rate(series.peak())));
        format!("{}, {}, at most {peak}/{}", grouped(total), percent(total, self.chart.records), self.chart.unit().2)
    }

    /// Through everything, where something is missing, with how much over the ones that have room for it.
    fn loss_bands(&mut self, bottom: f64) {
        let chart = self.chart;
        if chart.overwritten > 0 {
            self.rect((LEFT, TOP), (BEFORE - 4.0, bottom - TOP), "fill=\"url(#hatch)\"");
        }
        let mut free = LEFT;
        for bin in 0..chart.bins {
            let missing: Vec<String> = chart
                .losses
                .iter()
                .filter(|series| series.counts[bin] > 0)
                .map(|series| format!("{} {}", grouped(series.counts[bin]), series.name))
                .collect();
            if missing.is_empty() {
                continue;
            }
            let (x, next) = (self.x(bin), self.x(bin + 1));
            let text = missing.join(", ");
            self.rect(
                (x, TOP - 6.0),
                ((next - x).max(2.0), bottom - TOP + 6.0),
                &format!("fill=\"{LOSS}\" fill-opacity=\"0.22\""),
            );
            let (middle, room) = ((x + next) / 2.0, width(&text, 11.0) / 2.0);
            let middle = middle.clamp(LEFT + room, RIGHT - room);
            if middle - room >= free {
                self.text(middle, TOP - 12.0, Anchor::Middle, LOSS, "font-size=\"11\"", &text);
                free = middle + room + 8.0;
            }
        }
    }

    /// A row that stands on `base`.
    fn row(&mut self, row: &RowOf<'_>, base: f64) {
        let (most, room) = (row.series.peak().max(1) as f64, ROW - 4.0);
        let mut path = String::new();
        for (bin, &count) in row.series.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            // One record among thousands is still to be seen.
            let (x, high) = (self.x(bin), (room * count as f64 / most).max(2.0));
            let wide = (self.x(bin + 1) - x).max(2.0);
            let _ = write!(path, "M{} {}v-{}h{}v{2}z", round(x), round(base), round(high), round(wide));
        }
        let _ = writeln!(
            self.out,
            "<path d=\"M{LEFT} {}H{RIGHT}\" stroke=\"{GRID}\"/><path fill=\"{}\" shape-rendering=\"crispEdges\" d=\"{path}\"/>",
            round(base),
            row.colour
        );
        let style = "font-size=\"11\"";
        if !row.left.is_empty() {
            self.text(LEFT - 8.0, base - 4.0, Anchor::End, INK, style, row.left);
        }
        let right = cut(&row.right, WIDTH - BESIDE - 18.0 - 8.0, 11.0);
        self.text(BESIDE + 18.0, base - 4.0, Anchor::Start, PALE, style, &right);
    }

    fn text(&mut self, x: f64, y: f64, anchor: Anchor, colour: &str, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let colour = if colour == INK { String::new() } else { format!(" fill=\"{colour}\"") };
        let style = if style.is_empty() { String::new() } else { format!(" {style}") };
        let _ = writeln!(
            self.out,
            "<text x=\"{}\" y=\"{}\"{anchor}{colour}{style}>{}</text>",
            round(x),
            round(y),
            xml(text)
        );
    }

    fn rect(&mut self, (x, y): (f64, f64), (wide, high): (f64, f64), style: &str) {
        let [x, y, wide, high] = [x, y, wide, high].map(round);
        let _ = writeln!(self.out, "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" {style}/>");
    }
}

fn level_colour(name: &str) -> &'static str {
    match name {
        "emerg" | "alert" | "crit" | "err" => "#d55e00",
        "warn" => "#997700",
        "notice" => "#0072b2",
        "info" => "#7f8c9a",
        _ => "#b6bec7",
    }
}

//! What all charts are drawn with: the sheet, texts on it, and how wide these are.

use std::fmt::Write as _;

/// Pixels.
pub const WIDTH: f64 = 760.0;
pub const MARGIN: f64 = 20.0;

pub const INK: &str = "#1f2933";
pub const PALE: &str = "#5f6b7a";
pub const GRID: &str = "#e3e7eb";
/// The ring's own, and the others'.
pub const OURS: &str = "#c2410c";
pub const OTHERS: &str = "#8fa3b8";
pub const CONFINED: &str = "#d3dae3";

/// Of a caption: its size, and from line to line.
const SMALL: f64 = 11.0;
const LEADING: f64 = 15.0;

/// How a text stands to its place.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub struct Font {
    pub size: f64,
    pub is_bold: bool,
    pub colour: &'static str,
}

pub const TITLE: Font = Font { size: 17.0, is_bold: true, colour: INK };
pub const PLAIN: Font = Font { size: 13.0, is_bold: false, colour: INK };
pub const BOLD: Font = Font { is_bold: true, colour: OURS, ..PLAIN };
pub const NOTE: Font = Font { size: SMALL, is_bold: false, colour: PALE };

/// A sheet that is drawn on from top to bottom.
pub struct Paper(String);

impl Paper {
    /// With a title, and what is shown below it.
    pub fn new(title: &str, subtitle: &str) -> Self {
        let mut paper = Self(String::new());
        paper.text(MARGIN, 32.0, Anchor::Start, TITLE, title);
        paper.text(MARGIN, 53.0, Anchor::Start, Font { size: 12.5, ..NOTE }, subtitle);
        paper
    }

    pub fn text(&mut self, x: f64, y: f64, anchor: Anchor, font: Font, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if font.is_bold { " font-weight=\"bold\"" } else { "" };
        // The white edge keeps it readable where a line passes behind.
        self.element(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{}\"{weight} fill=\"{}\" stroke=\"#ffffff\" \
             stroke-width=\"3\" paint-order=\"stroke\">{}</text>",
            font.size,
            font.colour,
            escaped(text)
        ));
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str, rest: &str) {
        self.element(&format!(
            "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" {rest}/>",
            from.0, from.1, to.0, to.1
        ));
    }

    /// Anything else, as it is to stand in the file.
    pub fn element(&mut self, element: &str) {
        self.0.push_str(element);
        self.0.push('\n');
    }

    /// Puts the caption below `bottom`, and makes the file.
    pub fn svg(mut self, title: &str, bottom: f64, caption: &str) -> String {
        let lines = wrapped(caption, WIDTH - 2.0 * MARGIN, SMALL);
        for (nth, line) in lines.iter().enumerate() {
            self.text(MARGIN, bottom + 22.0 + LEADING * nth as f64, Anchor::Start, NOTE, line);
        }
        let height = bottom + 22.0 + LEADING * lines.len() as f64;
        let mut svg = String::new();
        // A String takes everything.
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" height=\"{height:.0}\" \
             role=\"img\" font-family=\"system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif\">\n\
             <title>{}</title>\n<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#ffffff\"/>\n{}</svg>\n",
            escaped(title),
            self.0
        );
        svg
    }
}

/// How wide a text becomes, at most: nobody knows the reader's font.
pub fn width(text: &str, font: Font) -> f64 {
    text.chars().count() as f64 * font.size * if font.is_bold { 0.64 } else { 0.6 }
}

/// For XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn wrapped(text: &str, wide: f64, size: f64) -> Vec<String> {
    let font = Font { size, ..NOTE };
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line, font) + width(word, font) + size < wide => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

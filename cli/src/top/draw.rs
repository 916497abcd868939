//! How `lapwing top` looks.

use super::view::{Row, Sort, View};
use crate::look::{Look, Standing, age};
use crate::quantity::{amount, bytes, digits, shown, span};
use lapwing_ring::Level;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row as TableRow, Sparkline, Table, Wrap};
use std::env;

const TITLES: [&str; 8] = ["pid", "comm", "records/s", "bytes/s", "records", "bytes", "last write", "state"];
const WIDTHS: [u16; 8] = [8, 15, 10, 10, 12, 14, 11, 7];
/// Columns that give way where the screen is narrow, the first of them first: half a number would be another number.
const DISPENSABLE: [usize; 6] = [5, 6, 3, 4, 7, 2];
/// Lines of header and footer, and where the screen is low.
const FRAME: [u16; 2] = [7, 3];
const LOW_FRAME: [u16; 2] = [3, 1];
const LOW: u16 = 16;

/// Colours, or none.
#[derive(Clone, Copy)]
pub struct Colours(bool);

impl Colours {
    /// Source: <https://no-color.org>: none where NO_COLOR is set and not empty.
    pub fn wanted() -> Self {
        Self(env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn of(self, colour: Color) -> Style {
        if self.0 { Style::new().fg(colour) } else { Style::new() }
    }

    fn label(self) -> Style {
        if self.0 { Style::new().fg(Color::Cyan) } else { Style::new().add_modifier(Modifier::BOLD) }
    }
}

pub fn draw(frame: &mut Frame<'_>, view: &View, colours: Colours) {
    let area = frame.area();
    let [above, below] = if area.height < LOW { LOW_FRAME } else { FRAME };
    let [header, table, footer] =
        Layout::vertical([Constraint::Length(above), Constraint::Min(0), Constraint::Length(below)]).areas(area);
    if let Some(look) = &view.look {
        draw_header(frame, header, view, look, colours);
    }
    draw_table(frame, table, view, colours);
    frame.render_widget(Paragraph::new(footer_lines(view, colours)).wrap(Wrap { trim: true }), footer);
}

fn labelled(colours: Colours, label: &'static str, text: String) -> Line<'static> {
    Line::from(vec![Span::styled(format!("{label:10}"), colours.label()), Span::raw(text)])
}

fn draw_header(frame: &mut Frame<'_>, area: Rect, view: &View, look: &Look, colours: Colours) {
    let (stat, geometry) = (&look.stat, look.stat.identity.geometry);
    let bounds = stat.bounds;
    let size =
        format!("{} in {} pages, {:.0} % full", bytes(geometry.size()), geometry.page_count(), look.fill() * 100.0);
    let mut ring = labelled(colours, "ring", format!("{}  {size}", view.path));
    if look.standing != Standing::Ok {
        ring.push_span(Span::styled(format!("  {}", look.standing.name()), colours.of(Color::Yellow)));
    }
    let mut held =
        format!("{} held, next {}, oldest {}", bounds.next_seq - bounds.oldest_seq, bounds.next_seq, bounds.oldest_seq);
    if let Some(oldest) = look.survey.oldest {
        held += &format!(", {} ago", span(age(oldest.real_ns).as_secs_f64()));
    }
    let mut rate = "none yet".to_owned();
    if let Some(now) = view.rate {
        rate = format!("{} records/s, {}/s", digits(now.records), amount(now.bytes));
        match look.horizon(now) {
            _ if look.standing != Standing::Ok => rate += &format!(" in its last {}", span(now.seconds)),
            Some(seconds) => rate += &format!("; a record is overwritten after {}", span(seconds)),
            None => {}
        }
    }
    let refused = stat.refused;
    let mut refusals = labelled(colours, "refused", format!("{} records", refused.total()));
    if refused.total() != 0 {
        let causes = [
            ("too large", refused.too_large),
            ("too many writers", refused.too_many_writers),
            ("all pages pinned", refused.all_pages_pinned),
            ("damaged", refused.damaged),
        ];
        for (cause, count) in causes.into_iter().filter(|&(_, count)| count != 0) {
            refusals.push_span(Span::styled(format!(", {cause} {count}"), colours.of(Color::Red)));
        }
    }
    if stat.last_words != 0 {
        refusals.push_span(Span::raw(format!("; {} unfinished lines of dead writers", stat.last_words)));
    }
    let lines = vec![
        ring,
        labelled(colours, "records", held),
        labelled(colours, "rate", rate),
        refusals,
        levels(look, colours),
        labelled(colours, "reader", reader(view, look)),
    ];
    frame.render_widget(Paragraph::new(lines), area);
    // On the rest of the line of the rate, if that leaves room for anything.
    let x = area.x + area.width.min(84);
    let curve = Rect { x, y: area.y + 2, width: area.right() - x, height: 1 }.intersection(area);
    if curve.width > 5 && curve.height > 0 {
        let shown: Vec<u64> = view.history.iter().rev().take(curve.width as usize).rev().copied().collect();
        frame.render_widget(Sparkline::default().data(shown).style(colours.of(Color::Green)), curve);
    }
}

/// The levels of the records that were read, most frequent first.
fn levels(look: &Look, colours: Colours) -> Line<'static> {
    let mut line = labelled(colours, "levels", String::new());
    let Some(window) = look.survey.window else { return line };
    let total: u64 = window.levels.iter().sum();
    if total == 0 {
        line.push_span(Span::raw(format!("no record in the last {}", span(window.seconds()))));
    }
    let mut counts: Vec<(Level, u64)> =
        (1..).map_while(Level::new).zip(window.levels).filter(|&(_, count)| count != 0).collect();
    counts.sort_by_key(|&(level, count)| (std::cmp::Reverse(count), level));
    for (i, (level, count)) in counts.into_iter().enumerate() {
        let colour = match level {
            level if level >= Level::ERR => Color::Red,
            level if level >= Level::WARN => Color::Yellow,
            level if level >= Level::INFO => Color::Green,
            _ => Color::Blue,
        };
        let share = count as f64 * 100.0 / total as f64;
        let gap = if i == 0 { "" } else { "  " };
        line.push_span(Span::styled(format!("{gap}{level} {} %", digits(share)), colours.of(colour)));
    }
    line
}

/// How this reader itself fares.
fn reader(view: &View, look: &Look) -> String {
    let counts = look.survey.counts;
    let mut text = format!("{} behind", view.behind);
    if view.is_paused() {
        text = format!("paused, {text}");
    }
    match view.came {
        Some(came) => text += &format!("; looked at {} of {came} new records", counts.read.min(came)),
        None => text += &format!("; looked at {} records", counts.read),
    }
    for (what, count) in [("lost", counts.lost), ("abandoned", counts.abandoned), ("in flight", counts.stalled)] {
        if count != 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

/// Which columns the screen has room for.
fn columns(width: u16) -> Vec<usize> {
    let mut columns: Vec<usize> = (0..TITLES.len()).collect();
    for column in DISPENSABLE {
        let taken = columns.iter().map(|&i| WIDTHS[i] + 1).sum::<u16>() - 1;
        if taken <= width {
            break;
        }
        columns.retain(|&i| i != column);
    }
    columns
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, view: &View, colours: Colours) {
    let columns = columns(area.width);
    let titles = columns.iter().map(|&i| {
        let mark = match (Sort::ALL[i].0 == view.sort, view.inverted) {
            (true, false) => "*",
            (true, true) => "^",
            _ => "",
        };
        cell(i, format!("{}{mark}", TITLES[i]), Style::new())
    });
    let header = TableRow::new(titles).style(Style::new().add_modifier(Modifier::REVERSED));
    let rows = view.rows();
    let shown = rows.iter().skip(view.first.min(rows.len().saturating_sub(1)));
    let shown = shown.take(area.height as usize).map(|row| {
        let style = |i| if i == 7 { of_state(row, colours) } else { Style::new() };
        TableRow::new(columns.iter().map(|&i| cell(i, text(row, i), style(i))))
    });
    let widths =
        columns.iter().map(|&i| if i == 7 { Constraint::Min(WIDTHS[i]) } else { Constraint::Length(WIDTHS[i]) });
    frame.render_widget(Table::new(shown, widths).header(header).column_spacing(1), area);
}

fn cell(column: usize, text: String, style: Style) -> Cell<'static> {
    let line = Line::styled(text, style);
    Cell::from(if matches!(column, 1 | 7) { line } else { line.right_aligned() })
}

fn of_state(row: &Row, colours: Colours) -> Style {
    match row.state {
        "dead" => colours.of(Color::Red),
        "unknown" => colours.of(Color::Yellow),
        "no slot" => Style::new(),
        _ => colours.of(Color::Green),
    }
}

fn text(row: &Row, column: usize) -> String {
    let unknown = || "-".to_owned();
    match column {
        0 => row.pid.to_string(),
        1 => row.comm.clone(),
        2 => row.rate.map_or_else(unknown, |rate| digits(rate.0)),
        3 => row.rate.map_or_else(unknown, |rate| format!("{}/s", amount(rate.1))),
        4 => row.total.map_or_else(unknown, |total| total.0.to_string()),
        5 => row.total.map_or_else(unknown, |total| total.1.to_string()),
        6 => row.last.map_or_else(unknown, |last| format!("{} ago", span(age(last.real_ns).as_secs_f64()))),
        _ if row.slots > 1 => format!("{}, {} slots", row.state, row.slots),
        _ => row.state.to_owned(),
    }
}

fn footer_lines(view: &View, colours: Colours) -> Vec<Line<'static>> {
    let mut first = if view.typing {
        Line::from(format!("filter: {}_", shown_filter(view)))
    } else if let Some(notice) = &view.notice {
        Line::styled(shown(notice.as_bytes()), colours.of(Color::Red))
    } else {
        let (matching, all) = (view.rows().len(), view.processes());
        let filter = if view.filter.is_empty() { String::new() } else { format!(", filter: {}", shown_filter(view)) };
        Line::from(format!("{matching} of {all} processes{filter}"))
    };
    if view.is_paused() {
        first.push_span(Span::styled("  PAUSED", Style::new().add_modifier(Modifier::BOLD)));
    }
    let mut keys = Line::default();
    let sorts = TITLES.into_iter().zip(Sort::ALL).map(|(title, (_, key))| (key.to_string(), title));
    let rest = [("i", "invert"), ("/", "filter"), ("space", "pause"), ("q", "quit")];
    for (key, what) in sorts.chain(rest.map(|(key, what)| (key.to_owned(), what))) {
        keys.push_span(Span::styled(key, colours.label()));
        keys.push_span(Span::raw(format!(" {what}  ")));
    }
    vec![first, keys]
}

/// What was pasted into it may be anything.
fn shown_filter(view: &View) -> String {
    shown(view.filter.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapwing_ring::{Create, Log, Reader};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    #[test]
    fn a_screen_of_any_size_is_drawn_and_cuts_no_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        Create::new().size(64 << 10).create(&path).unwrap();
        let log = Log::open(&path).unwrap();
        for _ in 0..1234 {
            log.append(Level::INFO, b"a text of 22 characters").unwrap();
        }
        let mut view = View::new(&path, Sort::Rate, "");
        view.take(Look::take(&mut Reader::open(&path).unwrap(), |_| true).unwrap());
        let numbers = [std::process::id().to_string(), "1234".to_owned(), (1234 * 23).to_string()];
        let mut columns_seen = 0;
        for width in 0..140 {
            for height in [0, 1, 9, 24] {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                terminal.draw(|frame| draw(frame, &view, Colours(true))).unwrap();
                let cells = terminal.backend().buffer().content();
                let lines = cells.chunks(usize::from(width).max(1));
                let lines: Vec<String> = lines.map(|line| line.iter().map(|cell| cell.symbol()).collect()).collect();
                let Some(head) = lines.iter().position(|line| line.trim_start().starts_with("pid ")) else { continue };
                if width < 30 || head + 1 >= lines.len() || !lines[head + 1].contains(&numbers[0]) {
                    continue;
                }
                let shown: Vec<&str> = lines[head + 1].split(' ').filter(|cell| !cell.is_empty()).collect();
                for (title, number) in [(" records ", &numbers[1]), (" bytes ", &numbers[2])] {
                    let is_there = lines[head].contains(title);
                    assert_eq!(shown.contains(&number.as_str()), is_there, "{width}: {lines:?}");
                    columns_seen += usize::from(is_there);
                }
            }
        }
        assert!(columns_seen > 200, "{columns_seen}");
    }
}

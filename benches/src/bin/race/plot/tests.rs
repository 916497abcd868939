//! The charts as XML: as many bars as rows, as long as they ought to be, and nothing beyond the sheet.

use super::bars::{Bars, Row};
use super::lines::{Line, Lines};
use super::paper::{Font, NOTE, width};
use super::{Results, bars, scaling};
use crate::peer::Measure;
use crate::results::{Figures, Run};
use roxmltree::{Document, Node};

fn chart(values: &[f64], floor: Option<f64>) -> Bars {
    let row = |&value: &f64| Row {
        name: "a <name>",
        value,
        figure: format!("{value}"),
        is_ours: value == values[0],
        is_confined: false,
    };
    Bars {
        title: "less & more".into(),
        unit: "ns",
        is_less_better: true,
        rows: values.iter().map(row).collect(),
        floor,
        caption: "A machine. ".repeat(40),
    }
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    let text = node.attribute(name).unwrap_or_else(|| panic!("{node:?} has no {name}"));
    text.parse().unwrap_or_else(|_| panic!("{name} is {text}"))
}

fn lengths(svg: &str) -> Vec<f64> {
    let document = Document::parse(svg).unwrap();
    let bars = document.descendants().filter(|node| node.attribute("class") == Some("bar"));
    bars.map(|bar| number(bar, "width")).collect()
}

/// No text leaves the sheet, and none lies over another.
fn check_texts(svg: &str) {
    let document = Document::parse(svg).unwrap();
    let (wide, high) = (number(document.root_element(), "width"), number(document.root_element(), "height"));
    let mut boxes: Vec<(f64, f64, f64, f64, &str)> = Vec::new();
    for node in document.descendants().filter(|node| node.has_tag_name("text")) {
        let text = node.text().unwrap();
        let (x, y, size) = (number(node, "x"), number(node, "y"), number(node, "font-size"));
        // A little narrower than what room is made for.
        let long = 0.85 * width(text, Font { size, is_bold: node.attribute("font-weight").is_some(), ..NOTE });
        let from = match node.attribute("text-anchor").unwrap() {
            "end" => x - long,
            "middle" => x - long / 2.0,
            _ => x,
        };
        assert!(from >= 0.0 && from + long <= wide && y - size >= 0.0 && y <= high, "{text:?} is cut off");
        for &(left, right, top, bottom, other) in &boxes {
            let is_beside = from >= right || from + long <= left || y - 0.8 * size >= bottom || y <= top;
            assert!(is_beside, "{text:?} lies over {other:?}");
        }
        boxes.push((from, from + long, y - 0.8 * size, y, text));
    }
}

#[test]
fn bars_are_as_long_as_their_values() {
    let values = [5.0, 10.0, 40.0];
    let svg = chart(&values, Some(4.0)).svg();
    check_texts(&svg);
    assert!(!svg.contains("logarithmic"), "{svg}");
    let lengths = lengths(&svg);
    assert_eq!(lengths.len(), values.len());
    for (length, value) in lengths.iter().zip(values) {
        assert!((length / lengths[2] - value / values[2]).abs() < 0.001, "{lengths:?}");
    }
}

#[test]
fn far_apart_bars_are_as_long_as_logarithms() {
    let values = [7.0, 70.0, 700.0, 70_000.0];
    let svg = chart(&values, None).svg();
    check_texts(&svg);
    assert!(svg.contains("logarithmic scale"), "{svg}");
    let lengths = lengths(&svg);
    assert!(lengths[0] > 0.0);
    let factor = lengths[1] - lengths[0];
    assert!((lengths[2] - lengths[1] - factor).abs() < 0.1, "{lengths:?}");
    assert!((lengths[3] - lengths[2] - 2.0 * factor).abs() < 0.1, "{lengths:?}");
}

#[test]
fn one_bar_and_equal_bars() {
    for values in [&[3.0][..], &[3.0, 3.0], &[0.0, 3.0], &[0.0]] {
        let svg = chart(values, None).svg();
        check_texts(&svg);
        assert_eq!(lengths(&svg).len(), values.len());
        assert!(lengths(&svg).iter().all(|length| length.is_finite() && *length >= 0.0), "{svg}");
    }
}

#[test]
fn names_beside_lines_do_not_meet() {
    let names = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let line = |(nth, name)| Line {
        name,
        points: [1usize, 2, 4, 8, 16].map(|count| (count, 10.0 + f64::from(nth) / 10.0 + count as f64)).to_vec(),
        is_ours: nth == 3,
    };
    let lines = (0i32..).zip(names).map(line).collect();
    let svg = Lines { title: "t".into(), unit: "u", lines, caption: "c".into() }.svg();
    check_texts(&svg);
    let document = Document::parse(&svg).unwrap();
    let lines: Vec<_> = document.descendants().filter(|node| node.attribute("class") == Some("line")).collect();
    assert_eq!(lines.len(), names.len());
    assert!(lines.iter().all(|line| line.attribute("points").unwrap().split(' ').count() == 5));
}

/// So many runs of each figure.
fn results(measure: Measure, figures: &[(&'static str, f64, f64)], runs: usize) -> Results {
    let mut results = Results::default();
    for &(name, figure, probe) in figures {
        results.enter(name, "");
        for _ in 0..runs {
            let probes = if measure.is_shared() { vec![probe, probe] } else { vec![] };
            results.add(Run { name, measure, probes, figures: Ok(Figures { figure, ..Figures::default() }) });
        }
    }
    results
}

#[test]
fn the_best_is_on_top() {
    let names = |bars: &Bars| bars.rows.iter().map(|row| row.name).collect::<Vec<_>>();
    let figures = [("pipe", 2e6, 30.0), ("lapwing", 3e7, 30.0), ("far", 9e7, 170.0)];
    let many = bars(&results(Measure::Deliver, &figures, 5), Measure::Deliver, "M.").unwrap();
    assert_eq!(names(&many), ["lapwing", "pipe"], "those of the class that most were seen in");
    assert!(many.caption.contains("in this class: far") && many.caption.contains("Class near"), "{}", many.caption);
    assert!((many.rows[0].value - 30.0).abs() < 1e-9 && many.rows[0].is_ours);
    let figures = [("pipe", 2e6, 30.0), ("file", 2e6, 30.0), ("lapwing", 3e7, 170.0)];
    let ours = bars(&results(Measure::Deliver, &figures, 5), Measure::Deliver, "M.").unwrap();
    assert_eq!(names(&ours), ["lapwing"], "where the ring is");
    let figures = [("pipe", 2e6, 30.0), ("lapwing", 3e7, 30.0), ("far", 9e7, 170.0)];
    let few = bars(&results(Measure::Latency, &figures, 5), Measure::Latency, "M.").unwrap();
    assert_eq!(names(&few), ["pipe", "lapwing"]);
    assert!(bars(&results(Measure::Deliver, &figures, 4), Measure::Deliver, "M.").is_none(), "too few runs");
}

#[test]
fn the_floor_is_a_line() {
    let figures =
        [("memcpy", 5.0, 0.0), ("compare-exchange", 4.0, 0.0), ("both in one loop", 8.0, 0.0), ("pipe", 90.0, 0.0)];
    let bars = bars(&results(Measure::Append, &figures, 5), Measure::Append, "M.").unwrap();
    assert_eq!((bars.rows.len(), bars.floor), (1, Some(9.0)));
}

#[test]
fn scaling_takes_more_than_two_writers() {
    let figures = [("pipe", 2e6, 30.0), ("lapwing", 3e7, 30.0)];
    let mut all = results(Measure::Writers(2), &figures, 5);
    assert!(scaling(&all, "M.").is_none());
    for (name, figure, probe) in figures {
        for _ in 0..5 {
            let figures = Ok(Figures { figure: figure / 2.0, ..Figures::default() });
            all.add(Run { name, measure: Measure::Writers(4), probes: vec![probe, probe], figures });
        }
    }
    let lines = scaling(&all, "M.").unwrap();
    assert_eq!(lines.lines[1].points, [(2, 30.0), (4, 15.0)]);
    check_texts(&lines.svg());
}

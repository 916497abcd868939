//! The medians as bar charts, one for each thing that is measured, and as lines over the number of writers.

mod bars;
mod lines;
mod paper;
mod scale;
#[cfg(test)]
mod tests;

use crate::peer::{LEN, Measure};
use crate::results::{FEWEST, FLOOR_PARTS, Median, Results};
use crate::table::{OURS, figure, title};
use crate::{Result, peers};
use bars::{Bars, Row};
use lapwing_benches::probe::Class;
use lines::{Line, Lines};
use rustix::fs::{Access, access};
use std::fs;
use std::path::Path;

/// Makes the folder of the charts, where it is not there.
pub fn prepare(folder: &Path) -> Result<()> {
    let made = fs::create_dir_all(folder).and_then(|()| Ok(access(folder, Access::WRITE_OK)?));
    made.map_err(|error| format!("{}: {error}", folder.display()).into())
}

/// Writes a file for each chart there is something for.
pub fn write(results: &Results, folder: &Path) -> Result<()> {
    let put = |name: &str, svg: String| {
        let path = folder.join(format!("{name}.svg"));
        fs::write(&path, svg).map_err(|error| format!("{}: {error}", path.display()))
    };
    let machine = machine();
    for measure in results.measures() {
        if let Some(bars) = bars(results, measure, &machine) {
            put(&measure.to_string(), bars.svg())?;
        }
    }
    if let Some(lines) = scaling(results, &machine) {
        put("scaling", lines.svg())?;
    }
    Ok(())
}

/// One measure in the class that most contestants were seen in.
fn bars(results: &Results, measure: Measure, machine: &str) -> Option<Bars> {
    let class = class_of(results, &[measure])?;
    let (mut rows, mut unseen) = (Vec::new(), Vec::new());
    for &(name, _) in results.abouts() {
        if FLOOR_PARTS.contains(&name) || name == peers::OVERLAPPED {
            continue;
        }
        match seen(results, name, measure, class) {
            Some(median) => rows.push(Row {
                name,
                value: scaled(measure, median.figure),
                figure: text(measure, &median),
                is_ours: name == OURS,
                is_confined: results.is_confined(name),
            }),
            None if results.main(name, measure).is_some() => unseen.push(name),
            None => {}
        }
    }
    let is_less_better = !is_rate(measure);
    rows.sort_by(|one, other| one.value.total_cmp(&other.value));
    if !is_less_better {
        rows.reverse();
    }
    let mut caption =
        vec![format!("Medians, {LEN} bytes a record."), hand_over(results, measure, class), machine.into()];
    if rows.iter().any(|row| row.is_confined) {
        caption.push("Light: within one process, whose records die with it.".into());
    }
    if !unseen.is_empty() {
        caption.push(format!("Not seen often enough in this class: {}.", unseen.join(", ")));
    }
    let floor = results.floor().filter(|_| matches!(measure, Measure::Append | Measure::AppendMeta));
    let unit = unit(measure);
    (!rows.is_empty()).then(|| Bars {
        title: capital(&title(measure)),
        unit,
        is_less_better,
        rows,
        floor,
        caption: sentences(&caption),
    })
}

/// All numbers of writers, once there are more than two.
fn scaling(results: &Results, machine: &str) -> Option<Lines> {
    let measures: Vec<_> =
        results.measures().into_iter().filter(|measure| matches!(measure, Measure::Writers(_))).collect();
    let many = *measures.iter().max().filter(|&&most| most > Measure::Writers(2))?;
    let class = class_of(results, &measures)?;
    let point = |name: &str, measure: Measure| {
        let Measure::Writers(count) = measure else { return None };
        Some((count, scaled(measure, seen(results, name, measure, class)?.figure)))
    };
    let lines: Vec<_> = results
        .abouts()
        .iter()
        .map(|&(name, _)| Line {
            name,
            points: measures.iter().filter_map(|&measure| point(name, measure)).collect(),
            is_ours: name == OURS,
        })
        .filter(|line| !line.points.is_empty())
        .collect();
    let title = "Writers at once, a processor each: records of all of them".into();
    let caption = [format!("Medians, {LEN} bytes a record."), hand_over(results, many, class), machine.into()];
    (!lines.is_empty()).then(|| Lines { title, unit: unit(many), lines, caption: sentences(&caption) })
}

/// The class that most medians are in, of those with enough runs, before all those that the ring is in; what one
/// processor does has but one.
fn class_of(results: &Results, measures: &[Measure]) -> Option<Class> {
    let of = |name, class| measures.iter().filter(|&&of| seen(results, name, of, class).is_some()).count();
    let all = |class| results.abouts().iter().map(|&(name, _)| of(name, class)).sum::<usize>();
    let classes = [Class::Far, Class::Between, Class::Near].into_iter().filter(|&class| all(class) > 0);
    classes.max_by_key(|&class| (of(OURS, class), all(class)))
}

fn seen(results: &Results, name: &str, measure: Measure, class: Class) -> Option<Median> {
    if !measure.is_shared() {
        return results.main(name, measure).map(|(_, median)| median);
    }
    results.classes(name, measure).get(&class).copied().filter(|median| median.runs >= FEWEST)
}

fn is_rate(measure: Measure) -> bool {
    matches!(measure, Measure::Writers(_) | Measure::Deliver)
}

/// In the unit of the chart.
fn scaled(measure: Measure, value: f64) -> f64 {
    if is_rate(measure) { value / 1e6 } else { value }
}

fn unit(measure: Measure) -> &'static str {
    match measure {
        Measure::Append | Measure::AppendMeta => "nanoseconds a record",
        Measure::Writers(_) | Measure::Deliver => "million records a second",
        Measure::Latency => "nanoseconds, median",
    }
}

/// What stands at a bar's end.
fn text(measure: Measure, median: &Median) -> String {
    let figure = figure(measure, median.figure);
    match median.lost {
        Some((lost, of)) if lost > 0 => format!("{figure}, {:.2} % lost", lost as f64 / of as f64 * 100.0),
        _ => figure,
    }
}

fn hand_over(results: &Results, measure: Measure, class: Class) -> String {
    match results.probe_in(class).filter(|_| measure.is_shared()) {
        Some(ns) => format!("Class {class}: a cache line takes {ns:.0} ns from one processor to the other."),
        None => String::new(),
    }
}

/// What it was measured on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, model)| model);
    let processors = lapwing_benches::cores::allowed().len();
    let release = read("/proc/sys/kernel/osrelease");
    let kernel = release.split(|c: char| c != '.' && !c.is_ascii_digit()).next().unwrap_or_default();
    let s = if processors == 1 { "" } else { "s" };
    format!("{}, {processors} processor{s}, Linux {kernel}.", model.unwrap_or(std::env::consts::ARCH).trim())
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// One after the other, without those that say nothing.
fn sentences(all: &[String]) -> String {
    all.iter().filter(|text| !text.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

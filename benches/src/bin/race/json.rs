//! The medians as JSON, for programs.

use crate::peer::Measure;
use crate::results::{FLOOR, Results};
use serde_json::{Map, Value, json};

/// One line for each contestant; a key is absent where it cannot do that or no run succeeded.
pub fn text(results: &Results) -> String {
    let floor = results.floor().map(|ns| json!({"name": FLOOR, "append_ns": round(ns)}));
    let others = results.abouts().iter().map(|&(name, _)| Value::Object(result(results, name)));
    let all: Vec<Value> = floor.into_iter().chain(others).collect();
    let skipped: Vec<Value> = results.skipped().iter().map(|(name, why)| json!({"name": name, "why": why})).collect();
    let mut whole = json!({"results": all, "skipped": skipped});
    if let Some(ns) = results.probe_ns() {
        whole["probe_ns"] = json!(round(ns));
    }
    format!("{whole:#}\n")
}

fn result(results: &Results, name: &str) -> Map<String, Value> {
    let mut result = Map::from_iter([("name".into(), json!(name))]);
    let mut classes = Map::new();
    for measure in results.measures() {
        let Some((_, median)) = results.main(name, measure) else { continue };
        let key = key(measure);
        result.insert(key.clone(), json!(round(median.figure)));
        if let Some(late) = median.late90 {
            result.insert("latency_p90_ns".into(), json!(round(late)));
        }
        if let Some((lost, of)) = median.lost {
            let word =
                if measure == Measure::Deliver { String::new() } else { format!("{measure}_").replace('-', "_") };
            result.insert(format!("{word}lost"), json!(lost));
            result.insert(format!("{word}sent"), json!(of));
        }
        if measure.is_shared() {
            for (class, median) in results.classes(name, measure) {
                let class = classes.entry(class.to_string()).or_insert_with(|| json!({}));
                class[&key] = json!({"runs": median.runs, "median": round(median.figure)});
            }
        }
    }
    if !classes.is_empty() {
        result.insert("classes".into(), Value::Object(classes));
    }
    result
}

fn key(measure: Measure) -> String {
    match measure {
        Measure::Append => "append_ns".into(),
        Measure::AppendMeta => "append_meta_ns".into(),
        Measure::Writers(1) => "one_writer_per_s".into(),
        Measure::Writers(2) => "two_writers_per_s".into(),
        Measure::Writers(count) => format!("{count}_writers_per_s"),
        Measure::Deliver => "deliver_per_s".into(),
        Measure::Latency => "latency_p50_ns".into(),
    }
}

/// Three digits behind the point are more than anybody measures.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

//! What a ring tells Prometheus, in the text format 0.0.4. The names are a contract: docs/WATCH.md lists them.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>, "Text-based format".

use super::report::hex;
use crate::look::{Look, Standing, verdict};
use crate::quantity::shown;
use lapwing_reader_shim::{LastWrite, Moment};
use lapwing_ring::WriterStat;
use std::fmt::Write as _;
use std::path::Path;

/// Families are written one after the other, each with its help and type in front, as the format asks.
struct Metrics {
    out: String,
    /// The label that every sample has.
    ring: String,
}

impl Metrics {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // A String takes everything.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.out, "{name}{{ring=\"{}\"", self.ring);
        for (key, text) in labels {
            let _ = write!(self.out, ",{key}=\"{}\"", escaped(text));
        }
        let _ = writeln!(self.out, "}} {value}");
    }

    /// A family of one sample.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// A family with a sample for each writer that `value` has one for.
    fn each(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        writers: &[WriterStat],
        value: impl Fn(&WriterStat) -> Option<String>,
    ) {
        self.family(name, kind, help);
        for writer in writers {
            if let Some(value) = value(writer) {
                let (slot, pid, uid) = (writer.slot.to_string(), writer.pid.to_string(), writer.uid.to_string());
                let labels = [("slot", &*slot), ("pid", &pid), ("uid", &uid), ("comm", &shown(&writer.comm))];
                self.sample(name, &labels, value);
            }
        }
    }
}

/// A label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n")
}

fn seconds(nanoseconds: i64) -> String {
    // Nothing was written before 1970.
    let nanoseconds = nanoseconds.max(0);
    format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000)
}

pub fn metrics(path: &Path, look: &Look) -> String {
    let (stat, survey) = (&look.stat, &look.survey);
    let (identity, geometry, bounds) = (&stat.identity, stat.identity.geometry, stat.bounds);
    let ring = escaped(&shown(path.as_os_str().as_encoded_bytes()));
    let mut metrics = Metrics { out: String::new(), ring };
    let m = &mut metrics;
    m.family("lapwing_ring_info", "gauge", "Which ring this is; always 1.");
    let (id, boot) = (hex(identity.ring_id), hex(identity.boot_id));
    m.sample("lapwing_ring_info", &[("ring_id", &id), ("boot_id", &boot), ("state", look.standing.name())], 1);
    let writable = u8::from(look.standing == Standing::Ok);
    m.one("lapwing_ring_writable", "gauge", "1, or 0 for a copy or a ring of another boot.", writable);
    let created = seconds(identity.created_ns as i64);
    m.one("lapwing_ring_created_timestamp_seconds", "gauge", "When the ring was made.", created);
    m.one("lapwing_ring_size_bytes", "gauge", "Bytes of all pages.", geometry.size());
    m.one("lapwing_ring_pages", "gauge", "Pages of the ring.", geometry.page_count());
    m.one("lapwing_ring_used_bytes", "gauge", "Bytes of the pages that are taken.", stat.used);
    m.one("lapwing_ring_slots", "gauge", "Writer slots.", geometry.slot_count());
    m.one("lapwing_records_total", "counter", "Records that were ever reserved: the next sequence.", bounds.next_seq);
    m.one(
        "lapwing_records_overwritten_total",
        "counter",
        "Records overwritten since: the oldest sequence.",
        bounds.oldest_seq,
    );
    m.one("lapwing_records_held", "gauge", "Records that can be read.", bounds.next_seq - bounds.oldest_seq);
    let moment = |m: &mut Metrics, name: &str, help: &str, moment: Option<Moment>| {
        m.family(name, "gauge", help);
        if let Some(moment) = moment {
            m.sample(name, &[], seconds(moment.real_ns));
        }
    };
    moment(m, "lapwing_oldest_record_timestamp_seconds", "When the oldest record was written.", survey.oldest);
    moment(m, "lapwing_newest_record_timestamp_seconds", "When the newest record was written.", survey.newest);
    m.family("lapwing_records_refused_total", "counter", "Records that never entered the ring, by cause.");
    let refused = &stat.refused;
    let causes = [
        ("too_large", refused.too_large),
        ("too_many_writers", refused.too_many_writers),
        ("all_pages_pinned", refused.all_pages_pinned),
        ("damaged", refused.damaged),
    ];
    for (cause, count) in causes {
        m.sample("lapwing_records_refused_total", &[("cause", cause)], count);
    }
    let help = "Unfinished lines of dead writers that nobody has appended yet.";
    m.one("lapwing_unfinished_lines", "gauge", help, stat.last_words);
    m.family("lapwing_writers", "gauge", "Writer slots in use, by what is known of their owners.");
    for life in ["alive", "dead", "unknown"] {
        let count = stat.writers.iter().filter(|writer| verdict(writer) == life).count();
        m.sample("lapwing_writers", &[("verdict", life)], count);
    }
    let help = "Records appended through a slot by its present owner.";
    m.each(("lapwing_writer_records_total", "counter", help), &stat.writers, |w| Some(w.records.to_string()));
    let help = "Payload bytes of those records.";
    m.each(("lapwing_writer_bytes_total", "counter", help), &stat.writers, |w| Some(w.bytes.to_string()));
    let help = "When the newest record under the pid of a writer was written, where one was found.";
    m.each(("lapwing_writer_last_write_timestamp_seconds", "gauge", help), &stat.writers, |w| {
        match survey.last_write(w.pid) {
            LastWrite::At(moment) if w.records != 0 => Some(seconds(moment.real_ns)),
            _ => None,
        }
    });
    metrics.out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_can_hold_anything() {
        assert_eq!(escaped("a\\\"b\nc"), r#"a\\\"b\nc"#);
        assert_eq!((seconds(1_500_000_007), seconds(-1)), ("1.500000007".to_owned(), "0.000000000".to_owned()));
    }
}

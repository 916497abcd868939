//! What `lapwing stat` writes for people: the report, and the line of `--watch`.

use super::report::{Report, Writer};
use crate::look::age;
use crate::quantity::{amount, bytes, digits, shown, span};
use lapwing_reader_shim::time_of_day;
use std::fmt::Write as _;

/// `readers` are told of under --verbose.
pub fn report(report: &Report, readers: Option<&[(u32, String)]>) -> String {
    let mut out = String::new();
    // A String takes everything.
    let mut line = |name: &str, value: String| {
        let _ = writeln!(out, "{name:10} {value}");
    };
    line("ring", report.path.clone());
    line("id", report.ring_id.clone());
    line("created", report.created.clone());
    if let Some(saved) = &report.saved {
        line("saved", format!("{saved}; what follows is of that moment"));
    }
    if report.state != "ok" {
        line("state", format!("{}: nobody can write to it", report.state));
    }
    line("size", format!("{} in {} pages of {}", bytes(report.size), report.pages, bytes(report.page_size)));
    line("fill", format!("{:.0} %, {}", report.fill * 100.0, amount(report.used as f64)));
    line("slots", format!("{}, {} in use", report.slots, report.writers.len()));
    line("clock", report.clock.to_owned());
    let newest = report.newest_seq.map_or("none".to_owned(), |seq| seq.to_string());
    line("sequences", format!("oldest {}, newest {newest}, next {}", report.oldest_seq, report.next_seq));
    line("held", held(report));
    line("rate", rate(report));
    let refused = &report.refused;
    let causes = [
        ("too large", refused.too_large),
        ("too many writers", refused.too_many_writers),
        ("all pages pinned", refused.all_pages_pinned),
        ("damaged", refused.damaged),
    ];
    let causes = causes.map(|(cause, count)| format!("{cause} {count}")).join(", ");
    line("refused", format!("{} records: {causes}", refused.total));
    if report.last_words != 0 {
        let what = match report.saved {
            None => "unfinished lines of dead writers, to be appended by `lapwing tail`",
            Some(_) => "unfinished lines of dead writers",
        };
        line("last words", format!("{} {what}", report.last_words));
    }
    if let Some(readers) = readers {
        let name = |(pid, name): &(u32, String)| format!("{pid} ({})", shown(name.as_bytes()));
        let names: Vec<String> = readers.iter().map(name).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        line("readers", format!("{names}, as far as /proc shows"));
        line("boot", report.boot_id.clone());
        line("file", bytes(report.file_len));
        line("payload", format!("{} bytes at most, fields included", report.max_body));
        line("read", report.access.to_owned());
        line("tick", format!("{:.9} ns", report.ns_per_tick));
    }
    writers(&mut out, report, readers.is_some());
    out
}

fn held(report: &Report) -> String {
    let mut text = format!("{} records", report.held);
    if let (Some(seconds), Some(oldest), Some(newest)) = (report.span_s, &report.oldest_time, &report.newest_time) {
        let _ = write!(text, " of {}, {oldest} to {newest}", span(seconds));
    }
    text
}

fn rate(report: &Report) -> String {
    let Some(rate) = &report.rate else { return "nothing was written yet".to_owned() };
    let over = match report.state {
        "ok" => "over the last",
        _ => "over its last",
    };
    let speed = format!("{} records/s, {}/s", digits(rate.records_per_s), amount(rate.bytes_per_s));
    let mut text = format!("{speed} {over} {}", span(rate.seconds));
    if let Some(seconds) = report.horizon_s {
        let _ = write!(text, "; a record is overwritten after {}", span(seconds));
    }
    text
}

fn writers(out: &mut String, report: &Report, verbose: bool) {
    let _ = match report.writers.len() {
        0 => writeln!(out, "\nno writer is attached"),
        _ => writeln!(
            out,
            "\n{:>10} {:15} {:>10} {:>12} {:>14} {:>12} state",
            "pid", "comm", "uid", "records", "bytes", "last write"
        ),
    };
    for writer in &report.writers {
        let Writer { pid, comm, uid, records, bytes, state, .. } = writer;
        let last = writer.last_ns.map_or("-".to_owned(), ago);
        let _ = write!(out, "{pid:>10} {comm:15} {uid:>10} {records:>12} {bytes:>14} {last:>12} {state}");
        if verbose {
            let appending = if writer.appending { ", inside an append" } else { "" };
            let Writer { evidence, slot, attached, .. } = writer;
            let _ = write!(out, ": {evidence}; slot {slot}, attached {attached}{appending}");
            if let Some(rate) = writer.records_per_s.zip(writer.bytes_per_s) {
                let _ = write!(out, ", {} records/s, {}/s", digits(rate.0), amount(rate.1));
            }
        }
        out.push('\n');
    }
}

/// How long ago, which for the last words of the dead may be long.
pub fn ago(real_ns: i64) -> String {
    format!("{} ago", span(age(real_ns).as_secs_f64()))
}

pub const HEADING: &str =
    "time           records/s     bytes/s     next sequence       held  fill   overwritten  refused  writers\n";

/// One line of `--watch`.
pub fn line(report: &Report) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let time = time_of_day(now.as_nanos() as i64);
    let (records, bytes) = report.rate.as_ref().map_or(("-".to_owned(), "-".to_owned()), |rate| {
        (digits(rate.records_per_s), format!("{}/s", amount(rate.bytes_per_s)))
    });
    let after = report.horizon_s.map_or("-".to_owned(), |seconds| format!("after {}", span(seconds)));
    let alive = report.writers.iter().filter(|writer| writer.alive).count();
    let Report { next_seq, held, fill, refused, .. } = report;
    let (fill, refused) = (format!("{:.0} %", fill * 100.0), refused.total);
    format!(
        "{time} {records:>11} {bytes:>11} {next_seq:>17} {held:>10} {fill:>5} {after:>13} {refused:>8} {alive:>8}\n"
    )
}

//! All that `lapwing stat` tells of a ring. The keys of the JSON object are a contract: docs/WATCH.md lists them, and they
//! only grow.

use crate::look::{Look, Pace, Rate, Standing, verdict};
use crate::quantity::shown;
use lapwing_reader_shim::{LastWrite, Moment, rfc3339_utc};
use lapwing_ring::{Access, ClockKind, Reader, WriterStat};
use serde::Serialize;

/// In the order of the JSON object.
#[derive(Serialize)]
pub struct Report {
    pub path: String,
    pub ring_id: String,
    pub boot_id: String,
    pub created: String,
    /// When it was saved out of a ring.
    pub saved: Option<String>,
    /// `ok`, or `copy`, `another boot` or `saved`, where nobody can write any more.
    pub state: &'static str,
    pub clock: &'static str,
    pub ns_per_tick: f64,
    pub size: u64,
    pub page_size: u64,
    pub pages: u32,
    /// Bytes of the pages that are taken, and the share that they are.
    pub used: u64,
    pub fill: f64,
    pub slots: u32,
    pub file_len: u64,
    pub max_body: usize,
    /// `mapped`, or `copied` because somebody else owns the file.
    pub access: &'static str,
    pub oldest_seq: u64,
    /// None where nothing was written yet.
    pub newest_seq: Option<u64>,
    pub next_seq: u64,
    pub held: u64,
    /// When the oldest record was written that can still be read, and the newest.
    pub oldest_time: Option<String>,
    pub newest_time: Option<String>,
    /// Seconds between the two.
    pub span_s: Option<f64>,
    pub rate: Option<RateReport>,
    /// So many seconds after it was written a record is overwritten, at this rate.
    pub horizon_s: Option<f64>,
    pub refused: Refused,
    /// Unfinished lines of dead writers that nobody has appended yet.
    pub last_words: usize,
    pub writers: Vec<Writer>,
}

#[derive(Serialize)]
pub struct RateReport {
    /// What it was measured over.
    pub seconds: f64,
    pub records_per_s: f64,
    pub bytes_per_s: f64,
}

#[derive(Serialize)]
pub struct Refused {
    pub total: u64,
    pub too_large: u64,
    pub too_many_writers: u64,
    pub all_pages_pinned: u64,
    pub damaged: u64,
}

#[derive(Serialize)]
pub struct Writer {
    pub slot: usize,
    pub pid: u32,
    pub uid: u32,
    pub comm: String,
    pub records: u64,
    pub bytes: u64,
    /// Since the last report, of --watch.
    pub records_per_s: Option<f64>,
    pub bytes_per_s: Option<f64>,
    pub attached: String,
    /// The newest record that was found under its pid.
    pub last_write: Option<String>,
    /// Where none was found: since when there is none.
    pub none_since: Option<String>,
    pub state: &'static str,
    pub alive: bool,
    pub appending: bool,
    /// `alive`, `dead` or `unknown`, and why.
    pub verdict: &'static str,
    pub evidence: String,
    #[serde(skip)]
    pub last_ns: Option<i64>,
}

fn time(moment: Moment) -> String {
    rfc3339_utc(moment.real_ns)
}

impl Writer {
    fn new(writer: &WriterStat, look: &Look, pace: Option<&Pace>) -> Self {
        let verdict = verdict(writer);
        let state = if writer.is_alive() && writer.appending { "appending" } else { verdict };
        let rate = pace.map(|pace| pace.rate_of(writer));
        let (last, none_since) = match look.survey.last_write(writer.pid) {
            _ if writer.records == 0 => (None, None),
            LastWrite::At(moment) => (Some(moment), None),
            LastWrite::NoneSince(moment) => (None, Some(moment)),
            LastWrite::Unknown => (None, None),
        };
        Self {
            slot: writer.slot,
            pid: writer.pid,
            uid: writer.uid,
            comm: shown(&writer.comm),
            records: writer.records,
            bytes: writer.bytes,
            records_per_s: rate.map(|rate| rate.records),
            bytes_per_s: rate.map(|rate| rate.bytes),
            attached: rfc3339_utc(writer.attached_ns as i64),
            last_write: last.map(time),
            none_since: none_since.map(time),
            state,
            alive: writer.is_alive(),
            appending: writer.appending,
            verdict,
            evidence: writer.evidence.to_string(),
            last_ns: last.map(|moment| moment.real_ns),
        }
    }
}

impl Report {
    /// `pace` is since the report before, if there was one.
    pub fn new(reader: &Reader, look: &Look, rate: Option<Rate>, pace: Option<&Pace>) -> Self {
        let (stat, survey) = (&look.stat, &look.survey);
        let (identity, geometry, bounds) = (&stat.identity, stat.identity.geometry, stat.bounds);
        let clock = match identity.clock.kind() {
            ClockKind::Monotonic => "monotonic",
            ClockKind::Tsc => "tsc",
            ClockKind::Cntvct => "cntvct",
        };
        let refused = &stat.refused;
        let span = survey.oldest.zip(survey.newest);
        Self {
            path: shown(reader.path().as_os_str().as_encoded_bytes()),
            ring_id: hex(identity.ring_id),
            boot_id: hex(identity.boot_id),
            created: rfc3339_utc(identity.created_ns as i64),
            saved: identity.saved_ns.map(|ns| rfc3339_utc(ns as i64)),
            state: look.standing.name(),
            clock,
            ns_per_tick: identity.clock.ns_per_tick() as f64 / (1u64 << 32) as f64,
            size: geometry.size(),
            page_size: geometry.page_size(),
            pages: geometry.page_count(),
            used: stat.used,
            fill: look.fill(),
            slots: geometry.slot_count(),
            file_len: geometry.file_len(identity.lines),
            max_body: geometry.max_body(),
            access: match reader.access() {
                Access::Mapped => "mapped",
                Access::Copied => "copied",
            },
            oldest_seq: bounds.oldest_seq,
            newest_seq: bounds.next_seq.checked_sub(1),
            next_seq: bounds.next_seq,
            held: bounds.next_seq - bounds.oldest_seq,
            oldest_time: survey.oldest.map(time),
            newest_time: survey.newest.map(time),
            span_s: span.map(|(oldest, newest)| newest.mono_ns.saturating_sub(oldest.mono_ns) as f64 / 1e9),
            rate: rate.map(|rate| RateReport {
                seconds: rate.seconds,
                records_per_s: rate.records,
                bytes_per_s: rate.bytes,
            }),
            horizon_s: rate.filter(|_| look.standing == Standing::Ok).and_then(|rate| look.horizon(rate)),
            refused: Refused {
                total: refused.total(),
                too_large: refused.too_large,
                too_many_writers: refused.too_many_writers,
                all_pages_pinned: refused.all_pages_pinned,
                damaged: refused.damaged,
            },
            last_words: stat.last_words,
            writers: stat.writers.iter().map(|writer| Writer::new(writer, look, pace)).collect(),
        }
    }
}

pub fn hex(words: [u64; 2]) -> String {
    format!("{:016x}{:016x}", words[0], words[1])
}

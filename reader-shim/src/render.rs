//! The formats. Whoever shows a record, anywhere in Lapwing, does it with this.
//!
//! ```text
//! short      Nov 21 05:53:42.123456 comm[pid] <warn> text                       no level where it is info, unless the
//!                                                                               text begins like one
//! short-iso  2026-11-21T05:53:42.123456+01:00 comm[pid] <warn> text
//! mono       [  123.456789] comm[pid] <warn> text
//! verbose    seq=12 Nov 21 05:53:42.123456789 comm[pid] tid=7 level=info src=api [tag=..] [flags=a,b] [key=value ..] : text
//! cat        text
//! json       one object a line
//! logfmt     seq=12 time=.. mono_ns=.. pid=.. tid=.. comm=.. level=.. src=.. [tag=..] [uid=..] [flags=a,b] [key=value ..] text=..
//! raw        the payload's bytes and nothing between them
//! ```
//!
//! A loss is a line of its own, `*** 1234 records lost (seq 77..1310) ***`, in `json` and `logfmt` in their own way.
//! `cat` and `raw` are data alone, so there it is a notice, to be written elsewhere.
//!
//! Where several rings are shown as one, `short`, `short-iso` and `mono` have the ring's name in front of comm, `verbose` and
//! `logfmt` have `ring=PATH` behind src, `json` has `ring` as its last key, and a loss says of which ring it is:
//! `*** 1234 records lost (seq 77..1310 of NAME) ***`.

use crate::color;
use crate::digits;
use crate::escape::{push_escaped, push_name};
use crate::loss::Loss;
use crate::wall_clock::WallClock;
use crate::{json, logfmt};
use lapwing_ring::{Level, Record, Who};
use std::fmt;
use std::io::Write;
use std::str::FromStr;

/// How records are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[allow(missing_docs)]
pub enum Format {
    #[default]
    Short,
    ShortIso,
    Mono,
    Verbose,
    Cat,
    Json,
    Logfmt,
    Raw,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Short, Self::ShortIso, Self::Mono, Self::Verbose, Self::Cat, Self::Json, Self::Logfmt, Self::Raw];

    /// The name, for instance `short-iso`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::ShortIso => "short-iso",
            Self::Mono => "mono",
            Self::Verbose => "verbose",
            Self::Cat => "cat",
            Self::Json => "json",
            Self::Logfmt => "logfmt",
            Self::Raw => "raw",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no format.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0:?} is no format; formats are {names}", names = Format::ALL.map(Format::name).join(", "))]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(s: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|format| format.name() == s).ok_or_else(|| UnknownFormat(s.to_owned()))
    }
}

/// Makes text of records and losses, in one format.
pub struct Renderer {
    format: Format,
    to_terminal: bool,
    clock: WallClock,
    colored: bool,
    ring: Option<RingName>,
}

/// What one of several rings is called.
struct RingName {
    /// Where there is little room.
    short: Vec<u8>,
    path: Vec<u8>,
}

impl Renderer {
    /// `to_terminal`: what reads this would obey control characters, so `cat` escapes them too.
    pub fn new(format: Format, to_terminal: bool) -> Self {
        let clock = match format {
            Format::Short | Format::Mono | Format::Cat | Format::Raw => WallClock::short(6),
            Format::Verbose => WallClock::short(9),
            Format::ShortIso => WallClock::iso(),
            Format::Json | Format::Logfmt => WallClock::utc(),
        };
        Self { format, to_terminal, clock, colored: false, ring: None }
    }

    /// Shows levels and losses in colors, in the formats that people read; `json`, `logfmt` and `raw` have none.
    pub fn set_colored(&mut self, colored: bool) {
        self.colored = colored && !matches!(self.format, Format::Json | Format::Logfmt | Format::Raw);
    }

    /// Says of every record and loss which ring it is from: the one at `path`, `short` where there is little room.
    pub fn of_ring(mut self, short: &[u8], path: &[u8]) -> Self {
        self.ring = Some(RingName { short: short.to_vec(), path: path.to_vec() });
        self
    }

    fn path(&self) -> Option<&[u8]> {
        self.ring.as_ref().map(|ring| ring.path.as_slice())
    }

    /// Appends `record` to `out`, with a newline behind it except in `raw`.
    pub fn record(&mut self, out: &mut Vec<u8>, record: &Record<'_>, who: &Who<'_>) {
        let color = if self.colored { color::of(record.level) } else { "" };
        match self.format {
            Format::Raw => return out.extend_from_slice(record.payload),
            Format::Cat => {
                out.extend_from_slice(color.as_bytes());
                self.cat(out, record.payload);
            }
            Format::Json => {
                let path = self.ring.as_ref().map(|ring| ring.path.as_slice());
                json::push_record(out, &mut self.clock, record, who, path);
            }
            Format::Logfmt => {
                let path = self.ring.as_ref().map(|ring| ring.path.as_slice());
                logfmt::push_record(out, &mut self.clock, record, who, path);
            }
            Format::Verbose => self.verbose(out, record, who, color),
            Format::Short | Format::ShortIso | Format::Mono => {
                if self.format == Format::Mono {
                    push_mono(out, record.mono_ns);
                } else {
                    self.clock.push(out, record.real_ns);
                }
                out.push(b' ');
                if let Some(ring) = &self.ring {
                    push_name(out, &ring.short);
                    out.push(b' ');
                }
                push_name(out, who.comm);
                out.push(b'[');
                digits::push(out, record.pid);
                out.extend_from_slice(b"] ");
                out.extend_from_slice(color.as_bytes());
                if record.level != Level::INFO || begins_with_level(record.payload) {
                    out.push(b'<');
                    out.extend_from_slice(record.level.name().as_bytes());
                    out.extend_from_slice(b"> ");
                }
                push_escaped(out, record.payload);
            }
        }
        if !color.is_empty() {
            out.extend_from_slice(color::NONE.as_bytes());
        }
        out.push(b'\n');
    }

    fn cat(&self, out: &mut Vec<u8>, text: &[u8]) {
        if !self.to_terminal {
            out.extend_from_slice(text);
        } else if is_like_loss(text) {
            // On a terminal the notice of a loss stands among the records.
            out.extend_from_slice(b"\\x2a");
            push_escaped(out, &text[1..]);
        } else {
            push_escaped(out, text);
        }
    }

    fn verbose(&mut self, out: &mut Vec<u8>, record: &Record<'_>, who: &Who<'_>, color: &str) {
        logfmt::push_digits(out, "seq=", record.seq);
        out.push(b' ');
        self.clock.push(out, record.real_ns);
        out.push(b' ');
        match who.comm.contains(&b'[') {
            // In quotes, so that the bracket behind it is ours.
            true => json::push_readable(out, who.comm),
            false => logfmt::push_value(out, who.comm),
        }
        logfmt::push_digits(out, "[", record.pid);
        logfmt::push_digits(out, "] tid=", record.tid);
        logfmt::push_kind(out, record);
        if let Some(ring) = &self.ring {
            logfmt::push_pair(out, "ring", &ring.path);
        }
        logfmt::push_extras(out, record, None);
        out.extend_from_slice(b" : ");
        out.extend_from_slice(color.as_bytes());
        push_escaped(out, record.payload);
    }

    /// Appends `loss` to `out`, with a newline behind it.
    pub fn loss(&self, out: &mut Vec<u8>, loss: &Loss) {
        match self.format {
            Format::Json => json::push_loss(out, loss, self.path()),
            Format::Logfmt => logfmt::push_loss(out, loss, self.path()),
            _ => {
                let (kind, gap) = (loss.kind.name(), loss.gap);
                out.extend_from_slice(if self.colored { color::LOSS.as_bytes() } else { b"" });
                let _ = write!(out, "*** {} records {kind} (seq {}..{}", gap.count, gap.first, gap.last());
                if let Some(ring) = &self.ring {
                    out.extend_from_slice(b" of ");
                    push_name(out, &ring.short);
                }
                out.extend_from_slice(b") ***");
                out.extend_from_slice(if self.colored { color::NONE.as_bytes() } else { b"" });
            }
        }
        out.push(b'\n');
    }

    /// Is a loss no part of the data in this format?
    pub fn loss_is_notice(&self) -> bool {
        matches!(self.format, Format::Cat | Format::Raw)
    }
}

/// `[  123.456789]`
fn push_mono(out: &mut Vec<u8>, mono_ns: u64) {
    let (seconds, micros) = (mono_ns / 1_000_000_000, (mono_ns / 1000 % 1_000_000) as u32);
    let mut buffer = itoa::Buffer::new();
    let seconds = buffer.format(seconds);
    out.push(b'[');
    out.extend_from_slice(&b"     "[seconds.len().min(5)..]);
    out.extend_from_slice(seconds.as_bytes());
    out.extend_from_slice(b".000000]");
    let end = out.len() - 1;
    digits::fill(&mut out[end - 6..end], micros);
}

/// Would `text` pass for a level and what follows it?
fn begins_with_level(text: &[u8]) -> bool {
    // No level has a longer name than this.
    let Some(rest) = text.strip_prefix(b"<").map(|rest| &rest[..rest.len().min(12)]) else { return false };
    let end = rest.windows(2).position(|pair| pair == b"> ");
    end.and_then(|end| std::str::from_utf8(&rest[..end]).ok()).is_some_and(|name| name.parse::<Level>().is_ok())
}

/// Would `text` pass for the line that tells a loss?
fn is_like_loss(text: &[u8]) -> bool {
    text.strip_prefix(b"*** ").and_then(|rest| rest.first()).is_some_and(u8::is_ascii_digit)
}

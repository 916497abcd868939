//! `lapwing log`: words, or lines of standard input, become records.

use crate::args::LogArgs;
use crate::failure::Failure;
use lapwing_ring::{AppendError, Draft, Field, Flags, Level, Log, Purpose, Source};
use lapwing_writer_shim::lines::{Lines, limit_beside, pieces};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

pub fn log(args: &LogArgs) -> Result<ExitCode, Failure> {
    let log = args.ring.location(Purpose::Write).open_log()?;
    let tag = args.tag.as_ref().map(|tag| Field::Tag(tag.as_bytes()));
    let fields = tag.as_slice();
    let limit = limit_beside(log.max_body(), args.tag.as_ref().map(|tag| tag.as_bytes()));
    let mut appender = Appender { log, fields, refused: 0, last: None };
    if args.text.is_empty() {
        let mut lines = Lines::new(limit);
        lines.set_level(args.level);
        each_piece(|bytes| lines.push(bytes, |text, level, flags| appender.append(text, level, flags)))?;
        lines.flush(|text, level, flags| appender.append(text, level, flags));
    } else {
        let words: Vec<&[u8]> = args.text.iter().map(|word| word.as_bytes()).collect();
        let text = words.join(&b' ');
        pieces(&text, limit, Flags::NONE, |now, flags| appender.append(&[now], args.level, flags));
    }
    if appender.log.is_truncated() {
        return Err(Failure::Truncated { path: appender.log.path().to_owned() });
    }
    match appender.last {
        Some(last) => Err(Failure::Refused { refused: appender.refused, last }),
        None => Ok(ExitCode::SUCCESS),
    }
}

struct Appender<'a> {
    log: Log,
    fields: &'a [Field<'a>],
    refused: u64,
    last: Option<AppendError>,
}

impl Appender<'_> {
    /// A refused record is no reason to drop those behind it.
    fn append(&mut self, text: &[&[u8]], level: Level, flags: Flags) {
        let draft = Draft { level, source: Source::Log, flags, fields: self.fields };
        if let Err(error) = self.log.append_slices(&draft, text) {
            self.refused += 1;
            self.last = Some(error);
        }
    }
}

/// Reads standard input as it comes, so that a line is in the ring as soon as it ends.
fn each_piece(mut each: impl FnMut(&[u8])) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => each(&buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Input(error)),
        }
    }
}

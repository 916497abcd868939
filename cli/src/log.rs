//! `lapwing log`: words, or lines of standard input, become records.

use crate::args::LogArgs;
use crate::failure::Failure;
use lapwing_ring::{AppendError, Draft, Field, Flags, Level, Log, Purpose, Source};
use lapwing_writer_shim::lines::{Lines, limit_for};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

pub fn log(args: &LogArgs) -> Result<ExitCode, Failure> {
    let log = args.ring.location(Purpose::Write).open_log()?;
    let tag = args.tag.as_ref().map(|tag| Field::Tag(tag.as_bytes()));
    let fields = tag.as_slice();
    // What the tag takes is not there for the text: one byte of kind and two of length in front of it.
    let tag_len = args.tag.as_ref().map_or(0, |tag| tag.len() + 3);
    let limit = limit_for(log.max_body().saturating_sub(tag_len));
    let mut appender = Appender { log, fields, refused: 0, last: None };
    if args.text.is_empty() {
        let mut lines = Lines::new(limit);
        lines.set_level(args.level);
        each_piece(|bytes| lines.push(bytes, |text, level, flags| appender.append(text, level, flags)))?;
        lines.flush(|text, level, flags| appender.append(text, level, flags));
    } else {
        let words: Vec<&[u8]> = args.text.iter().map(|word| word.as_bytes()).collect();
        let mut text = &words.join(&b' ')[..];
        while let Some((now, rest)) = text.split_at_checked(limit).filter(|(_, rest)| !rest.is_empty()) {
            appender.append(&[now], args.level, Flags::CONT);
            text = rest;
        }
        appender.append(&[text], args.level, Flags::NONE);
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

//! `lapwing sym` without addresses: standard input to standard output, with symbols in place of addresses.

use super::answer;
use crate::failure::Failure;
use crate::symbols::Symbols;
use lapwing_reader_shim::push_escaped;
use memchr::memrchr;
use std::io::{self, IsTerminal, Read, Write};
use std::time::{Duration, Instant};

/// Read at once; what a line has beyond as much as this goes on without its end.
const PIECE: usize = 64 << 10;
const LONGEST: usize = 1 << 20;
/// Input that lasts longer than this may speak of modules that came meanwhile.
const LASTING: Duration = Duration::from_secs(1);

/// Whole lines go out as soon as they have come in, so that it can stand behind who follows a log.
///
/// `symbols`: without them the lines are passed on as they are. `json`: an object for each address, and nothing else.
pub fn filter(mut symbols: Option<Symbols>, json: bool) -> Result<(), Failure> {
    let (mut input, mut stdout) = (io::stdin().lock(), io::stdout());
    let begun = Instant::now();
    let mut writer = Lines { json, escape: !json && stdout.is_terminal(), text: Vec::new(), out: Vec::new() };
    let mut buffer = Vec::with_capacity(2 * PIECE);
    loop {
        let held = buffer.len();
        let read = read(&mut input, &mut buffer).map_err(Failure::Input)?;
        if let Some(symbols) = symbols.as_mut().filter(|_| begun.elapsed() > LASTING) {
            symbols.keep_fresh();
        }
        let end = match memrchr(b'\n', &buffer[held..]) {
            Some(last) => held + last + 1,
            None if read == 0 || buffer.len() > LONGEST => buffer.len(),
            None => 0,
        };
        buffer[..end].split_inclusive(|&byte| byte == b'\n').for_each(|line| writer.line(line, symbols.as_mut()));
        buffer.drain(..end);
        if !writer.out.is_empty() {
            stdout.write_all(&writer.out).and_then(|()| stdout.flush()).map_err(Failure::Output)?;
            writer.out.clear();
        }
        if read == 0 {
            return Ok(());
        }
    }
}

/// Appends what there is; gives how much it was.
fn read(input: &mut impl Read, buffer: &mut Vec<u8>) -> io::Result<usize> {
    let held = buffer.len();
    buffer.resize(held + PIECE, 0);
    let read = loop {
        match input.read(&mut buffer[held..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    buffer.truncate(held + read.as_ref().map_or(0, |&len| len));
    read
}

struct Lines {
    json: bool,
    /// What reads this would obey control characters.
    escape: bool,
    text: Vec<u8>,
    out: Vec<u8>,
}

impl Lines {
    fn line(&mut self, line: &[u8], symbols: Option<&mut Symbols>) {
        let Self { json, escape, text, out } = self;
        text.clear();
        match symbols {
            None if *json => {}
            None => text.extend_from_slice(line),
            Some(symbols) if *json => {
                symbols.each_address(line, text, |found, address, _| {
                    answer::json(out, address, found);
                    false
                });
                text.clear();
            }
            Some(symbols) => {
                symbols.annotate(line, text);
            }
        }
        if *escape {
            let (line, end) = text.split_at(text.len() - usize::from(text.ends_with(b"\n")));
            push_escaped(out, line);
            out.extend_from_slice(end);
        } else {
            out.extend_from_slice(text);
        }
    }
}

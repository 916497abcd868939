//! Line assembly: the bytes of a stream come in any pieces, every line goes out as one record.
//!
//! - A line's record has its text without the newline. An empty line is a record too.
//! - `<N>` in front of a line, N a syslog priority 0 to 7 (or 0 to 191, facility included), is the record's level and not
//!   part of its text. Without it the level is [`Level::INFO`], or what [`Lines::set_level`] says.
//! - A text longer than the limit goes out in several records, [`Flags::CONT`] on all but the last.
//! - What is not yet a line waits in a buffer of fixed size. When it is flushed its record has [`Flags::PARTIAL`].
//!
//! How the bytes were cut into pieces makes no difference to the records. Nothing here allocates, waits or makes a system
//! call, so all of it may run in a signal handler.

#![forbid(unsafe_code)]

use lapwing_ring::{Flags, Level};

/// The longest text of one record, bytes.
pub const MAX_LINE: usize = 8 << 10;
/// The smallest limit: an unfinished `<191>` has to fit.
const MIN_LINE: usize = 8;
/// Room in a record for what the ring may put in front of the text.
const FIELDS: usize = 64;
/// `<191>`
const LONGEST_PREFIX: usize = 5;

/// The longest text of one record for a ring whose records take `max_body` bytes (`Log::max_body`).
pub const fn limit_for(max_body: usize) -> usize {
    let limit = max_body.saturating_sub(FIELDS);
    if limit < MIN_LINE {
        MIN_LINE
    } else if limit > MAX_LINE {
        MAX_LINE
    } else {
        limit
    }
}

/// As [`limit_for`], where every record has this tag as well.
pub fn limit_beside(max_body: usize, tag: Option<&[u8]>) -> usize {
    // One byte of kind and two of length stand in front of it.
    limit_for(max_body.saturating_sub(tag.map_or(0, |tag| tag.len() + 3)))
}

/// Hands out a text in pieces of at most `limit` bytes: [`Flags::CONT`] on all but the last, which has the flags `end`. An
/// empty text is one piece.
#[inline]
pub fn pieces(mut text: &[u8], limit: usize, end: Flags, mut each: impl FnMut(&[u8], Flags)) {
    let limit = limit.max(1);
    while text.len() > limit {
        let (now, rest) = text.split_at(limit);
        each(now, Flags::CONT);
        text = rest;
    }
    each(text, end);
}

/// The unfinished line of one stream.
///
/// A sink gets each record: its text in one or two pieces, its level and its flags. Full lines that lie in the caller's
/// memory are handed out from there, without a copy.
///
/// ```
/// use lapwing_writer_shim::lines::Lines;
///
/// let mut lines = Lines::new(8192);
/// let mut texts = Vec::new();
/// for piece in [&b"one\n<3>t"[..], b"wo\nthree"] {
///     lines.push(piece, |text, level, _flags| texts.push((text.concat(), level)));
/// }
/// lines.flush(|text, level, _partial| texts.push((text.concat(), level)));
///
/// use lapwing_ring::Level;
/// assert_eq!(texts, [(b"one".to_vec(), Level::INFO), (b"two".to_vec(), Level::ERR), (b"three".to_vec(), Level::INFO)]);
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Lines {
    limit: u32,
    len: u32,
    /// The level's number as soon as the line's prefix is known; 0 before.
    level: u8,
    /// The number of the level of lines without a prefix; 0: that of INFO.
    usual: u8,
    buffer: [u8; MAX_LINE],
}

impl Lines {
    /// Between two lines. `limit` is the longest text of one record, bytes; see [`limit_for`].
    pub const fn new(limit: usize) -> Self {
        let mut lines = Self { limit: 0, len: 0, level: 0, usual: 0, buffer: [0; MAX_LINE] };
        lines.set_limit(limit);
        lines
    }

    /// Sets the longest text of one record. For memory that began as zeros: that is an assembler between two lines which
    /// lacks its limit. To be called between two lines only.
    pub const fn set_limit(&mut self, limit: usize) {
        self.limit = limit_for(limit.saturating_add(FIELDS)) as u32;
    }

    /// Sets the level of lines that do not say theirs. To be called between two lines only.
    pub const fn set_level(&mut self, level: Level) {
        self.usual = level.number();
    }

    /// What there is of the unfinished line. Bytes that may be a prefix yet are part of it.
    #[inline]
    pub fn text(&self) -> &[u8] {
        &self.buffer[..self.len as usize]
    }

    /// The level of the unfinished line, as far as it is known.
    pub fn level(&self) -> Level {
        Level::new(self.level).unwrap_or_else(|| self.usual())
    }

    fn usual(&self) -> Level {
        Level::new(self.usual).unwrap_or(Level::INFO)
    }

    /// Is no line unfinished?
    pub const fn is_between_lines(&self) -> bool {
        self.len == 0 && self.level == 0
    }

    /// Takes the next bytes of the stream, and hands out the records that they complete.
    #[inline]
    pub fn push(&mut self, mut bytes: &[u8], mut sink: impl FnMut(&[&[u8]], Level, Flags)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let line = &bytes[..end];
            if self.is_between_lines() {
                whole(line, self.usual(), self.limit as usize, Flags::NONE, &mut sink);
            } else {
                self.add(line, Some(Flags::NONE), &mut sink);
            }
            bytes = &bytes[end + 1..];
        }
        if !bytes.is_empty() {
            self.add(bytes, None, &mut sink);
        }
    }

    /// Hands out the unfinished line, if there is one, with [`Flags::PARTIAL`]. What comes next begins a line.
    pub fn flush(&mut self, mut sink: impl FnMut(&[&[u8]], Level, Flags)) {
        if !self.is_between_lines() {
            self.add(b"", Some(Flags::PARTIAL), &mut sink);
        }
    }

    /// Forgets the unfinished line.
    pub const fn clear(&mut self) {
        (self.len, self.level) = (0, 0);
    }

    /// Adds to the unfinished line; `end` are the flags of its last record, if this ends it.
    fn add(&mut self, mut part: &[u8], end: Option<Flags>, sink: &mut impl FnMut(&[&[u8]], Level, Flags)) {
        let Some(level) = self.find_level(&mut part, end.is_some()) else { return };
        loop {
            let (kept, room) = (self.len as usize, (self.limit - self.len) as usize);
            let (now, flags) = match (part.split_at_checked(room), end) {
                // Only a byte that is there makes it too long: a full buffer may still be all of the line.
                (Some((now, rest)), _) if !rest.is_empty() => {
                    part = rest;
                    (now, Flags::CONT)
                }
                (_, Some(flags)) => (std::mem::take(&mut part), flags),
                (_, None) => {
                    self.keep(part);
                    return;
                }
            };
            match kept {
                0 => sink(&[now], level, flags),
                _ => sink(&[&self.buffer[..kept], now], level, flags),
            }
            self.len = 0;
            if flags != Flags::CONT {
                self.level = 0;
                return;
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let kept = self.len as usize;
        self.buffer[kept..kept + part.len()].copy_from_slice(part);
        self.len += part.len() as u32;
    }

    /// The level of the unfinished line, to which `part` is about to be added; takes its prefix away. `None`: it takes
    /// more bytes to know, and `part` is kept.
    fn find_level(&mut self, part: &mut &[u8], ends: bool) -> Option<Level> {
        if let Some(level) = Level::new(self.level) {
            return Some(level);
        }
        // What is kept is a prefix so far, so it is shorter than the longest one.
        let kept = self.len as usize;
        let more = part.len().min(LONGEST_PREFIX - kept);
        let mut head = [0; LONGEST_PREFIX];
        head[..kept].copy_from_slice(&self.buffer[..kept]);
        head[kept..kept + more].copy_from_slice(&part[..more]);
        let level = match prefix(&head[..kept + more]) {
            Prefix::Level(level, len) => {
                *part = &part[len - kept..];
                self.len = 0;
                level
            }
            Prefix::Unfinished if !ends => {
                self.keep(part);
                return None;
            }
            Prefix::Unfinished | Prefix::None => self.usual(),
        };
        self.level = level.number();
        Some(level)
    }
}

/// Hands out `text` as if it were a whole stream: its lines, then what is behind the last newline with
/// [`Flags::PARTIAL`]. Needs no buffer.
pub fn split(text: &[u8], limit: usize, mut sink: impl FnMut(&[&[u8]], Level, Flags)) {
    let limit = limit_for(limit.saturating_add(FIELDS));
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        whole(&text[start..end], Level::INFO, limit, Flags::NONE, &mut sink);
        start = end + 1;
    }
    if start < text.len() {
        whole(&text[start..], Level::INFO, limit, Flags::PARTIAL, &mut sink);
    }
}

/// The line that `text` is, without its newline, if it is one line and no more, says no level and is no longer than `limit`:
/// what programs write most of the time, and what [`split`] would hand out as one record at [`Level::INFO`].
#[inline(always)]
pub fn only_line(text: &[u8], limit: usize) -> Option<&[u8]> {
    let (b'\n', line) = text.split_last()? else { return None };
    let is_plain = line.len() <= limit && line.first() != Some(&b'<');
    (is_plain && !has_newline(line)).then_some(line)
}

/// Up to here a search without calls is faster, bytes.
const SHORT: usize = 256;

#[inline(always)]
fn has_newline(line: &[u8]) -> bool {
    let Some(last) = line.last_chunk::<16>().filter(|_| line.len() <= SHORT) else {
        return memchr::memchr(b'\n', line).is_some();
    };
    // Sixteen bytes at a time, without a way out in the middle; the last ones overlap with those before.
    let mut found = [false; 16];
    for chunk in line.as_chunks::<16>().0.iter().chain([last]) {
        for (found, &byte) in found.iter_mut().zip(chunk) {
            *found |= byte == b'\n';
        }
    }
    found != [false; 16]
}

/// Hands out a line that lies in one piece.
#[inline]
fn whole(line: &[u8], usual: Level, limit: usize, end: Flags, sink: &mut impl FnMut(&[&[u8]], Level, Flags)) {
    let (level, text) = match prefix(&line[..line.len().min(LONGEST_PREFIX)]) {
        Prefix::Level(level, len) => (level, &line[len..]),
        Prefix::Unfinished | Prefix::None => (usual, line),
    };
    pieces(text, limit, end, |now, flags| sink(&[now], level, flags));
}

enum Prefix {
    None,
    /// A prefix may come of it.
    Unfinished,
    /// A level, and how many bytes say so.
    Level(Level, usize),
}

/// What the first bytes of a line are, five at most.
#[inline]
fn prefix(head: &[u8]) -> Prefix {
    let Some((&first, rest)) = head.split_first() else { return Prefix::Unfinished };
    if first != b'<' {
        return Prefix::None;
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let priority = rest[..digits].iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    match rest.get(digits) {
        _ if digits > 3 || priority > 191 => Prefix::None,
        None => Prefix::Unfinished,
        Some(b'>') if digits > 0 => match Level::from_syslog((priority & 7) as u8) {
            Some(level) => Prefix::Level(level, digits + 2),
            None => Prefix::None,
        },
        Some(_) => Prefix::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Records = Vec<(Vec<u8>, u8, Flags)>;

    fn collect(records: &mut Records) -> impl FnMut(&[&[u8]], Level, Flags) {
        |text, level, flags| records.push((text.concat(), level.number(), flags))
    }

    /// What the records of a whole stream are, said as plainly as possible.
    fn reference(stream: &[u8], limit: usize) -> Records {
        let mut records = Records::new();
        let mut lines: Vec<&[u8]> = stream.split(|&byte| byte == b'\n').collect();
        let unfinished = lines.pop().unwrap();
        let all = lines.into_iter().map(|line| (line, Flags::NONE));
        for (line, end) in all.chain((!unfinished.is_empty()).then_some((unfinished, Flags::PARTIAL))) {
            let known = (0..=191).find_map(|n| Some((n, line.strip_prefix(format!("<{n}>").as_bytes())?)));
            let padded = (0..=99).find_map(|n| {
                let spelled = [format!("<0{n}>"), format!("<00{n}>"), format!("<{n:03}>")];
                spelled.iter().find_map(|p| Some((n, line.strip_prefix(p.as_bytes()).filter(|_| p.len() <= 5)?)))
            });
            let (level, text) = match known.or(padded) {
                Some((n, text)) => ([21, 19, 18, 17, 13, 10, 9, 5][n % 8], text),
                None => (9, line),
            };
            let mut chunks: Vec<&[u8]> = text.chunks(limit).collect();
            let last = chunks.pop().unwrap_or_default();
            records.extend(chunks.into_iter().map(|chunk| (chunk.to_vec(), level, Flags::CONT)));
            records.push((last.to_vec(), level, end));
        }
        records
    }

    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let bit = prop_oneof![
            4 => "[a-z]{0,12}".prop_map(String::into_bytes),
            3 => Just(b"\n".to_vec()),
            3 => (0u32..260).prop_map(|n| format!("<{n}>").into_bytes()),
            1 => "<[0-9]{0,5}>?".prop_map(String::into_bytes),
            1 => prop::collection::vec(any::<u8>(), 0..6),
            1 => (0usize..40).prop_map(|n| vec![b'x'; n]),
        ];
        prop::collection::vec(bit, 0..40).prop_map(|bits| bits.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_cut_gives_the_records_of_the_reference(
            stream in stream(),
            limit in 8usize..30,
            cuts in prop::collection::vec(1usize..20, 1..20),
        ) {
            let mut records = Records::new();
            let mut lines = Lines::new(limit);
            let (mut rest, mut cuts) = (&stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                lines.push(piece, collect(&mut records));
                rest = later;
            }
            lines.flush(collect(&mut records));
            prop_assert!(lines.is_between_lines());
            prop_assert_eq!(&records, &reference(&stream, limit));
        }

        #[test]
        fn splitting_without_a_buffer_gives_the_records_of_the_reference(stream in stream(), limit in 8usize..30) {
            let mut records = Records::new();
            split(&stream, limit, collect(&mut records));
            prop_assert_eq!(records, reference(&stream, limit));
        }

        #[test]
        fn no_record_is_longer_than_the_limit(stream: Vec<u8>, limit in 0usize..300) {
            let mut records = Records::new();
            let mut lines = Lines::new(limit);
            lines.push(&stream, collect(&mut records));
            lines.flush(collect(&mut records));
            prop_assert!(records.iter().all(|(text, ..)| text.len() <= limit.max(MIN_LINE)));
        }
    }

    #[test]
    fn the_only_line_is_what_splitting_gives_where_that_is_one_plain_line() {
        let mut stream = Vec::new();
        for len in 0..600usize {
            for at in [None, Some(0), Some(len / 2), Some(len.saturating_sub(1))] {
                for (byte, end) in [(b'\n', "\n"), (b'<', "\n"), (b'x', "\n"), (b'x', "")] {
                    stream.clear();
                    stream.resize(len, b'a');
                    if let Some(cell) = at.and_then(|at| stream.get_mut(at)) {
                        *cell = byte;
                    }
                    stream.extend_from_slice(end.as_bytes());
                    let mut records = Records::new();
                    split(&stream, 500, collect(&mut records));
                    let is_one = records.len() == 1 && records[0].2 == Flags::NONE && stream[0] != b'<';
                    let only = only_line(&stream, 500);
                    assert_eq!(only, is_one.then(|| &stream[..len]), "{len} {at:?} {byte}");
                    assert!(only.is_none_or(|line| line == records[0].0));
                }
            }
        }
    }

    #[test]
    fn full_lines_are_handed_out_from_the_caller_s_memory() {
        let text = b"one\n<4>two\nthree";
        let mut seen = Vec::new();
        Lines::new(100).push(text, |pieces, _, _| seen.push((pieces.len(), pieces[0].as_ptr())));
        assert_eq!(seen, [(1, text.as_ptr()), (1, text[7..].as_ptr())]);
    }

    #[test]
    fn a_line_as_long_as_the_limit_is_one_record() {
        for len in [MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE, 2 * MAX_LINE + 1] {
            let line = vec![b'a'; len];
            let mut records = Records::new();
            let mut lines = Lines::new(MAX_LINE);
            for piece in line.chunks(1000) {
                lines.push(piece, collect(&mut records));
            }
            lines.push(b"\n", collect(&mut records));
            let lens: Vec<_> = records.iter().map(|(text, _, flags)| (text.len(), *flags)).collect();
            let mut expected = vec![(MAX_LINE, Flags::CONT); len.div_ceil(MAX_LINE) - 1];
            expected.push((len - expected.len() * MAX_LINE, Flags::NONE));
            assert_eq!(lens, expected, "{len}");
        }
    }

    #[test]
    fn a_level_without_text_is_still_an_unfinished_line() {
        let mut records = Records::new();
        let mut lines = Lines::new(100);
        lines.push(b"<3>", collect(&mut records));
        lines.flush(collect(&mut records));
        lines.flush(collect(&mut records));
        assert_eq!(records, [(vec![], Level::ERR.number(), Flags::PARTIAL)]);
    }

    #[test]
    fn lines_without_a_level_have_the_usual_one_and_others_their_own() {
        let mut levels = Vec::new();
        let mut lines = Lines::new(100);
        lines.set_level(Level::WARN);
        for piece in ["a\nb", "\n<6>c\n<", "6>d\n<x\n"] {
            lines.push(piece.as_bytes(), |_, level, _| levels.push(level));
        }
        assert_eq!(levels, [Level::WARN, Level::WARN, Level::INFO, Level::INFO, Level::WARN]);
    }

    #[test]
    fn limits_leave_room_for_fields_and_stay_in_bounds() {
        assert_eq!([0, 70, 2000, 32767].map(limit_for), [8, 8, 1936, MAX_LINE]);
        assert_eq!([None, Some(&b""[..]), Some(b"disk")].map(|tag| limit_beside(2000, tag)), [1936, 1933, 1929]);
        assert_eq!(limit_beside(2000, Some(&[0; 3000])), 8);
    }
}

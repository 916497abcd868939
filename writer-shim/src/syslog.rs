//! What programs send to /dev/log, taken apart: `<PRI>Mon dd hh:mm:ss tag[pid]: text` (RFC 3164, as syslog(3) writes it), and
//! RFC 5424. Whatever is missing is left out; what cannot be parsed is text.

#![forbid(unsafe_code)]

use lapwing_ring::Level;

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "", "", "",
    "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// One message, in the bytes that were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Info where none is given.
    pub level: Level,
    /// By its name in syslog.conf(5); `None` where none is given, and for the numbers without a name.
    pub facility: Option<&'static str>,
    /// What the program calls itself.
    pub tag: Option<&'a [u8]>,
    /// The process that the message says it is from.
    pub pid: Option<u32>,
    /// Without newlines and NULs at its end.
    pub text: &'a [u8],
}

/// The level and the facility of a syslog priority, which is facility * 8 + severity. Other bits are passed over.
pub fn priority(number: u32) -> (Level, Option<&'static str>) {
    let level = Level::from_syslog((number & 7) as u8).unwrap_or(Level::INFO);
    (level, FACILITIES.get((number >> 3) as usize & 127).copied().filter(|name| !name.is_empty()))
}

/// `text` without the newlines and NULs at its end.
pub fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | 0] = text {
        text = rest;
    }
    text
}

impl<'a> Message<'a> {
    /// Parses what was sent. Any bytes will do.
    pub fn parse(sent: &'a [u8]) -> Self {
        let text = trimmed(sent);
        let Some((number, rest)) = pri(text) else {
            return Self { level: Level::INFO, facility: None, tag: None, pid: None, text };
        };
        let (level, facility) = priority(number);
        let (tag, pid, text) = rfc5424(rest).unwrap_or_else(|| tagged(behind_date(rest)));
        Self { level, facility, tag, pid, text }
    }
}

/// `<N>`, N 0 to 191.
fn pri(text: &[u8]) -> Option<(u32, &[u8])> {
    let rest = text.strip_prefix(b"<")?;
    let digits = rest.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
    let number = decimal(&rest[..digits])?;
    let rest = rest[digits..].strip_prefix(b">")?;
    (digits <= 3 && number <= 191).then_some((number, rest))
}

fn decimal(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// What is behind `Mon dd hh:mm:ss `, if that is how `text` begins. The record has a time of its own.
fn behind_date(text: &[u8]) -> &[u8] {
    let Some((date, rest)) = text.split_at_checked(16) else { return text };
    let fits = date.iter().zip(b"Aaa 00 00:00:00 ").all(|(byte, shape)| match shape {
        b'A' => byte.is_ascii_uppercase(),
        b'a' => byte.is_ascii_lowercase(),
        b'0' => byte.is_ascii_digit() || *byte == b' ',
        _ => byte == shape,
    });
    if fits { rest } else { text }
}

type Tagged<'a> = (Option<&'a [u8]>, Option<u32>, &'a [u8]);

/// `tag: text` or `tag[pid]: text`. As journald has it: the first word is the tag if it ends in a colon.
fn tagged(text: &[u8]) -> Tagged<'_> {
    let none = (None, None, text);
    let end = text.iter().position(|byte| byte.is_ascii_whitespace()).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let Some(word) = word.strip_suffix(b":") else { return none };
    let rest = rest.get(1..).unwrap_or_default();
    let open = word.iter().rposition(|&byte| byte == b'[');
    match (open, word.strip_suffix(b"]")) {
        (Some(open), Some(inner)) if open > 0 => match decimal(&inner[open + 1..]) {
            Some(pid) => (Some(&word[..open]), Some(pid), rest),
            None => (Some(word), None, rest),
        },
        _ if word.is_empty() => none,
        _ => (Some(word), None, rest),
    }
}

/// `1 time host tag pid message-id [data] text`, behind the priority. Host, message-id and data are left out.
fn rfc5424(text: &[u8]) -> Option<Tagged<'_>> {
    let rest = text.strip_prefix(b"1 ")?;
    let (time, rest) = word(rest)?;
    if time != b"-" && (time.len() < 10 || time[4] != b'-' || time[7] != b'-') {
        return None;
    }
    let (_host, rest) = word(rest)?;
    let (tag, rest) = word(rest)?;
    let (pid, rest) = word(rest)?;
    let (_id, rest) = word(rest)?;
    let rest = behind_data(rest)?;
    let text = rest.strip_prefix(b" ").unwrap_or(rest);
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    Some(((tag != b"-").then_some(tag), decimal(pid), text))
}

fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.iter().position(|&byte| byte == b' ').filter(|&end| end > 0)?;
    Some((&text[..end], &text[end + 1..]))
}

/// What is behind the structured data: `-`, or elements in brackets with quoted values.
fn behind_data(text: &[u8]) -> Option<&[u8]> {
    if let Some(rest) = text.strip_prefix(b"-") {
        return Some(rest);
    }
    let mut rest = text.strip_prefix(b"[")?;
    let mut quoted = false;
    loop {
        let (&byte, behind) = rest.split_first()?;
        rest = behind;
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => rest = rest.get(1..)?,
            b']' if !quoted => match rest.strip_prefix(b"[") {
                Some(next) => rest = next,
                None => return Some(rest),
            },
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message<'a>(
        level: Level,
        facility: Option<&'static str>,
        tag: Option<&'a str>,
        pid: Option<u32>,
        text: &'a str,
    ) -> Message<'a> {
        Message { level, facility, tag: tag.map(str::as_bytes), pid, text: text.as_bytes() }
    }

    #[test]
    fn what_programs_send_is_taken_apart() {
        let user = Some("user");
        let cases = [
            // glibc, with and without LOG_PID; logger; perl; python's SysLogHandler
            (
                "<28>Nov 21 15:46:24 cron[17]: over",
                message(Level::WARN, Some("daemon"), Some("cron"), Some(17), "over"),
            ),
            ("<14>Nov  1 15:46:24 a.out: it: is\n", message(Level::INFO, user, Some("a.out"), None, "it: is")),
            ("<12>Nov 21 15:46:24 my-tag: text", message(Level::WARN, user, Some("my-tag"), None, "text")),
            ("<131>Nov 21 15:46:24 p[2]: x\n\0", message(Level::ERR, Some("local0"), Some("p"), Some(2), "x")),
            ("<14>plain words\0", message(Level::INFO, user, None, None, "plain words")),
            ("<14>app[5]: words", message(Level::INFO, user, Some("app"), Some(5), "words")),
            ("<0>tag:", message(Level::EMERG, Some("kern"), Some("tag"), None, "")),
            ("<15>a: \ttext ", message(Level::DEBUG, user, Some("a"), None, "\ttext ")),
            ("<14>odd[x]: text", message(Level::INFO, user, Some("odd[x]"), None, "text")),
            ("<14>[1]: text", message(Level::INFO, user, Some("[1]"), None, "text")),
            ("<14>: text", message(Level::INFO, user, None, None, ": text")),
            ("<14>Nov 21 15-46-24 t: x", message(Level::INFO, user, None, None, "Nov 21 15-46-24 t: x")),
            ("<100>audit's number", message(Level::WARN, None, None, None, "audit's number")),
            (
                "<165>1 2026-11-21T15:46:24.003Z host app 9 ID47 [a b=\"]\\\"\"][c] \u{feff}text",
                message(Level::NOTICE, Some("local4"), Some("app"), Some(9), "text"),
            ),
            ("<14>1 - - - - - -", message(Level::INFO, user, None, None, "")),
            ("<14>1 - h a - - [open", message(Level::INFO, user, None, None, "1 - h a - - [open")),
            ("<14>1 day to go", message(Level::INFO, user, None, None, "1 day to go")),
        ];
        for (sent, expected) in cases {
            assert_eq!(Message::parse(sent.as_bytes()), expected, "{sent}");
        }
        for plain in ["", "text", "<", "<>x", "<192>x", "<0014>x", "<14x", "<-1>x", "< 1>x"] {
            assert_eq!(Message::parse(plain.as_bytes()), message(Level::INFO, None, None, None, plain));
        }
    }

    proptest! {
        #[test]
        fn the_text_is_the_end_of_any_bytes(
            sent in prop_oneof![any::<Vec<u8>>(), "(<[0-9]{0,4}>)?(1 )?[A-Z]?[a-z 0-9:\\[\\]\"\\\\-]{0,40}".prop_map(String::into_bytes)],
        ) {
            let message = Message::parse(&sent);
            prop_assert!(trimmed(&sent).ends_with(message.text));
            let tag = message.tag.unwrap_or_default();
            prop_assert!(sent.windows(tag.len().max(1)).any(|part| part == tag) || tag.is_empty());
            prop_assert!(message.tag.is_none_or(|tag| !tag.is_empty()));
            prop_assert!(tag.len() + message.text.len() <= sent.len());
        }

        #[test]
        fn what_syslog_writes_reads_back(number in 0u32..192, tag in "[a-z./-]{1,20}", pid: Option<u32>, text in "[^\n\0]{0,50}") {
            let sent = match pid {
                Some(pid) => format!("<{number}>Feb  3 01:02:03 {tag}[{pid}]: {text}"),
                None => format!("<{number}>Feb  3 01:02:03 {tag}: {text}"),
            };
            let (level, facility) = priority(number);
            prop_assert_eq!(Message::parse(sent.as_bytes()), message(level, facility, Some(&tag), pid, &text));
        }
    }
}

//! The journal's native protocol, taken apart: fields as `KEY=value\n`, or `KEY\n`, eight bytes of length, the value and `\n`;
//! an empty line between two entries. See systemd's "Native Journal Protocol".

#![forbid(unsafe_code)]

use lapwing_ring::Level;

/// As many fields of an entry are kept, besides those that have a place of their own.
pub const OTHERS: usize = 24;

/// One entry, in the bytes that were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// `PRIORITY`; info where there is none.
    pub level: Level,
    /// `SYSLOG_IDENTIFIER`
    pub tag: Option<&'a [u8]>,
    /// `MESSAGE`, without newlines at its end.
    pub text: &'a [u8],
    others: [(&'a [u8], &'a [u8]); OTHERS],
    kept: usize,
}

impl<'a> Entry<'a> {
    /// The other fields, in order; [`OTHERS`] of them at most.
    pub fn others(&self) -> &[(&'a [u8], &'a [u8])] {
        &self.others[..self.kept]
    }
}

/// The entries of what was sent. Any bytes will do: what is no field is passed over, and a field that is cut short has what
/// is there of it.
pub fn entries(sent: &[u8]) -> impl Iterator<Item = Entry<'_>> {
    let mut rest = sent;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            if let Some(entry) = entry(&mut rest) {
                return Some(entry);
            }
        }
    })
}

/// The next entry, and takes it away. `None`: it has no field.
fn entry<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let mut entry = Entry { level: Level::INFO, tag: None, text: b"", others: [(&[], &[]); OTHERS], kept: 0 };
    let (mut is_any, mut has_text) = (false, false);
    while let Some(line) = line(rest) {
        let (key, value) = match line.iter().position(|&byte| byte == b'=') {
            _ if line.is_empty() => break,
            Some(end) => (&line[..end], &line[end + 1..]),
            None if is_key(line) => (line, counted(rest)),
            // Comments and commands; and what is no field.
            None => continue,
        };
        if !is_key(key) {
            continue;
        }
        is_any = true;
        match key {
            b"MESSAGE" if !has_text => (entry.text, has_text) = (crate::syslog::trimmed(value), true),
            b"SYSLOG_IDENTIFIER" if entry.tag.is_none() => entry.tag = Some(value),
            b"PRIORITY" => {
                if let &[digit @ b'0'..=b'7'] = value {
                    entry.level = Level::from_syslog(digit - b'0').unwrap_or(Level::INFO);
                }
            }
            _ => {
                if let Some(place) = entry.others.get_mut(entry.kept) {
                    *place = (key, value);
                    entry.kept += 1;
                }
            }
        }
    }
    is_any.then_some(entry)
}

/// A field's name as the journal takes it from programs: those with `_` in front are its own to give.
fn is_key(key: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    matches!(key, [b'A'..=b'Z', ..]) && key.len() <= 64 && key.iter().all(fits)
}

fn line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    if rest.is_empty() {
        return None;
    }
    let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = rest.get(end + 1..).unwrap_or_default();
    Some(line)
}

/// A value behind its length.
fn counted<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((&len, behind)) = rest.split_first_chunk() else {
        return std::mem::take(rest);
    };
    let len = usize::try_from(u64::from_le_bytes(len)).unwrap_or(usize::MAX).min(behind.len());
    let (value, behind) = behind.split_at(len);
    *rest = behind.get(1..).unwrap_or_default();
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted_field(key: &str, value: &[u8]) -> Vec<u8> {
        [key.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    #[test]
    fn an_entry_is_taken_apart() {
        let mut sent = b"MESSAGE=some text\nPRIORITY=3\nCODE_FILE=a.c\nSYSLOG_IDENTIFIER=me\n".to_vec();
        sent.extend(counted_field("DATA", b"two\nlines"));
        sent.extend(b"EMPTY=\n_PID=1\nlower=x\n.command\n#PRIORITY=0\nPRIORITY=9\nLAST=a=b");
        let all: Vec<_> = entries(&sent).collect();
        let entry = all[0];
        assert_eq!(
            (all.len(), entry.level, entry.tag, entry.text),
            (1, Level::ERR, Some(&b"me"[..]), &b"some text"[..])
        );
        let others: [(&[u8], &[u8]); 4] =
            [(b"CODE_FILE", b"a.c"), (b"DATA", b"two\nlines"), (b"EMPTY", b""), (b"LAST", b"a=b")];
        assert_eq!(entry.others(), others);
    }

    #[test]
    fn a_text_of_several_lines_is_one_text() {
        let sent = [counted_field("MESSAGE", b"one\ntwo\n"), b"PRIORITY=7\n".to_vec()].concat();
        let entry = entries(&sent).next().unwrap();
        assert_eq!((entry.level, entry.text), (Level::DEBUG, &b"one\ntwo"[..]));
    }

    #[test]
    fn an_empty_line_is_between_two_entries() {
        let texts: Vec<_> =
            entries(b"\nMESSAGE=a\nPRIORITY=2\n\n\nMESSAGE=b\n").map(|entry| (entry.text, entry.level)).collect();
        assert_eq!(texts, [(&b"a"[..], Level::CRIT), (&b"b"[..], Level::INFO)]);
    }

    #[test]
    fn what_is_cut_short_has_what_is_there() {
        let whole = counted_field("MESSAGE", b"0123456789");
        let text = |len: usize| entries(&whole[..len]).next().map(|entry| entry.text.to_vec());
        assert_eq!(text(whole.len() - 4), Some(b"0123456".to_vec()));
        assert_eq!(text(16), Some(b"".to_vec()));
        assert_eq!(entries(b"no field").count() + entries(b"").count() + entries(b"\n\n").count(), 0);
        let lies = [b"MESSAGE\n".to_vec(), u64::MAX.to_le_bytes().to_vec(), b"x".to_vec()].concat();
        assert_eq!(entries(&lies).next().unwrap().text, b"x");
    }

    proptest! {
        #[test]
        fn any_bytes_have_entries_no_longer_than_they_are(
            sent in prop_oneof![any::<Vec<u8>>(), "(MESSAGE|PRIORITY|[A-C]|=|\n|[0-9]|\0){0,60}".prop_map(String::into_bytes)],
        ) {
            let lens = entries(&sent).map(|entry| {
                let others: usize = entry.others().iter().map(|(key, value)| key.len() + value.len()).sum();
                others + entry.text.len() + entry.tag.map_or(0, <[u8]>::len)
            });
            prop_assert!(lens.sum::<usize>() <= sent.len());
        }

        #[test]
        fn what_programs_send_reads_back(
            text: Vec<u8>,
            level in 0u8..8,
            others in prop::collection::vec(("[A-L][A-Z0-9_]{0,20}", any::<Vec<u8>>()), 0..OTHERS),
        ) {
            let mut sent = counted_field("MESSAGE", &text);
            for (key, value) in &others {
                sent.extend(counted_field(key, value));
            }
            sent.extend(format!("PRIORITY={level}\n").bytes());
            let all: Vec<_> = entries(&sent).collect();
            prop_assert_eq!(all.len(), 1);
            prop_assert_eq!((all[0].text, all[0].level), (crate::syslog::trimmed(&text), Level::from_syslog(level).unwrap()));
            let expected: Vec<_> = others.iter().map(|(key, value)| (key.as_bytes(), value.as_slice())).collect();
            prop_assert_eq!(all[0].others(), expected);
        }
    }
}

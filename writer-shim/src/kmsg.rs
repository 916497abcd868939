//! The kernel log as /dev/kmsg gives it, taken apart: each read is `PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,KEY=VALUE..];TEXT\n`
//! and then lines ` KEY=VALUE\n`. See the kernel's Documentation/ABI/testing/dev-kmsg.

#![forbid(unsafe_code)]

mod bridge;
mod place;

pub use bridge::{Bridge, BridgeError, Taken};
pub use place::{forget_place, place_of};

use lapwing_ring::Level;

/// One record of the kernel log, in the bytes that were read: text, keys and values are still [escaped](unescaped).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KernelRecord<'a> {
    #[allow(missing_docs)]
    pub level: Level,
    /// By its name in syslog.conf(5); `None` for the numbers without a name.
    pub facility: Option<&'static str>,
    /// The kernel's own sequence: 0 for the first record since boot, then one more for each.
    pub seq: u64,
    /// The kernel's clock, microseconds since boot.
    pub us: u64,
    /// `c` or `+` for a text that goes on from an earlier record, else `-`.
    pub flags: &'a [u8],
    #[allow(missing_docs)]
    pub text: &'a [u8],
    extra: &'a [u8],
    dictionary: &'a [u8],
}

impl<'a> KernelRecord<'a> {
    /// Parses what one read gave. `None`: no sequence can be found in it.
    pub fn parse(read: &'a [u8]) -> Option<Self> {
        let end = memchr::memchr(b';', read)?;
        let (head, rest) = (&read[..end], &read[end + 1..]);
        let mut head = head.splitn(5, |&byte| byte == b',');
        let (level, facility) = crate::syslog::priority(u32::try_from(decimal(head.next()?)?).ok()?);
        let (seq, us) = (decimal(head.next()?)?, decimal(head.next()?)?);
        let (flags, extra) = (head.next().unwrap_or_default(), head.next().unwrap_or_default());
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (text, dictionary) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
        Some(Self { level, facility, seq, us, flags, text, extra, dictionary })
    }

    /// What else stands in front of the text (`caller=T1`), then the dictionary (`SUBSYSTEM=pci`).
    pub fn pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let extra = self.extra.split(|&byte| byte == b',');
        let lines = self.dictionary.split(|&byte| byte == b'\n').filter_map(|line| line.strip_prefix(b" "));
        extra.chain(lines).filter_map(|pair| {
            let end = memchr::memchr(b'=', pair).filter(|&end| end > 0)?;
            Some((&pair[..end], &pair[end + 1..]))
        })
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    // `parse` would take a sign as well.
    let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// `text` with every `\xHH` made the byte that it stands for: the kernel writes so what is not printable, and backslashes.
pub fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        bytes.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let digit = |i: usize| rest.get(i).and_then(|&byte| char::from(byte).to_digit(16));
        match (rest.get(1), digit(2), digit(3)) {
            (Some(b'x'), Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &rest[4..];
            }
            _ => {
                bytes.push(b'\\');
                rest = &rest[1..];
            }
        }
    }
    bytes.extend_from_slice(rest);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_the_kernel_says_is_taken_apart() {
        let read =
            b"30,339,5140900,-,caller=T1;NET: Registered\\x0a protocol\n SUBSYSTEM=net\n DEVICE=n2=x\nno pair\n =x\n";
        let record = KernelRecord::parse(read).unwrap();
        assert_eq!((record.level, record.facility), (Level::INFO, Some("daemon")));
        assert_eq!((record.seq, record.us, record.flags), (339, 5_140_900, &b"-"[..]));
        assert_eq!(unescaped(record.text), b"NET: Registered\n protocol");
        let pairs: [(&[u8], &[u8]); 3] = [(b"caller", b"T1"), (b"SUBSYSTEM", b"net"), (b"DEVICE", b"n2=x")];
        assert_eq!(record.pairs().collect::<Vec<_>>(), pairs);
        let short = KernelRecord::parse(b"4,0,0,c;;").unwrap();
        assert_eq!((short.level, short.flags, short.text), (Level::WARN, &b"c"[..], &b";"[..]));
        assert_eq!(short.pairs().count(), 0);
        // Nothing but these three is needed.
        assert_eq!(KernelRecord::parse(b"6,1,2;x").unwrap().flags, b"");
        for bad in ["", ";", "6,1;x", "6,-1,2,-;x", "6,+1,2,-;x", "x,1,2,-;x", "6,1,2,-", "6,99999999999999999999,2,-;"]
        {
            assert_eq!(KernelRecord::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn only_whole_escapes_are_undone() {
        assert_eq!(unescaped(b"a\\x5cb\\x1B[2J\\xff"), b"a\\b\x1b[2J\xff");
        assert_eq!(unescaped(b"\\ \\x \\xg0 \\n \\x4"), b"\\ \\x \\xg0 \\n \\x4");
    }

    /// As the kernel's msg_add_ext_text and msg_add_dict_text write it.
    fn escaped(text: &[u8]) -> Vec<u8> {
        let plain = |byte: u8| (b' '..127).contains(&byte) && byte != b'\\';
        let one = |&byte: &u8| if plain(byte) { vec![byte] } else { format!("\\x{byte:02x}").into_bytes() };
        text.iter().flat_map(one).collect()
    }

    proptest! {
        #[test]
        fn what_the_kernel_writes_reads_back(
            priority in 0u32..192,
            seq: u64,
            us: u64,
            text: Vec<u8>,
            dictionary in prop::collection::vec(("[A-Z_]{1,10}", any::<Vec<u8>>()), 0..4),
        ) {
            let mut read = format!("{priority},{seq},{us},-;").into_bytes();
            read.extend(escaped(&text));
            read.push(b'\n');
            for (key, value) in &dictionary {
                read.extend([b" ", key.as_bytes(), b"=", &escaped(value), b"\n"].concat());
            }
            let record = KernelRecord::parse(&read).unwrap();
            prop_assert_eq!((record.level, record.facility), crate::syslog::priority(priority));
            prop_assert_eq!((record.seq, record.us, unescaped(record.text)), (seq, us, text));
            let pairs: Vec<_> = record.pairs().map(|(key, value)| (key.to_vec(), unescaped(value))).collect();
            let expected: Vec<_> = dictionary.iter().map(|(key, value)| (key.clone().into_bytes(), value.clone())).collect();
            prop_assert_eq!(pairs, expected);
        }

        #[test]
        fn any_bytes_are_parsed_without_a_panic_and_nothing_grows(
            read in prop_oneof![any::<Vec<u8>>(), "[0-9]{0,3}(,[0-9]{0,3}){0,4}[;,=]?[a-z\\\\x0-9\n =]{0,40}".prop_map(String::into_bytes)],
        ) {
            if let Some(record) = KernelRecord::parse(&read) {
                let pairs: usize = record.pairs().map(|(key, value)| key.len() + value.len()).sum();
                prop_assert!(record.text.len() + pairs <= read.len());
            }
            prop_assert!(unescaped(&read).len() <= read.len());
        }
    }
}
